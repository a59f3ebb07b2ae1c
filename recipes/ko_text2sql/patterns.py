"""Patterns of hand-written rows: which places of a question and its query can be filled otherwise.

A pattern is lifted from a (question, SQL) pair. What stands in both, and can be rewritten safely in both, becomes a
slot: string, number and date literals, names of tables and columns, and the sentence's ending. Where that is in doubt
the place stays as it was written: a question that fits its query comes before variety.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import yaml

from recipes.ko_text2sql import korean
from recipes.ko_text2sql.queries import Constant, Name, read_query

GRAMMAR = Path(__file__).parent / "grammar" / "grammar.yaml"
DATE = re.compile(r"(\d{4})-(\d\d)-(\d\d)(?![\d:])|(\d{4})년 ?(\d{1,2})월 ?(\d{1,2})일")


@dataclass
class Slot:
    """A place of the question, `start` to `end`, that can be filled otherwise."""

    kind: str  # value | fragment | number | date | column | table | word | link | ending
    start: int
    end: int
    constants: list[int] = field(default_factory=list)
    style: str = ""
    subject: tuple[str, str] = ("", "")
    forms: tuple[str, ...] = ()
    marks: tuple[str, ...] = ("",)
    others: tuple[tuple[str, tuple[str, ...]], ...] = ()  # other columns that fit, with their names


@dataclass
class Pattern:
    row: dict
    domain: dict
    names: list[Name]
    constants: list[Constant]
    slots: list[Slot]


@lru_cache
def grammar() -> dict:
    """grammar.yaml with its expressions compiled."""
    loaded = yaml.safe_load(GRAMMAR.read_text(encoding="utf-8"))
    for word in loaded["words"]:
        word["find"] = re.compile(word["find"])
    for ending in loaded["endings"]:
        ending["find"] = re.compile(ending["find"] + "$")
    for key in ("after_value", "frames", "clause", "records", "places", "tied"):
        loaded[key] = re.compile(loaded[key])
    return loaded


# --- lifting a pattern ---------------------------------------------------------------------------------------------
def lift(row: dict, domain: dict) -> Pattern:
    """The pattern of a hand-written row: `id`, `question`, `answer`."""
    names, constants = read_query(row["answer"], domain)
    pattern = Pattern(row, domain, names, constants, [])
    question, taken = row["question"], []
    finders = (_values, _dates, _numbers, _ending, _mentions, _words)
    for finder in finders:
        for slot in finder(pattern, _mask(question, taken)):
            if slot.start == slot.end or all(slot.end <= start or slot.start >= end for start, end in taken):
                pattern.slots.append(slot)
                taken.append((slot.start, slot.end))
    pattern.slots.sort(key=lambda slot: (slot.start, slot.end))
    return pattern


def _mask(text: str, spans: list[tuple[int, int]]) -> str:
    for start, end in spans:
        text = text[:start] + "\0" * (end - start) + text[end:]
    return text


def _about(pattern: Pattern, table: str, column: str) -> dict:
    return pattern.domain["tables"][table]["columns"][column] if column else {}


def _values(pattern: Pattern, text: str) -> Iterator[Slot]:
    strings = [(at, c) for at, c in enumerate(pattern.constants) if c.is_string and not DATE.match(c.text)]
    for at, constant in sorted(strings, key=lambda pair: -len(pair[1].text)):
        value = constant.text.strip("%_")
        places = [match.start() for match in re.finditer(re.escape(value), text)] if value else []
        if not places:
            continue
        start, end = places[0], places[0] + len(value)
        same = [i for i, other in strings if other.text == constant.text]
        whole = constant.text == value and constant.about == "value"
        category = _about(pattern, constant.table, constant.column).get("role") == "category"
        exchangeable = (
            whole and not (category and grammar()["frames"].search(pattern.row["question"])) and len(places) == 1 and same == [at] and value in map(str, _about(pattern, constant.table, constant.column).get("values", ()))
            and not re.match(r"[가-힣A-Za-z0-9]", text[start - 1 : start]) and korean.CONTINUES.match(text[end:])
            and not grammar()["after_value"].match(text[end:])
        )  # fmt: skip
        # a value that can't be exchanged is a slot without fillings, which keeps others away from its place
        yield Slot("value" if exchangeable else "fixed", start, end, [at])
        text = _mask(text, [(place, place + len(value)) for place in places])


def _dates(pattern: Pattern, text: str) -> Iterator[Slot]:
    found = [(match, "-".join(part.zfill(2) for part in match.groups() if part)) for match in DATE.finditer(text)]
    literals = {
        c.text: at
        for at, c in enumerate(pattern.constants)
        if c.is_string and c.about == "value" and DATE.fullmatch(c.text)
    }
    stated = [iso for _, iso in found]
    said = [number for number in korean.numbers(DATE.sub(" ", text)) if number.style != "native"]
    plain = [float(c.text) for c in pattern.constants if not c.is_string and c.about != "form"]
    fits = (
        all(number.value in plain for number in said)
        and sorted(stated) == sorted(literals)
        and len(literals) == sum(bool(DATE.match(c.text)) for c in pattern.constants if c.is_string)
    )
    for match, iso in found:
        yield Slot(
            "date" if fits else "fixed",
            match.start(),
            match.end(),
            [literals[iso]] if fits else [],
            "iso" if match[1] else "korean",
        )


def _numbers(pattern: Pattern, text: str) -> Iterator[Slot]:
    found = korean.numbers(text)
    literals = [
        at for at, c in enumerate(pattern.constants)
        if not c.is_string and c.about != "form" and _about(pattern, c.table, c.column).get("role") != "flag"
        and not (c.about == "limit" and c.text == "1")
    ]  # fmt: skip
    ones = any(float(pattern.constants[at].text) == 1 for at in literals)
    first = any(c.about == "limit" and c.text == "1" for c in pattern.constants)
    # 한 번도, 1등: a one that is no literal of the query
    spoken = [number for number in found if number.value != 1 or ones or (number.style == "digits" and not first)]
    free = list(literals)
    pairs = []
    for number in spoken:
        match = next((at for at in free if float(pattern.constants[at].text) == number.value), None)
        if match is None:
            return
        free.remove(match)
        pairs.append((number, match))
    values = [number.value for number in spoken]
    if free or len(set(values)) < len(values):
        return
    for number, at in pairs:
        about = pattern.constants[at].about
        decade = re.match(r"대(?!중)", text[number.end :])
        fillable = (
            about and number.value > (1 if about in ("limit", "aggregate") else 0) and number.style and not decade
        )
        yield Slot("number" if fillable else "fixed", number.start, number.end, [at], number.style)


def _ending(pattern: Pattern, text: str) -> Iterator[Slot]:
    body = text.rstrip(" ?!.~…")
    for ending in grammar()["endings"]:
        match = ending["find"].search(body)
        if match:
            parts = {key: part for key, part in match.groupdict().items() if part}
            # a noun stays outside the slot, so that it can be a slot of its own
            start = match.end("noun") if "noun" in parts else match.start()
            forms = tuple(form.format(**parts | {"noun": ""}) for form in ending["forms"])
            yield Slot("ending", start, len(text), forms=forms, marks=tuple(ending["marks"]))
            break


_VOCABULARIES: dict[int, tuple[dict, dict[str, list[tuple[str, str]]], re.Pattern[str]]] = {}


def _vocabulary(domain: dict) -> tuple[dict[str, list[tuple[str, str]]], re.Pattern[str]]:
    """What each Korean name of a domain may mean, as (table, column or ''), and an expression that finds the names."""
    if id(domain) not in _VOCABULARIES:
        meanings: dict[str, list[tuple[str, str]]] = {}
        for table, about in domain["tables"].items():
            for word in about["korean"]:
                meanings.setdefault(word, []).append((table, ""))
            for column, described in about["columns"].items():
                for word in described.get("korean", ()):
                    meanings.setdefault(word, []).append((table, column))
        words = "|".join(map(re.escape, sorted(meanings, key=lambda word: (-len(word), word))))
        # the domain is kept with its entry, so that its id stays its own
        _VOCABULARIES[id(domain)] = domain, meanings, re.compile(rf"(?<![가-힣A-Za-z0-9\0])(?:{words})")
    return _VOCABULARIES[id(domain)][1:]


def _mentions(pattern: Pattern, text: str) -> Iterator[Slot]:
    """Words for the query's tables and columns, and the 이랑 and 하고 between two of them."""
    rules, tables = grammar(), pattern.domain["tables"]
    shown = list(dict.fromkeys(name.table for name in pattern.names))
    used = {(name.table, name.column) for name in pattern.names}
    meanings, expression = _vocabulary(pattern.domain)
    found = []
    for match in expression.finditer(text):
        if korean.CONTINUES.match(text[match.end() :]):
            found.append((match.start(), match.end(), match.group()))
    counts = {word: sum(other == word for _, _, other in found) for _, _, word in found}
    for index, (start, end, word) in enumerate(found):
        senses = [sense for sense in meanings[word] if sense in used and sense[0] in shown]
        before = found[index - 1] if index else None
        gap = text[before[1] : start] if before else ""
        for consonant, vowel in rules["connectives"]:
            if before and gap in (f"{consonant} ", f"{vowel} "):
                yield Slot("link", before[1], start - 1, forms=tuple("|".join(pair) for pair in rules["connectives"]))
        if len(senses) != 1 or counts[word] > 1 or (len(word) == 1 and word not in rules["short_names"]):
            continue
        table, column = senses[0]
        of = tables[table]["columns"][column] if column else tables[table]
        if not column and any(word == noun or word.startswith(noun + " ") for noun in rules["action_nouns"]):
            continue
        led = before is not None and gap in (" ", "의 ", "")  # 상품 이름 is no 상품 상품명
        led = led or re.sub("의? $", "", text[:start]).endswith(_nouns(pattern.domain))  # 소속팀 이름
        suffixed = re.match(r"별|마다|순", text[end:]) is not None
        described = re.search(r"[른은긴] $", text[:start]) is not None  # 가장 이른 입원일 is no 가장 이른 입원한 날
        names = () if column and led else tuple(
            other for other in of["korean"]
            if (other == word or not rules["records"].search(other) or rules["records"].search(word)) and other not in rules["never_fill"] and other not in rules["action_nouns"] and (len(other) > 1 or other in rules["short_names"])
            and all(sense == (table, column) or sense[0] not in shown for sense in meanings[other])
            and (not column or not _has(word, tables[table]) or _has(other, tables[table]))
            and not ((suffixed or described) and (rules["clause"].search(other) or other.endswith("별")))
        )  # fmt: skip
        once = sum((table, column) in meanings[other] for _, _, other in found) == 1
        others = tuple(_exchangeable(pattern, text, table, column, word, meanings, led)) if column and once else ()
        if [name for name in names if name != word] or others:
            yield Slot(
                "column" if column else "table",
                start,
                end,
                subject=(table, column),
                forms=names or (word,),
                others=others,
            )


