"""Cleaning by rule: which training rows are not worth training on, and why. Part of `make data` where the recipe says
so (`data.clean`); leaves `clean_report.json` and `clean_report.html` beside the rows.

The recipe's `check` judges a row by itself: a function of a row that gives a dict of
    faults  [(rule, reason), …] in the order in which they matter; the row falls to the first
    names   what the row's schema names, such as "players.level"
and its `alike`, where it has one, says whether two answers to the same question are one in another spelling.
Here the rows are compared with each other (duplicates) and with the test rows (leaks). Test rows are never dropped;
their faults are reported. Rows come and go one by one, on all cores or on a Ray cluster
(`scripts.parallel`): what is held in memory are the test rows.
"""

from __future__ import annotations

import re
import sqlite3
import unicodedata
from collections import deque
from collections.abc import Callable, Iterator
from functools import partial
from math import ceil
from typing import TextIO

from scripts.clean_report import Report
from scripts.loaders import Rows
from scripts.parallel import mapped
from scripts.recipe import Clean, Recipe, UserError, load_function, need_options, shown
from scripts.runs import digest

GRAM = 3  # letters; groups of three tell questions apart and survive another ending or another space
FLOOR = 0.3  # smaller overlaps of questions are counted together
FEW_NAMES = 3  # so many names of a test schema any row may have: id, name and the like are everywhere


def clean(recipe: Recipe, rows: Rows, tests: Rows, files: list[TextIO]) -> Rows:
    """The good rows, as many as `data.train_rows`; writes the report to `files` (JSON, HTML) once they have ended."""
    cleaner = Cleaner(recipe, recipe.data.clean, tests)
    kept = 0
    for place, row in cleaner.good(rows):
        kept += 1
        yield place, row
        if kept == recipe.data.train_rows:
            break
    if not kept:
        raise UserError(f"{shown(recipe.path)}: data.clean leaves no training row: {cleaner.report.in_short()}")
    cleaner.report.write(*files)
    print(cleaner.report.in_short())


class Cleaner:
    """The rules of one recipe and what they have seen so far: test rows, rows that were kept, the report."""

    def __init__(self, recipe: Recipe, settings: Clean, tests: Rows, key: str = "data.clean"):
        """`key` is where in the recipe the settings stand, for errors; UserError where `check` doesn't take them."""
        check = load_function(recipe, f"{key}.check", settings.check)
        need_options(recipe, f"{key}.options", settings.check, check, ({},), settings.options)
        self.check, self.settings = partial(check, **settings.options), settings
        self.report, self.index = Report(recipe, settings), Index()
        self.seen = Seen(load_function(recipe, f"{key}.alike", settings.alike) if settings.alike else same_text)
        for place, row, found in judged(partial(judge, self.check), tests, settings.workers):
            self.report.test(place, row, found)
            self.index.add(row, found)

    def good(self, rows: Rows) -> Rows:
        """Those of the rows that break no rule; may be called again with more rows."""
        judge_row = partial(judge, self.check, index=self.index, settings=self.settings)
        for place, row, found in judged(judge_row, rows, self.settings.workers):
            if not found["faults"]:
                found["faults"] = self.seen.duplicate(place, row)
            self.report.train(place, row, found)
            if not found["faults"]:
                yield place, row


def judge(check: Callable, row: dict, index: Index | None = None, settings: object = None) -> dict:
    """What `check` finds in a row, its overlap with the test rows, and the faults that follow from both."""
    missing = [column for column in ("id", "question", "answer") if not str(row.get(column) or "").strip()]
    if missing:
        return {"faults": [("incomplete", f"no {' and no '.join(missing)}")], "names": []}
    found = check(row)
    if index is None:
        return found
    share, nearest = index.question(row["question"])
    schema, which = index.schema(found["names"])
    leaks = []
    if settings.question_overlap is not None and share >= settings.question_overlap:
        leaks.append(("leaked question", f"{share:.0%} of the letter groups of test row {nearest}"))
    if settings.schema_overlap is not None and schema >= settings.schema_overlap:
        leaks.append(("leaked schema", f"{schema:.0%} of its names are in the schema of test row {which}"))
    return {
        "faults": [*found["faults"], *leaks],
        "overlap": {"question": share, "nearest": nearest, "schema": schema},
    }


