"""Good rows of the task, and the same with one fault planted in each, of a known kind.

    .venv/bin/python -m tests.planted 200 0     # what cleaning finds of 200 of each with seed 0, how many good rows it loses

Every kind but one is meant to be found. `other column` puts another column of the same table in the place of the right
one: that a rule can see only where the query then fails; its share is shown so that nobody takes the rules for more.
"""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from random import Random

import sqlglot
from sqlglot import exp

from recipes.ko_text2sql.domains import HERE, ddl, load_domains, tables_of

MEANT = ("wrong column", "wrong literal", "unparsable", "empty result", "duplicate", "leaked test row")


def hand_written(count: int, seed: int = 0) -> list[dict]:
    """A sample of the hand-written training rows, with the tables that they read and one more."""
    dice, rows = Random(seed), []
    for name, domain in load_domains().items():
        path = HERE / "questions" / f"{name}.jsonl"
        for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else ():
            row = json.loads(line)
            tables = tables_of(row["answer"])
            others = [table for table in domain["tables"] if table not in tables]
            rows.append(
                {
                    "id": row["id"],
                    "context": ddl(domain, tables + dice.sample(others, min(1, len(others)))),
                    "question": row["question"],
                    "answer": row["answer"],
                }
            )
    return dice.sample(rows, count)


def rows_of_the_test() -> list[dict]:
    domain = load_domains()["game"]
    rows = map(json.loads, (HERE / "test_rows.jsonl").read_text(encoding="utf-8").splitlines())
    return [{**row, "context": ddl(domain, row["tables"])} for row in rows]


def planted(kind: str, count: int, rows: list[dict], tests: list[dict], seed: int = 0) -> Iterator[dict]:
    """`count` rows with this fault; ids are `kind-number`, and `made_from` is the good row's id."""
    dice, found = Random(f"{kind}:{seed}"), 0
    source = tests if kind == "leaked test row" else rows
    while found < count:
        row = dice.choice(source)
        changed = FAULTS[kind](row, dice)
        if changed is not None:
            found += 1
            yield {**row, **changed, "id": f"{kind}-{found}", "made_from": row["id"]}


# --- the faults --------------------------------------------------------------------------------------------------------
def wrong_column(row: dict, dice: Random) -> dict | None:
    """A name that the DDL does not have, or has in a table that the query does not read."""
    tree = parsed(row)
    columns = [column for column in tree.find_all(exp.Column) if not isinstance(column.this, exp.Star)]
    if not columns:
        return None
    column = dice.choice(columns)
    own = names(row["context"], tables_of(row["answer"]))
    elsewhere = sorted(names(row["context"]) - own)
    name = column.name
    made_up = [f"{name}_name", f"{name}s", f"total_{name}", name.replace("_", "") + "_no", "customer_age", "full_title"]
    free = [one for one in made_up if one not in names(row["context"])] + elsewhere
    column.set("this", exp.to_identifier(dice.choice(free)))
    return {"answer": tree.sql(dialect="mysql")}


def other_column(row: dict, dice: Random) -> dict | None:
    tree = parsed(row)
    columns = [column for column in tree.find_all(exp.Column) if not isinstance(column.this, exp.Star)]
    if not columns:
        return None
    column = dice.choice(columns)
    tables = [column.table] if column.table else tables_of(row["answer"])
    free = sorted(names(row["context"], tables) - {column.name})
    if not free:
        return None
    column.set("this", exp.to_identifier(dice.choice(free)))
    return {"answer": tree.sql(dialect="mysql")}


def wrong_literal(row: dict, dice: Random) -> dict | None:
    """Any value of the query, flags and limits too, turned into another of its kind."""
    tree = parsed(row)
    literals = list(tree.find_all(exp.Literal))
    if not literals:
        return None
    literal = dice.choice(literals)
    value = literal.name
    if not literal.is_string:
        number = float(value)
        options = [number + 1, number + 3, number * 2, number * 10, max(0, number - 1)] if number > 1 else [1 - number]
        other = dice.choice([option for option in options if option != number])
        new = exp.Literal.number(str(int(other) if other == int(other) else round(other, 2)))
    elif re.match(r"\d{4}-\d\d-\d\d", value):
        year, month, day = int(value[:4]), int(value[5:7]), int(value[8:10])
        moved = dice.choice(
            [(year - 2, month, day), (year, (month + 4) % 12 + 1, day), (year, month, (day + 9) % 28 + 1)]
        )
        new = exp.Literal.string("{:04}-{:02}-{:02}".format(*moved) + value[10:])
    else:
        others = [one for one in all_values() if one != value.strip("%") and not re.match(r"\d{4}-", one)]
        new = exp.Literal.string(value.replace(value.strip("%"), dice.choice(others)))
    literal.replace(new)
    return {"answer": tree.sql(dialect="mysql")}


def unparsable(row: dict, dice: Random) -> dict | None:
    answer = row["answer"]
    return {
        "answer": dice.choice(
            [
                answer[: int(len(answer) * dice.uniform(0.2, 0.5))].rstrip() + " FROM WHERE",
                answer.replace("SELECT", "SELECT (", 1),
                answer.replace(" FROM ", " FROM FROM ", 1),
                answer + " WHERE WHERE",
                answer + " AND (",
                f"{answer.replace('SELECT', 'SELCT', 1)}",
                "죄송하지만 질문에 답할 수 없습니다.",
                f"DELETE FROM {tables_of(answer)[0]}",
                f"{answer} ORDER GROUP BY 1",
            ]
        )
    }


