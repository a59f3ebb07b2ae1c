"""Which of a schema's tables and columns a dictionary word names: `join date` is `registered_at`."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from .schema_text import Table
from .words import DIRECTIONS, Entry, Item, lexicon

SYNONYMS = Path(__file__).with_name("synonyms.txt")
AGGREGATES = {"COUNT": "count", "SUM": "total", "AVG": "average", "MAX": "max", "MIN": "min"}

# Spellings of one notion in identifiers.
SPLIT = {
    "username": "user name", "nickname": "nick name", "birthdate": "birth date", "birthday": "birth date",
    "firstname": "first name", "lastname": "last name", "filename": "file name", "fullname": "full name",
    "playtime": "play time", "runtime": "run time", "timestamp": "date", "datetime": "date",
    "dob": "birth date",
}  # fmt: skip
SAME = {
    "at": "date", "on": "date", "day": "date", "dt": "date", "since": "date", "qty": "count",
    "quantity": "count", "cnt": "count", "num": "count", "cost": "price", "signup": "join",
    "registration": "join", "register": "join", "enrollment": "enroll", "avg": "average", "sum": "total",
    "no": "number", "maximum": "max", "minimum": "min", "tel": "phone", "mobile": "phone",
    "addr": "address", "dept": "department", "desc": "description", "people": "person",
    "staff": "employee", "movie": "film", "mail": "email", "identifier": "id", "lv": "level",
    "lvl": "level", "exp": "experience", "pct": "percent", "sec": "time", "second": "time",
    "minute": "time", "hour": "time", "duration": "time", "length": "time",
}  # fmt: skip
UNIT_PIECES = {"g", "kg", "cm", "km", "won", "krw", "usd", "mb", "gb", "sqm", "ml", "m2", "pct"}
NOISE = {"date", "is", "of", "has", "the", "was", "to"}

# A word of places and organisations that is glued to a name belongs to it: 서초도서관, 여의도지점.
HOUSES = re.compile(
    r"(점|도서관|은행|병원|의원|호텔|리조트|대학|대학교|학교|학과|학부|센터|공장|극장|영화관|경기장|구장|체육관|공원|마트|시장|식당|카페|"
    r"항공|공항|박물관|미술관|창고|서점|약국|학원|빌딩|아파트|타워|팀|부서|길드|클럽|구단|회사|역|터미널|매장|상회|분식|반점|캠퍼스|스토어|랜드|월드|돔|스테이|팰리스|리조트|돔구장|치킨|치킨집|피자)$"
)


@dataclass(frozen=True)
class Schema:
    tables: tuple[tuple[str, frozenset[str]], ...]
    columns: tuple[tuple[str, frozenset[str], str, frozenset[str]], ...]  # name, notions, its table, table's notions


@lru_cache(maxsize=4096)
def schema_of(tables: tuple[Table, ...]) -> Schema:
    return Schema(
        tuple((name, canonical(name)) for name, _, _ in tables),
        tuple((column, canonical(column), name, canonical(name)) for name, columns, _ in tables for column in columns),
    )


@lru_cache(maxsize=65536)
def canonical(phrase: str) -> frozenset[str]:
    """The notions in an identifier or a gloss: `registered_at` and `join date` are both {join, date}."""
    words = re.findall(r"[a-z]+|\d+", re.sub(r"([a-z])([A-Z])", r"\1 \2", phrase).lower())
    words = [part for word in words for part in SPLIT.get(word, word).split(" ")]
    return frozenset(_stem(word) for word in words if word not in UNIT_PIECES or len(words) == 1)


def _stem(word: str) -> str:
    word = SAME.get(word, word)
    if word.endswith("ies") and len(word) > 4:
        word = word[:-3] + "y"
    elif re.search(r"(ss|x|ch|sh)es$", word):
        word = word[:-2]
    elif word.endswith("s") and not word.endswith(("ss", "us", "is")) and len(word) > 3:
        word = word[:-1]
    word = SAME.get(word, word)
    if word in ("date", "time", "price", "type"):
        return word
    word = word[:-2] if word.endswith("ed") and len(word) > 4 else word
    word = word[:-1] if word.endswith("e") and len(word) > 3 else word
    return SAME.get(word, word)


# Columns that hold one of a few words, so that the word before `유형` or `등급` is one of them.
KINDS = canonical(
    "type kind status channel method grade category genre level tier class plan position role cuisine membership section"
    " format mode sort brand region city district department major material color language country media board rarity difficulty"
)
STATES = canonical("status state stage condition")
TOTALS = canonical("total sum")
NAME = canonical("name")
NO_NUMBER = canonical("name title id date status type category genre city region district country")


@lru_cache(maxsize=1)
def _kin() -> dict[str, frozenset[str]]:
    """For a word, those it may stand for."""
    kin: dict[str, set[str]] = {}
    for line in SYNONYMS.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            continue
        words = [_stem(word) for word in line.split(" ")]
        for word in words:
            kin.setdefault(word, set()).update(words)
    return {word: frozenset(words) for word, words in kin.items()}


@lru_cache(maxsize=65536)
def _akin(wanted: frozenset[str], name: frozenset[str]) -> bool:
    """Whether one word of a gloss and of an identifier differ, and the two are synonyms."""
    ours, theirs = wanted - name - NOISE, name - wanted - NOISE
    return len(ours) == 1 and len(theirs) == 1 and min(theirs) in _kin().get(min(ours), ())


@lru_cache(maxsize=1 << 18)
def likeness_of(wanted: frozenset[str], name: frozenset[str], table: frozenset[str]) -> float:
    """How well an identifier fits a gloss: 3 the same words, down to 1 a part of them; 0 not at all."""
    if not wanted or not name or not wanted - NOISE:
        return 3.0 if wanted and wanted == name else 1.9 if wanted and wanted < name else 0.0
    if wanted == name:
        return 3.0
    if wanted - NOISE and wanted - NOISE == name - NOISE:
        return 2.6 if wanted & NOISE or not name & {"date"} else 1.6
    if wanted | table == name:
        return 2.5
    if _akin(wanted, name):
        return 2.0
    if wanted | {"id"} == name:
        return 1.2
    if wanted < name:
        return 0.9 if "id" in name else 1.9 - 0.2 * len(name - wanted)
    if name < wanted and len(wanted) == 2 and "id" not in wanted and name - {"date"}:
        return 1.0
    return 0.0


@lru_cache(maxsize=1 << 18)
def _fit(glosses: tuple[str, ...], name: frozenset[str], table: frozenset[str] | None, verb: bool) -> float:
    """The best likeness of any gloss to an identifier, less a little for a later gloss. table: None for a table."""
    found = 0.0
    for rank, gloss in enumerate(glosses):
        direction, _, measured = gloss.partition(" ")
        wanted = canonical(measured if direction in DIRECTIONS and measured else gloss)
        likeness = likeness_of(wanted, name, table or frozenset())
        # A noun is a table before it is a column; a verb means an identifier that says just this: 낸 is no pay_method.
        if table is not None and verb and likeness == 1.6:
            likeness = 2.6
        if rank > 2 and wanted == NAME:
            likeness -= 0.5  # a nickname is one before it is the name of a table nearby
        if likeness >= (2.5 if verb else 1.0):
            found = max(found, likeness + (1.5 if table is None and likeness == 3.0 else 0.0) - min(0.12 * rank, 0.8))
    return found


def best_fit(glosses: tuple[str, ...], schema: Schema, near: dict[str, float], verb: bool) -> tuple[float, str, str]:
    """(score, identifier, its table or '' where it is a table) for the best pair of gloss and identifier."""
    fits = [(_fit(glosses, notions, None, verb), name, "") for name, notions in schema.tables]
    for name, notions, table, own in schema.columns:
        fit = _fit(glosses, notions, own, verb)
        fits.append((fit + near.get(table, 0.0) if fit else 0.0, name, table))
    best = max(fits, key=lambda fit: fit[0], default=(0.0, "", ""))
    return best if best[0] > 0 else (0.0, "", "")


def link(entry: Entry, schema: Schema, near: dict[str, float]) -> tuple[float, str, str]:
    if entry.kind == "person":
        # 사람 is whoever the schema keeps, if it keeps one sort of people only
        sorts = {canonical(gloss) for gloss in entry.glosses[1:]}
        people = [name for name, notions in schema.tables if notions in sorts]
        return (4.0, people[0], "") if len(people) == 1 else (0.0, "", "")
    return best_fit(entry.glosses, schema, near, entry.kind == "verb")


def column_of_pair(item: Item, following: Item, schema: Schema, near: dict[str, float]) -> str:
    """The column that two neighbours name together: 주문 + 날짜 is order_date, 총 + 금액 total_amount."""
    if item.entry is None or following.entry is None:
        return ""
    glosses = item.entry.noun or item.entry.glosses
    if not (item.kind in ("noun", "verb") or item.entry.noun) and not set(item.entry.glosses[:1]) & set(AGGREGATES):
        return ""
    if following.kind != "noun" and following.entry.glosses[:1] != ("COUNT",):
        return ""
    second = following.entry.glosses
    fits = [(_pair_fit(glosses, second, notions), table, name) for name, notions, table, _ in schema.columns]
    _, name = max(((fit + near.get(table, 0.0), name) for fit, table, name in fits if fit), default=(0.0, ""))
    return name


@lru_cache(maxsize=1 << 18)
def _pair_fit(glosses: tuple[str, ...], following: tuple[str, ...], name: frozenset[str]) -> float:
    found = 0.0
    for rank, first in enumerate(glosses if len(name) > 1 else ()):
        for second in following:
            wanted = canonical(f"{AGGREGATES.get(first, first)} {AGGREGATES.get(second, second)}")
            if wanted == name:
                found = max(found, 2 - 0.1 * rank)
            elif second != "COUNT" and wanted & name and _akin(wanted, name):  # 방 몇 개 is no room_number
                found = max(found, 1 - 0.1 * rank)
    return found


@lru_cache(maxsize=4096)
def noun_of(korean: str) -> Entry | None:
    entries = (entry for _, entry in lexicon().get(korean[:1], ()) if not entry.suffix and entry.korean == korean)
    return next((entry for entry in entries if entry.kind in ("noun", "value")), None)


def table_named(korean: str, schema: Schema) -> str:
    """The table that a noun names, or ''."""
    entry = noun_of(korean)
    return table_of_entry(entry, schema) if entry else ""


def table_of_entry(entry: Entry, schema: Schema) -> str:
    score, name, of = best_fit(entry.noun or entry.glosses, schema, {}, False)
    return name if not of and score >= 2.5 else ""


def head_table(entry: Entry, schema: Schema) -> str:
    """The table of the first word of an entry of several: 거래 금액 is of the transactions."""
    first, _, rest = entry.korean.partition(" ")
    return table_named(first, schema) if rest else ""


def house_table(name: str, schema: Schema) -> str:
    """The table of the word that a proper name ends in: 황금반점 is a restaurant."""
    tails = (name[at:] for at in range(1, len(name) - 1) if HOUSES.search(name))
    return next(filter(None, (table_named(tail, schema) for tail in tails)), "")


def is_number(column: str) -> bool:
    """Whether a column may well be summed up or compared, by its name."""
    return not canonical(column) & (NO_NUMBER | KINDS)
