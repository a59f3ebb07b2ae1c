"""Write a MySQL query so that SQLite gives MySQL's answer.

sqlglot parses and writes; what it passes through unchanged or gets differently is rewritten on the tree first,
mostly as calls of the functions in `judge.sql.functions`. Decisions, where MySQL has settings or several readings:

- Text comparison by =, <, IN, DISTINCT, GROUP BY is case-sensitive, LIKE and REGEXP are not for ASCII letters
  (SQLite's way). MySQL's default collation ignores case in both; a prediction that spells a stored value in other
  letters is therefore wrong here. Made instances hold no two texts that differ in case alone unless a query asks for
  LOWER or UPPER, so `= 'kim'` and `LIKE 'kim'` are the same. Collations named in a query are dropped.
- `/` is decimal division, DIV whole; division by zero is NULL. A number written as text ('5') counts as a number beside
  a number, and so do a text column and what a function of text gives; a text column beside a number column is left to
  SQLite, which reads '12' but not '12abc' as a number.
- A date beside a DATETIME means midnight; '2024-3-1' and 20240301 beside a date mean '2024-03-01', '9:00' beside a TIME
  means '09:00:00'. See `judge.sql.literals`.
- NOW() and its kin give a fixed moment (2024-06-15 12:00). RAND() and UUID() are refused: no verdict could be repeated.
- Two leniencies of SQLite stay: an output name may be used in WHERE, a column outside GROUP BY may be selected.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import ClassVar

from sqlglot import exp
from sqlglot.dialects.sqlite import SQLite
from sqlglot.errors import SqlglotError

from judge.sql.functions import AGGREGATES, SCALARS
from judge.sql.literals import settle_sides
from judge.sql.queries import QueryError, Resolver, first_line, refuse_hidden_columns
from judge.sql.schema import Schema

_E = exp.Expression


class Target(SQLite):
    """SQLite with backticks round names: an unknown name in double quotes would silently be a string there."""

    class Tokenizer(SQLite.Tokenizer):
        IDENTIFIERS: ClassVar = ["`"]


def to_sqlite(tree: _E, schema: Schema) -> tuple[str, set[str]]:
    """(SQL for SQLite, the `my_` functions it calls). The tree is not changed. Raises QueryError('transpile_error')."""
    return written(sqlite_tree(tree, schema))


def sqlite_tree(tree: _E, schema: Schema) -> _E:
    """A new tree for `written`. Raises QueryError."""
    refuse_hidden_columns(tree, schema)
    tree = tree.copy()
    resolver = Resolver(tree, schema)
    with _told_apart():
        for node in list(tree.find_all(exp.Predicate, exp.Binary)):
            settle_sides(node, resolver, schema)
        # Leaves first, so that a rewritten node already holds rewritten parts.
        for node in reversed(list(tree.walk())):
            rewritten = _rewrite(node)
            if rewritten is not node:
                tree = _put(node, rewritten, tree)
        _unwrap_set_operands(tree)
    return tree


_OURS = SCALARS.keys() | AGGREGATES.keys()
_CALLED = re.compile(r"\bmy_\w+", re.IGNORECASE)


def written(tree: _E) -> tuple[str, set[str]]:
    """(SQL, the `my_` functions it calls) of a tree from `sqlite_tree`. Raises QueryError('transpile_error')."""
    with _told_apart():
        sql = tree.sql(dialect=Target, identify=True, comments=False, unsupported_level=None)
    return sql, functions_in(sql)


def functions_in(sql: str) -> set[str]:
    """Our own functions that a text for SQLite calls."""
    return {name.lower() for name in _CALLED.findall(sql)} & _OURS


@contextmanager
def _told_apart() -> Iterator[None]:
    """What sqlglot and the rewriting rules fail with, as one outcome."""
    try:
        yield
    except QueryError:
        raise
    except (SqlglotError, RecursionError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise QueryError("transpile_error", f"cannot be written for SQLite: {first_line(error)}") from None


def _put(node: _E, rewritten: _E, root: _E) -> _E:
    if node is root:
        rewritten.parent = None
        return rewritten
    node.replace(rewritten)
    return root


def call(name: str, *arguments: _E | str | int | None) -> exp.Anonymous:
    given = [a if isinstance(a, exp.Expression) else exp.convert(a) for a in arguments if a is not None]
    return exp.Anonymous(this=name, expressions=given)


def _bare(node: _E | None) -> _E | None:
    """A date argument without conversions round it; only for functions that look at the day alone."""
    while isinstance(node, (exp.TsOrDsToDate, exp.TsOrDsToTimestamp)):
        node = node.this
    if isinstance(node, exp.Anonymous) and node.name == "my_date":
        return node.expressions[0]
    return node


def _unit(node: _E) -> str:
    return (node.args.get("unit") or exp.var("DAY")).name.upper()


def _amount(node: _E | None, sign: int = 1) -> _E:
    if isinstance(node, exp.Literal) and re.fullmatch(r"\s*-?\d+(\.\d+)?\s*", node.name):
        node = (
            exp.Literal.number(node.name.strip())
            if not node.name.strip().startswith("-")
            else exp.Neg(this=exp.Literal.number(node.name.strip()[1:]))
        )
    elif isinstance(node, exp.Literal):
        raise QueryError("transpile_error", f"INTERVAL {node.name!r} is not supported")
    return node if sign > 0 else exp.Neg(this=exp.Paren(this=node))


def _shift(date: _E, amount: _E, unit: str, sign: int) -> _E:
    if unit not in {"SECOND", "MINUTE", "HOUR", "DAY", "WEEK", "MONTH", "QUARTER", "YEAR"}:
        raise QueryError("transpile_error", f"INTERVAL unit {unit} is not supported")
    return call("my_shift", date, _amount(amount, sign), unit)


def _interval(node: _E) -> _E:
    sign = -1 if isinstance(node, exp.Sub) else 1
    left, right = node.this, node.expression
    if isinstance(right, exp.Interval):
        return _shift(left, right.this, _unit(right), sign)
    if isinstance(left, exp.Interval) and sign > 0:
        return _shift(right, left.this, _unit(left), sign)
    return node


def _part(name: str) -> Callable[[_E], _E]:
    return lambda node: call(name, _bare(node.this))


def _clock(name: str) -> Callable[[_E], _E]:
    return lambda node: call(name, node.this)


def _plain(name: str, *parts: str) -> Callable[[_E], _E]:
    return lambda node: call(name, *(node.args.get(part) for part in parts))


def _cast(node: exp.Cast) -> _E:
    kind, value = node.to, node.this
    name = kind.this.name if isinstance(kind.this, exp.DType) else str(kind.this)
    if name in ("DATE",):
        return call("my_date", _bare(value))
    if name.startswith(("DATETIME", "TIMESTAMP")):
        return call("my_datetime", value)
    if name == "TIME":
        return call("my_time", value)
    if "INT" in name:
        return call("my_int", value)
    if "DECIMAL" in name:
        places = kind.expressions[1].this if len(kind.expressions) > 1 else exp.Literal.number(0)
        return call("my_round", value, places.copy())
    if name in ("FLOAT", "DOUBLE"):
        return call("my_number", value)
    if name in ("BINARY", "VARBINARY", "CHARACTER_SET"):
        return exp.Paren(this=value)
    if name in ("CHAR", "NCHAR", "VARCHAR", "TEXT"):
        text = call("my_text", value)  # SQLite's own cast writes 12.0 where CONCAT and its kin write 12
        return call("my_left", text, kind.expressions[0].this.copy()) if kind.expressions else text
    raise QueryError("transpile_error", f"CAST to {name} is not supported")


def _extract(node: exp.Extract) -> _E:
    unit = node.name.upper()
    names = {"YEAR", "MONTH", "DAY", "QUARTER", "WEEK", "HOUR", "MINUTE", "SECOND"}
    if unit == "YEAR_MONTH":
        value = _bare(node.expression)
        year = exp.Mul(this=call("my_year", value), expression=exp.Literal.number(100))
        return exp.Paren(this=exp.Add(this=year, expression=call("my_month", value.copy())))
    if unit not in names:
        raise QueryError("transpile_error", f"EXTRACT({unit}) is not supported")
    return call("my_" + unit.lower(), node.expression)


def _date_diff(node: _E) -> _E:
    if node.args.get("unit") and _unit(node) != "DAY":
        return call("my_timestampdiff", _unit(node), node.expression, node.this)
    return call("my_datediff", _bare(node.this), _bare(node.expression))


def _group_concat(node: exp.GroupConcat) -> _E:
    value, keys, distinct = node.this, [], 0
    if isinstance(value, exp.Order):
        for item in value.expressions:
            keys += [item.this, exp.Literal.number(1 if item.args.get("desc") else 0)]
        value = value.this
    if isinstance(value, exp.Distinct):
        distinct, value = (
            1,
            call("my_concat", *value.expressions) if len(value.expressions) > 1 else value.expressions[0],
        )
    return call(
        "my_group_concat",
        exp.Literal.number(distinct),
        node.args.get("separator") or exp.Literal.string(","),
        value,
        *keys,
    )


def _count(node: exp.Count) -> _E:
    inner = node.this
    if isinstance(inner, exp.Distinct) and len(inner.expressions) > 1:
        node.set("this", exp.Distinct(expressions=[call("my_tuple", *inner.expressions)]))
    return node


def _tuple_in(node: exp.In) -> _E:
    """(a, b) IN ((1, 2), (3, 4)): SQLite knows no list of rows here."""
    left = node.this.unnest()
    if not isinstance(left, exp.Tuple) or not node.expressions:
        return node
    rows = []
    for row in node.expressions:
        pairs = [
            exp.EQ(this=a.copy(), expression=b.copy()) for a, b in zip(left.expressions, row.expressions, strict=True)
        ]
        rows.append(exp.Paren(this=exp.and_(*pairs)))
    return exp.Paren(this=exp.or_(*rows))


def _quantified(node: exp.Binary) -> _E:
    """x > ALL (query), x = ANY (query): as EXISTS over the query's one column."""
    quantifier = node.expression
    if not isinstance(quantifier, (exp.All, exp.Any)):
        return node
    query = quantifier.this.unnest().copy()
    inner = query
    while isinstance(inner, exp.SetOperation):
        inner = inner.this
    if not isinstance(inner, exp.Select) or len(inner.expressions) != 1 or inner.is_star:
        raise QueryError("transpile_error", "ALL or ANY needs a query of one named column")
    inner.set("expressions", [exp.alias_(inner.expressions[0].unalias(), "my_value")])
    held = type(node)(this=node.this.copy(), expression=exp.column("my_value"))
    is_all = isinstance(quantifier, exp.All)
    test = exp.Is(this=exp.Paren(this=held), expression=exp.Boolean(this=True))
    found = exp.select("1").from_(exp.Subquery(this=query, alias=exp.TableAlias(this=exp.to_identifier("my_values"))))
    exists = exp.Exists(this=found.where(exp.Not(this=test) if is_all else test))
    return exp.Not(this=exists) if is_all else exists


