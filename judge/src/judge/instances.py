"""Make small databases from the DDL and the hints of a row's queries; same seed and row, same rows on any machine."""

from __future__ import annotations

import random
from dataclasses import dataclass

from judge.dates import moment, shift
from judge.hints import Hints
from judge.queries import Place
from judge.schema import Column, Reference, Schema, Table, guessed_kind

Rows = dict[str, list[list]]  # table -> rows, values in the order of the table's columns
_MOST_ROWS = 60


class _Random:
    """Only `random()` of the standard generator: its stream is the same in every Python version."""

    def __init__(self, seed: str) -> None:
        self.next = random.Random(seed).random

    def below(self, n: int) -> int:
        return int(self.next() * n)

    def pick(self, values: list) -> object:
        return values[int(self.next() * len(values))]

    def shuffled(self, values: list) -> list:
        return [value for _, value in sorted(((self.next(), n), value) for n, value in enumerate(values))]


@dataclass
class _Profile:
    """How one instance differs from the next: some have many ties, some none, some no NULLs, some hardly any rows."""

    spread: int  # 0 few distinct values, 1 some, 2 nearly all different, 3 one value (then it is its own average)
    null_share: float
    sizes: dict[str, int]
    crowded: bool = False  # most rows fall into one group, so that HAVING COUNT(*) > n finds one


def needed_tables(mentioned: list[str], schema: Schema) -> list[str]:
    """The mentioned tables and those they refer to, a table after what it refers to where there is no circle."""
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order or name in path:
            return
        for reference in schema[name].references:
            visit(reference.table, (*path, name))
        order.append(name)

    for name in mentioned:
        visit(name, ())
    return order


def make_instance(schema: Schema, tables: list[str], hints: Hints, seed: str, index: int, rich: bool = False) -> Rows:
    """Rows for `tables` (from `needed_tables`), by table name.

    Primary and unique keys hold, references hold (NULL only where the column may be). Columns that no query names
    stay NULL. `rich` leaves out the meagre variants: it is for finding one instance on which gold gives rows.
    """
    rng = _Random(f"{seed}/{index}/{int(rich)}")
    profile = _profile(rng, schema, tables, hints, index, rich)
    maker = _Maker(rng, profile, schema, hints)
    order = [name for name in tables]
    order.sort(key=lambda name: maker.depth(name, tables))
    for name in order:
        maker.fill(schema[name], profile.sizes[name])
    maker.mend_circles(order)
    return {name: maker.in_rows(name) for name in tables}


def _profile(rng: _Random, schema: Schema, tables: list[str], hints: Hints, index: int, rich: bool) -> _Profile:
    group = max(hints.group, 0)
    sizes = {}
    for name in tables:
        chance = rng.next()
        if rich or index < 2 or chance > 0.2:
            size = 5 + rng.below(11)
        elif chance > 0.07:
            size = 2 + rng.below(3)
        else:
            size = rng.below(2)
        if size > 1 and (rich or index % 4 != 3):
            size = max(size, hints.limit + 1 + rng.below(3))
            # Groups are made by the referring tables: those need rows for a few groups of that size.
            if group > 5 and index % 2 == 0:
                size = max(size, group + 1 + rng.below(group))
            elif group and (schema[name].references or len(tables) == 1):
                # Several groups must pass, or no order among them shows.
                size = max(size, min(_MOST_ROWS, group * (3 + rng.below(6))))
        sizes[name] = min(size, 2 * _MOST_ROWS)
    spread = 3 if index % 10 == 5 and not rich else (1, 0, 2)[index % 3]
    null_share = 0.0 if rich or index % 2 else 0.12
    return _Profile(spread, null_share, sizes, crowded=group > 2 and index % 2 == 0)


