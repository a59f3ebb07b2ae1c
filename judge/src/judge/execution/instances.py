"""Make small databases from the DDL and the hints of a row's queries; same seed and row, same rows on any machine."""

from __future__ import annotations

from dataclasses import dataclass

from judge.execution.hints import Hints
from judge.execution.profiles import Profile, profile_of
from judge.execution.ties import Tie
from judge.execution.values import SeededRandom, Values
from judge.sql.queries import Place
from judge.sql.schema import Column, Reference, Schema, Table

Rows = dict[str, list[list]]  # table -> rows, values in the order of the table's columns


def needed_tables(mentioned: list[str], schema: Schema) -> list[str]:
    """The mentioned tables, one after those it refers to where there is no circle. A reference to a table that no
    query mentions is a column like any other: its target would never be looked at."""
    order: list[str] = []

    def visit(name: str, path: tuple[str, ...]) -> None:
        if name in order or name in path:
            return
        for reference in schema[name].references:
            visit(reference.table, (*path, name))
        if name in mentioned:
            order.append(name)

    for name in mentioned:
        visit(name, ())
    return order


def make_instance(schema: Schema, tables: list[str], hints: Hints, seed: str, index: int, rich: bool = False) -> Rows:
    """Rows for `tables` (from `needed_tables`), by table name.

    Primary and unique keys hold, references hold (NULL only where the column may be). Columns that no query names
    stay NULL. No table is empty: queries that differ on empty tables alone are the same for most uses, and a verdict
    on them should not hang on the seed. `rich` leaves out the meagre variants: it is for finding one instance on
    which gold gives rows.
    """
    rng = SeededRandom(f"{seed}/{index}/{int(rich)}")
    profile = profile_of(rng, schema, tables, hints, index, rich)
    maker = _Maker(rng, profile, schema, hints, tables)
    order = [name for name in tables]
    order.sort(key=lambda name: maker.depth(name, tables))
    for name in order:
        maker.fill(schema[name], profile.sizes[name])
    maker.mend_circles(order)
    return {name: maker.in_rows(name) for name in tables}


@dataclass
class _Plan:
    """One column of a table as its rows are made; settled once an instance."""

    name: str
    column: Column
    place: Place
    null_share: float
    null_when_full: bool
    hinted: bool
    soft: Place | None
    crowded: bool
    unique: bool


@dataclass
class _Link:
    """A reference as the rows of its table are made."""

    reference: Reference
    null_share: float
    nullable: bool
    parents: list[tuple]  # what can be referred to
    full: list[tuple]  # of these the rows that fulfil all conditions on their table
    asked: list[tuple]  # of these the ones that the queries name
    unique: bool  # each parent once


