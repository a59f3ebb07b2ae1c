"""MySQL functions that SQLite lacks or computes otherwise, as deterministic Python functions on a connection.

`judge.sql.dialect` writes calls of these names (all begin with `my_`); only the ones a query names are registered.
The functions of dates are in `judge.sql.dates`.
"""

from __future__ import annotations

import math
import re
import sqlite3
from collections.abc import Callable
from decimal import ROUND_HALF_UP, Decimal, InvalidOperation

from judge.sql.dates import DATES

_WORDS = 1_000_000  # characters a function may return; SQLite's own limit on the connection is the same


def number(value: object) -> Decimal | None:
    """MySQL's number of a value: text counts by its leading digits, '12abc' is 12 and 'abc' is 0."""
    if value is None:
        return None
    if isinstance(value, str):
        match = re.match(r"\s*[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d{1,3})?", value)
        value = match.group() if match else "0"
    try:
        found = Decimal(str(value))
    except (InvalidOperation, ValueError):
        return None
    return found if found.is_finite() else None


def _scaled(value: object, digits: object, rounding: str) -> float | int | None:
    exact, places = number(value), number(digits)
    if exact is None or places is None:
        return None
    places = max(-30, min(30, int(places)))
    try:
        result = exact.quantize(Decimal(1).scaleb(-places), rounding=rounding)
    except InvalidOperation:  # more digits than Decimal keeps: nothing to round
        result = exact
    return int(result) if places <= 0 else float(result)


def _numeric(compute: Callable[..., float]) -> Callable[..., float | int | None]:
    def function(*values: object) -> float | int | None:
        exact = [number(value) for value in values]
        if any(value is None for value in exact):
            return None
        try:
            result = compute(*(float(value) for value in exact))
        except (ValueError, OverflowError, ZeroDivisionError):
            return None
        return result if not isinstance(result, float) or math.isfinite(result) else None

    return function


def _log(*values: float) -> float:
    return math.log(values[0]) if len(values) == 1 else math.log(values[1]) / math.log(values[0])


def _mod(a: object, b: object) -> float | int | None:
    x, y = number(a), number(b)
    if x is None or not y:
        return None
    return int(math.fmod(x, y)) if isinstance(a, int) and isinstance(b, int) else math.fmod(x, y)


def _integer(value: object) -> int | None:
    exact = number(value)
    if exact is None:
        return None
    # CAST('1.6' AS SIGNED) cuts off, CAST(1.6 AS SIGNED) rounds.
    return int(exact) if isinstance(value, str) else int(exact.to_integral_value(ROUND_HALF_UP))


def text_of(value: object) -> str | None:
    if value is None or isinstance(value, str):
        return value
    return str(int(value)) if isinstance(value, float) and value.is_integer() and abs(value) < 1e15 else str(value)


def _texts(compute: Callable[..., str | int | None]) -> Callable[..., str | int | None]:
    def function(*values: object) -> str | int | None:
        if any(value is None for value in values):
            return None
        return compute(*(text_of(value) for value in values))

    return function


def _pad(left: bool) -> Callable[..., str | None]:
    def function(text: str, width: str, fill: str = " ") -> str | None:
        size = int(float(width))
        if size < 0 or size > _WORDS or (len(text) < size and not fill):
            return None
        padding = (fill * size)[: max(0, size - len(text))]
        return (padding + text if left else text + padding)[:size]

    return function


def _substring_index(text: str, delimiter: str, count: str) -> str:
    parts, n = text.split(delimiter) if delimiter else [""], int(float(count))
    return delimiter.join(parts[:n] if n >= 0 else parts[n:]) if n else ""


def _concat(*values: object) -> str | None:
    return None if None in values else "".join(text_of(value) for value in values)


def _double(value: object) -> float | None:
    exact = number(value)
    return None if exact is None else float(exact)


def _concat_ws(separator: object, *values: object) -> str | None:
    return None if separator is None else text_of(separator).join(text_of(v) for v in values if v is not None)


def _field(value: object, *among: object) -> int:
    return next((i for i, other in enumerate(among, 1) if value is not None and text_of(other) == text_of(value)), 0)


def _elt(index: object, *values: object) -> object:
    at = number(index)
    return values[int(at) - 1] if at is not None and 1 <= at <= len(values) else None


def _locate(part: str, text: str, start: str = "1") -> int:
    at = int(float(start))
    return text.lower().find(part.lower(), at - 1) + 1 if at > 0 else 0


def _regexp(text: str, pattern: str) -> int:
    if len(pattern) > 200 or len(text) > 10_000:
        raise ValueError("pattern or text too long for REGEXP")
    return int(re.search(pattern, text, re.IGNORECASE) is not None)


def _format(value: object, digits: object = 0) -> str | None:
    exact, places = number(value), number(digits)
    if exact is None or places is None:
        return None
    return f"{exact.quantize(Decimal(1).scaleb(-max(0, min(30, int(places)))), rounding=ROUND_HALF_UP):,}"


def _xor(a: object, b: object) -> int | None:
    x, y = number(a), number(b)
    return None if x is None or y is None else int(bool(x) != bool(y))


