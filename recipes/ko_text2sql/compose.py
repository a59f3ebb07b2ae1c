"""Questions put together from parts: conditions on a table's rows, and what is asked of them.

    rows = composed_rows(load_domains()["shop"], 40)    # 40 a table: dicts of id, question, answer, shape

`grammar/parts.yaml` holds the parts, each said in several ways; here up to two conditions and one thing asked are drawn for a
table and bound to columns, values and tables beside it, each column once. The rows are then lifted and multiplied as
hand-written ones are (patterns.py, generator.py). What can be combined is what makes variety: a model that has seen two
columns asked for, and rows in an order, has not seen both in one question unless it was shown them.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import date
from functools import lru_cache
from pathlib import Path
from random import Random

import yaml

from recipes.ko_text2sql.paraphrase import DOUBLED, marked
from recipes.ko_text2sql.shapes import PLACE, Binding, candidates, column_named

PARTS = Path(__file__).parent / "grammar" / "parts.yaml"
PREDICATE = re.compile(r"\[(\w+)\]")
NEAR = re.compile(r"(?:가장|제일|1위|최신|<과>).*<T>")  # would be taken to describe the first condition's noun
CONDITIONS = ((0, 0.2), (1, 0.5), (2, 0.3))  # how many conditions, and how often
EITHER = 0.12  # of the questions with two conditions on the table's own columns that mean either of them
TOTALS = ("amount", "price", "count", "duration")  # kinds of numbers that can be added up
TRIES = 30  # parts drawn for a row before a table counts as used up


@lru_cache(maxsize=1)
def parts() -> dict:
    return yaml.safe_load(PARTS.read_text(encoding="utf-8"))


def composed_rows(domain: dict, count: int) -> list[dict]:
    """`count` rows for each table, fewer where so many can't be had, in a fixed order.

    Each has `id`, `question`, `answer` and `shape`: which parts it is made of, whatever they are bound to.
    """
    rows, seen = [], set()
    for table in domain["tables"]:
        dice = Random(f"compose:{domain['name']}:{table}")
        made = 0
        for _ in range(count * TRIES):
            if made == count:
                break
            row = _composed(domain, table, dice)
            if row and not DOUBLED.search(row["question"]) and row["question"] not in seen:
                seen.add(row["question"])
                made += 1
                rows.append({"id": f"{domain['name']}-c-{table}-{made}"} | row)
    return rows


def _composed(domain: dict, table: str, dice: Random) -> dict | None:
    """One question about `table` with its query; None where the parts drawn can't be bound."""
    people = bool(re.search(parts()["people"], domain["tables"][table]["korean"][0]))
    asks = [ask for ask in parts()["asks"] if ask.get("people", people) == people]
    ask = _drawn(asks, dice)
    number = dice.choices([count for count, _ in CONDITIONS], [share for _, share in CONDITIONS])[0]
    conditions = [_drawn(parts()["conditions"], dice) for _ in range(number)]
    if any(condition.get("alone") for condition in conditions) and number > 1:
        return None
    conditions.sort(key=_elsewhere, reverse=True)  # what is the table's own stands next to its name
    meant: dict[str, tuple] = {"t": (table,)}
    bound = []
    for part in (ask, *conditions):
        binding = bound_part(domain, part, meant, dice)
        if binding is None:
            return None
        bound.append(binding)
    either = (
        number == 2
        and not any("join" in part or "IN (" in part["sql"] for part in conditions)
        and dice.random() < EITHER
    )
    said = _described(domain["tables"][table]["korean"][0], conditions, bound[1:], "or" if either else "and", dice)
    if said is None:
        return None
    way = dice.choice([at for at, text in enumerate(ask["say"]) if not (conditions and NEAR.search(text))])
    question = marked(_filled(ask["say"][way], bound[0], 0).replace("<T>", said), [])
    answer = _query(table, ask, conditions, bound, " OR " if either else " AND ")
    shape = "+".join(str(_number(part)) for part in (ask, *conditions)) + ("e" if either else "") + f"-{way}"
    return {"question": re.sub(r"  +", " ", question), "answer": answer, "shape": f"c{shape}"}


