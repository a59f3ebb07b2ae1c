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
from .words import COUNTED, DIRECTIONS, MONEY, REQUEST_RE, Entry, Item, cut, lexicon

SYNONYMS = Path(__file__).with_name("synonyms.txt")
AGGREGATES = {"COUNT": "count", "SUM": "total", "AVG": "average", "MAX": "max", "MIN": "min"}
BOUNDS = {
    "최소": ">=", "최소한": ">=", "적어도": ">=", "못해도": ">=", "최대": "<=", "최대한": "<=", "많아야": "<=", "기껏해야": "<=",
}  # fmt: skip
LATIN = {
    **{word: word.upper() for word in ("max", "min", "avg", "sum", "count")},
    "maximum": "MAX",
    "minimum": "MIN",
    "average": "AVG",
}
# Counters of things, and what makes their number a bound.
THINGS = frozenset([
    "명", "사람", "개", "번", "회", "건", "권", "편", "대", "채", "장", "곡", "병", "마리", "벌", "인", "곳", "군데", "가지",
    "종류", "종", "팀", "과목", "경기", "척", "차례",
])  # fmt: skip
COMPARES = frozenset([">", ">=", "<", "<=", "exactly"])
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
# A word of places and organisations that is glued to a name belongs to it: 서초도서관, 여의도지점.
HOUSES = re.compile(
    r"(점|도서관|은행|병원|의원|호텔|리조트|대학|대학교|학교|학과|학부|센터|공장|극장|영화관|경기장|구장|체육관|공원|마트|시장|식당|카페|"
    r"항공|공항|박물관|미술관|창고|서점|약국|학원|빌딩|아파트|타워|팀|부서|길드|클럽|구단|회사|역|터미널|매장|상회|분식|반점|캠퍼스|스토어|랜드|월드|돔|스테이|팰리스|리조트|돔구장|치킨|치킨집|피자)$"
)
# Nouns that say something to a query even where the schema has no such name.
TIMES = frozenset(["year", "month", "week", "weekday", "day", "date", "time", "quarter", "COUNT", "distinct", "season"])
DATED = frozenset(["date", "login", "logout", "seen", "access", "birth"])
AGGREGATED = frozenset(["SUM", "AVG", "MAX", "MIN"])


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


# Columns that hold one of a few words, so that the word before `유형` or `등급` is one of them.
KINDS = canonical(
    "type kind status channel method grade category genre level tier class plan position role cuisine membership section"
    " format mode sort brand region city district department major material color language country media board rarity difficulty"
)
STATES = canonical("status state stage condition")
TOTALS = canonical("total sum")
PIECES = {"starts", "ends", "contains"}
VALUED = re.compile(r"(?:인|이고|이며|이면|이거나) ?(?=[가-힣])(?!가요|지|데)")
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
        if rank > 2 and wanted == NAME:
            likeness -= 0.5  # a nickname is one before it is the name of a table nearby
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


def _kind_column(
    question: str, items: list[Item], index: int, schema: Schema, near: dict[str, float], linked: bool
) -> str:
    """The column of types, grades, channels … that is named right after one of its values: 학생 유형, ATM 채널; or ''."""
    item = items[index]
    following = items[index + 1] if index + 1 < len(items) else None
    if linked or not following or not following.entry or following.kind not in ("noun", "optional"):
        return ""
    if item.kind not in ("literal", "name", "latin", "noun", "value") or question[item.end : following.start] != " ":
        return ""
    if item.entry and (item.entry.faint or item.entry.suffix):
        return ""
    if not item.entry:
        # 이서연 등급 asks for hers; 교직원 유형 회원 and ATM 채널로 tell
        rest = question[following.end :]
        after = items[index + 2] if index + 2 < len(items) else None
        told = re.match(r"(으로|로|인|이고|이며|이면서|인데)(?![가-힣])", rest) or (
            after and after.entry and after.start == following.end + 1 and _table_of(after.entry, schema)
        )
        if not told:
            return ""
    score, name, table = _best(following.entry.glosses, schema, near, False)
    return name if table and canonical(name) & KINDS and score >= 1.9 else ""


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
            elif second != "COUNT" and wanted & name and _akin(wanted, name):  # 방 몇 개 is no room_number
                found = max(found, 1 - 0.1 * rank)
    return found


