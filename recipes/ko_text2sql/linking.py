"""Schema linking: a short English gloss of a Korean question, in the words of the given schema.

The base model is small and reads Korean as bytes, two tokens a syllable; `hint` does the dictionary work for it.
With `players(player_id, username, level)`, `레벨이 30 이상인 플레이어 이름 알려줘` becomes
`level 30 >= players username`. It only looks words up (`lexicon.tsv`), turns numerals and dates into digits,
and spells what it recognises as the schema does. It decides nothing about the query, and never sees the answer.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from .identifiers import (
    KINDS,
    STATES,
    TOTALS,
    Schema,
    best_fit,
    canonical,
    column_of_pair,
    head_table,
    house_table,
    is_number,
    likeness_of,
    link,
    noun_of,
    schema_of,
    table_of_entry,
)
from .reordering import bounded, dated, named, negated, ranged
from .schema_text import parse_tables
from .tidying import THAN, in_years, tidy
from .words import COUNTED, DIRECTIONS, MONEY, REQUEST_RE, Item, cut

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

# Nouns that say something to a query even where the schema has no such name.
TIMES = frozenset(["year", "month", "week", "weekday", "day", "date", "time", "quarter", "COUNT", "distinct", "season"])
DATED = frozenset(["date", "login", "logout", "seen", "access", "birth"])
PIECES = {"starts", "ends", "contains"}
VALUED = re.compile(r"(?:인|이고|이며|이면|이거나) ?(?=[가-힣])(?!가요|지|데)")


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
            after and after.entry and after.start == following.end + 1 and table_of_entry(after.entry, schema)
        )
        if not told:
            return ""
    score, name, table = best_fit(following.entry.glosses, schema, near, False)
    return name if table and canonical(name) & KINDS and score >= 1.9 else ""


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
                if likeness_of(wanted, notions, own) >= 1.5
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
        known = noun_of(item.text[1:-1]) if item.kind == "quoted" and not column_open else None
        if known and known.kind == "value":  # '배송중' is a status, quoted or not
            _, name, table = link(known, schema, near)
            return [*([name] if table else []), item.text], name if table else "", ""
        house = house_table(item.text, schema) if item.kind in ("literal", "name") else ""
        return [item.text, *([house] if house else [])], "", house
    glosses = item.entry.glosses
    if item.kind == "state":  # 무소속: whoever has no guild; the last gloss says what of the others
        _, name, table = best_fit(glosses[:-1], schema, near, False)
        return ([name, glosses[-1]] if name else [item.text]), "", ""
    if item.kind not in ("noun", "verb", "adjective", "value", "person", "optional", "house"):
        return list(glosses[:1]), "", ""
    _, name, table = link(item.entry, schema, near)
    column = name if table else ""
    if item.kind in ("noun", "verb") and column and canonical(column) & STATES and not canonical(glosses[0]) & STATES:
        return [column, re.sub(r"(되|돼|하|된|한|됨|인)$", "", item.text)], column, ""  # 취소된 is a status
    if item.kind == "value":
        score, noun, of = (
            best_fit(item.entry.noun, schema, near, True)
            if item.entry.noun and not (column_open and not is_number(open_column))
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
            if " " in g and likeness_of(canonical(g.split(" ", 1)[1]), canonical(name), frozenset()) >= 1
        )
        return [next(fits, glosses[0]).split(" ")[0], name], column, ""
    head = head_table(item.entry, schema) if column else ""
    return [*([head] if head else []), name], column, table or name


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


@dataclass
class _Said:
    """What an item is written as."""

    words: list[str]
    column: str = ""  # that it names
    table: str = ""  # that it names, and no column of it
    kind: bool = False  # a column of kinds, taken with the value before it
    taken: bool = False  # the next item is said with this one


class _Line:
    """The gloss line as it grows, item by item, and what the items so far spoke of."""

    def __init__(self, question: str, items: list[Item], schema: Schema) -> None:
        self.question, self.items, self.schema = question, items, schema
        self.words: list[str] = []
        self.mentioned = self._mentioned()  # tables, wherever in the question they are named
        self.used = set(self.mentioned)  # and those whose columns are
        self.last_table = ""
        self.own_table = ""  # the table that the last item named
        self.open_column = ""  # a column that was named and no value has followed yet
        self.kind_named = False  # the last item named a column of kinds
        self.dated = False  # a column of dates was named

    def _mentioned(self) -> dict[str, float]:
        mentioned: dict[str, float] = {}
        for item in self.items:
            if item.entry and item.kind in ("noun", "verb", "person", "value"):
                entry = (
                    replace(item.entry, kind="noun", glosses=item.entry.noun) if item.kind == "value" else item.entry
                )
                score, name, table = link(entry, self.schema, {})
                if name and not table and score >= 2.5:
                    mentioned[name] = 1.2
                head = head_table(item.entry, self.schema)
                mentioned |= {head: 1.2} if head else {}
        return mentioned

    def write(self) -> list[str]:
        taken = False
        for index in range(len(self.items)):
            if taken:
                taken = False
                continue
            said = self._named(index)
            self._valued(index, said)
            self._in_place(index, said)
            self._city(index, said)
            self._things(index, said)
            self._append(index, said)
            taken = said.taken
        if not self.dated:
            self._date()
        return tidy(in_years(self.words, self.schema, self.used), self.schema)

    def _after(self, index: int) -> Item | None:
        return self.items[index + 1] if index + 1 < len(self.items) else None

    def _between(self, first: Item, second: Item) -> str:
        return self.question[first.end : second.start]

    def _named(self, index: int) -> _Said:
        """An item as the schema spells it, by itself or with the one after it."""
        item, following, schema = self.items[index], self._after(index), self.schema
        near = self.mentioned | ({self.last_table: 1.6} if self.last_table in self.mentioned else {})
        words, column, table = _show(item, schema, near, self.open_column)
        said = _Said(words, column, table if not column else "")
        if following and self._between(item, following).strip() in ("", "의"):  # 건수랑 총액 are two things
            pair = column_of_pair(item, following, schema, near | ({said.table: 1.6} if said.table else {}))
            if pair:
                said = _Said([*filter(None, [said.table]), pair], pair, said.table, taken=True)
        linked = bool(said.table or (said.column and item.kind == "noun"))
        kind_of = _kind_column(self.question, self.items, index, schema, near, linked)
        if kind_of and not said.taken:
            return _Said([kind_of, item.text], kind=True, taken=True)
        said.kind = bool(kind_of)
        beside = self._between(self.items[index - 1], item) == " "
        if item.kind in ("noun", "value") and not said.column and not said.table:
            part = _whole_name(self.question, self.items, index)
            said.words = [part] if part else said.words
        elif beside and self.kind_named and item.entry and item.entry.korean in ("이름", "이름만"):
            said.words, said.column = [], ""  # 결제 수단 이름: the kind itself
        return said

    def _valued(self, index: int, said: _Said) -> None:
        """Words that are a value here, and a sum that is one of some column."""
        item, column = self.items[index], said.column
        self.kind_named = bool(column and item.kind == "noun" and canonical(column) & KINDS and not said.table)
        later = [gloss for other in self.items[index + 1 : index + 3] if other.entry for gloss in other.entry.glosses]
        if item.kind == "quoted" and PIECES & {*later}:
            said.words, said.column = [item.text], ""  # '남'으로 시작하는 is a piece of some text
        elif column and item.entry and item.entry.korean == "총액" and not canonical(column) & TOTALS:
            if {"per", "COUNT"} & {*self.words}:
                said.words = ["SUM", column]  # 수단별 건수와 총액
        elif not said.words and item.entry and (item.entry.faint or item.kind == "nothing") and len(item.text) > 1:
            open_text = self.open_column and not is_number(self.open_column)
            if open_text and VALUED.match(self.question, item.end):
                said.words = [item.text]  # 유형이 보고서인: it is said to be a value

    def _in_place(self, index: int, said: _Said) -> None:
        """Less what was said just before, and words that mean something else after those before them."""
        item, before = self.items[index], self.items[index - 1]
        if self.words[-1:] == ["than"] and said.words and said.words[0] in THAN:
            self.words[-1] = THAN[said.words.pop(0)]
        last = self.words[-3:]
        if item.kind in ("adjective", "value", "quoted", "optional", "verb") and said.column in last:
            said.words = [word for word in said.words if word != said.column]  # 가격이 가장 비싼, 서울에 사는
        elif item.kind == "number" and len(said.words) == 2 and said.words[0] in last:
            said.words = said.words[1:]  # 1만 원~3만 원
        if said.words in (["from"], ["to"]) and before.kind not in ("number", "date"):
            ordered = said.words == ["from"] and {"high", "low", "early", "late"} & {*last}
            said.words = ["order"] if ordered else []  # 많은 팀부터
        elif said.words == ["or"] and "몇" in before.text:
            said.words = []  # 몇 개나
        elif said.words == ["no null"] and before.kind == "number" and self._between(before, item).strip() == "도":
            said.words = ["<"]  # 3천 원도 없는

    def _city(self, index: int, said: _Said) -> None:
        """A name that begins with a city's is one name: 서울 타이거즈."""
        item, following = self.items[index], self._after(index)
        if item.kind != "value" or said.kind or not following or following.kind not in ("literal", "latin"):
            return
        function = REQUEST_RE.search(following.text) or following.text.lower() in LATIN
        if self._between(item, following) == " " and not function:
            said.words, said.column = [item.text], ""

    def _things(self, index: int, said: _Said) -> None:
        """대출 5건 이상: so many loans. 연체 3번 이상 names a column and needs no COUNT."""
        item, following = self.items[index], self._after(index)
        compared = following and following.entry and COMPARES & {*following.entry.glosses}
        if compared and item.kind == "number" and item.counter in THINGS and self.words[-1:] == [self.own_table]:
            said.words = ["COUNT", *said.words]

    def _append(self, index: int, said: _Said) -> None:
        item, column = self.items[index], said.column
        self.words += [word for word in said.words if self.words[-1:] != [word]]
        self.own_table = said.table
        self.last_table = said.table or self.last_table
        self.dated = self.dated or bool(canonical(column) & DATED)
        owners = [table for name, _, table, _ in self.schema.columns if name == column]
        self.used |= {*owners} if len(owners) == 1 else set()
        later = next((other for other in self.items[index + 1 :] if other.kind not in ("particle", "ending")), None)
        listed = (
            item.kind == "quoted" and later and (later.kind == "quoted" or later.text in ("또는", "혹은", "아니면"))
        )
        self.open_column = column or (self.open_column if item.entry is not None or listed else "")
        if item.kind == "value" and said.words[-1:] == [item.text] and later and later.kind == "number":
            self.open_column = ""  # 마법사이면서 50레벨: the 50 is not of the job

    def _date(self) -> None:
        """The column of the first date, where the question names none and there is one."""
        first = next((item.text for item in self.items if item.kind == "date"), None)
        dates = {
            name
            for name, notions, table, _ in self.schema.columns
            if "date" in notions and (not self.used or table in self.used)
        }
        if first is not None and len(dates) == 1:
            self.words.insert(self.words.index(first) if first in self.words else 0, *dates)


def hint(question: str, context: str) -> str:
    """The gloss line of a question. Deterministic; never raises, whatever the two texts are.

    >>> hint("길드별 평균 레벨", "CREATE TABLE guilds (guild_id INT, level INT)")
    'guilds per AVG level'
    """
    schema = schema_of(parse_tables(context))
    items = bounded(negated(named(cut(question))))
    items = [item for item in items if not item.entry or item.entry.glosses or item.kind == "value"]
    items = ranged(dated(items, question), question)
    return " ".join(_Line(question, items, schema).write())
