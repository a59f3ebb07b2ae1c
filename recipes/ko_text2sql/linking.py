"""Schema linking: a short English gloss of a Korean question, in the words of the given schema.

The base model is small and reads Korean as bytes, two tokens a syllable; `hint` does the dictionary work for it.
With `players(player_id, username, level)`, `레벨이 30 이상인 플레이어 이름 알려줘` becomes
`level 30 >= players username`. It only looks words up (`lexicon.tsv`), turns numerals and dates into digits,
and spells what it recognises as the schema does. It decides nothing about the query, and never sees the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

from .schema_text import Table, parse_tables
from .words import COUNTED, DIRECTIONS, REQUEST_RE, Entry, Item, cut

SYNONYMS = Path(__file__).with_name("synonyms.txt")
AGGREGATES = {"COUNT": "count", "SUM": "total", "AVG": "average", "MAX": "max", "MIN": "min"}
THAN = {"high": ">", "low": "<", "late": "after", "early": "before"}

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


# --- linking to the schema ----------------------------------------------------------------
@dataclass(frozen=True)
class Schema:
    tables: tuple[tuple[str, frozenset[str]], ...]
    columns: tuple[tuple[str, frozenset[str], str, frozenset[str]], ...]  # name, notions, its table, table's notions


@lru_cache(maxsize=4096)
def _schema(tables: tuple[Table, ...]) -> Schema:
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
def _likeness(wanted: frozenset[str], name: frozenset[str], table: frozenset[str]) -> float:
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
        likeness = _likeness(wanted, name, table or frozenset())
        # A noun is a table before it is a column; a verb means an identifier that says just this: 낸 is no pay_method.
        if table is not None and verb and likeness == 1.6:
            likeness = 2.6
        if likeness >= (2.5 if verb else 1.0):
            found = max(found, likeness + (1.5 if table is None and likeness == 3.0 else 0.0) - min(0.12 * rank, 0.8))
    return found


def _best(glosses: tuple[str, ...], schema: Schema, near: dict[str, float], verb: bool) -> tuple[float, str, str]:
    """(score, identifier, its table or '' where it is a table) for the best pair of gloss and identifier."""
    fits = [(_fit(glosses, notions, None, verb), name, "") for name, notions in schema.tables]
    for name, notions, table, own in schema.columns:
        fit = _fit(glosses, notions, own, verb)
        fits.append((fit + near.get(table, 0.0) if fit else 0.0, name, table))
    best = max(fits, key=lambda fit: fit[0], default=(0.0, "", ""))
    return best if best[0] > 0 else (0.0, "", "")


def _link(entry: Entry, schema: Schema, near: dict[str, float]) -> tuple[float, str, str]:
    if entry.kind == "person":
        # 사람 is whoever the schema keeps, if it keeps one sort of people only
        sorts = {canonical(gloss) for gloss in entry.glosses[1:]}
        people = [name for name, notions in schema.tables if notions in sorts]
        return (4.0, people[0], "") if len(people) == 1 else (0.0, "", "")
    return _best(entry.glosses, schema, near, entry.kind == "verb")


def _whole_name(question: str, items: list[Item], index: int) -> str:
    """The Korean of a word that names nothing in the schema but seems part of a longer name, or ''."""
    item = items[index]
    after = items[index + 1] if index + 1 < len(items) else None
    if after and after.start == item.end and after.kind == "noun" and after.entry and not after.entry.suffix:
        return item.text + after.text  # 국가장학금: a name, and a scholarship
    for other in items[max(index - 1, 0) : index] + items[index + 1 : index + 2]:
        between = question[min(item.end, other.end) : max(item.start, other.start)]
        nameless = other.kind == "literal" or (other.kind == "value" and other.entry and not other.entry.glosses)
        if nameless and between == " " and not REQUEST_RE.search(other.text):
            return item.text  # 무선 이어폰: nothing but a space between them
    return ""


def _pair(item: Item, following: Item, schema: Schema, near: dict[str, float]) -> str:
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
            elif wanted & name and _akin(wanted, name):
                found = max(found, 1 - 0.1 * rank)
    return found


def _show(item: Item, schema: Schema, near: dict[str, float], column_open: bool) -> tuple[list[str], str, str]:
    """(what to write, the column it names or '', the table it names or '')."""
    if item.entry is None:
        if item.kind == "latin":
            for name, *_ in (*schema.tables, *schema.columns):
                if name.lower() == item.text.lower():
                    return [name], name, ""
        if item.kind == "number" and item.counter in COUNTED and not column_open:
            notions_of = [canonical(gloss) for gloss in COUNTED[item.counter].split(", ")]
            fitting = {
                name for name, notions, table, own in schema.columns for wanted in notions_of
                if _likeness(wanted, notions, own) >= 1.5 and (not near or table in near)
            }  # fmt: skip
            return ([*fitting, item.text] if len(fitting) == 1 else [item.text]), "", ""
        silent = item.kind == "literal" and REQUEST_RE.search(item.text)
        return ([] if silent else [item.text]), "", ""
    glosses = item.entry.glosses
    if item.kind not in ("noun", "verb", "adjective", "value", "person", "optional"):
        return list(glosses[:1]), "", ""
    _, name, table = _link(item.entry, schema, near)
    column = name if table else ""
    if item.kind == "value":
        score, noun, of = (
            _best(item.entry.noun, schema, near, True) if item.entry.noun and not column_open else (0.0, "", "")
        )
        if noun != name and score >= 2.5 + (1.2 if of in near else 0):  # only where the schema has just this name
            return [noun], (noun if of else ""), of or noun
        return ([name] if column else []) + [item.text], column, ""
    if not name:
        return ([] if item.kind == "optional" else list(glosses[:1])), "", ""
    if item.kind == "adjective":
        fits = (
            g
            for g in glosses
            if " " in g and _likeness(canonical(g.split(" ", 1)[1]), canonical(name), frozenset()) >= 1
        )
        return [next(fits, glosses[0]).split(" ")[0], name], column, ""
    return [name], column, table or name


def hint(question: str, context: str) -> str:
    """The gloss line of a question. Deterministic; never raises, whatever the two texts are.

    >>> hint("길드별 평균 레벨", "CREATE TABLE guilds (guild_id INT, level INT)")
    'guilds per AVG level'
    """
    schema = _schema(parse_tables(context))
    items = [item for item in cut(question) if not item.entry or item.entry.glosses or item.kind == "value"]
    mentioned: dict[str, float] = {}
    for item in items:
        if item.entry and item.kind in ("noun", "verb", "person", "value"):
            entry = replace(item.entry, kind="noun", glosses=item.entry.noun) if item.kind == "value" else item.entry
            score, name, table = _link(entry, schema, {})
            if name and not table and score >= 2.5:
                mentioned[name] = 1.2
    words: list[str] = []
    last_table = ""
    column_open = dated = paired = False  # column_open: a column was named and no value has followed it yet
    for index, item in enumerate(items):
        if paired:
            paired = False
            continue
        near = mentioned | ({last_table: 1.6} if last_table in mentioned else {})
        shown, column, table = _show(item, schema, near, column_open)
        own = table if table and not column else ""
        if index + 1 < len(items):
            pair = _pair(item, items[index + 1], schema, near | ({own: 1.6} if own else {}))
            if pair:
                shown, column, paired = ([own] if own else []) + [pair], pair, True
        if item.kind in ("noun", "value") and not column and not own:
            part = _whole_name(question, items, index)
            shown = [part] if part else shown
        if words[-1:] == ["than"] and shown and shown[0] in THAN:
            words[-1] = THAN[shown.pop(0)]
        # Said just before: 가격이 가장 비싼, 상태가 완료인, 서울에 사는
        if item.kind in ("adjective", "value", "optional", "verb") and column in words[-3:]:
            shown = [word for word in shown if word != column]
        if shown in (["from"], ["to"]) and items[index - 1].kind not in ("number", "date"):
            shown = []
        words += [word for word in shown if words[-1:] != [word]]
        dated = dated or "date" in canonical(column)
        column_open = bool(column) or (column_open and item.entry is not None)
        last_table = own or last_table
    if not dated and any(item.kind == "date" for item in items):
        dates = {
            name
            for name, notions, table, _ in schema.columns
            if "date" in notions and (not mentioned or table in mentioned)
        }
        if len(dates) == 1:
            first = next(item.text for item in items if item.kind == "date")
            words.insert(words.index(first) if first in words else 0, *dates)
    return " ".join(words)