def _show(item: Item, schema: Schema, near: dict[str, float], open_column: str) -> tuple[list[str], str, str]:
    """(what to write, the column it names or '', the table it names or '')."""
    column_open = bool(open_column)
    if item.entry is None:
        if item.kind == "latin":
            for name, *_ in (*schema.tables, *schema.columns):
                if name.lower() == item.text.lower():
                    return [name], name, ""
            if item.text.lower() in LATIN:
                return [LATIN[item.text.lower()]], "", ""
        ranked = any(notions & canonical("rank ranking standing place") for _, notions, *_ in schema.columns)
        if item.kind == "number" and item.counter in ("위", "등") and not ranked:
            return ["most", "high"] if item.text == "1" else ["top", item.text], "", ""
        if item.kind == "number" and item.counter in COUNTED and not column_open:
            notions_of = [canonical(gloss) for gloss in COUNTED[item.counter].split(", ")]
            measured = {
                (name, table in near) for name, notions, table, own in schema.columns for wanted in notions_of
                if _likeness(wanted, notions, own) >= 1.5
            }  # fmt: skip
            if len(measured) > 1 and COUNTED[item.counter] != MONEY:  # 50렙: level before required_level
                exact = {pair for pair in measured if any(canonical(pair[0]) == wanted for wanted in notions_of)}
                measured = exact or measured
            fitting = {name for name, close in measured if close} or {name for name, _ in measured}
            return ([*fitting, item.text] if len(fitting) == 1 else [item.text]), "", ""
        if item.kind == "surname":
            return [item.text, "starts"], "", ""
        if item.kind == "top":
            return item.text.split(" "), "", ""
        if item.kind == "literal" and REQUEST_RE.search(item.text):
            return [], "", ""
        known = _noun(item.text[1:-1]) if item.kind == "quoted" and not column_open else None
        if known and known.kind == "value":  # '배송중' is a status, quoted or not
            _, name, table = _link(known, schema, near)
            return [*([name] if table else []), item.text], name if table else "", ""
        house = _house(item.text, schema) if item.kind in ("literal", "name") else ""
        return [item.text, *([house] if house else [])], "", house
    glosses = item.entry.glosses
    if item.kind == "state":  # 무소속: whoever has no guild; the last gloss says what of the others
        _, name, table = _best(glosses[:-1], schema, near, False)
        return ([name, glosses[-1]] if name else [item.text]), "", ""
    if item.kind not in ("noun", "verb", "adjective", "value", "person", "optional", "house"):
        return list(glosses[:1]), "", ""
    _, name, table = _link(item.entry, schema, near)
    column = name if table else ""
    if item.kind in ("noun", "verb") and column and canonical(column) & STATES and not canonical(glosses[0]) & STATES:
        return [column, re.sub(r"(되|돼|하|된|한|됨|인)$", "", item.text)], column, ""  # 취소된 is a status
    if item.kind == "value":
        score, noun, of = (
            _best(item.entry.noun, schema, near, True)
            if item.entry.noun and not (column_open and not _is_number(open_column))
            else (0.0, "", "")
        )
        if noun != name and noun and not of and table == noun and canonical(item.entry.noun[0]) != canonical(noun):
            return [noun, name, item.text], column, noun  # 감독: a coach, and of the coaches' roles that one
        if noun != name and score >= 2.5 + (1.2 if of in near else 0):  # only where the schema has just this name
            return [noun], (noun if of else ""), of or noun
        return ([name] if column else []) + [item.text], column, ""
    if not name or (item.kind == "house" and table):
        return ([] if item.kind == "house" else _nameless(item)), "", ""
    if item.kind == "adjective":
        fits = (
            g
            for g in glosses
            if " " in g and _likeness(canonical(g.split(" ", 1)[1]), canonical(name), frozenset()) >= 1
        )
        return [next(fits, glosses[0]).split(" ")[0], name], column, ""
    head = _head(item.entry, schema) if column else ""
    return [*([head] if head else []), name], column, table or name


