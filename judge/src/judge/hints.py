"""What the queries of a row ask of the data: values at which a condition turns, columns that must meet, sizes.

Random rows seldom show `<` against `<=` or a missing filter. So each comparison of a column with a constant leaves
values on and beside that constant: `hits` fulfil it, `misses` fail it narrowly (Zhong et al. 2020, arXiv 2010.02840,
fuzz in the same spirit).
"""

from __future__ import annotations

import itertools
import math
import re
import sqlite3
from dataclasses import dataclass, field

from sqlglot import exp

from judge.datehints import LIMITS, near_dates, parts_of_call, parts_of_pattern, whole_dates
from judge.dates import moment
from judge.dialect import to_sqlite
from judge.functions import register
from judge.queries import Place, QueryError, Resolver
from judge.schema import Schema

_OPS = {
    exp.EQ: "=",
    exp.NullSafeEQ: "=",
    exp.Is: "=",
    exp.NEQ: "!=",
    exp.GT: ">",
    exp.GTE: ">=",
    exp.LT: "<",
    exp.LTE: "<=",
}
_FLIPPED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "=", "!=": "!="}
_OPPOSITE = {"<": ">=", "<=": ">", ">": "<=", ">=": "<", "=": "!=", "!=": "="}
_DATE_PARTS = {
    exp.Year: "year", exp.Month: "month", exp.Day: "day", exp.DayOfMonth: "day", exp.Quarter: "quarter",
    exp.Hour: "hour",
    exp.Minute: "hour", exp.DayOfWeek: "other", exp.DayOfYear: "other", exp.Week: "other", exp.WeekOfYear: "other",
    exp.Dayname: "other", exp.Monthname: "other", exp.LastDay: "other", exp.TsOrDsToDate: "date", exp.Date: "date",
    exp.TimeToStr: "format", exp.Extract: "extract", exp.DateDiff: "other", exp.TimestampDiff: "other",
    exp.DateAdd: "other", exp.DateSub: "other",
}  # fmt: skip
_LARGEST_GROUP = 45
_AGGREGATES = (exp.Sum, exp.Avg, exp.Min, exp.Max, exp.Stddev, exp.StddevPop, exp.StddevSamp)


@dataclass
class Hints:
    """Collected over gold and prediction; keys are (table, column) in lower case."""

    hits: dict[Place, list] = field(default_factory=dict)
    misses: dict[Place, list] = field(default_factory=dict)
    kinds: dict[Place, str] = field(default_factory=dict)  # a text column used as a date, an untyped column's kind
    parts: dict[Place, dict[str, tuple[list, list]]] = field(default_factory=dict)  # year, month, day: hits and misses
    lengths: dict[Place, int] = field(default_factory=dict)
    gaps: dict[Place, int] = field(default_factory=dict)  # days that lie between this date and another
    nulls: set[Place] = field(default_factory=set)
    links: list[tuple[Place, Place]] = field(default_factory=list)
    names: set[str] = field(default_factory=set)  # all column names the queries use
    starred: bool = False  # the queries may use any column
    group: int = 0  # rows that a group needs
    grouped: set[Place] = field(default_factory=set)  # columns of GROUP BY
    limit: int = 0


def collect(trees: list[exp.Expression], schema: Schema) -> Hints:
    """Hints of all the queries of one row together, in a fixed order."""
    hints = Hints()
    for tree in trees:
        resolver = Resolver(tree, schema)
        hints.names |= {column.name.lower() for column in tree.find_all(exp.Column)}
        hints.starred |= any(not isinstance(star.parent, exp.Count) for star in tree.find_all(exp.Star))
        for join in tree.find_all(exp.Join):
            if join.args.get("method"):  # NATURAL
                hints.starred = True
            for name in join.args.get("using") or []:
                hints.names.add(name.name.lower())
                _link_same_name(name.name.lower(), resolver, hints)
        for node in tree.walk():
            _visit(node, resolver, hints, schema)
    for place, parts in hints.parts.items():
        kind = schema[place[0]].columns[place[1]].kind
        if kind in ("text", "any"):
            hints.kinds.setdefault(place, "datetime" if "hour" in parts else "date")
        _keep(hints, place, *whole_dates(parts, hints.kinds.get(place, kind)))
    return hints