# --- all cores -------------------------------------------------------------------------------------------------------
def judged(judge: Callable, rows: Rows, workers: int | None) -> Iterator[tuple[str, dict, dict]]:
    """(place, row, what was found) in the rows' order, whatever the number of workers; few rows take no pool."""
    under_way: deque = deque()

    def taken() -> Iterator[dict]:
        for place, row in rows:
            under_way.append((place, row))
            yield row

    for found in mapped(judge, taken(), workers):
        yield *under_way.popleft(), found


# --- duplicates ------------------------------------------------------------------------------------------------------
class Seen:
    """The rows kept so far, in a temporary sqlite3 database: in memory at first, in a file as it grows."""

    def __init__(self, alike: Callable[[str, str], bool]) -> None:
        self.alike = alike
        self.known = sqlite3.connect("")
        self.known.execute("CREATE TABLE seen (question INTEGER, whole INTEGER, answer TEXT, place TEXT)")
        self.known.execute("CREATE INDEX by_question ON seen (question)")

    def duplicate(self, place: str, row: dict) -> list[tuple[str, str]]:
        """The fault of a row that another one before was as good as; a row without that fault is remembered."""
        question, answer = _hash(squeezed(row["question"])), str(row["answer"])
        whole = _hash({column: value for column, value in row.items() if column != "id"})
        asked = self.known.execute("SELECT whole, answer, place FROM seen WHERE question = ?", (question,)).fetchall()
        for known, other, first in asked:
            if known == whole:
                return [("duplicate", f"the same as {first}")]
            if self.alike(other, answer):
                return [("near duplicate", f"in other words the same as {first}")]
        self.known.execute("INSERT INTO seen VALUES (?, ?, ?, ?)", (question, whole, answer, place))
        return []


def same_text(first: str, second: str) -> bool:
    return " ".join(first.split()) == " ".join(second.split())


def _hash(value: object) -> int:
    return int(digest(value)[:15], 16)  # 60 bits, as sqlite3's integers hold them


# --- leaks -----------------------------------------------------------------------------------------------------------
class Index:
    """The test rows' questions as groups of letters, and their schemas as names."""

    def __init__(self) -> None:
        self.ids: list[str] = []
        self.groups: list[frozenset[str]] = []
        self.of_group: dict[str, list[int]] = {}
        self.schemas: dict[frozenset[str], str] = {}
        self.of_name: dict[str, list[frozenset[str]]] = {}

    def add(self, row: dict, found: dict) -> None:
        groups = letter_groups(row.get("question") or "")
        for group in groups:
            self.of_group.setdefault(group, []).append(len(self.ids))
        self.ids.append(str(row.get("id")))
        self.groups.append(groups)
        names = frozenset(found["names"])
        if names and names not in self.schemas:
            self.schemas[names] = str(row.get("id"))
            for name in names:
                self.of_name.setdefault(name, []).append(names)

    def question(self, question: str) -> tuple[float, str]:
        """(largest Jaccard overlap with a test question, its id); 0 where it is below FLOOR."""
        groups = letter_groups(question)
        # Whoever shares FLOOR of all groups shares one of the rarest 1 - FLOOR: the common ones need no looking up.
        rare = sorted(groups, key=lambda group: (len(self.of_group.get(group, ())), group))
        rare = rare[: len(rare) - ceil(FLOOR * len(rare)) + 1]
        best = (0.0, -1)
        for at in {at for group in rare for at in self.of_group.get(group, ())}:
            share = len(groups & self.groups[at]) / len(groups | self.groups[at])
            best = max(best, (share, -at - 1)) if share >= FLOOR else best
        return (best[0], self.ids[-best[1] - 1]) if best[0] else (0.0, "")

    def schema(self, names: list[str]) -> tuple[float, str]:
        """(largest share of `names` that one test schema has, a test row with it); 0 where those are few."""
        common: dict[frozenset[str], int] = {}
        for name in set(names):
            for schema in self.of_name.get(name, ()):
                common[schema] = common.get(schema, 0) + 1
        most = max(common.values(), default=0)
        if most <= FEW_NAMES:
            return 0.0, ""
        return most / len(set(names)), min(self.schemas[schema] for schema, n in common.items() if n == most)


def letter_groups(text: str) -> frozenset[str]:
    text = squeezed(text)
    return frozenset(text[at : at + GRAM] for at in range(max(1, len(text) - GRAM + 1)))


def squeezed(text: str) -> str:
    """The text's letters and digits alone, in small letters and in one form of each."""
    return re.sub(r"[\W_]", "", unicodedata.normalize("NFKC", str(text)).casefold())
