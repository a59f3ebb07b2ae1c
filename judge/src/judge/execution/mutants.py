"""Small wrong versions of gold: instances that cannot tell them from gold prove little about a prediction.

A mutant that always gives what gold gives could never be told from it, so those that a rule shows to be the same are
not made (`judge.execution.equivalence`). What no rule knows is made and counts as survived.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import zip_longest

from sqlglot import exp

from judge.execution.equivalence import (
    always_matches,
    distinct_changes_nothing,
    joining_columns,
    key_of_every_row,
    lone_aggregate,
    order_counts,
)
from judge.sql.dates import shift
from judge.sql.dialect import functions_in, sqlite_tree, written
from judge.sql.functions import AGGREGATES
from judge.sql.queries import QueryError, Resolver
from judge.sql.schema import Schema

MOST = 24
_OPERATORS = {
    exp.GT: [exp.GTE, exp.LT], exp.GTE: [exp.GT, exp.LTE], exp.LT: [exp.LTE, exp.GT], exp.LTE: [exp.LT, exp.GTE],
    exp.EQ: [exp.NEQ], exp.NEQ: [exp.EQ], exp.And: [exp.Or], exp.Or: [exp.And], exp.Union: [exp.Intersect],
    exp.Intersect: [exp.Union], exp.Except: [exp.Intersect],
}  # fmt: skip
_AGGREGATES = {exp.Max: exp.Min, exp.Min: exp.Max, exp.Sum: exp.Avg, exp.Avg: exp.Sum}
_CALLS = {"my_year": "my_month", "my_month": "my_day", "my_quarter": "my_month", "my_hour": "my_minute"}


@dataclass
class _Edit:
    """One change: `node` replaced by `new`, or its argument `part` set to `new`."""

    node: exp.Expression
    new: object
    part: str = ""


def mutants(tree: exp.Expression, schema: Schema, most: int = MOST) -> list[tuple[str, set[str]]]:
    """At most `most` different queries for SQLite, each one change away from gold, with the functions they call.

    Changed are operator, constant, aggregate, date function, column, DISTINCT, kind of join, condition, order, limit;
    in a fixed order, each kind in turn. Raises QueryError where gold cannot be written for SQLite.
    """
    tree = sqlite_tree(tree, schema)
    resolver = Resolver(tree, schema)
    nodes = list(tree.walk())
    kinds = [
        [edit for node in nodes for edit in change(node, resolver, schema)]
        for change in (_conditions, _operators, _constants, _clauses, _aggregates, _columns, _joins)
    ]
    gold = written(tree)[0]
    seen, chosen = {gold}, []
    for edit in (edit for turn in zip_longest(*kinds) for edit in turn if edit is not None):
        try:
            sql, functions = _spliced(edit, tree, gold) or _written_with(edit, tree)
        except QueryError:
            continue
        if sql not in seen:
            seen.add(sql)
            chosen.append((sql, functions))
        if len(chosen) == most:
            break
    return chosen


def _spliced(edit: _Edit, tree: exp.Expression, gold: str) -> tuple[str, set[str]] | None:
    """The same without writing the whole query again, where the node's own text stands in gold's exactly once."""
    if edit.part or edit.node is tree or isinstance(edit.node, exp.Query):
        return None
    old = written(edit.node)[0]
    if gold.count(old) != 1:
        return None
    sql = gold.replace(old, written(edit.new)[0])
    return sql, functions_in(sql)


def _written_with(edit: _Edit, tree: exp.Expression) -> tuple[str, set[str]]:
    """The query with this one change, which is taken back at once: no tree is copied."""
    node, new = edit.node, edit.new
    if edit.part:
        old = node.args.get(edit.part)
        node.set(edit.part, new)
        try:
            return written(tree)
        finally:
            node.set(edit.part, old)
    if node is tree:
        return written(new)
    node.replace(new)
    try:
        return written(tree)
    finally:
        new.replace(node)


def _within(node: exp.Expression, kind: type) -> bool:
    """Is it in a select list that such a parent's query gives?"""
    select = node.find_ancestor(exp.Select)
    if select is None or not isinstance(select.parent, kind):
        return False
    return any(node is item or node in item.find_all(type(node)) for item in select.expressions)