class _Maker:
    def __init__(self, rng: _Random, profile: _Profile, schema: Schema, hints: Hints) -> None:
        self.rng, self.profile, self.schema, self.hints = rng, profile, schema, hints
        self.made: dict[str, list[dict]] = {}
        self.modes: dict[str, list[bool]] = {}  # per row: does it fulfil all conditions on its table?
        self.pools: dict[Place, list] = {}
        self.unmended: list[tuple[str, Reference]] = []
        self.soft = self._soft_references()
        self.known = self._constants_through_references()
        self.group_of = self._linked_groups()

    def _soft_references(self) -> dict[Place, Place]:
        """Columns that the queries equate with a key, without a declared reference: mostly take the key's values."""
        declared = {
            ((t.name.lower(), r.columns[0]), (r.table, r.targets[0]))
            for t in self.schema.values()
            for r in t.references
        }
        referring = {place for place, _ in declared}
        soft = {}
        for pair in self.hints.links:
            for child, parent in (pair, pair[::-1]):
                column = self.schema[parent[0]].columns[parent[1]]
                own = self.schema[child[0]]
                keyed = column.unique or self.schema[parent[0]].primary[:1] == (parent[1],)
                if keyed and child[0] != parent[0] and child not in referring and child[1] not in own.primary[:1]:
                    soft.setdefault(child, parent)
        return soft

    def _constants_through_references(self) -> dict[Place, list]:
        """`players.guild_id = 3` asks for a guild 3: a column's constants and those of columns that refer to it."""
        known = {place: values + self.hints.misses.get(place, []) for place, values in self.hints.hits.items()}
        pairs = [
            ((t.name.lower(), c), (r.table, target))
            for t in self.schema.values()
            for r in t.references
            for c, target in zip(r.columns, r.targets, strict=False)
        ]
        for child, parent in [*pairs, *self.soft.items()]:
            if child in self.hints.hits:
                known[parent] = known.get(parent, []) + [
                    v for v in self.hints.hits[child] if v not in known.get(parent, [])
                ]
        return known

    def _linked_groups(self) -> dict[Place, Place]:
        leader: dict[Place, Place] = {}

        def find(place: Place) -> Place:
            while leader.get(place, place) != place:
                place = leader[place]
            return place

        for a, b in self.hints.links:
            leader.setdefault(a, a)
            leader.setdefault(b, b)
            first, second = sorted((find(a), find(b)))
            leader[second] = first
        return {place: find(place) for place in leader}

    def depth(self, name: str, tables: list[str]) -> int:
        """Place in the order of making: declared references first (as in `tables`), then soft ones."""
        parents = [parent[0] for child, parent in self.soft.items() if child[0] == name and parent[0] in tables]
        return max([tables.index(name), *(tables.index(p) + 1 for p in parents)]) if parents else tables.index(name)

    def kind(self, place: Place, column: Column) -> str:
        found = self.hints.kinds.get(place, column.kind)
        return guessed_kind(column.name) if found == "any" else found

    def fill(self, table: Table, size: int) -> None:
        name = table.name.lower()
        self.made[name], self.modes[name] = [], []
        references = {column: r for r in table.references for column in r.columns}
        plain = [c for c in table.columns if c not in references]
        wanted = [c for c in plain if self._wanted(table, c)]
        hinted = [c for c in wanted if (name, c) in self.hints.hits]
        seen: list[set] = [set() for _ in table.uniques]
        singles: dict[str, list] = {
            c: self._unique_values((name, c), table.columns[c], size) for c in wanted if table.columns[c].unique
        }
        taken: dict[str, set] = {c: set() for c in table.columns if table.columns[c].unique}
        for _ in range(size):
            for _attempt in range(6):
                row = self._row(table, name, wanted, hinted, singles, taken)
                if row is None:
                    break
                keys = [tuple(row.get(c) for c in group) for group in table.uniques]
                if not any(key in known for key, known in zip(keys, seen, strict=False) if None not in key):
                    for key, known in zip(keys, seen, strict=False):
                        known.add(key)
                    for column in taken:
                        taken[column].add(row.get(column))
                    self.made[name].append(row)
                    self.modes[name].append(self._full)
                    break

    def _wanted(self, table: Table, column: str) -> bool:
        keyed = (
            table.columns[column].unique or column in table.primary or any(column in group for group in table.uniques)
        )
        return self.hints.starred or keyed or column in self.hints.names

    def _row(self, table: Table, name: str, wanted: list, hinted: list, singles: dict, taken: dict) -> dict | None:
        rng = self.rng
        mode = rng.next()
        self._full = mode < 0.4
        near = rng.pick(hinted) if hinted and 0.4 <= mode < 0.7 else None
        careful = self._careful = mode < 0.7
        row: dict = {}
        for reference in table.references:
            if any(row.get(c) is not None for c in reference.columns):
                continue  # a column of two references: the first one settled it
            values = self._parent_values(table, name, reference, taken)
            if values is None:
                return None
            row.update(zip(reference.columns, values, strict=False))
        for c in wanted:
            column, place = table.columns[c], (name, c)
            if column.unique:
                row[c] = self._next_unique(singles[c], place, column, careful and c != near)
                continue
            null_share = max(self.profile.null_share, 0.35 if place in self.hints.nulls else 0)
            if (
                column.nullable
                and null_share
                and rng.next() < null_share
                and not (self._full and place in self.hints.hits)
            ):
                row[c] = None
            elif (
                place in self.soft
                and not (careful and c in hinted)
                and (values := self._key_values(self.soft[place]))
                and rng.next() < 0.85
            ):
                row[c] = values[int(rng.next() ** 1.6 * len(values))]
            elif c == near and self.hints.misses.get(place):
                row[c] = self._fit(rng.pick(self.hints.misses[place]), column, place)
            elif careful and c in hinted and c != near and self.hints.hits[place]:
                row[c] = self._fit(rng.pick(self.hints.hits[place]), column, place)
            elif self.profile.crowded and place in self.hints.grouped and rng.next() < 0.75:
                row[c] = self._pool(place, column)[0]
            else:
                row[c] = rng.pick(self._pool(place, column))
        return row

    def _key_values(self, place: Place) -> list:
        return [row[place[1]] for row in self.made.get(place[0], []) if row.get(place[1]) is not None]

    def _parent_values(self, table: Table, name: str, reference: Reference, taken: dict) -> tuple | None:
        """Values of the referring columns, or None where no row can be made."""
        rng = self.rng
        columns = [table.columns[c] for c in reference.columns]
        nothing = (None,) * len(columns)
        nullable = all(column.nullable for column in columns)
        if nullable and rng.next() < max(
            self.profile.null_share, 0.3 * any((name, c) in self.hints.nulls for c in reference.columns)
        ):
            return nothing
        parents = self.made.get(reference.table, [])
        if reference.table == name or reference.table not in self.made:
            # Itself or a circle: the rows to refer to come later.
            if (name, reference) not in self.unmended:
                self.unmended.append((name, reference))
            return nothing
        if not parents:
            return nothing if nullable else None
        free = list(range(len(parents)))
        if len(columns) == 1 and columns[0].unique:
            free = [i for i in free if parents[i].get(reference.targets[0]) not in taken[reference.columns[0]]]
            if not free:
                return nothing if nullable else None
        if self._full and rng.next() < 0.75:
            full = [i for i in free if self.modes[reference.table][i]]
            free = full or free
        asked = self.hints.hits.get((name, reference.columns[0])) if len(columns) == 1 else None
        if asked and self._careful and rng.next() < 0.7:
            free = [i for i in free if parents[i].get(reference.targets[0]) in asked] or free
        # Skewed: some parents get many rows and some none.
        at = free[int(rng.next() ** (4 if self.profile.crowded else 1.6) * len(free))]
        return tuple(parents[at].get(c) for c in reference.targets)

    def mend_circles(self, order: list[str]) -> None:
        """Fill references to a table's own rows and round circles, once all rows are there."""
        for name, reference in self.unmended:
            table, parents = self.schema[name], self.made.get(reference.table, [])
            nullable = all(table.columns[c].nullable for c in reference.columns)
            for row in self.made[name]:
                if parents and not (nullable and self.rng.next() < 0.25):
                    parent = self.rng.pick(parents)
                    row.update(zip(reference.columns, (parent.get(c) for c in reference.targets), strict=False))

    def _unique_values(self, place: Place, column: Column, size: int) -> list:
        known = self.known.get(place, [])
        kind = self.kind(place, column)
        more = list(range(1, size + 4)) if kind in ("int", "year", "real") else self._base(place, column, 2, size + 4)
        fitted = [self._fit(value, column, place) for value in known[:size]] + self.rng.shuffled(more)
        return list(dict.fromkeys(value for value in fitted if value is not None))

    def _next_unique(self, values: list, place: Place, column: Column, careful: bool) -> object:
        hits = self.hints.hits.get(place, [])
        if careful and hits:
            for at, value in enumerate(values):
                if value in hits:
                    return values.pop(at)
        if not values:
            return None if column.nullable else self._fit(10_000 + self.rng.below(10**6), column, place)
        return values.pop(self.rng.below(len(values)))

    def _pool(self, place: Place, column: Column) -> list:
        shared = self.group_of.get(place, place)
        if place not in self.pools:
            known = self.hints.hits.get(place, []) + self.hints.misses.get(place, [])
            if shared != place:
                known = known + self.hints.hits.get(shared, [])
            size = (3, 6, 14, 1)[self.profile.spread]
            base = self._base(shared, column, self.profile.spread, size)
            fitted = [self._fit(value, column, place) for value in known]
            # Half of what is drawn should be the constants themselves, however many there are.
            repeat = max(1, len(base) // max(1, len(fitted)))
            pool = [value for value in fitted * repeat if value is not None] + base
            self.pools[place] = pool or [None]
        return self.pools[place]

    def _base(self, place: Place, column: Column, spread: int, size: int) -> list:
        """Values unrelated to any constant, of the column's kind."""
        rng, kind = self.rng, self.kind(place, column)
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
        length = self.hints.lengths.get(place)
        stem = (column.name.lower()[:6] or "c").strip("_")
        words = [f"{stem}{chr(97 + rng.below(26)) if spread else ''}{n}" for n in range(size)]
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

    def _fit(self, value: object, column: Column, place: Place) -> object:
        """The value as this column can hold it; another of its pool's kind where it can't."""
        if column.choices:
            return value if value in column.choices else self.rng.pick(column.choices)
        kind = self.kind(place, column)
        if kind in ("int", "bool", "year"):
            if isinstance(value, bool) or not isinstance(value, (int, float)) or abs(value) > 2**62:
                return self.rng.below(20)
            return abs(int(value)) if column.unsigned else int(value)
        if kind == "real":
            return round(float(value), column.scale) if isinstance(value, (int, float)) else float(self.rng.below(20))
        if kind == "text":
            text = str(value)
            return text[: column.length] if column.length else text
        if kind in ("date", "datetime"):
            return value if moment(value) else self.rng.pick(self._dates(place, kind, 1, 3))
        return value

    def in_rows(self, name: str) -> list[list]:
        """Rows in a mixed order: an order that a query does not ask for must not come by itself."""
        columns = list(self.schema[name].columns)
        return self.rng.shuffled([[row.get(c) for c in columns] for row in self.made[name]])
