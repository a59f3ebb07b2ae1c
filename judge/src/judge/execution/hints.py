"""What the queries of a row ask of the data: values at which a condition turns, columns that must meet, sizes.

Random rows seldom show `<` against `<=` or a missing filter. So each comparison of a column with a constant leaves
values on and beside that constant: `hits` fulfil it, `misses` fail it narrowly (Zhong et al. 2020, arXiv 2010.02840,
fuzz in the same spirit).
"""

from __future__ import annotations

import itertools
import re
from dataclasses import dataclass, field

from sqlglot import exp

from judge.execution.constants import around, constant
from judge.execution.datehints import LIMITS, parts_of_call, parts_of_pattern, whole_dates
from judge.execution.ties import Tie, interval, number_textures, place_of, textures, ties_of
from judge.sql.dates import moment, shift
from judge.sql.queries import Place, Resolver, scalar_subqueries
from judge.sql.schema import Schema

_OPS = {
    exp.EQ: "=", exp.NullSafeEQ: "=", exp.Is: "=", exp.NEQ: "!=", exp.GT: ">", exp.GTE: ">=", exp.LT: "<", exp.LTE: "<=",
}  # fmt: skip
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
_OF_TEXT = (
    exp.Lower, exp.Upper, exp.Trim, exp.Length, exp.Left, exp.Right, exp.Substring, exp.Reverse, exp.Replace,
    exp.SubstringIndex, exp.StrPosition,
)  # fmt: skip
_OF_NUMBER = (
    exp.Abs, exp.Sign, exp.Trunc, exp.Round, exp.Greatest, exp.Least,
)  # fmt: skip
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
    ties: list[Tie] = field(default_factory=list)  # what two columns of one row are to each other
    textures: dict[Place, list] = field(default_factory=dict)  # texts and numbers that show what a function does
    patterns: dict[Place, list[str]] = field(default_factory=dict)  # what LIKE looks for, without its signs
    single: set[Place] = field(default_factory=set)  # a value stands in one row only, at times: it is looked up by it
    few: set[str] = field(default_factory=set)  # tables of which a query asks for all rows: at times only one or two
    names: set[str] = field(default_factory=set)  # all column names the queries use
    starred: bool = False  # the queries may use any column
    group: int = 0  # rows that a group needs
    grouped: set[Place] = field(default_factory=set)  # columns of GROUP BY
    limit: int = 0

    def fingerprint(self) -> str:
        """Equal where the same instances would be made."""
        return repr([sorted(part) if isinstance(part, set) else part for part in vars(self).values()])


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
        for select in scalar_subqueries(tree):
            tests = select.args["where"].find_all(exp.EQ) if select.args.get("where") else []
            columns = [side for test in tests for side in (test.this, test.expression) if isinstance(side, exp.Column)]
            hints.single.update(place for column in columns if (place := resolver.place(column)))
        for node in tree.walk():
            _visit(node, resolver, hints, schema)
    for place, cores in hints.patterns.items():  # two patterns on one column: texts that hold both, in either order
        for a, b in list(itertools.permutations(cores, 2))[:6]:
            _keep(hints, place, [a + b, f"{a} {b}"], [])
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
        _for_all(left, right, hints)
        if isinstance(right, exp.Null):
            hints.nulls.update(place for column in left.find_all(exp.Column) for place in resolver.places(column))
            return
        _compare(left, _OPPOSITE[op] if negated else op, right, resolver, hints, schema)
        _compare(right, _OPPOSITE[_FLIPPED[op]] if negated else _FLIPPED[op], left, resolver, hints, schema)
    elif isinstance(node, exp.Exists) and node.parent is not None and isinstance(node.parent, exp.Not):
        inner = node.this.find(exp.Exists)
        if inner is not None and isinstance(inner.parent, exp.Not):  # none without: that is all of them
            _few(node.this, hints)
    elif isinstance(node, exp.Group):
        hints.grouped.update(place for item in node.expressions for place in _places(item, resolver))
    elif isinstance(node, exp.Between):
        for op, bound in ((">=", node.args["low"]), ("<=", node.args["high"])):
            _compare(node.this.unnest(), op, bound.unnest(), resolver, hints, schema)
    elif isinstance(node, exp.In):
        op = "!=" if _negated(node) else "="
        left = node.this.unnest()
        for item in node.expressions:
            pairs = [(left, item.unnest())]
            if isinstance(left, exp.Tuple) and isinstance(item, exp.Tuple):  # (a, b) IN ((1, 2), (3, 4))
                pairs = list(zip(left.expressions, item.expressions, strict=False))
            for one, other in pairs:
                _compare(one, op, other, resolver, hints, schema)
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
    elif isinstance(node, _OF_TEXT):
        place = place_of(node, resolver)
        if place and schema[place[0]].columns[place[1]].kind in ("text", "any"):
            known = hints.textures.setdefault(place, [])
            known += [text for text in textures(node) if text not in known]
    elif isinstance(node, _OF_NUMBER):
        for place in _places(node, resolver):
            column = schema[place[0]].columns[place[1]]
            if column.kind in ("int", "real") and not column.unsigned and not _is_key(place, schema):
                known = hints.textures.setdefault(place, [])
                known += [n for n in number_textures(node, column.kind, column.scale) if n not in known]
    elif isinstance(node, exp.Case) and node.this is not None:
        for branch in node.args["ifs"]:
            _compare(node.this.unnest(), "=", branch.this.unnest(), resolver, hints, schema)
    elif isinstance(node, exp.Nullif):
        _compare(node.this.unnest(), "=", node.expression.unnest(), resolver, hints, schema)
    elif isinstance(node, exp.Anonymous) and node.name.upper() in ("FIELD", "FIND_IN_SET") and node.expressions:
        _listed(node, resolver, hints, schema)
    elif type(node) in _DATE_PARTS or (
        isinstance(node, exp.Anonymous) and node.name.upper() in ("WEEKDAY", "YEARWEEK", "TO_DAYS")
    ):
        kind = "datetime" if isinstance(node, (exp.Hour, exp.Minute)) else "date"
        for place in _places(node, resolver):
            if schema[place[0]].columns[place[1]].kind in ("text", "any"):
                hints.kinds.setdefault(place, kind)