def _like(node: _E) -> _E:
    # MySQL's escape in patterns is the backslash unless said otherwise; SQLite has none.
    pattern = node.expression
    if isinstance(node.parent, exp.Escape) or not isinstance(pattern, exp.Literal) or "\\" not in pattern.name:
        return node
    return exp.Escape(this=node.copy(), expression=exp.Literal.string("\\"))


def _from_unixtime(node: exp.UnixToTime) -> _E:
    moment, form = call("my_from_unixtime", node.this), node.args.get("format")
    return moment if form is None else call("my_date_format", moment, form)


def _pad(node: exp.Pad) -> _E:
    return call(
        "my_lpad" if node.args.get("is_left") else "my_rpad", node.this, node.expression, node.args["fill_pattern"]
    )


def _refused(node: _E) -> _E:
    raise QueryError("sql_error", f"{node.key.upper()} is not repeatable or not allowed")


_SIMPLE: dict[type, Callable] = {
    exp.Year: _part("my_year"), exp.Month: _part("my_month"), exp.Day: _part("my_day"),
    exp.DayOfMonth: _part("my_day"), exp.DayOfWeek: _part("my_dayofweek"), exp.DayOfYear: _part("my_dayofyear"),
    exp.Week: lambda n: call("my_week", _bare(n.this), n.args.get("mode")),
    exp.WeekOfYear: _part("my_weekofyear"), exp.Quarter: _part("my_quarter"),
    exp.Hour: _clock("my_hour"), exp.Minute: _clock("my_minute"), exp.Second: _clock("my_second"),
    exp.Dayname: _part("my_dayname"), exp.Monthname: _part("my_monthname"), exp.LastDay: _part("my_last_day"),
    exp.TsOrDsToDate: _part("my_date"), exp.Date: _part("my_date"), exp.TsOrDsToTimestamp: _clock("my_datetime"),
    exp.Timestamp: _clock("my_datetime"), exp.Time: _clock("my_time"), exp.DateDiff: _date_diff,
    exp.TsOrDsDiff: _date_diff, exp.TimestampDiff: lambda n: call("my_timestampdiff", _unit(n), n.expression, n.this),
    exp.DateAdd: lambda n: _shift(n.this, n.expression, _unit(n), 1),
    exp.DateSub: lambda n: _shift(n.this, n.expression, _unit(n), -1),
    exp.TsOrDsAdd: lambda n: _shift(n.this, n.expression, _unit(n), 1),
    exp.TimestampAdd: lambda n: _shift(n.this, n.expression, _unit(n), 1), exp.Add: _interval, exp.Sub: _interval,
    exp.TimeToStr: lambda n: call("my_date_format", n.this, n.args["format"]),
    exp.StrToDate: _plain("my_str_to_date", "this", "format"),
    exp.StrToTime: _plain("my_str_to_date", "this", "format"), exp.UnixToTime: _from_unixtime,
    exp.Extract: _extract, exp.Cast: _cast, exp.TryCast: _cast, exp.CurrentDate: lambda n: call("my_today"),
    exp.UtcDate: lambda n: call("my_today"), exp.CurrentTime: lambda n: call("my_clock"),
    exp.CurrentTimestamp: lambda n: call("my_now"), exp.Localtime: lambda n: call("my_now"),
    exp.Localtimestamp: lambda n: call("my_now"),
    exp.UtcTimestamp: lambda n: call("my_now"), exp.Left: _plain("my_left", "this", "expression"),
    exp.Right: _plain("my_right", "this", "expression"),
    exp.Pad: _pad,
    exp.SubstringIndex: _plain("my_substring_index", "this", "delimiter", "count"),
    exp.Reverse: _plain("my_reverse", "this"), exp.Repeat: _plain("my_repeat", "this", "times"),
    exp.Space: lambda n: call("my_repeat", " ", n.this), exp.ConcatWs: lambda n: call("my_concat_ws", *n.expressions),
    # sqlglot would join the parts by || without brackets, and in SQLite that binds tighter than arithmetic.
    exp.Concat: lambda n: call("my_concat", *n.expressions), exp.DPipe: _plain("my_concat", "this", "expression"),
    exp.Elt: lambda n: call("my_elt", n.this, *n.expressions),
    exp.StrPosition: lambda n: call("my_locate", n.args["substr"], n.this, n.args.get("position")),
    exp.Ascii: _plain("my_ascii", "this"), exp.Upper: _plain("my_upper", "this"),
    exp.Lower: _plain("my_lower", "this"), exp.NumberToStr: _plain("my_format", "this", "format"),
    exp.Round: _plain("my_round", "this", "decimals"), exp.Trunc: _plain("my_truncate", "this", "decimals"),
    exp.Ceil: _plain("my_ceil", "this"), exp.Floor: _plain("my_floor", "this"),
    exp.Length: lambda n: call("my_octets", n.this) if n.args.get("binary") else n,
    exp.Mod: lambda n: call("my_mod", n.this.unnest(), n.expression.unnest()),
    exp.Pow: _plain("my_pow", "this", "expression"), exp.Sqrt: _plain("my_sqrt", "this"),
    exp.Exp: _plain("my_exp", "this"), exp.Ln: _plain("my_ln", "this"),
    exp.Log: _plain("my_log", "this", "expression"), exp.Sign: _plain("my_sign", "this"),
    exp.Pi: lambda n: exp.Literal.number("3.141592653589793"), exp.Xor: _plain("my_xor", "this", "expression"),
    exp.RegexpLike: _plain("my_regexp", "this", "expression"), exp.GroupConcat: _group_concat, exp.Count: _count,
    exp.StddevPop: _plain("my_stddev_pop", "this"), exp.Stddev: _plain("my_stddev_pop", "this"),
    exp.StddevSamp: _plain("my_stddev_samp", "this"), exp.VariancePop: _plain("my_var_pop", "this"),
    exp.Variance: _plain("my_var_samp", "this"), exp.In: _tuple_in, exp.Like: _like, exp.Collate: lambda n: n.this,
    exp.Introducer: lambda n: n.expression, exp.National: lambda n: exp.Literal.string(n.name), exp.Rand: _refused,
    exp.Uuid: _refused, exp.Parameter: _refused, exp.SessionParameter: _refused, exp.CurrentVersion: _refused,
    exp.CurrentSchema: _refused, exp.Interval: lambda n: n, exp.GT: _quantified, exp.GTE: _quantified,
    exp.LT: _quantified, exp.LTE: _quantified, exp.EQ: _quantified, exp.NEQ: _quantified,
}  # fmt: skip