def _nouns(domain: dict) -> tuple[str, ...]:
    return tuple(word for table in domain["tables"].values() for word in table["korean"])


def _has(name: str, table: dict) -> bool:
    return any(word in name for word in table["korean"])


def _exchangeable(
    pattern: Pattern, text: str, table: str, column: str, word: str, meanings: dict, led: bool
) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Columns of the same table that can stand for `column` in question and query alike, with their Korean names."""
    rules, columns = grammar(), pattern.domain["tables"][table]["columns"]
    of, sql = columns[column], pattern.row["answer"]
    if re.search(r" (?:UNION|EXCEPT|INTERSECT) ", sql):
        return  # both sides give the same kind of thing
    shown = {name.table for name in pattern.names}
    if any((c.table, c.column) == (table, column) for c in pattern.constants) or of["role"] in (
        "key",
        "reference",
        "flag",
        "label",
    ):
        return
    if (
        sum((name.table, name.column) == (table, column) for name in pattern.names) > 1
        and " GROUP BY " not in sql
        and " ORDER BY " not in sql
    ):
        return
    name = re.escape(column)
    only_shown = not re.search(rf"{name}(?!\w).*?(?<!\w)(?:{name})(?!\w)", sql) and re.match(
        r"SELECT (?:\w+\.)?\w+(?:, (?:\w+\.)?\w+)* FROM", sql) and re.search(rf"^SELECT (?:(?! FROM )[^(])*?\b{name}\b", sql)  # fmt: skip
    if any(len(spoken) > 2 and spoken[:2] in pattern.row["question"].replace(word, "") for spoken in of["korean"]):
        return  # 부임한 순서로 이름과 부임일: the verb is the column's own
    rest = text.replace(word, "")
    ends = "".join(pattern.row["question"][slot.start : slot.end] for slot in pattern.slots if slot.kind == "ending")
    tied = rules["tied"].search(rest + ends)  # 몇 살이야 asks for no mail address
    if rules["places"].search(rest):
        return
    for other, about in columns.items():
        if (
            other == column
            or (table, other) in {(n.table, n.column) for n in pattern.names}
            or about["role"] in ("key", "reference", "flag", "label")
        ):
            continue
        if " IS " in sql and bool(of.get("nullable")) != bool(about.get("nullable")):
            continue
        alike = (
            about["role"] == of["role"] and about.get("kind") == of.get("kind") and about.get("unit") == of.get("unit")
        )
        numbers = (
            about["role"] == of["role"] == "number" and "year" not in (about.get("kind"), of.get("kind")) and not tied
        )
        if not (alike or numbers or (only_shown and not tied)) or (
            (about["role"] in ("date", "datetime")) != (of["role"] in ("date", "datetime")) and tied
        ):
            continue
        names = tuple(
            spoken for spoken in about["korean"]
            if (len(spoken) > 1 or spoken in rules["short_names"]) and spoken not in rules["never_fill"] and spoken not in text
            and all(sense == (table, other) or sense[0] not in shown for sense in meanings[spoken])
            and not rules["clause"].search(spoken) and not (led and any(w in spoken for w in pattern.domain["tables"][table]["korean"]))
        )  # fmt: skip
        if names:
            yield other, names


def _words(pattern: Pattern, text: str) -> Iterator[Slot]:
    for word in grammar()["words"]:
        for match in word["find"].finditer(text):
            yield Slot("word", match.start(), match.end(), forms=tuple(word["forms"]))