def _drawn(choices: list[dict], dice: Random) -> dict:
    return dice.choices(choices, [choice["share"] for choice in choices])[0]


def _number(part: dict) -> int:
    """Where a part stands in the file, as its name in a row's `shape`."""
    return [id(known) for known in parts()["asks"] + parts()["conditions"]].index(id(part))


def bound_part(domain: dict, part: dict, meant: dict[str, tuple], dice: Random) -> Binding | None:
    """One way to bind a part's letters to what no other part means; what it takes is added to `meant`."""
    sorted_by = set(PLACE.findall(part.get("order", "")))

    def bind(wanted: list[tuple[str, str]], own: dict[str, tuple], binding: Binding) -> Binding | None:
        if not wanted:
            if "alike" in part and len({_kind(domain, own[letter]) for letter in part["alike"]}) > 1:
                return None
            # under a name of its own: the next part may use the same letter
            meant.update({f"{len(meant)}:{letter}": thing for letter, thing in own.items() if letter not in meant})
            return binding
        letter, what = wanted[0]
        choices = list(_choices(domain, letter, what, meant | own, dice))
        for thing, named in dice.sample(choices, len(choices)):
            # NULLs come first or last, as the database has it: the question does not say which
            if letter in sorted_by and _column(domain, thing).get("nullable"):
                continue
            done = bind(wanted[1:], own | {letter: thing}, binding | named)
            if done is not None:
                return done
        return None

    table = meant["t"][0]
    return bind(list(part["bind"].items()), {}, {"t": (domain["tables"][table]["korean"][0], table)})


def _column(domain: dict, thing: tuple) -> dict:
    """What the domain says of a column; nothing where `thing` is a table or a value."""
    return domain["tables"][thing[0]]["columns"][thing[1]] if len(thing) == 2 else {}


def _kind(domain: dict, column: tuple[str, str]) -> tuple[str, str]:
    about = _column(domain, column)
    return about.get("kind", ""), about.get("unit", "")


def _choices(
    domain: dict, letter: str, what: str, meant: dict[str, tuple], dice: Random
) -> Iterator[tuple[tuple, Binding]]:
    """What `what` can be bound to: shapes.py's, and what parts.yaml knows besides."""
    of, _, kind = what.partition(".")
    tables = domain["tables"]
    if kind == "child":
        yield from _children(tables, letter, meant[of][0], meant)
    elif kind in ("numeric", "total", "flag"):
        table = meant[of][0]
        for column, about in tables[table]["columns"].items():
            if _fits(about, kind) and (table, column) not in meant.values() and about.get("korean"):
                named = column_named(tables[table], letter, column, dice)
                yield (table, column), named | (_flag_said(letter, about["korean"]) if kind == "flag" else {})
    elif kind in ("start", "end", "part"):
        table, column = meant[of]
        texts = sorted({str(value) for value in tables[table]["columns"][column]["values"]})
        for value in dice.sample(texts, len(texts))[:2]:
            piece = {"start": value[:1], "end": value[-1:], "part": value[-2:]}[kind].strip()
            written = {"start": f"'{piece}%'", "end": f"'%{piece}'", "part": f"'%{piece}%'"}[kind]
            if re.fullmatch(r"[\w가-힣]+", piece) and not piece.isdigit():
                yield (piece,), {letter: (piece, written)}
    elif kind == "month":
        month = str(dice.randint(1, 12))
        yield (f"month {month}",), {letter: (month, month)}
    elif kind == "later":
        table, column = meant[of]
        last = date.fromisoformat(str(tables[table]["columns"][column]["values"][1])[:10])
        earliest = max(
            date.fromisoformat(thing[0]) for thing in meant.values() if re.fullmatch(r"\d{4}-\d\d-\d\d", str(thing[0]))
        )
        if earliest < last:
            day = date.fromordinal(dice.randint(earliest.toordinal() + 1, last.toordinal()))
            yield (day.isoformat(),), {letter: (f"{day.year}년 {day.month}월 {day.day}일", f"'{day}'")}
    else:
        yield from candidates(domain, letter, what, meant["t"][0], meant, dice)


