"""MySQL compares two values as the type of one of them, SQLite as they are written: so they are rewritten.

Literals are written as what stands beside them is stored. What is no literal is wrapped in a conversion, which
`judge.sql.dialect` then writes as one of our functions.
"""

from __future__ import annotations

import re
from datetime import time

from sqlglot import exp

from judge.sql.dates import clock, moment
from judge.sql.queries import Resolver
from judge.sql.schema import Schema

_NUMERIC = (
    exp.Year, exp.Month, exp.Day, exp.DayOfMonth, exp.Quarter, exp.Week, exp.WeekOfYear, exp.DayOfWeek, exp.DayOfYear,
    exp.Hour, exp.Minute, exp.Second, exp.Extract, exp.Count, exp.Sum, exp.Avg, exp.Length, exp.DateDiff,
    exp.TimestampDiff, exp.Round, exp.Abs, exp.Trunc, exp.Sign, exp.Sqrt, exp.Pow, exp.StrPosition,
    exp.Mod, exp.Add, exp.Sub, exp.Mul, exp.Div, exp.IntDiv, exp.Floor, exp.Ceil, exp.Neg, exp.Boolean,
)  # fmt: skip
_TEXTUAL = (
    exp.TimeToStr, exp.Left, exp.Right, exp.Substring, exp.SubstringIndex, exp.Concat, exp.ConcatWs, exp.Trim,
    exp.Lower, exp.Upper, exp.Replace, exp.Pad, exp.Reverse, exp.Repeat, exp.GroupConcat, exp.Dayname, exp.Monthname,
)  # fmt: skip
_DATES = (exp.TsOrDsToDate, exp.Date, exp.CurrentDate, exp.UtcDate, exp.LastDay, exp.StrToDate)
_MOMENTS = (
    exp.CurrentTimestamp, exp.Localtime, exp.Localtimestamp, exp.UtcTimestamp, exp.Timestamp, exp.TsOrDsToTimestamp,
    exp.StrToTime,
)  # fmt: skip
_CLOCKS = (exp.Time, exp.CurrentTime)
_SHIFTS = (exp.DateAdd, exp.DateSub, exp.TsOrDsAdd, exp.TimestampAdd)
_NAMED = {
    "NOW": "datetime", "SYSDATE": "datetime", "LOCALTIMESTAMP": "datetime", "CURTIME": "time", "MAKEDATE": "date",
    "MID": "text", "WEEKDAY": "number", "YEARWEEK": "number", "UNIX_TIMESTAMP": "number", "TO_DAYS": "number",
    "FIELD": "number", "FIND_IN_SET": "number",
}  # fmt: skip
_STORED = {"int": "number", "bool": "number", "year": "number", "real": "number"}  # by the kind of a column
_DEEPEST = 8


def settle_sides(node: exp.Expression, resolver: Resolver, schema: Schema) -> None:
    """Make what a comparison, IN or BETWEEN sets side by side comparable as text or number, as MySQL compares it.

    - Beside a DATE or DATETIME, literals are written as it is stored, and a date beside a moment becomes its midnight.
    - Beside a TIME, literals are written HH:MM:SS.
    - A text beside a number counts as the number it begins with; two plain columns are left to SQLite's own rules.
    """
    if isinstance(node, exp.Between):
        sides = [node.this, node.args["low"], node.args["high"]]
    elif isinstance(node, exp.In):
        sides = [node.this, *node.expressions]
    elif isinstance(node, (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.NullSafeEQ)):
        sides = [node.this, node.expression]
    else:
        return
    kinds = _Kinds(resolver, schema)
    found = [(side, kinds.of(side)) for side in map(_in_brackets, sides)]
    stored = {kind for side, kind in found if not isinstance(side, exp.Literal)}
    if stored & {"date", "datetime"}:
        _as_dates(found, "datetime" if "datetime" in stored else "date")
    elif "time" in stored:
        for side, _ in found:
            if isinstance(side, exp.Literal) and (text := clock(side.name)):
                side.replace(exp.Literal.string(text))
    else:
        _as_numbers(found)


def _in_brackets(node: exp.Expression) -> exp.Expression:
    """Without brackets; a subquery keeps its own, which `unnest` would take away."""
    while type(node) is exp.Paren:
        node = node.this
    return node


def _as_dates(found: list[tuple[exp.Expression, str]], kind: str) -> None:
    for side, own in found:
        if isinstance(side, exp.Literal):
            _settle_date(side, kind)
        elif own == "date" and kind == "datetime":
            _wrap(side, exp.TsOrDsToTimestamp())


def _settle_date(literal: exp.Literal, kind: str) -> None:
    if not literal.is_string and not re.fullmatch(r"\d{8}|\d{14}", literal.name):
        return
    when = moment(literal.name)
    if when is None:
        return
    midnight = when.time() == time.min
    text = when.date().isoformat() if kind == "date" and midnight else when.isoformat(sep=" ", timespec="seconds")
    literal.replace(exp.Literal.string(text))


def _as_numbers(found: list[tuple[exp.Expression, str]]) -> None:
    numbers = [side for side, kind in found if kind == "number"]
    texts = [side for side, kind in found if kind == "text" and not isinstance(side, exp.Literal)]
    words = [side for side, _ in found if isinstance(side, exp.Literal) and side.is_string]
    if texts and numbers and not words:
        if not all(isinstance(side, exp.Column) for side in numbers + texts):
            for text in texts:
                _wrap(text, exp.Cast(to=exp.DataType.build("DOUBLE")))
    elif any(not isinstance(side, (exp.Column, exp.Literal)) for side in numbers):
        for word in words:
            if re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", word.name):
                word.replace(exp.Literal.number(word.name.strip()))