def _is_key(place: Place, schema: Schema) -> bool:
    """Whether the column takes part in a key or points to one, where numbers are names and not amounts."""
    table = schema[place[0]]
    named = {*table.primary, *(name for reference in table.references for name in reference.columns)}
    return place[1] in named or table.columns[place[1]].unique


def _listed(node: exp.Anonymous, resolver: Resolver, hints: Hints, schema: Schema) -> None:
    """FIELD(column, 'a', 'b') and FIND_IN_SET('a', column)."""
    if node.name.upper() == "FIELD":
        for item in node.expressions[1:]:
            _compare(node.expressions[0].unnest(), "=", item.unnest(), resolver, hints, schema)
        return
    word, column = node.expressions[0], node.expressions[-1].unnest()
    value = None if word.find(exp.Column, exp.Query) else constant(word)
    if isinstance(value, str) and isinstance(column, exp.Column):
        for place in resolver.places(column):
            _keep(hints, place, [value, f"{value},b", f"a,{value}"], [f"{value}x", f"a {value}"])


def _for_all(left: exp.Expression, right: exp.Expression, hints: Hints) -> None:
    """COUNT(...) = (SELECT COUNT(*) FROM courses) asks for those that have all courses."""
    for count, query in ((left, right), (right, left)):
        if isinstance(count, exp.Count) and isinstance(query, exp.Subquery) and query.find(exp.Count):
            _few(query, hints)


