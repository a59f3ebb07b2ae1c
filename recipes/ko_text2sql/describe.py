"""What a row of the task is like, for the data card: `data.describe` in a recipe."""

from __future__ import annotations

import re
from functools import lru_cache

import sqlglot
from judge.hardness import LEVELS, hardness
from sqlglot import exp
from sqlglot.errors import SqlglotError

FEATURES: dict[str, tuple[type[exp.Expression], ...]] = {
    "WHERE": (exp.Where,), "AND, OR": (exp.And, exp.Or), "NOT": (exp.Not,), "BETWEEN": (exp.Between,),
    "LIKE": (exp.Like, exp.ILike), "IN": (exp.In,), "EXISTS": (exp.Exists,), "NULL": (exp.Is,),
    "DISTINCT": (exp.Distinct,), "GROUP BY": (exp.Group,), "HAVING": (exp.Having,), "ORDER BY": (exp.Order,),
    "LIMIT": (exp.Limit,), "aggregate": (exp.AggFunc,), "arithmetic": (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod),
    "CASE": (exp.Case, exp.If), "window function": (exp.Window,), "WITH": (exp.With,),
    "set operation": (exp.SetOperation,),
    "date function": (exp.Year, exp.Month, exp.Day, exp.DateDiff, exp.DateAdd, exp.DateSub, exp.Extract, exp.TimeToStr),
}  # fmt: skip


def features(row: dict) -> dict[str, str | list[str]]:
    """The row's values by heading: a text is one of several kinds, a list what of a set of things it has."""
    query = str(row.get("answer") or "")
    tables = len(re.findall(r"\bCREATE\s+(?:TEMPORARY\s+)?TABLE\b", str(row.get("context") or ""), re.I))
    found = {"hardness": level(query), "tables in the schema": str(tables), "SQL features": list(parts(query))}
    return {"db_id": str(row["db_id"]), **found} if row.get("db_id") is not None else found


# The order of a heading's values where it is not that of their numbers.
NUMBERS = [str(number) for number in range(100)]
features.order = {"db_id": NUMBERS, "hardness": list(LEVELS), "tables in the schema": NUMBERS}


@lru_cache(maxsize=10_000)
def level(query: str) -> str:
    return hardness(query)


@lru_cache(maxsize=10_000)
def parts(query: str) -> tuple[str, ...]:
    """The names of FEATURES that a query has, joins and nested queries counted; none of what does not parse."""
    try:
        tree = sqlglot.parse_one(query, read="mysql")
    except (SqlglotError, RecursionError):
        return ()
    kinds = {type(node) for node in tree.walk()}
    found = [name for name, wanted in FEATURES.items() if any(issubclass(kind, wanted) for kind in kinds)]
    joins = len(list(tree.find_all(exp.Join)))
    nested = any(select.parent is not None and in_a_part(select) for select in tree.find_all(exp.Select))
    return (
        *found,
        *(["JOIN of two tables"] if joins == 1 else ["JOIN of more tables"] if joins else []),
        *(["subquery"] if nested else []),
    )


def in_a_part(select: exp.Select) -> bool:
    """Whether a SELECT stands within another one, and not as a side of a set operation or as a WITH's own."""
    above = select.parent
    while isinstance(above, (exp.SetOperation, exp.Subquery)) and above.parent is not None:
        above = above.parent
    return not isinstance(above, (exp.SetOperation, exp.CTE, exp.Subquery)) and above is not None