@lru_cache(maxsize=4096)
def _noun(korean: str) -> Entry | None:
    entries = (entry for _, entry in lexicon().get(korean[:1], ()) if not entry.suffix and entry.korean == korean)
    return next((entry for entry in entries if entry.kind in ("noun", "value")), None)


def _table(korean: str, schema: Schema) -> str:
    """The table that a noun names, or ''."""
    entry = _noun(korean)
    return _table_of(entry, schema) if entry else ""


def _table_of(entry: Entry, schema: Schema) -> str:
    score, name, of = _best(entry.noun or entry.glosses, schema, {}, False)
    return name if not of and score >= 2.5 else ""


def _head(entry: Entry, schema: Schema) -> str:
    """The table of the first word of an entry of several: 거래 금액 is of the transactions."""
    first, _, rest = entry.korean.partition(" ")
    return _table(first, schema) if rest else ""


def _house(name: str, schema: Schema) -> str:
    """The table of the word that a proper name ends in: 황금반점 is a restaurant."""
    tails = (name[at:] for at in range(1, len(name) - 1) if HOUSES.search(name))
    return next(filter(None, (_table(tail, schema) for tail in tails)), "")


def _named(items: list[Item]) -> list[Item]:
    """Items with the names made whole that the dictionary knows a part of: 여의도 + 지점 is 여의도지점, and a branch."""
    whole: list[Item] = []
    for item in items:
        before, last = [None, None, *whole][-2:]
        if last and last.end == item.start and _is_name(last) and item.kind == "noun" and HOUSES.search(item.text):
            whole[-1] = Item(None, last.text + item.text, "name", last.start, item.end)
            whole.append(replace(item, start=item.end, kind="house"))
        elif (
            before
            and last
            and (last.text, last.kind, before.kind) == ("이", "particle", "literal")
            and _is_person(item)
        ):
            # 달콤이 고객님: no subject stands right before whom it names
            whole[-2:] = [Item(None, before.text + "이", "literal", before.start, last.end), item]
        else:
            whole.append(item)
    return whole


def _is_name(item: Item) -> bool:
    """A literal, or a value such as a place."""
    return item.kind in ("literal", "name") or (item.kind == "value" and len(item.text) > 1)


def _is_person(item: Item) -> bool:
    people = {"customers", "members", "users", "players", "employees"}
    return item.kind == "person" or bool(item.kind == "noun" and item.entry and people & {*item.entry.glosses})


def _negated(items: list[Item]) -> list[Item]:
    """`안 빌린` in the order of `빌리지 않은`: the negation after the verb."""
    items = list(items)
    for at in range(len(items) - 1):
        first, second = items[at], items[at + 1]
        if not first.entry or first.text not in ("안", "못") or first.kind != "function":
            continue
        done = second.kind == "noun" and at + 2 < len(items) and items[at + 2].kind == "ending"
        if second.start - first.end <= 1 and (second.kind in ("verb", "nothing") or done):
            items[at], items[at + 1] = second, first
    return items


def _bounded(items: list[Item]) -> list[Item]:
    """`최소 3개` and `적어도 3개` in the order of `3개 이상`."""
    items = list(items)
    for at in range(len(items) - 1):
        word, number = items[at], items[at + 1]
        if word.entry and number.kind == "number" and word.text in BOUNDS:
            items[at], items[at + 1] = number, replace(word, entry=replace(word.entry, glosses=(BOUNDS[word.text],)))
    return items


def _dated(items: list[Item], question: str) -> list[Item]:
    """`2022년 3월 1일부터 6월 30일` and `3월 1일~31일` with the year and the month in both dates."""
    items = list(items)
    first: Item | None = None
    for at, item in enumerate(items):
        if first and item.start - first.end <= 5:
            later = re.fullmatch(r"month (\d+) day (\d+)", item.text) if item.kind == "date" else None
            if later:
                text = f"{first.text[:4]}-{later.group(1):0>2}-{later.group(2):0>2}"
                items[at] = replace(item, text=text)
            elif item.kind == "number" and item.counter == "일" and item.text.isdecimal() and int(item.text) <= 31:
                items[at] = replace(item, text=f"{first.text[:8]}{item.text:0>2}", kind="date", counter="")
        if items[at].kind == "date":
            first = items[at] if re.fullmatch(r"\d{4}-\d\d-\d\d", items[at].text) else None
    return items


