"""Schemas, questions and queries written by a language model: what it is asked, and what of its replies can be used.

The recipe names these functions under `synthesize.steps`; scripts/asking.py says how they are called. They only read:
a query is run by the cleaning, in the judge's sandbox. Prose or a fence around the JSON does no harm.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from random import Random

import sqlglot
from judge.extract import extract_sql
from judge.hardness import hardness
from judge.sql.schema import SchemaError, parse_schema
from sqlglot import exp
from sqlglot.errors import SqlglotError

HERE = Path(__file__).resolve().parent
LONGEST_DDL, LONGEST_QUESTION, LONGEST_QUERY = 8000, 200, 2000  # characters
STYLES = [
    "Table names in the plural, keys named after their table (order_id in orders).",
    "Table names in the singular, the key of each is simply id.",
    "Names as an old company system has them: prefixes such as tb_ or m_, columns such as reg_dt and use_yn.",
    "Some columns have the same name in several tables (name, status, created_at).",
]
LEVELS = {
    "easy": ["one column under one condition", "a count of all rows under one condition", "the largest or smallest value"],
    "medium": [
        "two conditions together", "a count or an average per group", "a join of two tables with a condition",
        "the top few by some number",
    ],
    "hard": [
        "groups with a condition on their count or sum", "a join of three tables", "above the average of all",
        "rows of one table that have none in another",
    ],
    "extra": [
        "a join with groups, a condition on them and an order", "the top one per group", "two kinds of counts side by side",
        "a nested question within a joined one",
    ],
}  # fmt: skip
SHARES = {"easy": 3, "medium": 4, "hard": 2, "extra": 1}
REGISTERS = [
    "polite, ending in -요", "formal, ending in -습니다 or -십시오", "casual, to a friend, ending in -해 or -줘",
    "a noun phrase without a verb, as in a search box", "short and hurried, as a manager writes in a chat",
]  # fmt: skip


# --- what is asked ---------------------------------------------------------------------------------------------------
def schema_places(dice: Random, row: dict) -> dict:
    return {"topic": dice.choice(topics()), "tables": dice.randint(2, 5), "style": dice.choice(STYLES)}


def question_places(dice: Random, row: dict) -> dict:
    levels = dice.choices(list(SHARES), SHARES.values(), k=row["count"])
    kinds = [f"{level}: {dice.choice(LEVELS[level])}; {dice.choice(REGISTERS)}" for level in levels]
    return {"kinds": "\n".join(f"{number}. {kind}" for number, kind in enumerate(kinds, 1))}


@lru_cache
def topics() -> list[str]:
    lines = (HERE / "synthesize-topics.txt").read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line.strip() and not line.startswith("#")]


# --- what is read ----------------------------------------------------------------------------------------------------
def read_schema(reply: str, row: dict) -> list[dict]:
    """The tables, written anew from their syntax trees: comments and whatever stands between them are gone.

    Raises ValueError where a statement is no CREATE TABLE or names something that would need quotes.
    """
    text = wanted(reply, "ddl")
    if len(text) > LONGEST_DDL:
        raise ValueError(f"{len(text)} characters of DDL, at most {LONGEST_DDL} are taken")
    try:
        trees = [tree for tree in sqlglot.parse(text, read="mysql") if tree and not isinstance(tree, exp.Semicolon)]
    except SqlglotError as error:
        raise ValueError(f"no readable DDL: {str(error).splitlines()[0]}") from None
    context = "\n".join(table(tree) for tree in trees)
    try:
        schema = parse_schema(context)
    except SchemaError as error:
        raise ValueError(str(error)) from None
    if len(schema) < 2 or len(schema) < len(trees):
        raise ValueError(f"{len(schema)} different tables, at least two are needed")
    return [{"context": context, "db_id": f"made-{row['id']}"}]


def table(tree: exp.Expression) -> str:
    if not (isinstance(tree, exp.Create) and tree.kind == "TABLE" and isinstance(tree.this, exp.Schema)):
        raise ValueError(f"not a CREATE TABLE: {tree.key.upper()}")
    names = [tree.this.this.name, *(column.name for column in tree.find_all(exp.ColumnDef))]
    odd = [name for name in names if not re.fullmatch(r"[A-Za-z_]\w{0,40}", name, re.ASCII)]
    if odd:
        raise ValueError(f"a name that would need quotes: {odd[0][:40]!r}")
    tree.set("properties", None)
    for about in list(tree.find_all(exp.ColumnConstraint)):
        if isinstance(about.kind, exp.CommentColumnConstraint):
            about.pop()
    return tree.sql(dialect="mysql", pretty=True, comments=False) + ";"


def read_questions(reply: str, row: dict) -> list[str | ValueError]:
    return [question(item) for item in wanted(reply, "questions", list)]


def question(item: object) -> str | ValueError:
    text = item.get("question") if isinstance(item, dict) else item
    text = " ".join(text.split()) if isinstance(text, str) else ""
    if not re.search("[가-힣]", text):
        return ValueError(f"no Korean: {text[:100]!r}")
    if len(text) > LONGEST_QUESTION:
        return ValueError(f"{len(text)} characters, a question has {LONGEST_QUESTION} at most")
    if re.search(r"\bSELECT\b.*\bFROM\b", text, re.I):
        return ValueError(f"a query for a question: {text[:100]!r}")
    return re.sub(r"^\d+[.)]\s*", "", text)


def read_answer(reply: str, row: dict) -> list[dict]:
    """The query as it was written, on one line where that changes nothing. Raises ValueError where there is none."""
    # A query without any JSON will do. Out of broken JSON none is taken: half a query can be one that runs.
    query = None if '"sql"' in reply else extract_sql(reply).sql
    if query is None:
        query = wanted(reply, "sql", (str, type(None)))
    if not query or not query.strip():
        raise ValueError("says that the tables can't answer it")
    query = query.strip().rstrip(";").rstrip()
    if len(query) > LONGEST_QUERY:
        raise ValueError(f"{len(query)} characters of SQL, at most {LONGEST_QUERY} are taken")
    if not re.search(r"--|#|/\*", query):  # a comment ends with its line
        query = re.sub(r"\s*\n\s*", " ", query)
    return [{"answer": query, "hardness": hardness(query)}]


def wanted(reply: str, key: str, kind: type | tuple[type, ...] = str) -> object:
    """The value of `key` in the one JSON object of a reply that has it. Raises ValueError for none, or different ones."""
    found = [value[key] for value in objects(reply) if key in value]
    if not found:
        raise ValueError(f"no JSON with {key}")
    if any(value != found[0] for value in found):
        raise ValueError(f"several JSON objects with different {key}")
    if not isinstance(found[0], kind):
        raise ValueError(f"{key} is {type(found[0]).__name__}")
    return found[0]


def objects(text: str) -> Iterator[dict]:
    """The outermost JSON objects of a text, whatever stands around them."""
    decoder, at = json.JSONDecoder(strict=False), text.find("{")
    while at >= 0:
        try:
            value, at = decoder.raw_decode(text, at)
            yield value
        except ValueError:
            at += 1
        at = text.find("{", at)
