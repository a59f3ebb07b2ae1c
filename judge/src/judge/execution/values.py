"""The values that a column of a made instance draws from: constants of the queries and what lies beside them, and others."""

from __future__ import annotations

import random

from judge.execution.hints import Hints
from judge.sql.dates import moment, shift
from judge.sql.queries import Place
from judge.sql.schema import Column, Schema, guessed_kind

# Larger whole numbers than this are not put into columns: their sum would pass SQLite's integers, and gold would fail.
_LARGEST = 2**53


class SeededRandom:
    """Only `random()` of the standard generator: its stream is the same in every Python version."""

    def __init__(self, seed: str) -> None:
        self.next = random.Random(seed).random

    def below(self, n: int) -> int:
        return int(self.next() * n)

    def pick(self, values: list) -> object:
        return values[int(self.next() * len(values))]

    def shuffled(self, values: list) -> list:
        return [value for _, value in sorted(((self.next(), n), value) for n, value in enumerate(values))]


class Values:
    """Pools of one instance. `spread`: 0 few distinct values, 1 some, 2 nearly all different, 3 one value."""

    def __init__(self, rng: SeededRandom, spread: int, schema: Schema, hints: Hints) -> None:
        self.rng, self.spread, self.schema, self.hints = rng, spread, schema, hints
        self.pools: dict[Place, list] = {}
        self.fitted: dict[tuple[Place, bool], list] = {}
        self.group_of = linked_groups(hints)

    def kind(self, place: Place) -> str:
        column = self.schema[place[0]].columns[place[1]]
        found = self.hints.kinds.get(place, column.kind)
        return guessed_kind(column.name) if found == "any" else found

    def asked(self, place: Place, hit: bool = True) -> list:
        """Constants that fulfil (or narrowly fail) what is asked of the column, as it can hold them."""
        key = (place, hit)
        if key not in self.fitted:
            column = self.schema[place[0]].columns[place[1]]
            store = self.hints.hits if hit else self.hints.misses
            self.fitted[key] = [self.fit(value, column, place) for value in store.get(place, [])]
        return self.fitted[key]

    def pool(self, place: Place, column: Column) -> list:
        if place not in self.pools:
            shared = self.group_of.get(place, place)
            known = self.hints.hits.get(place, []) + self.hints.misses.get(place, [])
            if shared != place:
                known = known + self.hints.hits.get(shared, [])
            known = known + self.hints.textures.get(place, [])
            size = (3, 6, 14, 1)[self.spread]
            base = self.base(shared, column, self.spread, size)
            fitted = [self.fit(value, column, place) for value in known]
            # Half of what is drawn should be the constants themselves, however many there are.
            repeat = max(1, len(base) // max(1, len(fitted)))
            pool = [value for value in fitted * repeat if value is not None] + base
            self.pools[place] = pool or [None]
        return self.pools[place]

    def unique(self, place: Place, column: Column, size: int, known: list) -> list:
        """At least `size` different values, the constants first."""
        kind = self.kind(place)
        more = list(range(1, size + 4)) if kind in ("int", "year", "real") else self.base(place, column, 2, size + 4)
        # Texts that show what a function does are wanted in unique columns too, for a part of the rows.
        shown = self.hints.textures.get(place, [])[: size // 2 + 1]
        fitted = [self.fit(value, column, place) for value in [*known[:size], *shown]] + self.rng.shuffled(more)
        return list(dict.fromkeys(value for value in fitted if value is not None))

    def base(self, place: Place, column: Column, spread: int, size: int) -> list:
        """Values unrelated to any constant, of the column's kind."""
        rng, kind = self.rng, self.kind(place)
        if column.choices:
            return list(column.choices)
        known = [v for v in self.hints.hits.get(place, []) if isinstance(v, (int, float)) and not isinstance(v, bool)]
        if kind == "bool":
            return [0, 1]
        if kind == "year":
            return [2015 + rng.below((3, 6, 12, 3)[spread]) for _ in range(size)]
        if kind in ("int", "real"):
            top = (4, 20, 400, 20)[spread]
            if known and max(known) > top:
                top = int(max(known) * 1.5) + 1 if max(known) < 10**15 else top
            values = [rng.below(top + 1) for _ in range(size)]
            if kind == "int":
                return values
            return [round(v + rng.pick([0, 0.5, 0.25] if column.scale > 1 else [0, 0.5]), column.scale) for v in values]
        if kind in ("date", "datetime"):
            return self._dates(place, kind, spread, size)
        if kind == "time":
            return [f"{rng.below(24):02}:{rng.below(4) * 15:02}:00" for _ in range(size)]
        return self._words(place, column, spread, size)

    def _words(self, place: Place, column: Column, spread: int, size: int) -> list[str]:
        length = self.hints.lengths.get(place)
        stem = (column.name.lower()[:6] or "c").strip("_")
        words = [f"{stem}{chr(97 + self.rng.below(26)) if spread else ''}{n}" for n in range(size)]
        if length is not None and 0 <= length < 200:
            words += [("word" * 50)[: length + extra] for extra in (-1, 0, 1) if length + extra > 0]
        if column.length:
            # Cutting a word must not make all words alike: the counting end is what differs.
            words = [word[-column.length :] for word in words]
        return words

    def _dates(self, place: Place, kind: str, spread: int, size: int) -> list[str]:
        rng = self.rng
        known = [v[:10] for v in self.hints.hits.get(place, []) if moment(v)]
        start = rng.pick(known) if known else f"{2020 + rng.below(5)}-{1 + rng.below(12):02}-{1 + rng.below(28):02}"
        gap = self.hints.gaps.get(place)
        days = []
        for _ in range(size):
            away = rng.below((6, 120, 1500, 6)[spread]) - (3, 60, 750, 3)[spread]
            if gap is not None and rng.next() < 0.6:
                away = rng.pick([0, gap - 1, gap, gap + 1, gap + 20])
            days.append(shift(start, away, "DAY") or start)
        if kind == "date":
            return days
        return [f"{day} {rng.pick(['00:00:00', '09:30:00', '13:05:07', '23:59:59'])}" for day in days]

    def fit(self, value: object, column: Column, place: Place) -> object:
        """The value as this column can hold it; another of its pool's kind where it can't."""
        if column.choices:
            return value if value in column.choices else self.rng.pick(column.choices)
        kind = self.kind(place)
        if kind in ("int", "bool", "year"):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > _LARGEST:
                return self.rng.below(20)
            return abs(int(value)) if column.unsigned else int(value)
        if kind == "real":
            return round(float(value), column.scale) if isinstance(value, (int, float)) else float(self.rng.below(20))
        if kind == "text":
            text = str(value)
            return text[: column.length] if column.length else text
        if kind in ("date", "datetime"):
            when = moment(value)
            if when is None:
                return self.rng.pick(self._dates(place, kind, 1, 3))
            return when.date().isoformat() if kind == "date" else when.isoformat(sep=" ", timespec="seconds")
        return value


def linked_groups(hints: Hints) -> dict[Place, Place]:
    """Columns that must meet draw from one pool: each with the first of its group."""
    leader: dict[Place, Place] = {}

    def find(place: Place) -> Place:
        while leader.get(place, place) != place:
            place = leader[place]
        return place

    for a, b in hints.links:
        leader.setdefault(a, a)
        leader.setdefault(b, b)
        first, second = sorted((find(a), find(b)))
        leader[second] = first
    return {place: find(place) for place in leader}