def _link_same_name(name: str, resolver: Resolver, hints: Hints) -> None:
    tables = [table for table in resolver.everywhere if name in resolver.schema[table].columns]
    hints.links += [((first, name), (second, name)) for first, second in itertools.pairwise(tables)]


def _visit(node: exp.Expression, resolver: Resolver, hints: Hints, schema: Schema) -> None:
    if isinstance(node, exp.Limit | exp.Offset):
        number = node.expression.name if node.expression else ""
        hints.limit += min(int(number), 30) if number.isdigit() else 0
    elif type(node) in _OPS:
        left, right, op = node.this.unnest(), node.expression.unnest(), _OPS[type(node)]
        negated = _negated(node)
        if isinstance(right, exp.Null):
            hints.nulls.update(place for column in left.find_all(exp.Column) for place in resolver.places(column))
            return
        _compare(left, _OPPOSITE[op] if negated else op, right, resolver, hints, schema)
        _compare(right, _OPPOSITE[_FLIPPED[op]] if negated else _FLIPPED[op], left, resolver, hints, schema)
    elif isinstance(node, exp.Group):
        hints.grouped.update(place for item in node.expressions for place in _places(item, resolver))
    elif isinstance(node, exp.Between):
        for op, bound in ((">=", node.args["low"]), ("<=", node.args["high"])):
            _compare(node.this.unnest(), op, bound.unnest(), resolver, hints, schema)
    elif isinstance(node, exp.In):
        op = "!=" if _negated(node) else "="
        for item in node.expressions:
            _compare(node.this.unnest(), op, item.unnest(), resolver, hints, schema)
        query = node.args.get("query")
        if query is not None and isinstance(node.this, exp.Column):
            _link(node.this, query.unnest(), resolver, hints)
    elif isinstance(node, (exp.Like, exp.ILike)):
        _like(node, resolver, hints, schema)
    elif isinstance(node, exp.RegexpLike):
        words = re.findall(r"[^\W_]+(?:[ -]\w+)*", node.expression.name)
        for place in _places(node.this, resolver):
            _keep(hints, place, [w for word in words for w in (word, word + "z", "q" + word)], [w[:-1] for w in words])
    elif isinstance(node, (exp.Intersect, exp.Except)):
        _link_sides(node, resolver, hints)
    elif type(node) in _DATE_PARTS or (
        isinstance(node, exp.Anonymous) and node.name.upper() in ("WEEKDAY", "YEARWEEK", "TO_DAYS")
    ):
        kind = "datetime" if isinstance(node, (exp.Hour, exp.Minute)) else "date"
        for place in _places(node, resolver):
            if schema[place[0]].columns[place[1]].kind in ("text", "any"):
                hints.kinds.setdefault(place, kind)


def _negated(node: exp.Expression) -> bool:
    parent, count = node.parent, 0
    while isinstance(parent, (exp.Not, exp.Paren, exp.And, exp.Or)):
        count += isinstance(parent, exp.Not)
        parent = parent.parent
    return count % 2 == 1


def _places(node: exp.Expression, resolver: Resolver) -> list[Place]:
    columns = [node] if isinstance(node, exp.Column) else list(node.find_all(exp.Column))
    return [place for column in columns for place in resolver.places(column)]


def _link(column: exp.Column, query: exp.Expression, resolver: Resolver, hints: Hints) -> None:
    while isinstance(query, exp.SetOperation):
        query = query.this.unnest()
    if isinstance(query, exp.Select) and query.expressions and isinstance(query.expressions[0].unalias(), exp.Column):
        a, b = resolver.place(column), resolver.place(query.expressions[0].unalias())
        if a and b and a != b:
            hints.links.append((a, b))


def _link_sides(node: exp.SetOperation, resolver: Resolver, hints: Hints) -> None:
    sides = [side.unnest() for side in (node.this, node.expression)]
    if all(isinstance(side, exp.Select) for side in sides):
        for a, b in zip(sides[0].expressions, sides[1].expressions, strict=False):
            if isinstance(a.unalias(), exp.Column) and isinstance(b.unalias(), exp.Column):
                first, second = resolver.place(a.unalias()), resolver.place(b.unalias())
                if first and second and first != second:
                    hints.links.append((first, second))


