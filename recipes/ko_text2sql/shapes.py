"""Questions with their SQL for any domain, from nothing but its YAML: a new domain has rows before anybody wrote any.

    rows = shape_rows(load_domains()["shop"])    # dicts of id, question, answer, shape

`grammar/shapes.yaml` says what can be asked of tables and columns by their roles; here its letters are bound to all that
fits in a domain. The rows are then lifted and multiplied as hand-written ones are (patterns.py, generator.py).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path
from random import Random

import yaml

from recipes.ko_text2sql import korean
from recipes.ko_text2sql.paraphrase import DOUBLED, marked

SHAPES = Path(__file__).parent / "grammar" / "shapes.yaml"
PLACE = re.compile(r"\{(\w+)\}")
NO_MEASURE = ("year", "level", "number")  # kinds of numbers of which no mean or sum is asked
MOST = 6  # rows a shape and table; the generator makes more of each


@lru_cache(maxsize=1)
def shapes() -> dict:
    return yaml.safe_load(SHAPES.read_text(encoding="utf-8"))


def shape_rows(domain: dict) -> list[dict]:
    """`id`, `question`, `answer` and `shape` (which sentence it is) for all shapes that fit the domain, in a fixed order."""
    rows = []
    for number, shape in enumerate(shapes()["shapes"], 1):
        for table in domain["tables"]:
            dice = Random(f"shape:{domain['name']}:{number}:{table}")
            bound = list(_bindings(domain, list(shape["bind"].items()), table, dice))
            for nth, binding in enumerate(dice.sample(bound, min(MOST, len(bound))), 1):
                which = dice.randrange(len(shape["ask"]))
                question = marked(PLACE.sub(lambda place, b=binding: b[place[1]][0], shape["ask"][which]), [])
                rows.append({
                    "id": f"{domain['name']}-s{number}-{table}-{nth}",
                    "question": question,
                    "answer": PLACE.sub(lambda place, b=binding: b[place[1]][1], shape["sql"]),
                    "shape": f"s{number}-{which + 1}",
                })  # fmt: skip
    seen: set[str] = set()
    rows = [row for row in rows if not DOUBLED.search(row["question"])]
    return [row for row in rows if not (row["question"] in seen or seen.add(row["question"]))]


Binding = dict[str, tuple[str, str]]  # a letter's Korean and its SQL


def _bindings(domain: dict, wanted: list[tuple[str, str]], first: str, dice: Random) -> Iterator[Binding]:
    """All ways to bind the letters, the first of them being the table `first`."""

    def bind(at: int, meant: dict[str, tuple], binding: Binding) -> Iterator[Binding]:
        if at == len(wanted):
            yield binding
            return
        letter, what = wanted[at]
        for thing, named in candidates(domain, letter, what, first, meant, dice):
            yield from bind(at + 1, meant | {letter: thing}, binding | named)

    yield from bind(0, {}, {})


def candidates(
    domain: dict, letter: str, what: str, first: str, meant: dict[str, tuple], dice: Random
) -> Iterator[tuple[tuple, Binding]]:
    tables = domain["tables"]
    if what == "table":
        yield (first,), {letter: (tables[first]["korean"][0], first)}
        return
    if what == "few":
        number = str(dice.randint(2, 4))
        yield (number,), {letter: (number, number)}
        return
    of, kind = what.split(".")
    if kind == "parent":
        yield from _parents(tables, letter, of, meant)
    elif kind in ("label", "category", "number", "date", "nullable"):
        yield from _columns(tables, letter, meant[of][0], kind, meant, dice)
    else:
        yield from _literals(tables, letter, of, kind, meant, dice)


def _parents(tables: dict, letter: str, of: str, meant: dict[str, tuple]) -> Iterator[tuple[tuple, Binding]]:
    child = meant[of][0]
    references = [
        (column, about["references"].split("."))
        for column, about in tables[child]["columns"].items()
        if about["role"] == "reference" and not about.get("nullable")
    ]
    targets = [target for _, (target, _) in references]
    for column, (target, key) in references:
        # a table referred to twice would need words for which of the two is meant
        if targets.count(target) == 1 and (target,) not in meant.values():
            named = {letter: (tables[target]["korean"][0], target)}
            yield (target,), named | {f"{letter}_key": ("", key), f"{of}_{letter}": ("", column)}


def _columns(
    tables: dict, letter: str, table: str, kind: str, meant: dict[str, tuple], dice: Random
) -> Iterator[tuple[tuple, Binding]]:
    for column, about in tables[table]["columns"].items():
        role = about["role"]
        fits = about.get("nullable") and role != "reference" if kind == "nullable" else role == kind
        if not fits or (table, column) in meant.values() or not about.get("korean"):
            continue
        if kind == "number" and about.get("kind") in NO_MEASURE:
            continue
        yield (table, column), column_named(tables[table], letter, column, dice)


def column_named(table: dict, letter: str, column: str, dice: Random) -> Binding:
    """A column by one of its names, with the adjectives that go with its kind."""
    about = table["columns"][column]
    adjectives = shapes()["high_low"]
    high, low = adjectives.get(about.get("kind"), adjectives["other"])
    # 상품 상품명 and 학과 과 이름 would be said by nobody
    words = "|".join(sorted(table["korean"], key=len, reverse=True))
    short = [re.sub(rf"^(?:{words}) ", "", name) for name in about["korean"]]
    names = [name for name in short if not re.search(words, name)]
    return {letter: (dice.choice(names or short), column), f"{letter}_high": (high, ""), f"{letter}_low": (low, "")}


def _literals(
    tables: dict, letter: str, of: str, kind: str, meant: dict[str, tuple], dice: Random
) -> Iterator[tuple[tuple, Binding]]:
    table, column = meant[of]
    about = tables[table]["columns"][column]
    if kind in ("value", "other"):
        taken = {thing[0] for thing in meant.values() if len(thing) == 1}
        free = [str(value) for value in about.get("values", ()) if str(value) not in taken]
        for value in dice.sample(free, min(2, len(free))):
            quoted = "'" + value.replace("'", "''") + "'"
            yield (value,), {letter: (value, quoted)}
    elif kind in ("amount", "more"):
        low, high = about["values"]
        share = dice.uniform(0.2, 0.45) if kind == "amount" else dice.uniform(0.6, 0.85)
        number = _round(low + (high - low) * share, decimal=isinstance(low, float))
        if low < number < high and (number,) not in meant.values():
            spoken = korean.spell_mixed(int(number)) if number == int(number) else None
            unit = about.get("unit", "")
            space = " " if spoken and unit else ""
            yield (number,), {letter: (f"{spoken or _digits(number)}{space}{unit}", _digits(number))}
    elif kind == "year":
        first, last = (int(str(value)[:4]) for value in about["values"])
        year = str(dice.randint(first, last))
        yield (year,), {letter: (year, year)}
    elif kind == "day":
        first, last = (date.fromisoformat(str(value)[:10]).toordinal() for value in about["values"])
        day = date.fromordinal(dice.randint(first + 1, last)).isoformat()
        yield (day,), {letter: (f"{day[:4]}년 {int(day[5:7])}월 {int(day[8:])}일", f"'{day}'")}
    else:
        raise ValueError(f"{SHAPES.name}: {letter}: {of}.{kind}: no such thing to bind")


def _round(number: float, decimal: bool) -> float:
    """To one digit behind the point, or to the first digit or two of a whole number."""
    if decimal:
        return round(number, 1)
    size = 10 ** max(0, len(str(int(number))) - (1 if number < 1000 else 2))
    return int(number // size * size)


def _digits(number: float) -> str:
    return str(int(number)) if number == int(number) else str(number)