# Functions that sqlglot keeps as bare names: ours, with the arguments in the same order.
_NAMED = {
    "WEEKDAY": "my_weekday", "YEARWEEK": "my_yearweek", "UNIX_TIMESTAMP": "my_unix_timestamp",
    "MAKEDATE": "my_makedate",
    "FIELD": "my_field", "FIND_IN_SET": "my_find_in_set", "STRCMP": "my_strcmp", "NOW": "my_now", "SYSDATE": "my_now",
    "LOCALTIMESTAMP": "my_now", "CURTIME": "my_clock", "TO_DAYS": "my_to_days", "MID": "SUBSTR", "LENGTHB": "my_octets", "OCTET_LENGTH": "my_octets",
    "ADDDATE": "my_shift", "SUBDATE": "my_shift", "MONTHNAME": "my_monthname",
}  # fmt: skip


def _named(node: exp.Anonymous) -> _E:
    name = node.name.upper()
    if name in ("ADDDATE", "SUBDATE") and len(node.expressions) == 2:
        date, amount = node.expressions
        unit = _unit(amount) if isinstance(amount, exp.Interval) else "DAY"
        amount = amount.this if isinstance(amount, exp.Interval) else amount
        return _shift(date, amount, unit, 1 if name == "ADDDATE" else -1)
    if name in _NAMED:
        return call(_NAMED[name], *node.expressions)
    if name.startswith("MY_"):  # our own calls are never visited: the walk was listed before they were made
        raise QueryError("sql_error", f"no such function: {node.name}")
    return node