def _ranged(items: list[Item], question: str) -> list[Item]:
    """`10~20` and `3월 1일부터 6월 30일 주문` as `10 20 between`."""
    ranged: list[Item] = []
    for at, item in enumerate(items):
        ranged.append(item)
        before = [
            other for other in items[max(at - 2, 0) : at] if other.entry is None or other.entry.glosses[:1] != ("from",)
        ]
        first = before[-1] if before else None
        following = items[at + 1].entry if at + 1 < len(items) else None
        if not first or item.kind not in ("number", "date") or first.kind != item.kind:
            continue
        if following and following.glosses[:1] and following.glosses[0] in ("to", "between", ">=", "<="):
            continue
        gap = question[first.end : item.start]
        if re.fullmatch(r"\s*[~∼〜～]\s*", gap) or (item.kind == "date" and re.fullmatch(r"\s*부터\s*", gap)):
            ranged = [other for other in ranged if other.start < first.end or other.start >= item.start]
            entry = Entry("사이", ("between",), "function", suffix=False)
            ranged.append(Item(entry, "사이", "function", item.end, item.end))
    return ranged


def _nameless(item: Item) -> list[str]:
    """What to write for a dictionary word that the schema has no name for: a noun may be a value, a verb is no help."""
    first = item.entry.glosses[0] if item.entry else ""
    if item.entry.faint or item.kind == "person":
        return [first] if first == "who" else []
    if item.kind == "adjective" and first.split(" ")[0] in DIRECTIONS:
        return [first.split(" ")[0]]
    if item.kind == "noun" and not item.entry.suffix and not set(first.split(" ")) & TIMES:
        return [item.text]
    return [] if item.kind in ("optional", "verb") else [first]


def _tidy(words: list[str], schema: Schema) -> list[str]:
    """One wording for one notion, and nothing that a query has no use for."""
    columns = {name for name, *_ in schema.columns}
    tables = {name for name, _ in schema.tables}
    out: list[str] = []
    for at, word in enumerate(words):
        before, last = ["", "", *out][-2:]
        near = out[-3:]
        if word == last or _useless(word, out, words[at + 1 : at + 4], columns, tables):
            continue
        if word in AGGREGATED and last in columns and before not in AGGREGATED and _is_number(last):
            out[-1:] = [word, last]  # price AVG: AVG price
        elif word.startswith("most COUNT") and last in columns and _is_number(last):
            out.append(word.replace("COUNT ", ""))  # 잔액이 가장 많은
        elif word == "distinct COUNT":  # 브랜드가 몇 종류나; 몇 종류의 상품
            out += ["distinct", "COUNT"] if last in columns else ["COUNT"]
        elif word in ("which", "who", "where"):
            out.append("which" if word != "where" or set(words) & tables else "where")
        elif word in ("no null", "not") and "never" in out[-5:]:
            out.remove("never")  # 한 번도 ... 않은: said once, where the negation stands
            out.append("never")
        elif word == "never" and (last in ("no null", "not") or "never" in out[-4:]):
            out.remove("never" if "never" in out[-4:] else last)
            out.append("never")
        elif word in ("to", "between") and "from" in out[-5:]:
            out.remove("from")  # 100부터 200까지, 1990년부터 1999년 사이
            out.append("between")
        elif word == "order" and {*THAN} & set(near) and not {"most", "than"} & set(out[-4:]):
            down = {"high", "late"} & set(near)  # 두꺼운 순으로, 많은 팀부터
            out = [
                *out[:-3],
                *(near_word for near_word in near if near_word not in THAN),
                "order DESC" if down else "order",
            ]
        elif word in THAN and "than" in out[-4:] and "most" not in (before, last):
            out[len(out) - 1 - out[::-1].index("than")] = THAN[word]
        else:
            out.append(word)
    return out


