"""Small wrong versions of gold: instances that cannot tell them from gold prove little about a prediction."""

from __future__ import annotations

from collections.abc import Iterator

from sqlglot import exp

from judge.dates import shift
from judge.queries import Resolver
from judge.schema import Schema

MOST = 24
_OPERATORS = {
    exp.GT: [exp.GTE, exp.LT], exp.GTE: [exp.GT, exp.LTE], exp.LT: [exp.LTE, exp.GT], exp.LTE: [exp.LT, exp.GTE],
    exp.EQ: [exp.NEQ], exp.NEQ: [exp.EQ], exp.And: [exp.Or], exp.Or: [exp.And], exp.Union: [exp.Intersect],
    exp.Intersect: [exp.Union], exp.Except: [exp.Intersect],
}  # fmt: skip
_AGGREGATES = {exp.Max: exp.Min, exp.Min: exp.Max, exp.Sum: exp.Avg, exp.Avg: exp.Sum}


def mutants(tree: exp.Expression, schema: Schema, most: int = MOST) -> list[exp.Expression]:
    """At most `most` different trees, each one change away from gold: operator, constant, aggregate, column, DISTINCT,
    kind of join, missing condition, order, limit. In a fixed order, each kind of change in turn."""
    resolver = Resolver(tree, schema)
    kinds: list[list[exp.Expression]] = []
    nodes = list(tree.walk())
    for change in (_conditions, _operators, _constants, _clauses, _aggregates, _columns, _joins):
        made = []
        for at, node in enumerate(nodes):
            for edit in change(node, resolver, schema):
                copy = tree.copy()
                target = list(copy.walk())[at]
                changed = edit(target)
                if changed is not None and changed is not target:
                    target.replace(changed) if target is not copy else None
                    copy = changed if target is copy else copy
                made.append(copy)
        kinds.append(made)
    seen, chosen = {tree.sql()}, []
    for turn in range(max(map(len, kinds), default=0)):
        for made in kinds:
            if turn < len(made) and len(chosen) < most and (text := made[turn].sql()) not in seen:
                seen.add(text)
                chosen.append(made[turn])
    return chosen


def _operators(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator:
    on = node.find_ancestor(exp.Join)
    for other in _OPERATORS.get(type(node), []):
        if on is None or on.find_ancestor(exp.Select) is not node.find_ancestor(exp.Select):
            if isinstance(node, exp.SetOperation):
                yield lambda t, other=other: other(**{k: v for k, v in t.args.items()})
            else:
                yield lambda t, other=other: other(this=t.this.copy(), expression=t.expression.copy())


def _constants(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator:
    if not isinstance(node, exp.Literal) or isinstance(
        node.parent, (exp.Order, exp.Ordered, exp.Group, exp.DataTypeParam)
    ):
        return
    if node.is_string:
        yield lambda t: exp.Literal.string(shift(t.name, 1, "DAY") or t.name + "x")
    elif node.is_int:
        yield lambda t: exp.Literal.number(int(t.name) + 1)
        if int(node.name) > 1:
            yield lambda t: exp.Literal.number(int(t.name) - 1)
    else:
        yield lambda t: exp.Literal.number(round(float(t.name) + 0.1, 6))


def _aggregates(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator:
    if type(node) in _AGGREGATES:
        yield lambda t: _AGGREGATES[type(t)](this=t.this.copy())
    elif isinstance(node, exp.Count) and isinstance(node.this, exp.Distinct) and len(node.this.expressions) == 1:
        yield lambda t: exp.Count(this=t.this.expressions[0].copy())
    elif isinstance(node, exp.Count) and isinstance(node.this, exp.Column):
        yield lambda t: exp.Count(this=exp.Distinct(expressions=[t.this.copy()]))


def _columns(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator:
    if not isinstance(node, exp.Column) or node.find_ancestor(exp.Join) or node.is_star:
        return
    place = resolver.place(node)
    if place is None:
        return
    columns = schema[place[0]].columns
    same = [c.name for name, c in columns.items() if name != place[1] and c.kind == columns[place[1]].kind]
    if same:
        yield lambda t: exp.column(same[0], table=t.table or None)


def _conditions(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator:
    if isinstance(node, exp.And) and isinstance(
        node.find_ancestor(exp.Where, exp.Having, exp.Join), (exp.Where, exp.Having)
    ):
        yield lambda t: t.this.copy()
        yield lambda t: t.expression.copy()
    elif isinstance(node, exp.Select):
        for part in ("where", "having"):
            if node.args.get(part):
                yield lambda t, part=part: t.set(part, None)


def _clauses(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator:
    if isinstance(node, exp.Select) and _may_repeat(node):
        yield lambda t: t.set("distinct", None if t.args.get("distinct") else exp.Distinct())
    if isinstance(node, exp.Ordered):
        yield lambda t: t.set("desc", not t.args.get("desc"))
    if isinstance(node, exp.Query) and node.args.get("order"):
        yield lambda t: t.set("order", None)
    if isinstance(node, exp.Query) and node.args.get("limit"):
        yield lambda t: t.set("limit", None)
    if isinstance(node, exp.Union):
        yield lambda t: t.set("distinct", not t.args.get("distinct"))


def _may_repeat(select: exp.Select) -> bool:
    """Could DISTINCT change anything? Not for groups, a lone aggregate, whole rows, or a query that IN looks into."""
    whole = select.args.get("group") or select.is_star or any(item.find(exp.AggFunc) for item in select.expressions)
    return not whole and not isinstance(select.parent, (exp.In, exp.Subquery, exp.Exists))


def _needs_match(join: exp.Join) -> bool:
    """Does a condition ask for the joined table's columns? Then rows without a match fall out of a LEFT JOIN too."""
    select, name = join.parent, join.this.alias_or_name.lower()
    later = [select.args.get(part) for part in ("where", "having")]
    later += [other.args.get("on") for other in select.args["joins"] if other is not join]
    return any(column.table.lower() == name for part in later if part for column in part.find_all(exp.Column))


def _joins(node: exp.Expression, resolver: Resolver, schema: Schema) -> Iterator:
    if isinstance(node, exp.Join) and node.args.get("on") and not node.args.get("method"):
        if node.args.get("side"):
            yield lambda t: t.set("side", None)
        elif not _needs_match(node):
            yield lambda t: t.set("side", "LEFT")
