"""MySQL compares a text literal as the type beside it; SQLite compares it as text. So it is rewritten beforehand."""

from __future__ import annotations

import re
from datetime import time

from sqlglot import exp

from judge.sql.dates import moment
from judge.sql.queries import Resolver
from judge.sql.schema import Schema

_NUMERIC = (
    exp.Year, exp.Month, exp.Day, exp.DayOfMonth, exp.Quarter, exp.Week, exp.DayOfWeek, exp.DayOfYear,
    exp.Hour, exp.Minute, exp.Second, exp.Extract, exp.Count, exp.Sum, exp.Avg, exp.Length, exp.DateDiff,
    exp.TimestampDiff, exp.Round, exp.Abs,
    exp.Mod, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Floor, exp.Ceil,
)  # fmt: skip


def settle_literals(node: exp.Expression, resolver: Resolver, schema: Schema) -> None:
    """Write a text literal the way the value beside it is stored: '5' beside COUNT(*), '2024-3-1' beside a DATE."""
    if isinstance(node, exp.Between):
        sides = [(node.this, node.args["low"]), (node.this, node.args["high"])]
    elif isinstance(node, exp.In):
        sides = [(node.this, item) for item in node.expressions]
    elif isinstance(node, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ)):
        sides = [(node.this, node.expression), (node.expression, node.this)]
    else:
        return
    for value, literal in sides:
        value = value.unnest()
        if not isinstance(literal, exp.Literal) or not literal.is_string:
            continue
        if isinstance(value, _NUMERIC) and re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", literal.name):
            literal.replace(exp.Literal.number(literal.name.strip()))
        elif isinstance(value, exp.Column):
            place = resolver.place(value)
            _settle_date(literal, schema[place[0]].columns[place[1]].kind if place else "")
        elif isinstance(value, (exp.TsOrDsToDate, exp.Date, exp.CurrentDate, exp.LastDay)):
            _settle_date(literal, "date")


def _settle_date(literal: exp.Literal, kind: str) -> None:
    when = moment(literal.name) if kind in ("date", "datetime") else None
    if when is None:
        return
    midnight = when.time() == time.min
    text = when.date().isoformat() if kind == "date" and midnight else when.isoformat(sep=" ", timespec="seconds")
    literal.replace(exp.Literal.string(text))
