"""Values as a server's driver gives them, as the values that `judge.execution.compare` knows: int, float, str, bytes, None."""

from __future__ import annotations

import datetime
import json
import math
from decimal import Decimal
from typing import Any


def plain_value(value: Any) -> Any:
    """Numbers as int or float, moments as text the way SQL writes them, JSON and arrays as text with sorted keys.

    A moment in a time zone is told in UTC, so that one moment is one text whatever the session's zone.
    """
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, bool):
        return int(value)
    if isinstance(value, int):
        return value
    if isinstance(value, Decimal):
        if not value.is_finite():
            return str(value)
        return int(value) if value == value.to_integral_value() else float(value)
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)  # NaN would not equal itself
    if isinstance(value, datetime.datetime):
        if value.tzinfo is not None:
            value = value.astimezone(datetime.UTC)
        return value.isoformat(sep=" ")
    if isinstance(value, datetime.date | datetime.time):
        return value.isoformat()
    if isinstance(value, datetime.timedelta):
        return _interval(value)
    if isinstance(value, bytes | bytearray | memoryview):
        return bytes(value)
    if isinstance(value, dict | list | tuple | set | frozenset):
        values = sorted(value, key=str) if isinstance(value, set | frozenset) else value
        return json.dumps(values, default=lambda part: plain_value(part), sort_keys=True, ensure_ascii=False)
    return str(value)


def _interval(value: datetime.timedelta) -> str:
    """`-12:30:00`, `100:00:00.500000`: MySQL's TIME, which passes a day."""
    sign, value = ("-", -value) if value < datetime.timedelta() else ("", value)
    seconds = value.days * 86400 + value.seconds
    part = f".{value.microseconds:06d}" if value.microseconds else ""
    return f"{sign}{seconds // 3600:02d}:{seconds // 60 % 60:02d}:{seconds % 60:02d}{part}"