def _operators(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    others = _OPERATORS.get(type(node), [])
    on = node.find_ancestor(exp.Join) if others else None
    if on is None or on.find_ancestor(exp.Select) is not node.find_ancestor(exp.Select):
        for other in others:
            if isinstance(node, exp.SetOperation):
                yield _Edit(node, other(**node.copy().args))
            else:
                yield _Edit(node, other(this=node.this.copy(), expression=node.expression.copy()))


def _constants(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    unread = (exp.Order, exp.Ordered, exp.Group, exp.DataTypeParam, exp.Count)
    if not isinstance(node, exp.Literal) or isinstance(node.parent, unread) or _within(node, exp.Exists):
        return
    if node.is_string:
        if not isinstance(node.parent, exp.Anonymous) or node is node.parent.expressions[0]:
            yield _Edit(node, exp.Literal.string(shift(node.name, 1, "DAY") or node.name + "x"))
    elif node.is_int:
        yield _Edit(node, exp.Literal.number(int(node.name) + 1))
        if int(node.name) > 1:
            yield _Edit(node, exp.Literal.number(int(node.name) - 1))
    else:
        yield _Edit(node, exp.Literal.number(round(float(node.name) + 0.1, 6)))


def _aggregates(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    if type(node) in _AGGREGATES:
        yield _Edit(node, _AGGREGATES[type(node)](this=node.this.copy()))
    elif isinstance(node, exp.Anonymous) and node.name in _CALLS:
        yield _Edit(node, _CALLS[node.name], "this")
    elif isinstance(node, exp.Count):
        inner = node.this
        single = inner.expressions[0] if isinstance(inner, exp.Distinct) and len(inner.expressions) == 1 else None
        if single is not None and not key_of_every_row(single, resolver, schema):
            yield _Edit(node, single.copy(), "this")
        elif isinstance(inner, exp.Column) and not inner.is_star and not key_of_every_row(inner, resolver, schema):
            yield _Edit(node, exp.Distinct(expressions=[inner.copy()]), "this")
        elif isinstance(inner, exp.Star):
            yield from _counts_of_one_column(node, resolver, schema)


def _counts_of_one_column(node: exp.Count, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    select = node.find_ancestor(exp.Select)
    source = select.args["from_"].this if select and select.args.get("from_") else None
    table = schema.get(source.name.lower()) if isinstance(source, exp.Table) else None
    name = next((c.name for c in table.columns.values() if not c.unique), None) if table else None
    if name:
        yield _Edit(node, exp.Distinct(expressions=[exp.column(name, table=source.alias_or_name)]), "this")


def _columns(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    if not isinstance(node, exp.Column) or node.find_ancestor(exp.Join) or node.is_star or _within(node, exp.Exists):
        return
    place = resolver.place(node)
    if place is None:
        return
    columns = schema[place[0]].columns
    own = columns[place[1]]
    counted = isinstance(node.parent, exp.Count) and not own.nullable
    joined = joining_columns(node) if counted else set()
    for name, column in columns.items():
        counted_alike = counted and (not column.nullable or name in joined)
        if name != place[1] and column.kind == own.kind and not counted_alike:
            yield _Edit(node, exp.column(column.name, table=node.table or None))
            return


def _conditions(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, exp.And) and isinstance(
        node.find_ancestor(exp.Where, exp.Having, exp.Join), (exp.Where, exp.Having)
    ):
        for kept, dropped in ((node.this, node.expression), (node.expression, node.this)):
            if not _says_nothing(dropped, resolver, schema):
                yield _Edit(node, kept.copy())
    elif isinstance(node, exp.Select):
        for part in ("where", "having"):
            if node.args.get(part) and not _says_nothing(node.args[part].this, resolver, schema):
                yield _Edit(node, None, part)


def _says_nothing(condition: exp.Expression, resolver: Resolver, schema: Schema) -> bool:
    """`c IS NOT NULL` on a column that is never null, outside of outer joins."""
    inner = condition.unnest()
    test = inner.this.unnest() if isinstance(inner, exp.Not) else None
    if not isinstance(test, exp.Is) or not isinstance(test.this, exp.Column):
        return False
    place, select = resolver.place(test.this), condition.find_ancestor(exp.Select)
    outer = any(join.args.get("side") for join in (select.args.get("joins") or [])) if select else True
    return place is not None and not outer and not schema[place[0]].columns[place[1]].nullable


def _clauses(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    if isinstance(node, exp.Select) and not distinct_changes_nothing(node, resolver, schema):
        yield _Edit(node, None if node.args.get("distinct") else exp.Distinct(), "distinct")
    if isinstance(node, exp.Ordered) and order_counts(node):
        down = not node.args.get("desc")  # NULL is small in MySQL: first going up, last going down
        yield _Edit(node, exp.Ordered(this=node.this.copy(), desc=down, nulls_first=not down))
    if isinstance(node, exp.Query) and node.args.get("order") and order_counts(node.args["order"]):
        yield _Edit(node, None, "order")
    if isinstance(node, exp.Query) and node.args.get("limit"):
        yield _Edit(node, None, "limit")
    elif isinstance(node, exp.Select) and node.parent is None and node.is_star and not node.args.get("where"):
        yield _Edit(node, exp.Limit(expression=exp.Literal.number(1)), "limit")
    if isinstance(node, exp.Union) and not isinstance(node.parent, exp.In):
        yield _Edit(node, not node.args.get("distinct"), "distinct")


def _joins(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator[_Edit]:
    if not isinstance(node, exp.Join) or not node.args.get("on") or node.args.get("method"):
        return
    if node.args.get("side"):
        if node.args["side"] != "LEFT" or not always_matches(node, resolver, schema):
            yield _Edit(node, None, "side")
    elif not always_matches(node, resolver, schema) and not _needs_match(node, resolver):
        yield _Edit(node, "LEFT", "side")


def _needs_match(join: exp.Join, resolver: Resolver) -> bool:
    """Does a condition or a lone aggregate look at the joined table alone? Then rows without a match count nothing."""
    select, name = join.parent, join.this.alias_or_name.lower()

    def asks(part: exp.Expression) -> bool:
        return any(column.table.lower() == name for column in part.find_all(exp.Column))

    later = [select.args.get(part) for part in ("where", "having")]
    later += [other.args.get("on") for other in select.args["joins"] if other is not join]
    if any(asks(part) for part in later if part):
        return True
    return lone_aggregate(select) and all(
        isinstance(item.unalias(), exp.AggFunc) and asks(item) for item in select.expressions
    )


def is_aggregate(node: exp.Expression) -> bool:
    return isinstance(node, exp.AggFunc) or (isinstance(node, exp.Anonymous) and node.name.lower() in AGGREGATES)
