"""Other ways of writing a query that cannot change its result, for probes with a known verdict.

Each function takes a tree of its own and gives it back changed, or None where its rule does not apply. The rules hold
on every database with the schema, NULLs included; the optimizer's are sqlglot's word for it, so whoever uses these
checks them by execution too.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import reduce

from sqlglot import exp
from sqlglot.errors import SqlglotError

from judge.sql.queries import Resolver
from judge.sql.schema import Schema

_MIRRORED = {exp.EQ: exp.EQ, exp.NEQ: exp.NEQ, exp.GT: exp.LT, exp.LT: exp.GT, exp.GTE: exp.LTE, exp.LTE: exp.GTE}
_OPPOSITE = {exp.GT: exp.LTE, exp.LT: exp.GTE, exp.GTE: exp.LT, exp.LTE: exp.GT, exp.EQ: exp.NEQ, exp.NEQ: exp.EQ}
_NEXT = {exp.GT: (exp.GTE, 1), exp.GTE: (exp.GT, -1), exp.LT: (exp.LTE, -1), exp.LTE: (exp.LT, 1)}
_TYPES = {"int": "INT", "bool": "BOOLEAN", "year": "INT", "real": "DOUBLE", "date": "DATE", "datetime": "DATETIME"}

Rewrite = Callable[[exp.Expression, Schema, str], exp.Expression | str | None]


def rewrites(tree: exp.Expression, schema: Schema, dialect: str = "mysql") -> dict[str, str]:
    """{kind: SQL} of each rewrite that applies to the query and changes its text."""
    plain, found = tree.sql(dialect=dialect), {}
    # `x > ALL (…)` has no mirror image, and its opposite is an ANY.
    quantified = tree.find(exp.All, exp.Any) is not None
    for kind, rewrite in KINDS.items():
        if quantified and rewrite in (reordered, negated):
            continue
        try:
            made = rewrite(tree.copy(), schema, dialect)
            sql = made.sql(dialect=dialect) if isinstance(made, exp.Expression) else made
        except (SqlglotError, RecursionError):  # the optimizer refuses what it does not know
            continue
        if sql and sql != plain:
            found[kind] = sql
    return found


def alias(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """FROM players -> FROM players AS t1, its columns named by it."""
    if len(list(tree.find_all(exp.Query))) != 1:
        return None
    resolver = Resolver(tree, schema)
    tables = [table for table in tree.find_all(exp.Table) if not table.alias]
    names = {table.name.lower(): f"t{at}" for at, table in enumerate(tables, 1)}
    if not names or len(names) < len(tables):
        return None
    outputs = {item.alias.lower() for item in tree.expressions if isinstance(item, exp.Alias)}
    places = {id(column): resolver.place(column) for column in tree.find_all(exp.Column)}
    for column in list(tree.find_all(exp.Column)):
        place = places[id(column)]
        bare = not column.table
        if place is None or place[0] not in names or column.is_star or (bare and column.name.lower() in outputs):
            continue
        column.set("table", exp.to_identifier(names[place[0]]))
    for table in tables:
        table.set("alias", exp.TableAlias(this=exp.to_identifier(names[table.name.lower()])))
    return tree


def reordered(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """a = 1 AND b > 2 -> 2 < b AND 1 = a"""
    for node in list(tree.find_all(exp.And, exp.Or)):
        left, right = node.this, node.expression
        node.set("this", right)
        node.set("expression", left)
    return _everywhere(tree, tuple(_MIRRORED), lambda n: _MIRRORED[type(n)](this=n.expression, expression=n.this))


def between(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """BETWEEN as two comparisons, and two comparisons as BETWEEN."""

    def change(node: exp.Expression) -> exp.Expression | None:
        if isinstance(node, exp.Between):
            low = exp.GTE(this=node.this.copy(), expression=node.args["low"].copy())
            high = exp.LTE(this=node.this.copy(), expression=node.args["high"].copy())
            return exp.paren(exp.And(this=low, expression=high))
        low, high = node.this, node.expression
        if isinstance(low, exp.GTE) and isinstance(high, exp.LTE) and low.this == high.this:
            return exp.Between(this=low.this.copy(), low=low.expression.copy(), high=high.expression.copy())
        return None

    return _everywhere(tree, (exp.Between, exp.And), change)


def in_or(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """IN (a, b) as an OR, and an OR of equalities as IN."""

    def change(node: exp.Expression) -> exp.Expression | None:
        if isinstance(node, exp.In):
            values = node.expressions
            if not values or node.args.get("query"):
                return None
            equal = [exp.EQ(this=node.this.copy(), expression=value.copy()) for value in values]
            return exp.paren(reduce(lambda a, b: exp.Or(this=a, expression=b), equal))
        sides = list(node.flatten())
        equal = all(isinstance(side, exp.EQ) and isinstance(side.expression, exp.Literal) for side in sides)
        if not equal or len({side.this.sql() for side in sides}) > 1:
            return None
        return exp.In(this=sides[0].this.copy(), expressions=[side.expression.copy() for side in sides])

    return _everywhere(tree, (exp.In, exp.Or), change)


def negated(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """a > 1 -> NOT (a <= 1): both are unknown where a is NULL."""

    def change(node: exp.Expression) -> exp.Expression | None:
        if node.find_ancestor(exp.Where, exp.Having) is None:
            return None
        return exp.Not(this=exp.paren(_OPPOSITE[type(node)](this=node.this.copy(), expression=node.expression.copy())))

    return _everywhere(tree, tuple(_OPPOSITE), change)


def whole_numbers(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """level > 10 -> level >= 11, where the column holds whole numbers."""
    resolver = Resolver(tree, schema)

    def change(node: exp.Expression) -> exp.Expression | None:
        place = resolver.place(node.this) if isinstance(node.this, exp.Column) else None
        value = node.expression
        if not place or schema[place[0]].columns[place[1]].kind != "int" or not isinstance(value, exp.Literal):
            return None
        if not value.is_int or node.find_ancestor(exp.Where) is None:
            return None
        other, step = _NEXT[type(node)]
        return other(this=node.this.copy(), expression=exp.Literal.number(int(value.name) + step))

    return _everywhere(tree, tuple(_NEXT), change)


def comma_join(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """FROM a JOIN b ON c WHERE d -> FROM b, a WHERE c AND d, for inner joins alone."""
    joins = tree.args.get("joins") or []
    if not isinstance(tree, exp.Select) or not joins or tree.is_star or not all(_inner(join) for join in joins):
        return None
    where = tree.args.get("where")
    conditions = [join.args["on"].copy() for join in joins] + ([exp.paren(where.this.copy())] if where else [])
    tables = [tree.args["from_"].this, *(join.this for join in joins)][::-1]
    tree.set("from_", exp.From(this=tables[0].copy()))
    tree.set("joins", [exp.Join(this=table.copy()) for table in tables[1:]])
    tree.set("where", exp.Where(this=reduce(lambda a, b: exp.And(this=a, expression=b), conditions)))
    return tree


def join_as_in(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """FROM a JOIN b ON a.x = b.key WHERE b.y = 1 -> FROM a WHERE a.x IN (SELECT b.key FROM b WHERE b.y = 1).

    Safe where b is joined by its whole primary key, so no row of a comes twice, and nothing else of b is shown.
    """
    joins = tree.args.get("joins") or []
    if not isinstance(tree, exp.Select) or len(joins) != 1 or not _inner(joins[0]) or tree.is_star:
        return None
    if len(list(tree.find_all(exp.Query))) != 1 or not isinstance(joins[0].this, exp.Table):
        return None
    resolver, inner, on = Resolver(tree, schema), joins[0].this, joins[0].args["on"].unnest()
    name = inner.name.lower()
    if not isinstance(on, exp.EQ) or not isinstance(on.this, exp.Column) or not isinstance(on.expression, exp.Column):
        return None
    sides = sorted((on.this, on.expression), key=lambda column: resolver.place(column) != (name, column.name.lower()))
    if name not in schema or schema[name].primary != (sides[0].name.lower(),) or tree.args["from_"].this.name == name:
        return None
    where = tree.args.get("where")
    terms = list(where.this.flatten()) if where and isinstance(where.this, exp.And) else [where.this] if where else []
    there = [term for term in terms if _tables_of(term, resolver) == {name}]
    here = [term for term in terms if term not in there]
    outside = [
        *tree.expressions,
        *here,
        *(tree.args[part] for part in ("group", "having", "order") if tree.args.get(part)),
    ]
    if resolver.place(sides[0]) is None or any(name in _tables_of(part, resolver) for part in outside):
        return None
    query = exp.select(sides[0].copy()).from_(inner.copy())
    for term in there:
        query = query.where(term.copy())
    terms = [*(term.copy() for term in here), exp.In(this=sides[1].copy(), query=exp.Subquery(this=query))]
    tree.set("joins", None)
    tree.set("where", exp.Where(this=reduce(lambda a, b: exp.And(this=a, expression=b), terms)))
    return tree


def wrapped(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """q -> SELECT * FROM (q) AS answer. Not where an order would be lost, or two outputs have one name."""
    if not isinstance(tree, exp.Select) or any(tree.args.get(part) for part in ("order", "limit", "with_")):
        return None
    for at, item in enumerate(list(tree.expressions), 1):
        if not item.is_star and not isinstance(item, (exp.Alias, exp.Column)):
            item.replace(exp.alias_(item.copy(), f"c{at}"))
    names = [item.alias_or_name.lower() for item in tree.expressions]
    if len(set(names)) < len(names) or (tree.is_star and tree.args.get("joins")):
        return None
    return exp.select("*").from_(tree.subquery("answer"))


def synonym(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression | None:
    """COUNT(*) -> COUNT(1); SELECT DISTINCT a -> SELECT a … GROUP BY a"""
    clauses = ("group", "order", "limit", "having")
    if isinstance(tree, exp.Select) and tree.args.get("distinct") and not any(map(tree.args.get, clauses)):
        if any(not isinstance(item, exp.Column) or item.is_star for item in tree.expressions):
            return None
        tree.set("distinct", None)
        tree.set("group", exp.Group(expressions=[item.copy() for item in tree.expressions]))
        return tree
    for node in list(tree.find_all(exp.Count)):
        if isinstance(node.this, exp.Star):
            node.set("this", exp.Literal.number(1))
    return tree


def spelling(tree: exp.Expression, schema: Schema, dialect: str) -> str:
    """Over several lines, every name quoted, a semicolon behind it."""
    return tree.sql(dialect=dialect, pretty=True, identify=True) + ";"


def optimizer(tree: exp.Expression, schema: Schema, dialect: str) -> exp.Expression:
    """Whatever sqlglot's optimizer makes of it."""
    from sqlglot.optimizer import optimize

    types = {
        table.name: {column.name: _TYPES.get(column.kind, "VARCHAR(255)") for column in table.columns.values()}
        for table in schema.values()
    }
    return optimize(tree, schema=types, dialect=dialect)


KINDS: dict[str, Rewrite] = {
    "alias": alias, "reordered": reordered, "between": between, "in_or": in_or, "negated": negated,
    "whole_numbers": whole_numbers, "comma_join": comma_join, "join_as_in": join_as_in, "wrapped": wrapped, "synonym": synonym, "spelling": spelling,
    "optimizer": optimizer,
}  # fmt: skip


def _everywhere(
    tree: exp.Expression, kinds: tuple[type, ...], change: Callable[[exp.Expression], exp.Expression | None]
) -> exp.Expression:
    """Each node of these kinds replaced by what `change` makes of it, from the leaves up; None leaves it."""
    for node in list(tree.find_all(*kinds))[::-1]:
        new = change(node)
        if new is not None and node is not tree:
            node.replace(new)
    return tree


def _inner(join: exp.Join) -> bool:
    other = any(join.args.get(part) for part in ("side", "method", "using"))
    return bool(join.args.get("on")) and not other and join.args.get("kind") in (None, "", "INNER")


def _tables_of(part: exp.Expression, resolver: Resolver) -> set[str]:
    """Tables of all columns in it; '?' stands for what cannot be told."""
    places = [resolver.place(column) for column in part.find_all(exp.Column)]
    return {place[0] if place else "?" for place in places}
