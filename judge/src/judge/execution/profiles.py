"""How one made instance differs from the next: rows a table, values a column, NULLs."""

from __future__ import annotations

from dataclasses import dataclass

from judge.execution.hints import Hints
from judge.execution.values import SeededRandom
from judge.sql.schema import Schema

_MOST_ROWS = 60
LARGE = 1000  # instances from this number on have three times as many rows


@dataclass
class Profile:
    """How one instance differs from the next: some have many ties, some none, some no NULLs, some hardly any rows."""

    spread: int  # see judge.execution.values.Values
    null_share: float
    sizes: dict[str, int]
    singled: bool = False  # a column by which one value is looked up holds each value once
    crowded: bool = False  # most rows fall into one group, so that HAVING COUNT(*) > n finds one


def profile_of(rng: SeededRandom, schema: Schema, tables: list[str], hints: Hints, index: int, rich: bool) -> Profile:
    group = max(hints.group, 0)
    sizes = {}
    for name in tables:
        chance = rng.next()
        if rich or index < 2 or chance > 0.2:
            size = 5 + rng.below(11)
        elif chance > 0.07:
            size = 2 + rng.below(3)
        else:
            size = 1
        if index >= LARGE:
            size = 12 + rng.below(25)
        if size > 1 and (rich or index % 4 != 3):
            size = max(size, hints.limit + 1 + rng.below(3))
            # Groups are made by the referring tables: those need rows for a few groups of that size.
            if group > 5 and index % 2 == 0:
                size = max(size, group + 1 + rng.below(group))
            elif group and (schema[name].references or len(tables) == 1):
                # Several groups must pass, or no order among them shows.
                size = max(size, min(_MOST_ROWS, group * (3 + rng.below(6))))
        sizes[name] = min(size, 2 * _MOST_ROWS)
        if name in hints.few and index % 3 != 1:
            sizes[name] = 1 + rng.below(3)
    spread = 3 if index % 10 == 5 and not rich else (1, 0, 2)[index % 3]
    null_share = 0.0 if rich or index % 2 else 0.12
    crowded = group > 2 and index % 2 == 0
    return Profile(spread, null_share, sizes, singled=index % 4 != 1, crowded=crowded)
