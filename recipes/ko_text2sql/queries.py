"""The identifiers and literals of a query, with their places in its text, so that it can be rewritten there."""

from __future__ import annotations

from dataclasses import dataclass

import sqlglot
from sqlglot import exp


@dataclass(frozen=True)
class Name:
    """An identifier of the query: a table, or a column of a table; where a column has no name it is the table's."""

    start: int
    end: int
    table: str
    column: str = ""


@dataclass(frozen=True)
class Constant:
    """A literal of the query.

    about: 'value' (compared with the column), 'year', 'month', 'limit', 'aggregate' (compared with one, or with a rank),
    'form' (says how to compute and is not said in the question), or '' for anything else.
    """

    start: int
    end: int
    text: str
    is_string: bool
    about: str
    table: str = ""
    column: str = ""
    strict: bool = False  # compared with > or <, so that the column's extremes are no sensible value


def read_query(query: str, domain: dict) -> tuple[list[Name], list[Constant]]:
    """The identifiers and literals of a query, each with its place in the text and what it stands for.

    Names that the query makes itself (aliases, tables of WITH) are none of the domain's and so are left out. Raises
    ValueError for a table or column that the domain doesn't have.
    """
    tree = sqlglot.parse_one(query, read="mysql")
    names = []
    made = {cte.alias for cte in tree.find_all(exp.CTE)}
    for table in tree.find_all(exp.Table):
        if table.name in made:
            continue
        if table.name not in domain["tables"]:
            raise ValueError(f"no table {table.name!r} in domain {domain['name']!r}: {query}")
        names.append(_name(table.this, table.name))
    owners = {}
    for column in tree.find_all(exp.Column):
        if isinstance(column.this, exp.Star):
            continue
        owner = owners[id(column)] = _owner(column, domain)
        if owner:
            names.append(_name(column.this, owner, column.name))
            if column.table == owner:
                names.append(_name(column.args["table"], owner))
    constants = [_constant(literal, owners) for literal in tree.find_all(exp.Literal)]
    return sorted(names, key=lambda name: name.start), sorted(constants, key=lambda constant: constant.start)


def _name(identifier: exp.Expression, table: str, column: str = "") -> Name:
    return Name(identifier.meta["start"], identifier.meta["end"] + 1, table, column)


def own_names(tree: exp.Expression) -> set[str]:
    """The names that a query makes itself: aliases of tables and results, tables of WITH and their columns."""
    aliases = {node.alias for node in tree.find_all(exp.Alias, exp.Table, exp.Subquery, exp.CTE)}
    listed = {column.name for alias in tree.find_all(exp.TableAlias) for column in alias.args.get("columns") or []}
    return (aliases | listed) - {""}


def is_form(literal: exp.Literal) -> bool:
    """Whether a number says how to compute: the 1 and 0 that a CASE counts by, the 100 of a percentage, EXISTS's 1."""
    if literal.is_string:
        return False
    parent = literal.parent
    counted = isinstance(parent, (exp.If, exp.Case)) and literal.name in ("0", "1")
    return counted or isinstance(parent, exp.Select) or (isinstance(parent, exp.Mul) and float(literal.name) == 100)


def _owner(column: exp.Column, domain: dict) -> str:
    """The domain's table that a column belongs to; '' for a name that the query makes itself."""
    query = column.find_ancestor(exp.Select, exp.SetOperation)
    while query is not None:
        owner = _owner_within(column, query, domain)
        if owner is not None:
            return owner
        query = query.find_ancestor(exp.Select, exp.SetOperation)
    raise ValueError(f"no column {column.sql()!r} in domain {domain['name']!r}: {column.root().sql()}")


def _owner_within(column: exp.Column, query: exp.Expression, domain: dict) -> str | None:
    """As `_owner`, but of the sources and results of `query` alone; None where they have no such column."""
    if isinstance(query, exp.SetOperation):
        return _result(column.name, query, domain)  # what it is sorted by
    sources = [query.args[key].this for key in ("from_", "from") if query.args.get(key)]
    sources += [join.this for join in query.args.get("joins") or []]
    for source in sources:
        if column.table and source.alias_or_name != column.table:
            continue
        inner = source.this if isinstance(source, exp.Subquery) else _with(source)
        if inner is not None:
            owner = _result(column.name, inner, domain)
            if owner is not None:
                return owner
        elif column.name in domain["tables"][source.name]["columns"]:
            return source.name
    if not column.table and any(item.alias == column.name for item in query.selects if isinstance(item, exp.Alias)):
        return ""
    return None


def _with(table: exp.Expression) -> exp.Expression | None:
    """The query behind a table of WITH; None for a table of the schema."""
    return next((cte.this for cte in table.root().find_all(exp.CTE) if cte.alias == table.name), None)


def _result(name: str, query: exp.Expression, domain: dict) -> str | None:
    """Whose column a query gives under `name`: '' where it is computed or renamed, None where it gives none."""
    for item in query.selects:
        if item.alias_or_name == name:
            return _owner(item, domain) if isinstance(item, exp.Column) else ""
    return None


def _constant(literal: exp.Literal, owners: dict[int, str]) -> Constant:
    start, end = literal.meta["start"], literal.meta["end"] + 1
    parent = literal.parent
    about, table, column = "", "", ""
    if is_form(literal):
        about = "form"
    elif isinstance(parent, exp.Limit):
        about = "limit"
    elif isinstance(parent, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Like)):
        left = parent.this
        if isinstance(left, exp.Column) and not owners[id(left)]:
            about = "aggregate"
        elif isinstance(left, exp.Column):
            about, table, column = "value", owners[id(left)], left.name
        elif isinstance(left, (exp.Year, exp.Month)) and isinstance(left.find(exp.Column), exp.Column):
            inner = left.find(exp.Column)
            about, table, column = (
                ("year" if isinstance(left, exp.Year) else "month"),
                owners[id(inner)],
                inner.name,
            )
        elif isinstance(left, exp.AggFunc):
            about = "aggregate"
            inner = left.find(exp.Column)
            if isinstance(left, (exp.Avg, exp.Max, exp.Min)) and inner is not None:
                table, column = owners[id(inner)], inner.name
    strict = isinstance(parent, (exp.GT, exp.LT))
    return Constant(start, end, literal.name, literal.is_string, about, table, column, strict)
