"""More training rows out of the hand-written ones: a row's pattern with other values, names, numbers and endings.

    rows = generate([lift(row, domain) for row in hand_written], count=5000, seed=0)

`patterns.py` finds what can vary; here it varies. All choices come from random.Random seeded with text, over lists in
a fixed order, so that a seed gives the same rows on any machine.
"""

from __future__ import annotations

import calendar
import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

from recipes.ko_text2sql import korean
from recipes.ko_text2sql.paraphrase import DOUBLED, paraphrase
from recipes.ko_text2sql.patterns import DATE, Pattern, Slot, grammar
from recipes.ko_text2sql.queries import Constant
from scripts.recipe import UserError

# How often a slot is filled anew. Values nearly always, since they teach copying.
FILLED = {
    "value": 0.9,
    "number": 0.85,
    "date": 0.9,
    "column": 0.6,
    "table": 0.5,
    "word": 0.5,
    "link": 0.5,
    "ending": 0.75,
}
EXCHANGED = 0.5  # of the column slots that can take another column
TRIES = 12  # fillings tried before a pattern counts as used up
SHARE = 0.005  # of all generated rows that one pattern may carry


class TooFewRows(UserError, ValueError):
    """The hand-written rows don't give as many as were asked for."""


@dataclass
class Instance:
    """A filled pattern: the question, the query, and what renames the query's identifiers."""

    question: str
    pattern: Pattern
    texts: dict[int, str]
    columns: dict[tuple[str, str], str]

    def sql(self, renamed: dict[tuple[str, str], str] | None = None) -> str:
        """The query. `renamed`: (table, column) or (table, '') to another identifier."""
        edits = [
            (self.pattern.constants[at].start, self.pattern.constants[at].end, text) for at, text in self.texts.items()
        ]
        for name in self.pattern.names:
            column = self.columns.get((name.table, name.column), name.column)
            edits.append((name.start, name.end, (renamed or {}).get((name.table, column), column or name.table)))
        query = self.pattern.row["answer"]
        for start, end, text in sorted(edits, reverse=True):
            query = query[:start] + text + query[end:]
        return query

    def used(self) -> set[tuple[str, str]]:
        """The (table, column) pairs that the query reads; a table alone is (table, '')."""
        return {(name.table, self.columns.get((name.table, name.column), name.column)) for name in self.pattern.names}


def generate(patterns: list[Pattern], count: int, seed: int) -> list[Instance]:
    """`stream` as a list."""
    return list(stream(patterns, count, seed))


def stream(patterns: list[Pattern], count: int, seed: int, rephrased: bool = True) -> Iterator[Instance]:
    """`count` instances, no question twice and none that only repeats its pattern's; patterns take turns.

    rephrased: the whole question may be said otherwise, by paraphrase.py. With 1,000 instances or more no pattern carries over SHARE of them. Nor does a sentence
    of shapes.py, over all tables and domains together. Raises TooFewRows where the patterns don't give so many.
    """
    dice = Random(f"generate:{seed}")
    seen = {plain(pattern.row["question"]) for pattern in patterns}
    limit = max(1, int(count * SHARE)) if count >= 1000 else count
    open_patterns = [pattern for pattern in patterns if any(slot.kind != "fixed" for slot in pattern.slots)]
    made = 0
    said: dict[str | None, int] = {}
    for _ in range(limit):
        dice.shuffle(open_patterns)
        still_open = []
        for pattern in open_patterns:
            if made == count:
                return
            sentence = pattern.row.get("shape")
            if sentence and said.get(sentence, 0) >= limit:
                continue
            instance = _new(pattern, dice, seen, rephrased)
            if instance is not None:
                seen.add(plain(instance.question))
                said[sentence] = said.get(sentence, 0) + 1
                made += 1
                yield instance
                still_open.append(pattern)
        open_patterns = still_open
    if made < count:
        raise TooFewRows(
            f"{len(patterns)} hand-written rows give {made} generated ones, {count} were asked for: "
            "write more questions, or lower data.train_rows in the recipe"
        )


def _new(pattern: Pattern, dice: Random, seen: set[str], rephrased: bool) -> Instance | None:
    for _ in range(TRIES):
        instance = fill(pattern, dice, rephrased)
        if instance is not None and plain(instance.question) not in seen:
            return instance
    return None


def plain(question: str) -> str:
    """A question without what makes no new row: spaces, marks and capitals."""
    return re.sub(r"[\W_]", "", question.casefold())


def as_written(pattern: Pattern) -> Instance:
    """The hand-written row itself, for the changes of the schema alone."""
    return Instance(pattern.row["question"], pattern, {}, {})


