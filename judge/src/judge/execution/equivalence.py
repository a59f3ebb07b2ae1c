"""Which changes of a query can never show, by its keys and references alone; for `judge.execution.mutants`.

Rules, no proofs of everything: `False` means only that no rule here knows it.
"""

from __future__ import annotations

from sqlglot import exp

from judge.sql.functions import AGGREGATES
from judge.sql.queries import Resolver
from judge.sql.schema import Schema


def aggregates_in(node: exp.Expression) -> bool:
    """Also our own aggregates, which are plain calls in a tree for SQLite."""
    return any(
        isinstance(part, exp.AggFunc) or part.name.lower() in AGGREGATES
        for part in node.find_all(exp.AggFunc, exp.Anonymous)
    )


def lone_aggregate(select: exp.Select) -> bool:
    """One row whatever the tables hold."""
    return not select.args.get("group") and any(aggregates_in(item) for item in select.expressions)


def order_counts(node: exp.Expression) -> bool:
    """Does this ORDER BY, or a key of it, settle anything? Not in an inner query that is not cut, nor for one row."""
    if node.find_ancestor(exp.Window, exp.GroupConcat, exp.Query) is not node.find_ancestor(exp.Query):
        return True
    query = node.find_ancestor(exp.Query)
    if query is None or (isinstance(query, exp.Select) and lone_aggregate(query)):
        return False
    return bool(query.parent is None or query.args.get("limit"))


def distinct_changes_nothing(select: exp.Select, resolver: Resolver, schema: Schema) -> bool:
    """Groups, a lone aggregate, whole rows, a part of a set operation, what IN looks into, at most one row, a key."""
    if select.args.get("group") or select.is_star or any(aggregates_in(item) for item in select.expressions):
        return True
    if isinstance(select.parent, (exp.In, exp.Subquery, exp.Exists)):
        return True
    if isinstance(select.parent, exp.SetOperation) and select.parent.args.get("distinct"):
        return True
    limit = select.args.get("limit")
    if limit is not None and limit.expression is not None and limit.expression.name == "1":
        return True
    outputs = {_place(item.unalias(), resolver) for item in select.expressions}
    return any(
        all((name, c) in outputs for c in key)
        for name in _deciding(select, resolver, schema)
        for key in _keys(_table_of(select, name), schema)
    )


def key_of_every_row(node: exp.Expression, resolver: Resolver, schema: Schema) -> bool:
    """Is the column, where it is not NULL, different in every row of its SELECT?"""
    select = node.find_ancestor(exp.Select)
    place = _place(node, resolver)
    if select is None or place is None or place[0] not in _deciding(select, resolver, schema):
        return False
    table = schema[_table_of(select, place[0])]
    return table.columns[place[1]].unique


def always_matches(join: exp.Join, resolver: Resolver, schema: Schema) -> bool:
    """Is it a join along a reference that is never NULL, so that JOIN and LEFT JOIN are one?"""
    select, test = join.parent, join.args["on"].unnest()
    if not isinstance(test, exp.EQ) or not isinstance(join.this, exp.Table):
        return False
    own = join.this.alias_or_name.lower()
    sides = [_place(side, resolver) for side in (test.this, test.expression)]
    if None in sides or {own} == {side[0] for side in sides}:
        return False
    parent, child = sides if sides[0][0] == own else sides[::-1]
    if parent[0] != own or any(other.args.get("side") for other in select.args["joins"] if other is not join):
        return False
    child_table, parent_table = _table_of(select, child[0]), _table_of(select, own)
    if child_table is None or parent_table is None:
        return False
    table = schema[child_table]
    declared = any(
        r.columns == (child[1],) and r.table == parent_table and r.targets == (parent[1],) for r in table.references
    )
    return declared and not table.columns[child[1]].nullable


def joining_columns(column: exp.Column) -> set[str]:
    """Lower-case names of its table's columns that its SELECT joins by `=`: in a row that matches they are not NULL."""
    select = column.find_ancestor(exp.Select)
    tests = [test for join in select.args.get("joins") or [] for test in _conjuncts(join.args.get("on"))]
    sides = [side for test in tests for side in (test.this, test.expression) if isinstance(side, exp.Column)]
    return {side.name.lower() for side in sides if side.table.lower() == column.table.lower()}


def _deciding(select: exp.Select, resolver: Resolver, schema: Schema) -> set[str]:
    """Names of the sources of which one row belongs to at most one row of the whole join."""
    sources = _sources(select)
    if not all(table in schema for table in sources.values()):
        return set()
    joined = [join.args.get("on") for join in select.args.get("joins") or []]
    where = select.args.get("where")
    settles: dict[str, set[str]] = {name: set() for name in sources}  # its row settles the rows of these
    for condition in [*joined, where.this if where else None]:
        for test in _conjuncts(condition):
            a, b = _place(test.this, resolver), _place(test.expression, resolver)
            if a is None or b is None or a[0] not in sources or b[0] not in sources:
                continue
            for one, other in ((a, b), (b, a)):
                if schema[sources[other[0]]].columns[other[1]].unique:
                    settles[one[0]].add(other[0])
    return {name for name in sources if _reached(name, settles) == set(sources)}


def _reached(start: str, settles: dict[str, set[str]]) -> set[str]:
    found, waiting = {start}, [start]
    while waiting:
        new = settles[waiting.pop()] - found
        found |= new
        waiting += new
    return found


def _conjuncts(condition: exp.Expression | None) -> list[exp.Expression]:
    if condition is None:
        return []
    parts = condition.unnest().flatten() if isinstance(condition.unnest(), exp.And) else [condition]
    return [part.unnest() for part in parts if isinstance(part.unnest(), exp.EQ)]


def _sources(select: exp.Select) -> dict[str, str]:
    """Tables by the names they go under; '' for what is no plain table."""
    start = select.args.get("from_")
    nodes = ([start.this] if start else []) + [join.this for join in select.args.get("joins") or []]
    return {node.alias_or_name.lower(): node.name.lower() if isinstance(node, exp.Table) else "" for node in nodes}


def _table_of(select: exp.Select, name: str) -> str | None:
    return _sources(select).get(name) or None


def _place(node: exp.Expression, resolver: Resolver) -> tuple[str, str] | None:
    """(name of the source, column) in lower case of a column of the SELECT it stands in."""
    node = node.unnest()
    select = node.find_ancestor(exp.Select)
    if not isinstance(node, exp.Column) or node.is_star or select is None:
        return None
    sources, column = _sources(select), node.name.lower()
    if node.table:
        named = [node.table.lower()]
    else:
        named = [name for name, table in sources.items() if column in _columns(table, resolver)]
    if len(named) != 1 or column not in _columns(sources.get(named[0], ""), resolver):
        return None
    return named[0], column


def _columns(table: str, resolver: Resolver) -> set[str]:
    return set(resolver.schema[table].columns) if table in resolver.schema else set()


def _keys(table: str | None, schema: Schema) -> list[tuple[str, ...]]:
    """Column groups that differ in every row and hold no NULL."""
    if table is None:
        return []
    known = schema[table]
    groups = [(name,) for name, column in known.columns.items() if column.unique] + known.uniques
    return [group for group in groups if all(not known.columns[c].nullable for c in group)]
