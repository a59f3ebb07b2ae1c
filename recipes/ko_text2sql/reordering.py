"""The words of a question in the order in which a query says them, with names and dates made whole."""

from __future__ import annotations

import re
from dataclasses import replace

from .identifiers import HOUSES
from .words import Entry, Item

BOUNDS = {
    "최소": ">=", "최소한": ">=", "적어도": ">=", "못해도": ">=", "최대": "<=", "최대한": "<=", "많아야": "<=", "기껏해야": "<=",
}  # fmt: skip


def named(items: list[Item]) -> list[Item]:
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


def negated(items: list[Item]) -> list[Item]:
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


def bounded(items: list[Item]) -> list[Item]:
    """`최소 3개` and `적어도 3개` in the order of `3개 이상`."""
    items = list(items)
    for at in range(len(items) - 1):
        word, number = items[at], items[at + 1]
        if word.entry and number.kind == "number" and word.text in BOUNDS:
            items[at], items[at + 1] = number, replace(word, entry=replace(word.entry, glosses=(BOUNDS[word.text],)))
    return items


def dated(items: list[Item], question: str) -> list[Item]:
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


def ranged(items: list[Item], question: str) -> list[Item]:
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
