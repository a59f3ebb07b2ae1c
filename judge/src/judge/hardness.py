"""Spider's hardness of a query: easy, medium, hard or extra.

The published criteria (Yu et al. 2018, arXiv 1809.08887, and its evaluation script) count SQL components:
1. WHERE, GROUP BY, ORDER BY, LIMIT, each joined table beyond the first, OR, LIKE;
2. nested queries: subqueries in conditions, INTERSECT, UNION, EXCEPT;
others: more than one aggregate, more than one selected column, more than one condition, more than one GROUP BY column.
"""

from __future__ import annotations

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

LEVELS = ("easy", "medium", "hard", "extra")
_QUERY = (exp.Select, exp.SetOperation)


def hardness(sql: str, dialect: str = "mysql") -> str:
    """'easy' | 'medium' | 'hard' | 'extra' by Spider's component counts, taken from the sqlglot tree.

    Counted on the outermost SELECT (the left one of a set operation), as Spider does; a subquery counts
    once as a nested query, not by its parts. SQL that does not parse is 'extra'.
    """
    try:
        tree = sqlglot.parse_one(sql, read=dialect)
    except (SqlglotError, RecursionError):
        return "extra"
    first, second, others = _counts(tree)
    if first <= 1 and second == 0 and others == 0:
        return "easy"
    if second == 0 and ((others <= 2 and first <= 1) or (first <= 2 and others < 2)):
        return "medium"
    if second == 0 and ((others > 2 and first <= 2) or (2 < first <= 3 and others <= 2)):
        return "hard"
    if second <= 1 and first <= 1 and others == 0:
        return "hard"
    return "extra"


def _counts(tree: exp.Expression) -> tuple[int, int, int]:
    nested = 0
    order = tree.args.get("order")
    limit = tree.args.get("limit")
    while isinstance(tree, (exp.SetOperation, exp.Subquery)):
        nested += isinstance(tree, exp.SetOperation)
        tree = tree.this
        order, limit = order or tree.args.get("order"), limit or tree.args.get("limit")
    where, having, group = tree.args.get("where"), tree.args.get("having"), tree.args.get("group")
    joins = tree.args.get("joins") or []
    clauses = [where, having, *(join.args.get("on") for join in joins)]
    own = [node for clause in clauses if clause for node in _own_nodes(clause)]
    nested += sum(isinstance(node, _QUERY) for node in own)

    first = sum(bool(part) for part in (where, group, order, limit)) + len(joins)
    in_conditions = [node for clause in (where, having) if clause for node in _own_nodes(clause)]
    first += sum(isinstance(node, exp.Or) for node in in_conditions)
    first += sum(isinstance(node, exp.Like) for node in in_conditions)

    spots = [*tree.expressions, where, having, group, order]
    aggregates = sum(isinstance(node, exp.AggFunc) for spot in spots if spot for node in _own_nodes(spot))
    conditions = 0
    if where:
        conditions = 1 + sum(isinstance(node, exp.Connector) for node in _own_nodes(where))
    others = (aggregates > 1) + (len(tree.expressions) > 1) + (conditions > 1)
    others += bool(group) and len(group.expressions) > 1
    return first, nested, others


def _own_nodes(root: exp.Expression) -> list[exp.Expression]:
    """The nodes below root, a nested query as one node without its parts."""
    return list(root.walk(prune=lambda node: isinstance(node, _QUERY)))