def fill(pattern: Pattern, dice: Random, rephrased: bool = True) -> Instance | None:
    """One random filling; None where the choices contradict each other. rephrased: the whole said otherwise too."""
    new: dict[int, str] = {}
    texts: dict[int, str] = {}
    columns: dict[tuple[str, str], str] = {}
    chosen = [
        (at, slot) for at, slot in enumerate(pattern.slots) if slot.kind in FILLED and dice.random() < FILLED[slot.kind]
    ]
    strings = {constant.text for constant in pattern.constants if constant.is_string}
    for at, slot in chosen:
        if slot.kind == "value":
            value = _value(pattern, slot, strings, dice)
            if value is not None:
                strings.add(value)
                new[at], texts[slot.constants[0]] = value, "'" + value.replace("'", "''") + "'"
        elif slot.kind == "column" and slot.others and dice.random() < EXCHANGED:
            free = [(other, names) for other, names in slot.others if other not in columns.values()]
            if free:
                other, names = dice.choice(free)
                columns[slot.subject], new[at] = other, dice.choice(names)
        elif slot.kind in ("column", "table", "word"):
            new[at] = dice.choice(slot.forms)
    for group in _groups(pattern):
        _fill_group(pattern, group, dice, new, texts)
    wanted = {at for at, _ in chosen}
    question = _render(pattern, new, wanted, dice)
    values = [texts[at].strip("'") if at in texts else c.text for at, c in enumerate(pattern.constants) if c.is_string]
    values = [value.strip("%_") for value in values if not DATE.fullmatch(value)]  # a date may be written otherwise
    if rephrased:
        question = paraphrase(question, pattern.row["answer"], pattern.domain, values, dice)
    if DOUBLED.search(question) and not DOUBLED.search(pattern.row["question"]):
        return None
    # a word for two things at once would make the question ambiguous
    if len(set(new.values())) < len(new) and any(pattern.slots[at].kind == "column" for at in new):
        return None
    return Instance(question, pattern, texts, columns)


def _render(pattern: Pattern, new: dict[int, str], wanted: set[int], dice: Random) -> str:
    question, out, at, before = pattern.row["question"], "", 0, ("", "")
    for index, slot in enumerate(pattern.slots):
        out += _after(question[at : slot.start], before)
        old = question[slot.start : slot.end]
        text = new.get(index, old)
        if slot.kind == "link":
            pair = dice.choice(slot.forms) if index in wanted else next(f for f in slot.forms if old in f.split("|"))
            text = korean.particle(out, tuple(pair.split("|")))
        elif slot.kind == "ending":
            text = _ending(out, slot, dice) if index in wanted else _after(old, before) if at == slot.start else old
        out += text
        before = (old, text) if slot.kind not in ("ending", "link") else ("", "")
        at = slot.end
    return re.sub(r"  +", " ", out + _after(question[at:], before)).strip()


def _after(text: str, before: tuple[str, str]) -> str:
    old, new = before
    return korean.refit(old, new, text) if old and old != new else text


def _ending(before: str, slot: Slot, dice: Random) -> str:
    form = dice.choice(slot.forms)
    for pair in korean.PAIRS:
        for written in pair:
            if f"<{written}>" in form:
                form = form.replace(f"<{written}>", korean.particle(before, pair))
    lead, mark, tail = form.partition("(이)")
    form = lead + korean.copula(before + lead, mark + tail)
    marks = slot.marks
    if form.endswith("?"):
        return form
    if re.search(r"(줘|주세요|궁금해요|궁금합니다|싶습니다|싶어요)$", form):
        marks = tuple(mark for mark in marks if mark != "?") or ("",)
    elif re.search(r"(까요|나요|[줄실]래요?|까|있어|겠어요)$", form):
        marks = ("?", "?", "")
    return form + dice.choice(marks)


def _value(pattern: Pattern, slot: Slot, strings: set[str], dice: Random) -> str | None:
    constant = pattern.constants[slot.constants[0]]
    question = pattern.row["question"]
    of = {f"{c.table}.{c.column}" for c in pattern.constants if c.is_string}
    if any(
        f"{constant.table}.{constant.column}" in group and of & (set(group) - {f"{constant.table}.{constant.column}"})
        for group in grammar()["dependent"]
    ):
        return None
    after = re.match(r"\s?([가-힣]+)", question[slot.end :])
    before = re.search(r"([가-힣]+)\s?$", question[: slot.start])
    pool = [str(value) for value in pattern.domain["tables"][constant.table]["columns"][constant.column]["values"]]
    free = [
        value for value in pool
        # 국가장학금 장학금, 내과 과: said twice; and a value that holds another would be read two ways
        if value not in strings and not (after and (value.endswith(after.group(1)[:2]) or value.endswith(after.group(1))))
        and not (before and value.startswith(before.group(1))) and value not in question
        and not (question.startswith("들", slot.end) and value in grammar()["not_people"])
    ]  # fmt: skip
    return dice.choice(free) if free else None