def _in_years(words: list[str], schema: Schema, used: set[str]) -> list[str]:
    """`year 2020` as `founded_year 2020` where the tables that the question speaks of keep years in a column and no dates."""
    own = [(name, notions) for name, notions, table, _ in schema.columns if table in used]
    years = {name for name, notions in own if "year" in notions}
    years = years & {*words} or years
    if len(years) != 1 or any("date" in notions for _, notions in own):
        return words
    column = min(years)
    if not any(re.fullmatch(r"year \d{4}", word) for word in words):
        return words
    out: list[str] = []
    for word in words:
        year = re.fullmatch(r"year (\d{4})", word)
        if year:
            out += [year[1]] if column in out[-3:] else [column, year[1]]
        elif word != column or column not in out[-5:]:  # 2000년 이후 설립된: once is enough
            out.append(word)
    return out


def _is_number(column: str) -> bool:
    """Whether a column may well be summed up or compared, by its name."""
    return not canonical(column) & (NO_NUMBER | KINDS)


def _useless(word: str, out: list[str], rest: list[str], columns: set[str], tables: set[str]) -> bool:
    """Whether a word adds nothing to the words before it, given the few after it."""
    before, last = ["", "", *out][-2:]
    valued = columns | AGGREGATED | {"COUNT"}
    if word == "SUM":  # 총 회원 수
        summed = bool(columns & {*rest[:1]}) and _is_number(rest[0])  # 건수랑 총액: both
        return (
            (last == "COUNT" and not summed)
            or rest[:1] == ["COUNT"]
            or (bool(tables & {*rest[:1]}) and rest[1:2] == ["COUNT"])
        )
    if word == "COUNT":  # 합치면 몇 명
        return last in AGGREGATED or (last in columns and before in AGGREGATED)
    if word in AGGREGATED and word == before and last in columns:  # 최대 가격 (max)
        return True
    if word == "how much":
        return bool(set(out) & valued)
    if word in ("which", "who", "where"):
        return last in valued | {"which"} or bool(columns & {*rest[:1]})
    if word == "exists":
        return last in ("ever", "never") or last not in tables | columns or (before in columns and last not in tables)
    if word == "all":
        return last in columns or bool(set(rest) & valued) or "all" in out
    if word == "order":
        return bool(set(out[-2:]) & {"order", "order DESC"})
    return word in ("<=", "from", "to") and before == "top"  # 3위까지


