"""Meaning-preserving rewrites of a query: by hand-made rules (`judge.trust.rewrites`) and by sqlglot's optimizer passes."""

from __future__ import annotations

from collections.abc import Iterator

from judge.sql.queries import parse_query
from judge.sql.schema import parse_schema
from judge.trust.rewrites import rewrites
from sqlglot import exp
from sqlglot.errors import SqlglotError
from sqlglot.optimizer import (
    eliminate_subqueries,
    merge_subqueries,
    normalize,
    optimize_joins,
    pushdown_predicates,
    qualify,
    simplify,
)

PASSES = {
    "simplify": simplify.simplify,
    "normalize": normalize.normalize,
    "pushdown predicates": pushdown_predicates.pushdown_predicates,
    "eliminate subqueries": eliminate_subqueries.eliminate_subqueries,
    "merge subqueries": merge_subqueries.merge_subqueries,
    "optimize joins": optimize_joins.optimize_joins,
}


def rewritten(context: str, gold: str) -> Iterator[tuple[str, str]]:
    """(name of the rule, SQL): each different from gold and from the others."""
    tree, schema = parse_query(gold, "mysql"), parse_schema(context)
    seen = {gold, tree.sql(dialect="mysql")}
    for name, sql in [*rewrites(tree, schema, "mysql").items(), *_by_hand(tree), *_optimized(tree, schema)]:
        if sql not in seen:
            seen.add(sql)
            yield name, sql


def _by_hand(tree: exp.Expression) -> Iterator[tuple[str, str]]:
    sql = tree.sql(dialect="mysql")
    yield "lower case keywords and backticks", tree.sql(dialect="mysql", identify=True, normalize_functions="lower")
    yield "comment and line breaks", "/* same */ " + tree.sql(dialect="mysql", pretty=True) + " -- end"
    if isinstance(tree, exp.Select) and not tree.args.get("with_"):
        yield "WHERE 1 = 1", tree.copy().where("1 = 1").sql(dialect="mysql")
        names = [item.alias_or_name for item in tree.expressions]
        if not tree.args.get("order") and not tree.args.get("limit") and len(set(names)) == len(names) and all(names):
            yield "WITH round it", f"WITH q AS ({sql}) SELECT * FROM q"


def _optimized(tree: exp.Expression, schema: dict) -> Iterator[tuple[str, str]]:
    tables = {name: {c: "TEXT" for c in table.columns} for name, table in schema.items()}
    try:
        qualified = qualify.qualify(tree.copy(), schema=tables, dialect="mysql")
    except SqlglotError:  # a name that it finds ambiguous
        return
    yield "qualify", qualified.sql(dialect="mysql")
    for name, run in PASSES.items():
        yield name, run(qualified.copy()).sql(dialect="mysql")
