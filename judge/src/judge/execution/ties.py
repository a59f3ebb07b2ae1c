"""What one row must hold so that a comparison of two of its columns turns: DATEDIFF(a, b) > 3 needs gaps of 3 and 4 days.

Values drawn for each column alone meet such a condition by chance only.
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlglot import exp

from judge.sql.dates import shift
from judge.sql.queries import Place, Resolver

_UNITS = ("SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR")
_ARITHMETIC = {exp.Add: "sum", exp.Sub: "difference", exp.Mul: "product", exp.Div: "ratio", exp.IntDiv: "ratio"}
_SWAPPED = {"sum": "sum", "product": "product", "same": "same"}


@dataclass(frozen=True)
class Tie:
    """Of one row of `table`: `how` (column, other) is to be near `amount`."""

    table: str
    column: str
    other: str
    how: str  # 'same', 'sum', 'difference', 'product', 'ratio', or a unit of time: column - other in it
    amount: float = 0

    def turned(self) -> Tie:
        """The same, solved for the other column."""
        if self.how in _UNITS or self.how == "difference":
            return Tie(self.table, self.other, self.column, self.how, -self.amount)
        return Tie(self.table, self.other, self.column, _SWAPPED[self.how], self.amount)

    def solve(self, other: object, step: int, kind: str) -> object:
        """The column's value beside `other`; `step` -1, 0 or 1: just below, on or above. None where there is none."""
        if other is None:
            return None
        if kind in ("date", "datetime"):
            moved = shift(other, int(self.amount), self.how) if self.how in _UNITS else other
            return shift(moved, step, "DAY" if kind == "date" or step == 0 else "SECOND") if moved else None
        if not isinstance(other, (int, float)):
            return other if self.how == "same" and step == 0 else None
        exact = {
            "same": other, "sum": self.amount - other, "difference": self.amount + other,
            "product": self.amount / other if other else None, "ratio": self.amount * other,
        }.get(self.how)  # fmt: skip
        if exact is None:
            return None
        return round(exact) + step if kind == "int" else exact + step


def interval(node: exp.Expression) -> tuple[exp.Expression, int, str] | None:
    """(date, n, unit) of DATE_ADD, DATE_SUB and `date + INTERVAL n unit` with a constant n."""
    sign = -1 if isinstance(node, (exp.DateSub, exp.Sub)) else 1
    if isinstance(node, (exp.DateAdd, exp.DateSub, exp.TsOrDsAdd)):
        date, amount, unit = node.this, node.expression, node.args.get("unit")
    elif isinstance(node, (exp.Add, exp.Sub)) and isinstance(node.expression, exp.Interval):
        date, amount, unit = node.this, node.expression.this, node.expression.args.get("unit")
    else:
        return None
    name = unit.name.upper() if unit is not None else "DAY"
    try:
        return date, sign * int(amount.name), name if name in _UNITS else "DAY"
    except (ValueError, AttributeError):
        return None


def ties_of(left: exp.Expression, right: exp.Expression, value: object, resolver: Resolver) -> list[Tie]:
    """Ties that `left compared with right` asks for; `value` is right's where that is a constant, else None."""
    found: Tie | None = None
    if isinstance(left, (exp.DateDiff, exp.TimestampDiff)) and isinstance(value, (int, float)):
        unit = (left.args.get("unit") or exp.var("DAY")).name.upper()
        found = _tie(left.this, left.expression, unit if unit in _UNITS else "DAY", value, resolver)
    elif type(left) in _ARITHMETIC and isinstance(value, (int, float)):
        found = _tie(left.this, left.expression, _ARITHMETIC[type(left)], value, resolver)
    elif value is None:
        moved = interval(left)
        how, other, amount = (moved[2], moved[0], moved[1]) if moved else ("same", left, 0)
        found = _tie(right, other, how, amount, resolver)
    if found is None:
        return []
    return [found] if found.how == "ratio" else [found, found.turned()]


def _tie(a: exp.Expression, b: exp.Expression, how: str, amount: float, resolver: Resolver) -> Tie | None:
    a, b = _column(a), _column(b)
    if a is None or b is None or a.table.lower() != b.table.lower():
        return None  # of two rows: what one row holds can't settle it
    one, other = resolver.place(a), resolver.place(b)
    if one is None or other is None or one[0] != other[0] or one == other:
        return None
    return Tie(one[0], one[1], other[1], how, amount)


def _column(node: exp.Expression) -> exp.Column | None:
    while isinstance(node, (exp.Paren, exp.TsOrDsToDate, exp.Date, exp.Coalesce)):
        node = node.this
    return node if isinstance(node, exp.Column) and not node.is_star else None


def textures(node: exp.Expression) -> list[str]:
    """Texts on which a function of text shows what it does: other letter cases, spaces round them, its own arguments."""
    marks = [part.name for part in node.find_all(exp.Literal) if part.is_string and 0 < len(part.name) <= 20]
    around = [text for mark in marks[:3] for text in (f"ab{mark}cd{mark}ef", f"{mark}gh", f"ij{mark}")]
    if isinstance(node, (exp.Lower, exp.Upper)):
        return ["Abc", "aBC d", *around]
    if isinstance(node, exp.Trim):
        return [" ab", "cd ", " ef ", *around]
    if isinstance(node, (exp.Length, exp.Left, exp.Right, exp.Substring, exp.Reverse)):
        numbers = [int(part.name) for part in node.find_all(exp.Literal) if part.is_int]
        longer = [("abcdefghij" * 21)[: n + 1] for n in numbers if 10 <= n <= 200]  # LEFT(title, 20) cuts this one
        return ["가나다라", "ab", "abcdefghij", *longer]
    if isinstance(node, (exp.Replace, exp.SubstringIndex, exp.StrPosition)):
        return [*around, "klm"]
    return []


def number_textures(node: exp.Expression, kind: str, scale: int) -> list[int | float]:
    """Numbers on which a function of numbers shows what it does: below zero, and digits that rounding takes away."""
    # DIV, FLOOR and TRUNCATE, which part ways below zero, are taken for one another: amounts are seldom below it.
    signed = isinstance(node, (exp.Abs, exp.Sign, exp.Greatest, exp.Least))
    below: list[int | float] = [] if not signed else [-3, -7] if kind == "int" else [-3, -2.75]
    if isinstance(node, (exp.Round, exp.Trunc)):
        given = node.args.get("decimals")
        digits = int(given.name) if isinstance(given, exp.Literal) and given.is_int else 0
        if kind == "real" and digits < scale:
            below += [float(f"{whole}.{'4' * digits}6") for whole in (7, 12)]
    return below


def place_of(node: exp.Expression, resolver: Resolver) -> Place | None:
    """The plain column that a function of text works on."""
    inner = node.this
    while isinstance(inner, (exp.Lower, exp.Upper, exp.Trim, exp.Paren)):
        inner = inner.this
    return resolver.place(inner) if isinstance(inner, exp.Column) else None
