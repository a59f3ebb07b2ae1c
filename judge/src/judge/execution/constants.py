"""The constants of a query, and the values beside them at which a comparison turns."""

from __future__ import annotations

import math
import sqlite3
from datetime import time

from sqlglot import exp

from judge.execution.datehints import near_dates
from judge.sql.dates import clock, moment
from judge.sql.dialect import to_sqlite
from judge.sql.functions import register, text_of
from judge.sql.queries import QueryError


def constant(node: exp.Expression) -> int | float | str | None:
    """The value of an expression without columns, as SQLite computes it; None where it has none."""
    if isinstance(node, exp.Literal):
        return node.name if node.is_string else _number(node)
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
    except (QueryError, sqlite3.Error, OverflowError, ValueError):
        return None
    return value if isinstance(value, (int, str)) or (isinstance(value, float) and math.isfinite(value)) else None


def _number(literal: exp.Literal) -> int | float | None:
    """Its value; None for one that Python writes otherwise, and for 1e400, beside which no value lies."""
    try:
        value = int(literal.name) if literal.is_int else float(literal.name)
        return value if math.isfinite(value) else None
    except (ValueError, OverflowError):
        return None


def around(value: int | float | str, op: str, kind: str, scale: int = 2) -> tuple[list, list]:
    """(values that fulfil `column op value`, values that narrowly do not), fit for a column of that kind."""
    if kind in ("int", "bool", "year", "real", "any") and isinstance(value, str):
        try:
            value = float(value) if kind == "real" else int(value)
        except ValueError:
            return ([value], []) if kind == "any" else ([], [])
    if isinstance(value, float) and not math.isfinite(value):
        return [], []
    if kind in ("date", "datetime"):
        return _around_date(value, op, kind)
    if kind == "text":
        return _sorted_out(value, op, [value, *_misspelt(value)]) if isinstance(value, str) else _as_texts(value, op)
    if kind == "time":
        text = clock(value) or str(value)
        return _sorted_out(text, op, [text, "00:00:00", "23:59:59"])
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


def _around_date(value: int | float | str, op: str, kind: str) -> tuple[list, list]:
    """Beside a date, as text or number (20240301), or beside a year alone, with which LEFT(d, 4) is compared."""
    near, when = near_dates(value, kind), moment(value)
    if when is None and isinstance(value, int) and 1000 < value < 9998:
        hits, misses = _sorted_out(value, op, [value, value + 1, value - 1])
        return _days_of(hits), _days_of(misses)
    if when is not None:  # as the column holds it: '2024-03-01' beside a DATETIME is that day's first second
        value = near[0] if kind == "datetime" or when.time() == time.min else when.isoformat(sep=" ")
    return _sorted_out(str(value), op, near)


def _days_of(years: list[int]) -> list[str]:
    return [f"{year}-{day}" for year in years for day in ("01-01", "12-31")]


def _as_texts(value: int | float, op: str) -> tuple[list, list]:
    """Texts beside a number, which MySQL compares as numbers: 9 < 80 < 100, which as texts would be the other way."""
    others = [9, 10 ** len(str(abs(int(value))))] if abs(value) < 10**9 else []
    hits, misses = _sorted_out(value, op, [value, value + 1, value - 1, *others])
    return [text_of(number) for number in hits], [text_of(number) for number in misses]


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
