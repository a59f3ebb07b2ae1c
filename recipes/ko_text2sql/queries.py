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
    """A literal of the query. about: 'value' (compared with the column), 'year', 'month', 'limit' or 'aggregate'."""

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

    Raises ValueError for a table or column that the domain doesn't have.
    """
    tree = sqlglot.parse_one(query, read="mysql")
    names = []
    for table in tree.find_all(exp.Table):
        if table.name not in domain["tables"]:
            raise ValueError(f"no table {table.name!r} in domain {domain['name']!r}: {query}")
        names.append(_name(table.this, table.name))
    owners = {}
    for column in tree.find_all(exp.Column):
        owner, qualifier = _owner(column, domain)
        owners[id(column)] = owner
        names.append(_name(column.this, owner, column.name))
        if qualifier == owner:
            names.append(_name(column.args["table"], owner))
    constants = [_constant(literal, owners) for literal in tree.find_all(exp.Literal)]
    return sorted(names, key=lambda name: name.start), sorted(constants, key=lambda constant: constant.start)


def _name(identifier: exp.Expression, table: str, column: str = "") -> Name:
    return Name(identifier.meta["start"], identifier.meta["end"] + 1, table, column)


def _owner(column: exp.Column, domain: dict) -> tuple[str, str]:
    select = column.find_ancestor(exp.Select)
    while select is not None:
        sources = [select.args[key].this for key in ("from_", "from") if select.args.get(key)] + [
            join.this for join in select.args.get("joins") or []
        ]
        for source in sources:
            if isinstance(source, exp.Table):
                named = (
                    source.alias_or_name == column.table
                    if column.table
                    else column.name in domain["tables"][source.name]["columns"]
                )
                if named and column.name in domain["tables"][source.name]["columns"]:
                    return source.name, column.table
        select = select.find_ancestor(exp.Select)
    raise ValueError(f"no column {column.sql()!r} in domain {domain['name']!r}: {column.root().sql()}")


def _constant(literal: exp.Literal, owners: dict[int, str]) -> Constant:
    start, end = literal.meta["start"], literal.meta["end"] + 1
    parent = literal.parent
    about, table, column = "", "", ""
    if isinstance(parent, exp.Limit):
        about = "limit"
    elif isinstance(parent, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Like)):
        left = parent.this
        if isinstance(left, exp.Column):
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
