"""When do two query results say the same? Rows as multisets, columns by any one-to-one mapping, order where it counts.

execution-spec points 3-11. Differs from test-suite-sql-eval in one thing: the mapping of columns must be the same on
all instances, not another on each.
"""

from __future__ import annotations

import itertools
import math
from collections import Counter
from dataclasses import dataclass, field

Row = tuple
TOLERANCE = 1e-6
_MAPPINGS = 3000  # column assignments tried at most; identical columns need one, so only odd queries come near


@dataclass
class Expected:
    """Gold's result: groups of rows in order, of each group how many are in the result.

    Without ORDER BY there is one group. With it, rows of equal sort keys form a group, in which any order is right;
    where LIMIT cuts through a group any choice of so many of its rows is right (`tie_at_limit`).
    """

    width: int
    groups: list[tuple[list[Row], int]]
    tie_at_limit: bool = False
    size: int = field(init=False)

    def __post_init__(self) -> None:
        self.size = sum(count for _, count in self.groups)


def expect(
    rows: list[Row], width: int, keys: list[Row] | None = None, limit: int | None = None, offset: int = 0
) -> Expected:
    """What gold gives: `rows` uncut and in order, `keys` their sort keys (None: order is free), then OFFSET and LIMIT.

    Values must be `plain` already.
    """
    end = len(rows) if limit is None else min(len(rows), offset + limit)
    groups, tie, at = [], False, 0
    for _, members in itertools.groupby(
        range(len(rows)), key=(lambda i: keys[i]) if keys is not None else (lambda i: 0)
    ):
        block = [rows[i] for i in members]
        count = max(0, min(end, at + len(block)) - max(offset, at))
        if count:
            groups.append((block, count))
            tie = tie or (count < len(block) and len(set(block)) > 1)
        at += len(block)
    return Expected(width, groups, tie)


def plain(value: object) -> object:
    """A value as it is compared: 1.0 is 1, floats keep nine digits, text stays text ('1' is not 1)."""
    if isinstance(value, float):
        if value.is_integer() and abs(value) < 1e15:
            return int(value)
        return float(f"{value:.9g}")
    return value


def plain_rows(rows: list) -> list[Row]:
    return [tuple(plain(value) if isinstance(value, float) else value for value in row) for row in rows]


def agrees(expected: Expected, rows: list[Row], mapping: tuple[int, ...] | None = None) -> bool:
    """Is `rows` a right answer, gold's column i being its column mapping[i] (None: the same order)?

    A mapping shorter than gold's width compares gold's first columns only.
    """
    if len(rows) != expected.size:
        return False
    at = 0
    for block, count in expected.groups:
        part = rows[at : at + count]
        at += count
        if mapping is not None:
            part = [tuple(row[j] for j in mapping) for row in part]
            if len(mapping) < expected.width:
                block = [row[: len(mapping)] for row in block]
        if not _within(part, block):
            return False
    return True


def _within(part: list[Row], block: list[Row]) -> bool:
    """Is `part` a sub-multiset of `block`? Equal sizes make that equality."""
    missing = Counter(part)
    missing.subtract(Counter(block))
    if all(count <= 0 for count in missing.values()):
        return True
    wrong = [row for row, count in missing.items() for _ in range(count)]
    unused = [row for row, count in missing.items() for _ in range(-count)]
    # Only rounding can still save it: match what is left, each row once.
    if len(wrong) > 200 or not all(any(isinstance(value, float) for value in row) for row in wrong):
        return False
    for row in wrong:
        found = next((i for i, other in enumerate(unused) if _close(row, other)), None)
        if found is None:
            return False
        unused.pop(found)
    return True


def _close(a: Row, b: Row) -> bool:
    return all(
        x == y
        or (
            isinstance(x, (int, float))
            and isinstance(y, (int, float))
            and math.isclose(x, y, rel_tol=TOLERANCE, abs_tol=TOLERANCE)
        )
        for x, y in zip(a, b, strict=False)
    )  # fmt: skip


def find_mapping(expected: list[Expected], given: list[list[Row]], width: int) -> tuple[int, ...] | None:
    """One assignment of gold's columns to the prediction's `width` columns that is right on every instance, or None.

    Columns are first paired by their own values alone; then assignments are built column by column, given up as soon
    as the columns so far don't agree. More columns than gold's are allowed: then it says whether gold is contained.
    """
    if not expected:
        return tuple(range(width))
    wanted = expected[0].width
    if width < wanted or any(len(rows) != e.size for e, rows in zip(expected, given, strict=False)):
        return None
    if width == wanted and all(map(agrees, expected, given)):
        return tuple(range(width))
    candidates = []
    for i in range(wanted):
        columns = [Expected(1, [([(row[i],) for row in block], count) for block, count in e.groups]) for e in expected]
        order = sorted(range(width), key=lambda j: j != i)  # the same place first
        alone = list(zip(columns, given, strict=True))
        candidates.append([j for j in order if all(agrees(column, rows, (j,)) for column, rows in alone)])
    tried = 0

    def extend(chosen: tuple[int, ...]) -> tuple[int, ...] | None:
        nonlocal tried
        if len(chosen) == wanted:
            return chosen
        for j in candidates[len(chosen)]:
            if j in chosen:
                continue
            tried += 1
            if tried > _MAPPINGS:
                return None
            longer = (*chosen, j)
            if all(agrees(e, rows, longer) for e, rows in zip(expected, given, strict=False)):
                found = extend(longer)
                if found:
                    return found
        return None

    return extend(()) if all(candidates) else None