class _Maker:
    def __init__(self, rng: SeededRandom, profile: Profile, schema: Schema, hints: Hints, tables: list[str]) -> None:
        self.tables = set(tables)
        self.rng, self.profile, self.schema, self.hints = rng, profile, schema, hints
        self.values = Values(rng, profile.spread, schema, hints)
        self.made: dict[str, list[dict]] = {}
        self.full: dict[str, list[int]] = {}  # rows that fulfil all conditions on their table
        self.unmended: list[tuple[str, Reference]] = []
        self.soft = self._soft_references()
        self.known = self._constants_through_references()

    def _soft_references(self) -> dict[Place, Place]:
        """Columns that the queries equate with a key, without a declared reference: mostly take the key's values."""
        if not self.hints.links:
            return {}
        referring = {(t.name.lower(), r.columns[0]) for t in self.schema.values() for r in t.references}
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
        if not known:
            return known
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

    def depth(self, name: str, tables: list[str]) -> int:
        """Place in the order of making: declared references first (as in `tables`), then soft ones."""
        parents = [parent[0] for child, parent in self.soft.items() if child[0] == name and parent[0] in tables]
        return max([tables.index(name), *(tables.index(p) + 1 for p in parents)]) if parents else tables.index(name)

    def fill(self, table: Table, size: int) -> None:
        name = table.name.lower()
        references = [reference for reference in table.references if reference.table in self.tables]
        links = [self._link(table, name, reference) for reference in references]
        rows: list[dict] = []
        full: list[int] = []
        self.made[name], self.full[name] = rows, full
        plans = self._plans(table, name, {c for reference in references for c in reference.columns})
        hinted = [plan for plan in plans if plan.hinted]
        unique = [c for c, column in table.columns.items() if column.unique]
        singles = {
            plan.name: self.values.unique(plan.place, plan.column, size, self.known.get(plan.place, []))
            for plan in plans
            if plan.unique
        }
        taken: dict[str, set] = {c: set() for c in unique}
        ties = self._ties(table, name)
        seen: list[set] = [set() for _ in table.uniques]
        for _ in range(size):
            for _attempt in range(6):
                row = self._row(links, plans, hinted, singles, taken)
                if row is None:
                    break
                if ties:
                    self._tie(row, ties)
                keys = [tuple(map(row.get, group)) for group in table.uniques]
                if not any(key in known and None not in key for key, known in zip(keys, seen, strict=True)):
                    for key, known in zip(keys, seen, strict=True):
                        known.add(key)
                    for column in unique:
                        taken[column].add(row.get(column))
                    if self._full:
                        full.append(len(rows))
                    rows.append(row)
                    break

    def _plans(self, table: Table, name: str, referring: set[str]) -> list[_Plan]:
        keyed = {c for group in (table.primary, *table.uniques) for c in group}
        plans = []
        for c, column in table.columns.items():
            if c in referring or not (self.hints.starred or column.unique or c in keyed or c in self.hints.names):
                continue
            place = (name, c)
            share = max(self.profile.null_share, 0.35 if place in self.hints.nulls else 0)
            hinted = place in self.hints.hits
            crowded = self.profile.crowded and place in self.hints.grouped
            null_share = share if column.nullable else 0.0
            unique = column.unique or (self.profile.singled and place in self.hints.single)
            soft = self.soft.get(place)
            plans.append(_Plan(c, column, place, null_share, not hinted, hinted, soft, crowded, unique))
        return plans

    def _row(
        self, links: list[_Link], plans: list[_Plan], hinted: list[_Plan], singles: dict, taken: dict
    ) -> dict | None:
        rng, draw = self.rng, self.rng.next
        mode = draw()
        full = self._full = mode < 0.4
        near = rng.pick(hinted) if hinted and 0.4 <= mode < 0.7 else None
        careful = self._careful = mode < 0.7
        row: dict = {}
        for link in links:
            if any(row.get(c) is not None for c in link.reference.columns):
                continue  # a column of two references: the first one settled it
            values = self._parent_values(link, taken)
            if values is None:
                return None
            row.update(zip(link.reference.columns, values, strict=False))
        for plan in plans:
            c = plan.name
            if plan.unique:
                row[c] = self._next_unique(singles[c], plan, careful and plan is not near)
            elif plan.null_share and draw() < plan.null_share and (plan.null_when_full or not full):
                row[c] = None
            elif (
                plan.soft and not (careful and plan.hinted) and (keys := self._key_values(plan.soft)) and draw() < 0.85
            ):
                row[c] = keys[int(draw() ** 1.6 * len(keys))]
            else:
                pool = self._choices(plan, near, careful)
                row[c] = pool[int(draw() * len(pool))]
        return row

    def _choices(self, plan: _Plan, near: _Plan | None, careful: bool) -> list:
        if plan is near and (misses := self.values.asked(plan.place, hit=False)):
            return misses
        if careful and plan.hinted and plan is not near and (hits := self.values.asked(plan.place)):
            return hits
        pool = self.values.pool(plan.place, plan.column)
        return pool[:1] if plan.crowded and self.rng.next() < 0.75 else pool

    def _ties(self, table: Table, name: str) -> list[Tie]:
        """Those of this table whose column is free to take any value."""
        bound = {c for r in table.references if r.table in self.tables for c in r.columns}
        bound |= {c for group in (table.primary, *table.uniques) for c in group}
        bound |= {c for c, column in table.columns.items() if column.unique}
        return [tie for tie in self.hints.ties if tie.table == name and tie.column not in bound]

    def _tie(self, row: dict, ties: list[Tie]) -> None:
        """In half of the rows two columns meet what is asked of them together, or narrowly miss it."""
        if self.rng.next() < 0.5:
            tie = self.rng.pick(ties)
            place = (tie.table, tie.column)
            value = tie.solve(row.get(tie.other), self.rng.below(3) - 1, self.values.kind(place))
            if value is not None:
                row[tie.column] = self.values.fit(value, self.schema[tie.table].columns[tie.column], place)

    def _key_values(self, place: Place) -> list:
        return [row[place[1]] for row in self.made.get(place[0], []) if row.get(place[1]) is not None]

    def _link(self, table: Table, name: str, reference: Reference) -> _Link:
        columns = [table.columns[c] for c in reference.columns]
        nullable = all(column.nullable for column in columns)
        later = reference.table not in self.made  # itself or a circle: the rows to refer to come later
        if later:
            self.unmended.append((name, reference))
        asked_null = 0.3 * any((name, c) in self.hints.nulls for c in reference.columns)
        parents = [tuple(map(row.get, reference.targets)) for row in self.made.get(reference.table, [])]
        single = len(columns) == 1
        wanted = self.hints.hits.get((name, reference.columns[0]), []) if single else []
        return _Link(
            reference, max(self.profile.null_share, asked_null) if nullable else 0.0, nullable, parents,
            [parents[at] for at in self.full.get(reference.table, [])],
            [values for values in parents if values[0] in wanted], single and columns[0].unique,
        )  # fmt: skip

    def _parent_values(self, link: _Link, taken: dict) -> tuple | None:
        """Values of the referring columns, or None where no row can be made."""
        draw = self.rng.next
        nothing = (None,) * len(link.reference.columns)
        if link.null_share and draw() < link.null_share:
            return nothing
        if not link.parents:
            return nothing if link.nullable or link.reference.table not in self.full else None
        free = link.parents
        if self._careful and link.asked and draw() < 0.7:
            free = link.asked
        elif self._full and link.full and draw() < 0.75:
            free = link.full
        if link.unique:
            used = taken[link.reference.columns[0]]
            free = [v for v in free if v[0] not in used] or [v for v in link.parents if v[0] not in used]
            if not free:
                return nothing if link.nullable else None
        # Skewed: some parents get many rows and some none.
        return free[int(draw() ** (4 if self.profile.crowded else 1.6) * len(free))]

    def mend_circles(self, order: list[str]) -> None:
        """Fill references to a table's own rows and round circles, once all rows are there."""
        for name, reference in self.unmended:
            table, parents = self.schema[name], self.made.get(reference.table, [])
            nullable = all(table.columns[c].nullable for c in reference.columns)
            for row in self.made[name]:
                if parents and not (nullable and self.rng.next() < 0.25):
                    parent = self.rng.pick(parents)
                    row.update(zip(reference.columns, (parent.get(c) for c in reference.targets), strict=False))

    def _next_unique(self, values: list, plan: _Plan, careful: bool) -> object:
        hits = self.hints.hits.get(plan.place, []) if careful else []
        if hits:
            for at, value in enumerate(values):
                if value in hits:
                    return values.pop(at)
        if not values:
            other = 10_000 + self.rng.below(10**6)
            return None if plan.column.nullable else self.values.fit(other, plan.column, plan.place)
        return values.pop(self.rng.below(len(values)))

    def in_rows(self, name: str) -> list[list]:
        """Rows in a mixed order: an order that a query does not ask for must not come by itself."""
        columns = list(self.schema[name].columns)
        return self.rng.shuffled([[row.get(c) for c in columns] for row in self.made[name]])