def _fits(about: dict, kind: str) -> bool:
    if kind == "flag":
        return about["role"] == "flag"
    if kind == "total":  # a shirt's number (번) is no quantity
        return about["role"] == "number" and about.get("kind") in TOTALS and about.get("unit") != "번"
    return about["role"] == "number" and about.get("kind") != "year"


def _children(tables: dict, letter: str, table: str, meant: dict[str, tuple]) -> Iterator[tuple[tuple, Binding]]:
    for child, about in tables.items():
        references = [
            (column, described["references"].split(".")[1])
            for column, described in about["columns"].items()
            if described["role"] == "reference" and described["references"].split(".")[0] == table
        ]
        # twice referred to would need words for which is meant; a NULL among them would empty NOT IN
        if len(references) == 1 and child != table and (child,) not in meant.values():
            column, key = references[0]
            if not about["columns"][column].get("nullable"):
                yield (child,), {letter: (about["korean"][0], child), f"{letter}_t": ("", column), "t_key": ("", key)}


def _flag_said(letter: str, names: list[str]) -> Binding:
    """A flag as a condition: 단종 여부 as 단종인 and 단종이 아닌, 지붕 유무 as 지붕이 있는 and 지붕이 없는."""
    thing = re.sub(r" ?(?:여부|유무)$", "", names[0])
    if names[0].endswith("유무"):
        return {f"{letter}_yes": (f"{thing}<이> [있다]", ""), f"{letter}_no": (f"{thing}<이> [없다]", "")}
    return {f"{letter}_yes": (f"{thing}[이다]", ""), f"{letter}_no": (f"{thing}<이> [아니다]", "")}


def _described(noun: str, conditions: list[dict], bound: list[Binding], joined: str, dice: Random) -> str | None:
    """A table's name with its conditions before it, in their order; None where two can't be joined."""
    said = []
    for at, (condition, binding) in enumerate(zip(conditions, bound, strict=True)):
        ways = [_filled(way, binding, 0) for way in condition["say"]]
        last = at == len(conditions) - 1
        # another condition before 서울 지점의 would be taken for the branch's, so only predicates are joined to others
        if not last or (len(conditions) > 1 and _elsewhere(condition)):
            ways = [way for way in ways if PREDICATE.search(way)]
        if not ways:
            return None
        form = "of" if last else joined
        said.append(
            PREDICATE.sub(lambda word, form=form: dice.choice(parts()["predicates"][word[1]][form]), dice.choice(ways))
        )
    return " ".join([*said, noun])


def _elsewhere(condition: dict) -> bool:
    """Whether a condition may speak of another table: it joins one or asks a query of its own."""
    return "join" in condition or "(SELECT" in condition["sql"]


def _filled(text: str, binding: Binding, side: int) -> str:
    """The letters of a part as what they are bound to: side 0 in Korean, 1 in SQL."""
    return PLACE.sub(lambda place: binding[place[1]][side], text)


def _query(table: str, ask: dict, conditions: list[dict], bound: list[Binding], joined: str) -> str:
    where = joined.join(_filled(part["sql"], binding, 1) for part, binding in zip(conditions, bound[1:], strict=True))
    joins: list[str] = []
    for part, binding in zip((ask, *conditions), bound, strict=True):
        if letter := part.get("join"):
            parent, key, reference = (binding[name][1] for name in (letter, f"{letter}_key", f"t_{letter}"))
            join = f" JOIN {parent} ON {table}.{reference} = {parent}.{key}"
            joins += [join] if join not in joins else []
    clause = {
        name: f" {words} {_filled(ask[name], bound[0], 1)}" if name in ask else ""
        for name, words in {"group": "GROUP BY", "having": "HAVING", "order": "ORDER BY", "limit": "LIMIT"}.items()
    }
    select = ("DISTINCT " if ask.get("distinct") else "") + _filled(ask["select"], bound[0], 1)
    if joins and select == "*":
        select = f"{table}.*"
    query = (
        f"SELECT {select} FROM {table}{''.join(joins)}" + (f" WHERE {where}" if where else "")
        + clause["group"] + clause["having"] + clause["order"] + clause["limit"]
    )  # fmt: skip
    return query if joins else re.sub(rf"\b{table}\.(?=\w)", "", query)