def _tuple_key(*values: object) -> str | None:
    """COUNT(DISTINCT a, b) counts these; a row with a NULL does not count."""
    if any(value is None for value in values):
        return None
    return repr([float(v) if isinstance(v, (int, float)) else v for v in values])


def _repeat(text: str, times: str) -> str:
    count = max(0, int(float(times)))
    if count * len(text) > _WORDS:
        raise ValueError("REPEAT makes too long a text")
    return text * count


SCALARS: dict[str, Callable] = DATES | {
    "my_round": lambda x, d=0: _scaled(x, d, ROUND_HALF_UP),
    "my_truncate": lambda x, d=0: _scaled(x, d, "ROUND_DOWN"), "my_ceil": lambda x: _scaled(x, 0, "ROUND_CEILING"),
    "my_floor": lambda x: _scaled(x, 0, "ROUND_FLOOR"), "my_pow": _numeric(lambda a, b: math.pow(a, b)),
    "my_sqrt": _numeric(math.sqrt), "my_exp": _numeric(math.exp), "my_ln": _numeric(math.log),
    "my_log": _numeric(_log), "my_log2": _numeric(math.log2), "my_log10": _numeric(math.log10),
    "my_sign": _numeric(lambda a: (a > 0) - (a < 0)), "my_int": _integer,
    "my_number": _double, "my_mod": _mod, "my_concat": _concat, "my_text": text_of,
    "my_left": _texts(lambda s, n: s[: max(0, int(float(n)))]),
    "my_right": _texts(lambda s, n: s[-int(float(n)) :] if float(n) >= 1 else ""), "my_lpad": _texts(_pad(True)),
    "my_rpad": _texts(_pad(False)), "my_substring_index": _texts(_substring_index), "my_concat_ws": _concat_ws,
    "my_field": _field, "my_elt": _elt, "my_locate": _texts(_locate), "my_reverse": _texts(lambda s: s[::-1]),
    "my_repeat": _texts(_repeat), "my_regexp": _texts(_regexp), "my_format": _format, "my_xor": _xor,
    "my_tuple": _tuple_key, "my_ascii": _texts(lambda s: ord(s[0]) if s else 0), "my_upper": _texts(str.upper),
    "my_lower": _texts(str.lower), "my_octets": _texts(lambda s: len(s.encode("utf-8", "replace"))),
    "my_find_in_set": _texts(lambda s, among: (among.split(",").index(s) + 1) if s in among.split(",") else 0),
    "my_strcmp": _texts(lambda a, b: (a > b) - (a < b)),
}  # fmt: skip


class _Spread:
    """VAR_POP and its kin: two passes over the values kept, so that equal values give exactly 0."""

    sample = root = False

    def __init__(self) -> None:
        self.values: list[float] = []

    def step(self, value: object) -> None:
        if value is not None:
            self.values.append(float(number(value) or 0))

    def finalize(self) -> float | None:
        n = len(self.values) - self.sample
        if n < 1:
            return None
        mean = math.fsum(self.values) / len(self.values)
        variance = math.fsum((v - mean) ** 2 for v in self.values) / n
        return math.sqrt(variance) if self.root else variance


class _Joined:
    """GROUP_CONCAT(distinct?, separator, value, key, descending?, ...); without keys in the values' own order.

    MySQL leaves the order open there. One fixed order makes two queries that mean the same give the same text.
    """

    def __init__(self) -> None:
        self.rows: list[tuple] = []
        self.distinct, self.separator, self.size = False, ",", 0

    def step(self, distinct: int, separator: str, value: object, *keys: object) -> None:
        self.distinct, self.separator = bool(distinct), text_of(separator) or ""
        if value is not None:
            self.size += len(text_of(value)) + len(self.separator)
            if self.size > _WORDS:
                raise ValueError("GROUP_CONCAT makes too long a text")
            self.rows.append((text_of(value), *keys))

    def finalize(self) -> str | None:
        if not self.rows:
            return None
        rows = sorted(self.rows, key=lambda row: row[0])
        for at in range(len(rows[0]) - 2, 0, -2):
            rows.sort(key=lambda row: _sort_key(row[at]), reverse=bool(rows[0][at + 1]))
        texts = [row[0] for row in rows]
        return self.separator.join(dict.fromkeys(texts) if self.distinct else texts)


def _sort_key(value: object) -> tuple:
    if value is None:
        return (0, 0)
    return (1, value) if isinstance(value, (int, float)) else (2, str(value))


AGGREGATES: dict[str, type] = {
    "my_var_pop": _Spread,
    "my_var_samp": type("VarSamp", (_Spread,), {"sample": True}),
    "my_stddev_pop": type("StddevPop", (_Spread,), {"root": True}),
    "my_stddev_samp": type("StddevSamp", (_Spread,), {"sample": True, "root": True}),
    "my_group_concat": _Joined,
}


def register(connection: sqlite3.Connection, names: set[str]) -> None:
    """Make the named functions available on a connection; unknown names are left for SQLite to refuse."""
    for name in sorted(names):
        if name in SCALARS:
            connection.create_function(name, -1, SCALARS[name], deterministic=True)
        elif name in AGGREGATES:
            connection.create_aggregate(name, -1, AGGREGATES[name])
