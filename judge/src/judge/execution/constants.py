"""The constants of a query, and the values beside them at which a comparison turns."""

from __future__ import annotations

import math
import sqlite3

from sqlglot import exp

from judge.execution.datehints import near_dates
from judge.sql.dialect import to_sqlite
from judge.sql.functions import register
from judge.sql.queries import QueryError


def constant(node: exp.Expression) -> int | float | str | None:
    """The value of an expression without columns, as SQLite computes it; None where it has none."""
    if isinstance(node, exp.Literal):
        if node.is_string:
            return node.name
        return int(node.name) if node.is_int else float(node.name)
    if isinstance(node, exp.Boolean):
        return int(node.this)
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        value = constant(node.this)
        return -value if isinstance(value, (int, float)) else None
    # Nothing that a hostile query could make large or slow: it runs without the sandbox's limits.
    costly = (exp.Repeat, exp.Space, exp.Pad, exp.Replace, exp.RegexpLike, exp.RegexpReplace, exp.Like, exp.Anonymous)
    if not node.find(exp.Literal, exp.Func) or node.find(*costly):
        return None
    try:
        sql, used = to_sqlite(exp.select(node.copy()), {})
        connection = sqlite3.connect(":memory:")
        register(connection, used)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        connection.set_authorizer(lambda *_: sqlite3.SQLITE_OK if _[0] in (21, 31) else sqlite3.SQLITE_DENY)
        value = connection.execute(sql).fetchone()[0]
    except (QueryError, sqlite3.Error):
        return None
    return value if isinstance(value, (int, float, str)) else None


def around(value: int | float | str, op: str, kind: str, scale: int = 2) -> tuple[list, list]:
    """(values that fulfil `column op value`, values that narrowly do not), fit for a column of that kind."""
    if kind in ("int", "bool", "year", "real", "any") and isinstance(value, str):
        try:
            value = float(value) if kind == "real" else int(value)
        except ValueError:
            return ([value], []) if kind == "any" else ([], [])
    if kind in ("int", "bool", "year", "real") and isinstance(value, float) and not math.isfinite(value):
        return [], []
    if kind in ("date", "datetime"):
        return _sorted_out(value, op, near_dates(value, kind))
    if kind in ("text", "time"):
        text = str(value)
        return _sorted_out(text, op, [text, *_misspelt(text)] if kind == "text" else [text, "00:00:00", "23:59:59"])
    if kind == "bool":
        return _sorted_out(value, op, [0, 1])
    if kind == "real":
        near = [value, value + 1, value - 1, value + 10**-scale, value - 10**-scale]
        return _sorted_out(value, op, [round(float(v), scale) for v in near])
    if isinstance(value, float):
        return _sorted_out(
            value, op, [math.floor(value) - 1, math.floor(value), math.ceil(value), math.ceil(value) + 1]
        )
    return _sorted_out(value, op, [value, value + 1, value - 1])


def _sorted_out(value: object, op: str, near: list) -> tuple[list, list]:
    tests = {"=": lambda x: x == value, "!=": lambda x: x != value, "<": lambda x: x < value,
             "<=": lambda x: x <= value,
             ">": lambda x: x > value, ">=": lambda x: x >= value}  # fmt: skip
    unique = list(dict.fromkeys(near))
    return [x for x in unique if tests[op](x)], [x for x in unique if not tests[op](x)]


def _misspelt(text: str) -> list[str]:
    """Near misses, but none in other letter case alone: whether that is equal depends on the collation, which no DDL
    here names. So `= 'kim'` and `LIKE 'kim'` stay the same, unless a query asks for LOWER or UPPER."""
    return [v for v in dict.fromkeys((text + "x", "x" + text, text[:-1])) if v]