def _wrap(node: exp.Expression, wrapper: exp.Expression) -> None:
    """The node itself goes into the wrapper, no copy: what is inside it may be settled later."""
    node.replace(wrapper)
    wrapper.set("this", node)


class _Kinds:
    """What kind of value an expression gives: 'number', 'text', 'date', 'datetime', 'time', or '' where it is unsure."""

    def __init__(self, resolver: Resolver, schema: Schema) -> None:
        self.resolver, self.schema = resolver, schema

    def of(self, node: exp.Expression | None, depth: int = 0) -> str:
        if node is None or depth > _DEEPEST:
            return ""
        if isinstance(node, (exp.Paren, exp.Min, exp.Max, exp.AnyValue, exp.Window, exp.Nullif, exp.Alias)):
            return self.of(node.this, depth + 1)
        if isinstance(node, exp.Column):
            return self._of_column(node, depth)
        if isinstance(node, exp.Literal):
            return "text" if node.is_string else "number"
        if isinstance(node, exp.Cast):
            return _of_type(node.to)
        if isinstance(node, (exp.Coalesce, exp.Greatest, exp.Least)):
            return self._of_all([node.this, *node.expressions], depth)
        if isinstance(node, exp.If):
            return self._of_all([node.args.get("true"), node.args.get("false")], depth)
        if isinstance(node, exp.Case):
            results = [branch.args["true"] for branch in node.args["ifs"]]
            return self._of_all([*results, node.args.get("default")], depth)
        if isinstance(node, exp.Query):
            return self._of_query(node, depth)
        moved = _shifted(node)
        if moved:
            return self._of_shift(*moved, depth)
        if isinstance(node, exp.Anonymous):
            return _NAMED.get(node.name.upper(), "")
        if isinstance(node, exp.UnixToTime):
            return "text" if node.args.get("format") else "datetime"
        groups = {"date": _DATES, "datetime": _MOMENTS, "time": _CLOCKS, "number": _NUMERIC, "text": _TEXTUAL}
        return next((kind for kind, types in groups.items() if isinstance(node, types)), "")

    def _of_column(self, node: exp.Column, depth: int) -> str:
        place = self.resolver.place(node)
        if place:
            column = self.schema[place[0]].columns[place[1]]
            if column.choices and column.kind == "text":
                return ""  # beside a number an ENUM counts by the place of its member
            return _STORED.get(column.kind, column.kind if column.kind != "any" else "")
        return self.of(self.resolver.meaning(node), depth + 1)

    def _of_query(self, node: exp.Expression, depth: int) -> str:
        outputs = _outputs(node)
        return self.of(outputs[0], depth + 1) if len(outputs) == 1 and not outputs[0].is_star else ""

    def _of_all(self, nodes: list[exp.Expression | None], depth: int) -> str:
        """The kind of a choice between values: theirs, if it is one and the same."""
        kinds = {self.of(node, depth + 1) for node in nodes if node is not None and not isinstance(node, exp.Null)}
        return kinds.pop() if len(kinds) == 1 else ""

    def _of_shift(self, date: exp.Expression, unit: str, depth: int) -> str:
        if isinstance(date, exp.Literal):
            if moment(date.name) is None:
                return ""
            kind = "datetime" if ":" in date.name else "date"
        else:
            kind = self.of(date, depth + 1)
        if kind == "date" and unit in ("SECOND", "MINUTE", "HOUR"):
            return "datetime"
        return kind if kind in ("date", "datetime") else ""


def _outputs(query: exp.Expression) -> list[exp.Expression]:
    while isinstance(query, (exp.SetOperation, exp.Subquery)):
        query = query.this
    return query.expressions if isinstance(query, exp.Select) else []


def _shifted(node: exp.Expression) -> tuple[exp.Expression, str] | None:
    """(date, unit) of DATE_ADD and its kin, and of `date + INTERVAL n unit`."""
    if isinstance(node, _SHIFTS):
        return node.this, _unit(node)
    if isinstance(node, (exp.Add, exp.Sub)):
        for date, amount in ((node.this, node.expression), (node.expression, node.this)):
            if isinstance(amount, exp.Interval):
                return date, _unit(amount)
    if isinstance(node, exp.Anonymous) and node.name.upper() in ("ADDDATE", "SUBDATE") and len(node.expressions) == 2:
        date, amount = node.expressions
        return date, _unit(amount) if isinstance(amount, exp.Interval) else "DAY"
    return None


def _unit(node: exp.Expression) -> str:
    unit = node.args.get("unit")
    return unit.name.upper() if unit is not None else "DAY"


def _of_type(type_: exp.DataType) -> str:
    name = type_.this.name if isinstance(type_.this, exp.DType) else str(type_.this)
    if name == "DATE":
        return "date"
    if name.startswith(("DATETIME", "TIMESTAMP")):
        return "datetime"
    if name == "TIME":
        return "time"
    if "INT" in name or name in ("DECIMAL", "FLOAT", "DOUBLE"):
        return "number"
    return "text" if name in ("CHAR", "NCHAR", "VARCHAR", "TEXT") else ""