def empty_result(row: dict, dice: Random) -> dict | None:
    tree = parsed(row)
    if not isinstance(tree, exp.Select):
        return None
    table = tree.args["from_"].this
    if not isinstance(table, exp.Table):
        return None
    column = next(iter(sorted(names(row["context"], [table.name]))))
    name = f"{table.alias_or_name}.{column}"
    never = dice.choice([f"{name} > 5 AND {name} < 3", f"{name} IS NULL AND {name} = 7", "1 = 0", f"{name} <> {name}"])
    changed = tree.where(never)
    return (
        None
        if changed.find(exp.LeftJoin if hasattr(exp, "LeftJoin") else exp.Having)
        else {"answer": changed.sql("mysql")}
    )


def duplicate(row: dict, dice: Random) -> dict | None:
    """The row again: to the letter, with another space or sign in the question, or with the query spelt otherwise."""
    question, answer = row["question"], row["answer"]
    way = dice.randrange(4)
    if way == 1:
        question = question.replace(" ", "", 1) if " " in question else question + "?"
    if way == 2:
        question = question.rstrip("?!. ") + dice.choice(["?", "!", "..", " ?"])
    if way == 3:
        answer = sqlglot.parse_one(answer, read="mysql").sql(dialect="mysql", normalize_functions="lower")
        answer = answer.replace("SELECT", "select").replace(" FROM ", "\nfrom ").replace(" WHERE ", "\nwhere ") + ";"
    return {"question": question, "answer": answer}


def leaked(row: dict, dice: Random) -> dict | None:
    """A test row among the training rows: to the letter, a little reworded, on part of its schema, or on a renamed one."""
    question, context, answer = row["question"], row["context"], row["answer"]
    way = dice.randrange(4)
    if way == 1:
        question = re.sub(r"(주세요|줘|알려줘|나요|야)?[?.!]*$", dice.choice([" 부탁해요", "?", " 좀", ""]), question)
    if way == 2:
        context = "\n".join(dice.sample(parts, len(parts))) if len(parts := context.split(";\n")) > 1 else context
        context = context if context.rstrip().endswith(";") else context + ";"
    if way == 3:
        for table in {*tables_of(answer)}:
            context, answer = (re.sub(rf"\b{table}\b", f"tb_{table}", text) for text in (context, answer))
    return {"question": question, "context": context, "answer": answer}


FAULTS: dict[str, Callable[[dict, Random], dict | None]] = {
    "wrong column": wrong_column,
    "wrong literal": wrong_literal,
    "unparsable": unparsable,
    "empty result": empty_result,
    "duplicate": duplicate,
    "leaked test row": leaked,
    "other column": other_column,
}


# --- what they need ----------------------------------------------------------------------------------------------------
def parsed(row: dict) -> exp.Expression:
    return sqlglot.parse_one(row["answer"], read="mysql")


def names(context: str, tables: list[str] | None = None) -> set[str]:
    found: set[str] = set()
    for tree in sqlglot.parse(context, read="mysql"):
        if tree is not None and (tables is None or tree.find(exp.Table).name in tables):
            found |= {column.name for column in tree.find_all(exp.ColumnDef)}
    return found


def all_values() -> list[str]:
    if not _VALUES:
        for domain in load_domains().values():
            for table in domain["tables"].values():
                for column in table["columns"].values():
                    _VALUES.extend(str(v) for v in column.get("values", ()) if isinstance(v, str))
    return _VALUES


_VALUES: list[str] = []


def measure(count: int, seed: int) -> None:
    from recipes.ko_text2sql.cleaning import alike, check
    from recipes.ko_text2sql.rows import make
    from scripts.cleaning import Index, Seen, judge
    from scripts.recipe import Clean

    splits = make(seed=0)
    rows, tests, seen, index = splits["train"], splits["test"], Seen(alike), Index()
    whole = hand_written(len(rows))
    settings = Clean(check="-")
    for row in tests:
        index.add(row, judge(check, row))

    def faults(row: dict) -> list:
        found = judge(check, {key: row[key] for key in ("id", "context", "question", "answer")}, index, settings)
        return found["faults"] or seen.duplicate(row["id"], row)

    lost = [(row, found) for row in rows if (found := faults(row))]
    for row, found in lost:
        print("lost", found[0], row["question"], "|", row["answer"])
    print(f"good rows lost: {len(lost)} of {len(rows)} ({len(lost) / len(rows):.2%})", flush=True)
    for kind in FAULTS:
        made = list(planted(kind, count, rows if kind == "duplicate" else whole, tests, seed))
        missed = [row for row in made if not faults({k: v for k, v in row.items() if k != "made_from"})]
        for row in missed[: 12 if kind in MEANT else 0]:
            print("missed", kind, row["question"], "|", row["answer"])
        print(f"{kind}: {count - len(missed)} of {count} found ({1 - len(missed) / count:.1%})", flush=True)


if __name__ == "__main__":
    measure(int((sys.argv[1:] or ["200"])[0]), int((sys.argv[2:] or ["0"])[0]))