# --- numbers and dates ---------------------------------------------------------------------------------------------
def _groups(pattern: Pattern) -> Iterator[list[int]]:
    """Slots of numbers or dates that limit the same thing, so that their order can be kept."""
    groups: dict[tuple, list[int]] = {}
    for at, slot in enumerate(pattern.slots):
        if slot.kind in ("number", "date"):
            constant = pattern.constants[slot.constants[0]]
            groups.setdefault((constant.table, constant.column, constant.about), []).append(at)
    # Where one bound can't be filled (4만 6천), the other stays too: their order would be left to chance.
    fixed = [pattern.constants[at] for slot in pattern.slots if slot.kind == "fixed" for at in slot.constants]
    kept = {(constant.table, constant.column, constant.about) for constant in fixed if not constant.is_string}
    yield from (group for key, group in groups.items() if key not in kept)


def _fill_group(pattern: Pattern, group: list[int], dice: Random, new: dict[int, str], texts: dict[int, str]) -> None:
    slots = [pattern.slots[at] for at in group]
    constants = [pattern.constants[slot.constants[0]] for slot in slots]
    kind = slots[0].kind
    if dice.random() >= FILLED[kind] or any(slot.kind != kind for slot in slots):
        return
    as_value = (lambda text: text) if kind == "date" else float
    olds = [as_value(constant.text) for constant in constants]
    drawn: list = []
    for constant, slot in zip(constants, slots, strict=True):
        choices = _dates(pattern, constant, dice) if kind == "date" else _numbers(pattern, constant, slot.style)
        choices = [choice for choice in choices if choice not in drawn]
        if not choices:
            return
        drawn.append(dice.choice(choices))
    order = sorted(olds)
    ranked = sorted(drawn)
    for at, slot, old in zip(group, slots, olds, strict=True):
        value = ranked[order.index(old)]
        if kind == "date":
            spelled, written = _spell_date(value, slot.style), f"'{value}'"
        else:
            spelled, written = korean.spell(value, slot.style), korean.spell(value, "digits")
        if spelled is None:
            return
        new[at], texts[slot.constants[0]] = spelled, written


def _numbers(pattern: Pattern, constant: Constant, style: str) -> list[float]:
    old = float(constant.text)
    about = pattern.domain["tables"][constant.table]["columns"][constant.column] if constant.column else {}
    low, high = (about.get("values") or [0, 10**12])[:2] if about.get("role") == "number" else (0, 10**12)
    if constant.about == "limit" or (constant.about == "aggregate" and not constant.column and old <= 10):
        values: list[float] = list(range(2, 11 if constant.about == "limit" else max(4, int(old) + 2)))
    elif constant.about == "year":
        values = list(range(int(str(about["values"][0])[:4]), int(str(about["values"][1])[:4]) + 1))
    elif constant.about == "month":
        values = list(range(1, 13))
    elif about.get("role") in ("key", "reference"):
        values = list(range(2, 60))
    elif about.get("role") in ("label", "category", "text"):
        return []
    elif old != int(old) or constant.text.endswith(".0"):
        values = [round(low + step * 0.1, 1) for step in range(1, int((high - low) * 10))]
        values = [value for value in values if value != int(value)] if old != int(old) else values
    else:
        step = 1
        while old and old % (step * 10) == 0:
            step *= 10
        if old and about.get("kind") == "year":
            step = min(step, 10)
            values = list(range(int(low) // step * step, int(high) + 1, step))
        else:
            # a count that is seldom reached would make the answer empty
            most = old if constant.about == "aggregate" and not about and old <= 1000 else old * 6
            values = [multiple * step for multiple in range(1, 100) if old / 6 <= multiple * step <= most]
    inside = [value for value in values if low <= value <= high and not (constant.strict and value in (low, high))]
    return [value for value in inside if value != old and korean.spell(value, style) is not None]


def _dates(pattern: Pattern, constant: Constant, dice: Random) -> list[str]:
    about = pattern.domain["tables"][constant.table]["columns"][constant.column]
    if about["role"] not in ("date", "datetime"):
        return []
    first, last = (date.fromisoformat(str(value)[:10]) for value in about["values"])
    old = date.fromisoformat(constant.text)
    found = []
    for _ in range(4):
        day = first + timedelta(days=dice.randrange(1, max(2, (last - first).days)))
        length = calendar.monthrange(day.year, day.month)[1]
        if old.day == 1:
            day = day.replace(day=1)
        elif old.day == calendar.monthrange(old.year, old.month)[1]:
            day = day.replace(day=length)
        if first <= day <= last:
            found.append(day.isoformat())
    return found


def _spell_date(iso: str, style: str) -> str:
    year, month, day = iso.split("-")
    return iso if style == "iso" else f"{year}년 {int(month)}월 {int(day)}일"