def _few(query: exp.Expression, hints: Hints) -> None:
    source = query.unnest().args.get("from_")
    if source is not None and isinstance(source.this, exp.Table):
        hints.few.add(source.this.name.lower())


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
    if left.find(exp.Column) and right.find(exp.Column):
        hints.ties += [tie for tie in ties_of(left, right, None, resolver) if tie not in hints.ties]
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
    if isinstance(left, exp.Column) and resolver.place(left) is None:
        meant = resolver.meaning(left)  # HAVING total > 10000
        if meant is not None:
            return _compare(meant, op, right, resolver, hints, schema)
    if isinstance(value, (int, float)) and (solved := _solved(left, op, value)):
        inner, turned, number = solved
        _compare(inner, turned, exp.convert(number), resolver, hints, schema)
    if isinstance(left, exp.Count) and isinstance(value, (int, float)):
        hints.group = max(hints.group, min(int(value) + 1, _LARGEST_GROUP))
        return
    if isinstance(left, exp.Query | exp.Subquery):
        if isinstance(value, (int, float)) and left.find(exp.Count):
            hints.group = max(hints.group, min(int(value) + 1, _LARGEST_GROUP))
        return
    hints.ties += [tie for tie in ties_of(left, right, value, resolver) if tie not in hints.ties]
    moved = interval(left)
    if moved and isinstance(moved[0], exp.Column) and isinstance(value, str):
        back = shift(value, -moved[1], moved[2])
        return _compare(moved[0], op, exp.Literal.string(back), resolver, hints, schema) if back else None
    if isinstance(left, (exp.DateDiff, exp.TimestampDiff)) and isinstance(value, (int, float)):
        _from_fixed_day(left, op, int(value), resolver, hints, schema)
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


def _solved(left: exp.Expression, op: str, value: float) -> tuple[exp.Expression, str, int | float] | None:
    """`salary * 12 >= 60000` as (salary, '>=', 5000): the side that holds columns alone; None where both do or none."""
    if not isinstance(left, (exp.Add, exp.Sub, exp.Mul, exp.Div)):
        return None
    first, second = left.this.unnest(), left.expression.unnest()
    inner, other = (first, second) if first.find(exp.Column, exp.Count) else (second, first)
    fixed = None if other.find(exp.Column, exp.Query, exp.Count) else constant(other)
    if not isinstance(fixed, (int, float)):
        return None
    number: float
    if isinstance(left, exp.Add):
        number = value - fixed
    elif isinstance(left, exp.Sub):
        number, op = (value + fixed, op) if inner is first else (fixed - value, _FLIPPED[op])
    elif not fixed or (isinstance(left, exp.Div) and inner is second):
        return None
    else:
        number = value / fixed if isinstance(left, exp.Mul) else value * fixed
        op = _FLIPPED[op] if fixed < 0 else op
    return inner, op, int(number) if number == int(number) else round(number, 6)


def _from_fixed_day(
    node: exp.DateDiff | exp.TimestampDiff, op: str, n: int, resolver: Resolver, hints: Hints, schema: Schema
) -> None:
    """DATEDIFF('2024-12-31', c) > 30 is c < '2024-12-01'."""
    unit = (node.args.get("unit") or exp.var("DAY")).name.upper()
    for column, fixed, sign in ((node.this, node.expression, 1), (node.expression, node.this, -1)):
        day = constant(fixed) if isinstance(column, exp.Column) and not fixed.find(exp.Column, exp.Query) else None
        turned = shift(day, sign * n, unit) if isinstance(day, str) else None
        if turned:
            op_here = op if sign > 0 else _FLIPPED[op]
            _compare(column, op_here, exp.Literal.string(turned), resolver, hints, schema)


def _keep(hints: Hints, place: Place, hits: list, misses: list) -> None:
    for store, values in ((hints.hits, hits), (hints.misses, misses)):
        known = store.setdefault(place, [])
        known += [value for value in values if value not in known]


def _like(node: exp.Expression, resolver: Resolver, hints: Hints, schema: Schema) -> None:
    pattern = constant(node.expression) if not node.expression.find(exp.Column) else None
    if not isinstance(pattern, str) or len(pattern) > 200:
        return
    sign = node.parent.expression.name if isinstance(node.parent, exp.Escape) else "\\"
    plain = pattern.replace(f"{sign}_", "\0").replace(f"{sign}%", "\1") if sign else pattern
    fills = [
        plain.replace("%", fill).replace("_", "k").replace("\0", "_").replace("\1", "%").replace("\\", "")
        for fill in ("", "z", "ab ")
    ]
    core = fills[0]
    negated = _negated(node) != bool(node.args.get("negate"))  # NOT LIKE is told by an argument
    beside = [core + "q", "q" + core, "q" + core + "q", core[:-1], core[1:]]
    for place in _places(node.this, resolver):
        if core and not negated and core not in hints.patterns.setdefault(place, []):
            hints.patterns[place].append(core)
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