def _compare(
    left: exp.Expression, op: str, right: exp.Expression, resolver: Resolver, hints: Hints, schema: Schema
) -> None:
    """Take in `left op right` where right is a constant; a column on the right is a link."""
    if isinstance(left, exp.Column) and isinstance(right, exp.Column):
        a, b = resolver.place(left), resolver.place(right)
        if a and b and a != b and (a, b) not in hints.links and (b, a) not in hints.links:
            hints.links.append((a, b))
        return
    if isinstance(left, exp.Column) and isinstance(right, exp.Subquery) and op == "=":
        _link(left, right.unnest(), resolver, hints)
        return
    if right.find(exp.Column, exp.Query) or not left.find(exp.Column, exp.Count):
        return
    value = constant(right)
    if value is None:
        return
    if isinstance(left, exp.Count) and isinstance(value, (int, float)):
        hints.group = max(hints.group, min(int(value) + 1, _LARGEST_GROUP))
        return
    if isinstance(left, exp.Query | exp.Subquery):
        if isinstance(value, (int, float)) and left.find(exp.Count):
            hints.group = max(hints.group, min(int(value) + 1, _LARGEST_GROUP))
        return
    part = _DATE_PARTS.get(type(left))
    for place in _places(left, resolver):
        column = schema[place[0]].columns[place[1]]
        kind = hints.kinds.get(place, column.kind)
        if isinstance(left, (exp.DateDiff, exp.TimestampDiff)) and isinstance(value, (int, float)):
            unit = (left.args.get("unit") or exp.var("DAY")).name.upper()
            hints.gaps[place] = int(
                value * {"DAY": 1, "WEEK": 7, "MONTH": 30.4, "QUARTER": 91.3, "YEAR": 365.25}.get(unit, 0)
            )
        elif isinstance(left, exp.Length) and isinstance(value, (int, float)):
            hints.lengths[place] = int(value)
        elif part in ("year", "month", "day", "quarter", "hour", "format", "extract"):
            _keep_parts(hints, place, parts_of_call(left, part, value), op)
        elif isinstance(left, (exp.Left, exp.Substring)) and isinstance(value, str):
            _keep(hints, place, [value, value + "z"], ["q" + value])
        elif isinstance(left, exp.Right) and isinstance(value, str):
            _keep(hints, place, [value, "z" + value], [value + "q"])
        elif isinstance(left, _AGGREGATES) and isinstance(value, (int, float)):
            near = around(value, op, kind, column.scale)
            share = [int(value / n) if kind == "int" else round(value / n, column.scale) for n in (2, 3)]
            _keep(hints, place, near[0] if not isinstance(left, exp.Sum) else near[0] + share, near[1])
        elif isinstance(left, (exp.Add, exp.Sub, exp.Mul, exp.Div, exp.Mod)) and isinstance(value, (int, float)):
            near = around(value, op, kind, column.scale)
            _keep(hints, place, near[0] + ([int(value) // 2] if kind == "int" else []), near[1])
        else:
            if kind in ("any", "text") and moment(value) and isinstance(value, str):
                hints.kinds.setdefault(place, "datetime" if ":" in value else "date")
            elif kind == "any":
                kind = hints.kinds.setdefault(
                    place, "text" if isinstance(value, str) else "int" if isinstance(value, int) else "real"
                )
            if isinstance(left, (exp.Lower, exp.Upper)) and isinstance(value, str):
                _keep(hints, place, [value, value.title(), value.upper(), value.lower()], [])
            hit, miss = around(value, op, hints.kinds.get(place, kind), column.scale)
            _keep(hints, place, hit, miss)


def _keep(hints: Hints, place: Place, hits: list, misses: list) -> None:
    for store, values in ((hints.hits, hits), (hints.misses, misses)):
        known = store.setdefault(place, [])
        known += [value for value in values if value not in known]


def constant(node: exp.Expression) -> int | float | str | None:
    """The value of an expression without columns, as SQLite computes it; None where it has none."""
    if isinstance(node, exp.Literal):
        if node.is_string:
            return node.name
        return int(node.name) if node.is_int else float(node.name)
    if isinstance(node, exp.Boolean):
        return int(node.this)
    if isinstance(node, exp.Neg) and isinstance(node.this, exp.Literal):
        value = constant(node.this)
        return -value if isinstance(value, (int, float)) else None
    if not node.find(exp.Literal, exp.Func) or node.find(exp.Repeat, exp.Space, exp.Pad, exp.Anonymous):
        return None
    try:
        sql, used = to_sqlite(exp.select(node.copy()), {})
        connection = sqlite3.connect(":memory:")
        register(connection, used)
        connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, 10_000)
        connection.set_authorizer(lambda *_: sqlite3.SQLITE_OK if _[0] in (21, 31) else sqlite3.SQLITE_DENY)
        value = connection.execute(sql).fetchone()[0]
    except (QueryError, sqlite3.Error):
        return None
    return value if isinstance(value, (int, float, str)) else None


def around(value: int | float | str, op: str, kind: str, scale: int = 2) -> tuple[list, list]:
    """(values that fulfil `column op value`, values that narrowly do not), fit for a column of that kind."""
    if kind in ("int", "bool", "year", "real", "any") and isinstance(value, str):
        try:
            value = float(value) if kind == "real" else int(value)
        except ValueError:
            return ([value], []) if kind == "any" else ([], [])
    if kind in ("int", "bool", "year", "real") and isinstance(value, float) and not math.isfinite(value):
        return [], []
    if kind in ("date", "datetime"):
        return _sorted_out(value, op, near_dates(value, kind))
    if kind in ("text", "time"):
        text = str(value)
        return _sorted_out(text, op, [text, *_misspelt(text)] if kind == "text" else [text, "00:00:00", "23:59:59"])
    if kind == "bool":
        return _sorted_out(value, op, [0, 1])
    if kind == "real":
        near = [value, value + 1, value - 1, value + 10**-scale, value - 10**-scale]
        return _sorted_out(value, op, [round(float(v), scale) for v in near])
    if isinstance(value, float):
        return _sorted_out(
            value, op, [math.floor(value) - 1, math.floor(value), math.ceil(value), math.ceil(value) + 1]
        )
    return _sorted_out(value, op, [value, value + 1, value - 1])


def _sorted_out(value: object, op: str, near: list) -> tuple[list, list]:
    tests = {"=": lambda x: x == value, "!=": lambda x: x != value, "<": lambda x: x < value,
             "<=": lambda x: x <= value,
             ">": lambda x: x > value, ">=": lambda x: x >= value}  # fmt: skip
    unique = list(dict.fromkeys(near))
    return [x for x in unique if tests[op](x)], [x for x in unique if not tests[op](x)]


def _misspelt(text: str) -> list[str]:
    other_case = text.lower() if text != text.lower() else text.upper()
    return [v for v in dict.fromkeys((other_case, text + "x", "x" + text, text[:-1])) if v != text and v]


def _like(node: exp.Expression, resolver: Resolver, hints: Hints, schema: Schema) -> None:
    pattern = constant(node.expression) if not node.expression.find(exp.Column) else None
    if not isinstance(pattern, str) or len(pattern) > 200:
        return
    plain = pattern.replace("\\_", "\0")
    fills = [
        plain.replace("%", fill).replace("_", "k").replace("\0", "_").replace("\\", "") for fill in ("", "z", "ab ")
    ]
    core = fills[0]
    beside = [core + "q", "q" + core, "q" + core + "q", core[:-1], core[1:]]
    negated = _negated(node)
    for place in _places(node.this, resolver):
        if hints.kinds.get(place, schema[place[0]].columns[place[1]].kind) in ("date", "datetime"):
            _keep_parts(hints, place, parts_of_pattern(pattern), "!=" if negated else "=")
            continue
        hits, misses = (beside, fills) if negated else (fills, beside)
        _keep(hints, place, [h for h in hits if h], [m for m in misses if m])


def _keep_parts(hints: Hints, place: Place, found: dict[str, int], op: str) -> None:
    """`YEAR(column) op n`, for each part found."""
    for name, number in found.items():
        low, high = LIMITS[name]
        hit, miss = around(number, op, "int")
        store = hints.parts.setdefault(place, {}).setdefault(name, ([], []))
        store[0].extend(n for n in hit if low <= n <= high)
        store[1].extend(n for n in miss if low <= n <= high)
