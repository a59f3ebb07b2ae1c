"""Dates on and beside what a query asks of a date: whole ones, or its year, month, day and hour."""

from __future__ import annotations

import re
from datetime import datetime, timedelta

from sqlglot import exp

from judge.sql.dates import moment, shift

# What a part may be; a day that its month does not have is left out when the date is written.
LIMITS = {"year": (1000, 9998), "month": (1, 12), "day": (1, 31), "hour": (0, 23)}
Parts = dict[str, tuple[list[int], list[int]]]  # hits and misses by part


def near_dates(value: object, kind: str) -> list[str]:
    """The date itself, the days, months and years next to it; for a datetime its seconds and midnights too."""
    when = moment(value)
    if when is None:
        return []
    text = when.date().isoformat()
    steps = [(1, "DAY"), (-1, "DAY"), (1, "YEAR"), (1, "MONTH"), (-1, "MONTH")]
    days = [text, *(day for amount, unit in steps if (day := shift(text, amount, unit)))]
    if kind == "date":
        return days
    exact = when.isoformat(sep=" ", timespec="seconds")
    near = []
    if 1 < when.year < 9999:
        near = [(when + timedelta(seconds=s)).isoformat(sep=" ", timespec="seconds") for s in (-1, 1, 3600)]
    return [exact, *near, *(f"{day} 00:00:00" for day in days), f"{text} 23:59:59"]


def parts_of_call(node: exp.Expression, part: str, value: object) -> dict[str, int]:
    """What `YEAR(c) = 2024` or `DATE_FORMAT(c, '%Y-%m') = '2024-03'` asks: {'year': 2024, 'month': 3}."""
    if part == "format":
        form = node.args["format"].name.replace("%-", "%")
        try:
            when = datetime.strptime(str(value), form)
        except ValueError:
            return {}
        wanted = {"year": ("%Y", when.year), "month": ("%m", when.month), "day": ("%d", when.day)}
        return {name: number for name, (mark, number) in wanted.items() if mark in form}
    name = node.name.lower() if part == "extract" else part
    try:
        number = int(value)
    except (TypeError, ValueError):
        return {}
    if name == "quarter":
        return {"month": number * 3 - 1}
    if name == "year_month":
        return {"year": number // 100, "month": number % 100}
    return {name: number} if name in LIMITS else {}


def parts_of_pattern(pattern: str) -> dict[str, int]:
    """What a LIKE on a date asks: '2024-%' its year, '2024-03%' its month too, '%-03-%' the month alone."""
    found = re.match(r"(?P<year>\d{4})(?:-(?P<month>\d\d))?(?:-(?P<day>\d\d))?", pattern)
    found = (
        found
        or re.match(r"[%_]+-(?P<month>\d\d)(?:-(?P<day>\d\d))?", pattern)
        or re.match(r"%-(?P<day>\d\d)$", pattern)
    )
    return {name: int(number) for name, number in found.groupdict().items() if number} if found else {}


def whole_dates(parts: Parts, kind: str) -> tuple[list[str], list[str]]:
    """(dates that have all the parts, dates that miss one and have the others)."""

    def pick(name: str, default: list[int], side: int) -> list[int]:
        values = parts.get(name, ([], []))
        chosen = values[side] or (values[0] if side else []) or default
        return list(dict.fromkeys(chosen))

    years, months = pick("year", [2022, 2023, 2024], 0), pick("month", [1, 3, 6, 12], 0)
    days = pick("day", [1, 15, 28], 0)
    clock = [f"{hour:02}:{minute}" for hour in pick("hour", [0, 9, 23], 0) for minute in ("00:00", "30:00")]

    def written(ys: list[int], ms: list[int], ds: list[int]) -> list[str]:
        return [day for y in ys for m in ms for d in ds if moment(day := f"{y:04}-{m:02}-{d:02}")]

    hits = written(years[:4], months[:4], days[:3])
    misses = []
    if "year" in parts:
        misses += written(pick("year", years, 1)[:3], months[:3], days[:2])
    if "month" in parts:
        misses += written(years[:3], pick("month", months, 1)[:3], days[:2])
    if "day" in parts:
        misses += written(years[:2], months[:2], pick("day", days, 1)[:3])
    if "hour" in parts or kind == "datetime":
        wrong = [f"{hour:02}:15:00" for hour in (pick("hour", [5], 1) if "hour" in parts else [])]
        misses = [f"{day} {clock[n % len(clock)]}" for n, day in enumerate(misses)]
        misses += [f"{day} {time}" for day in hits[:6] for time in wrong[:4]]
        hits = [f"{day} {clock[(n + m) % len(clock)]}" for n, day in enumerate(hits) for m in range(2)]
    return hits, misses