def _rewrite(node: _E) -> _E:
    if isinstance(node, exp.Anonymous):
        return _named(node)
    if isinstance(node, exp.Select):
        for part in ("locks", "hint"):
            node.set(part, None)
        return _having_as_where(node)
    if isinstance(node, exp.Table):
        node.set("hints", None)
    rule = _SIMPLE.get(type(node))
    return rule(node) if rule else node


def _having_as_where(node: exp.Select) -> exp.Select:
    """MySQL takes HAVING without groups or aggregates as a second WHERE; SQLite refuses it."""
    having = node.args.get("having")
    if (
        having
        and not node.args.get("group")
        and not any(part.find(exp.AggFunc) for part in [having, *node.expressions])
    ):
        node.set("having", None)
        node.where(having.this.copy(), copy=False)
    return node


def _unwrap_set_operands(tree: _E) -> None:
    """SQLite takes no brackets round the parts of a UNION: plain ones go, ordered or cut ones become derived tables."""

    def cut(part: _E, *names: str) -> bool:
        return any(part.args.get(name) for name in ("order", "limit", "offset", *names))

    for node in list(tree.find_all(exp.SetOperation)):
        for side in ("this", "expression"):
            part = node.args[side]
            if isinstance(part, exp.Select) and not cut(part, "with_"):
                continue
            if isinstance(part, exp.SetOperation) and side == "this" and not cut(part, "with_"):
                continue
            inner = part
            while isinstance(inner, exp.Subquery) and not cut(inner):
                inner = inner.this
            simple = isinstance(inner, exp.Select) and not cut(inner, "with_")
            if simple:
                part.replace(inner.copy())
            else:
                derived = exp.Subquery(this=inner.copy(), alias=exp.TableAlias(this=exp.to_identifier("my_part")))
                part.replace(exp.select("*").from_(derived))