def hint(question: str, context: str) -> str:
    """The gloss line of a question. Deterministic; never raises, whatever the two texts are.

    >>> hint("길드별 평균 레벨", "CREATE TABLE guilds (guild_id INT, level INT)")
    'guilds per AVG level'
    """
    schema = _schema(parse_tables(context))
    items = _bounded(_negated(_named(cut(question))))
    items = [item for item in items if not item.entry or item.entry.glosses or item.kind == "value"]
    items = _ranged(_dated(items, question), question)
    mentioned: dict[str, float] = {}
    for item in items:
        if item.entry and item.kind in ("noun", "verb", "person", "value"):
            entry = replace(item.entry, kind="noun", glosses=item.entry.noun) if item.kind == "value" else item.entry
            score, name, table = _link(entry, schema, {})
            if name and not table and score >= 2.5:
                mentioned[name] = 1.2
            head = _head(item.entry, schema)
            mentioned |= {head: 1.2} if head else {}
    words: list[str] = []
    last_table = ""
    used = set(mentioned)
    open_column = ""  # a column that was named and no value has followed yet
    dated = paired = kind_named = False
    own_table = ""  # the table that the last item named
    for index, item in enumerate(items):
        if paired:
            paired = False
            continue
        near = mentioned | ({last_table: 1.6} if last_table in mentioned else {})
        shown, column, table = _show(item, schema, near, open_column)
        own = table if table and not column else ""
        if index + 1 < len(items):
            beside = question[item.end : items[index + 1].start].strip() in ("", "의")  # 건수랑 총액 are two things
            pair = _pair(item, items[index + 1], schema, near | ({own: 1.6} if own else {})) if beside else ""
            if pair:
                shown, column, paired = ([own] if own else []) + [pair], pair, True
        kind_of = _kind_column(question, items, index, schema, near, bool(own or (column and item.kind == "noun")))
        if kind_of and not paired:
            shown, column, own, paired = [kind_of, item.text], "", "", True
        elif item.kind in ("noun", "value") and not column and not own:
            part = _whole_name(question, items, index)
            shown = [part] if part else shown
        elif (
            item.entry
            and item.entry.korean in ("이름", "이름만")
            and kind_named
            and question[items[index - 1].end : item.start] == " "
        ):
            shown, column = [], ""  # 결제 수단 이름: the kind itself
        kind_named = bool(column and item.kind == "noun" and canonical(column) & KINDS and not own)
        if item.kind == "quoted" and PIECES & {
            gloss for later in items[index + 1 : index + 3] if later.entry for gloss in later.entry.glosses
        }:
            shown, column = [item.text], ""  # '남'으로 시작하는 is a piece of some text
        elif (
            column
            and item.entry
            and item.entry.korean == "총액"
            and not canonical(column) & TOTALS
            and {"per", "COUNT"} & set(words)
        ):
            shown = ["SUM", column]  # 수단별 건수와 총액
        elif (
            not shown
            and item.entry
            and (item.entry.faint or item.kind == "nothing")
            and open_column
            and not _is_number(open_column)
            and VALUED.match(question, item.end)
            and len(item.text) > 1
        ):
            shown = [item.text]  # 유형이 보고서인: it is said to be a value
        if words[-1:] == ["than"] and shown and shown[0] in THAN:
            words[-1] = THAN[shown.pop(0)]
        # Said just before: 가격이 가장 비싼, 상태가 완료인, 서울에 사는
        if item.kind in ("adjective", "value", "quoted", "optional", "verb") and column in words[-3:]:
            shown = [word for word in shown if word != column]
        elif item.kind == "number" and len(shown) == 2 and shown[0] in words[-3:]:
            shown = shown[1:]  # 1만 원~3만 원
        if shown in (["from"], ["to"]) and items[index - 1].kind not in ("number", "date"):
            # 많은 팀부터 is an order
            shown = ["order"] if shown == ["from"] and {"high", "low", "early", "late"} & set(words[-3:]) else []
        if shown == ["or"] and "몇" in items[index - 1].text:
            shown = []  # 몇 개나
        if (
            shown == ["no null"]
            and items[index - 1].kind == "number"
            and question[items[index - 1].end : item.start].strip() == "도"
        ):
            shown = ["<"]  # 3천 원도 없는
        following = items[index + 1] if index + 1 < len(items) else None
        if (
            item.kind == "value"
            and not kind_of
            and following
            and following.kind in ("literal", "latin")
            and question[item.end : following.start] == " "
            and not REQUEST_RE.search(following.text)
            and following.text.lower() not in LATIN
        ):
            shown, column = [item.text], ""  # 서울 타이거즈: a name that begins with a city's
        if item.kind == "number" and item.counter in THINGS and following and words[-1:] == [own_table]:
            # 대출 5건 이상: so many loans. 연체 3번 이상 names a column and needs no COUNT
            shown = ["COUNT", *shown] if set(following.entry.glosses if following.entry else ()) & COMPARES else shown
        words += [word for word in shown if words[-1:] != [word]]
        own_table = own
        dated = dated or bool(canonical(column) & DATED)
        owners = [of for name, _, of, _ in schema.columns if name == column]
        used |= set(owners) if len(owners) == 1 else set()
        later = next((other for other in items[index + 1 :] if other.kind not in ("particle", "ending")), None)
        listed = (
            item.kind == "quoted" and later and (later.kind == "quoted" or later.text in ("또는", "혹은", "아니면"))
        )
        open_column = column or (open_column if item.entry is not None or listed else "")
        if item.kind == "value" and shown[-1:] == [item.text] and later and later.kind == "number":
            open_column = ""  # 마법사이면서 50레벨: the 50 is not of the job
        last_table = own or last_table
    if not dated and any(item.kind == "date" for item in items):
        dates = {
            name for name, notions, table, _ in schema.columns if "date" in notions and (not used or table in used)
        }
        if len(dates) == 1:
            first = next(item.text for item in items if item.kind == "date")
            words.insert(words.index(first) if first in words else 0, *dates)
    words = _in_years(words, schema, used)
    return " ".join(_tidy(words, schema))
