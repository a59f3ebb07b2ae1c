"""Which of a model's candidates to take: the one that leaves least of the question's gloss unsaid.

A small model often drops a condition or a column that the gloss names; the same model's second or third answer has it. So
the candidates are ranked by what they leave out and add, and by how likely the model finds them, in the spirit of the
coverage penalty in machine translation (Wu et al. 2016, arXiv 1609.08144). Nothing is run and the gold is never seen.
"""

from __future__ import annotations

import re

import sqlglot
from sqlglot import exp
from sqlglot.errors import SqlglotError

from recipes.ko_text2sql.focus import LABEL
from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.schema_text import parse_tables
from recipes.ko_text2sql.shorthand import DIALECT, expand

# What a word of the gloss asks of a query: any of these nodes.
ASKS: dict[str, tuple[type[exp.Expression], ...]] = {
    "COUNT": (exp.Count, exp.Sum),
    "SUM": (exp.Sum,),
    "AVG": (exp.Avg,),
    "MAX": (exp.Max, exp.Order),
    "MIN": (exp.Min, exp.Order),
    "per": (exp.Group, exp.Window),
    "most": (exp.Order, exp.Max, exp.Min),
    "order": (exp.Order,),
    "top": (exp.Limit,),
    "never": (exp.Not, exp.Except, exp.Is, exp.EQ),
    "distinct": (exp.Distinct, exp.Group),
    "between": (exp.Between, exp.GTE),
    "or": (exp.Or, exp.In, exp.Union),
    "contains": (exp.Like,),
    "starts": (exp.Like,),
    "ends": (exp.Like,),
    "null": (exp.Null, exp.Not),
    ">": (exp.GT,),
    ">=": (exp.GTE,),
    "<": (exp.LT,),
    "<=": (exp.LTE,),
}
# How much a candidate's likelihood counts, per unit of mean log probability, beside one thing left out.
LIKELIHOOD = 4.0


def choose(row: dict, candidates: list[tuple[str, float]]) -> int:
    """The place of the best of `candidates`, each (text, mean log probability), the likeliest first."""
    gloss = hint(row["question"], row["context"]).split()
    costs = [faults(text, gloss, row["context"]) - LIKELIHOOD * score for text, score in candidates]
    return min(range(len(costs)), key=lambda at: (costs[at], at))


def faults(text: str, gloss: list[str], context: str) -> float:
    """What a query leaves out of the gloss and says without being asked to, weighed; 0 is a query without a fault."""
    tables = parse_tables(context)
    owners = {column for _, own, _ in tables for column in own}
    names = {name for name, _, _ in tables}
    try:
        tree = sqlglot.parse_one(expand(text, context), read=DIALECT)
    except (SqlglotError, RecursionError):
        return 10.0
    used = [column.name for column in tree.find_all(exp.Column)]
    read = {table.name for table in tree.find_all(exp.Table)}
    constants = {literal.name.strip("%") for literal in tree.find_all(exp.Literal)}
    said = " ".join(constants)
    cost = 0.0
    for at, word in enumerate(dict.fromkeys(gloss)):
        following = gloss[at + 1] if at + 1 < len(gloss) else ""
        if word in owners:
            cost += 1.0 if word not in used and word not in read else 0.0
        elif word in names:
            cost += 0.5 if word not in read else 0.0
        elif word in ASKS:
            cost += 0.7 if not tree.find(*ASKS[word]) else 0.0
        elif re.fullmatch(r"\d[\d.,-]*", word):
            counted = word == "1" or (word == "0" and following != "=")
            cost += 0.0 if counted or any(word in constant for constant in constants) else 1.0
        elif re.search("[가-힣]", word) or word.startswith("'"):
            cost += 0.0 if word.strip("'") in said else 0.7
    asked = set(gloss)
    cost += sum(0.6 for column in set(used) if column not in asked and not _comes_by_itself(column))
    # An aggregate beside a bare column without GROUP BY is no query that anyone asks for.
    for select in tree.find_all(exp.Select):
        aggregated = [
            bool(item.find(exp.AggFunc)) and not item.find(exp.Window, exp.Subquery) for item in select.expressions
        ]
        if any(aggregated) and not all(aggregated) and not select.args.get("group"):
            cost += 1.0
    return cost


def _comes_by_itself(column: str) -> bool:
    """Keys, which join, and names, which "who" and "which" ask for."""
    return column == "id" or column.endswith("_id") or bool(LABEL.search(column))
