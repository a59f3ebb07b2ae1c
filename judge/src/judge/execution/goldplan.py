"""Prepare gold so that its order, its ties and the cut of its LIMIT can be told from its result."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass

from sqlglot import exp

from judge.execution.compare import Expected, agrees, expect, plain_rows
from judge.execution.sandbox import QueryFailed, run
from judge.sql.dialect import to_sqlite
from judge.sql.queries import QueryError, correlated, scalar_subqueries
from judge.sql.schema import Schema

_KEY = "my_key_"


@dataclass
class GoldPlan:
    """`sql` is gold itself; `uncut` gives its rows without LIMIT, with sort keys in hidden columns behind them."""

    sql: str
    functions: set[str]
    ordered: bool
    uncut: str | None = None
    uncut_functions: set[str] | None = None
    keys: tuple[int, ...] = ()  # output columns that hold sort keys; negative: the hidden ones, counted from the end
    hidden: int = 0
    limit: int | None = None
    offset: int = 0
    fragile: bool = False  # may depend on the order in which rows are stored
    singles: tuple[tuple[str, set[str]], ...] = ()  # each counts the rows of what must give one value
    only_counts: bool = False  # a lone row of aggregates: 0 and NULL say nothing was found


def plan_gold(tree: exp.Expression, schema: Schema, write: Callable = to_sqlite) -> GoldPlan:
    """Raises QueryError where gold cannot be written for SQLite, or for whatever `write` writes."""
    sql, functions = write(tree, schema)
    order, limit, offset = (tree.args.get(part) for part in ("order", "limit", "offset"))
    scalars = scalar_subqueries(tree)
    alone = [select for select in scalars if not correlated(select, schema)]
    plan = GoldPlan(sql, functions, ordered=bool(order), fragile=_fragile(tree) or len(alone) < len(scalars))
    plan.singles = tuple(write(_counted(select), schema) for select in alone)
    plan.only_counts = (
        isinstance(tree, exp.Select) and not tree.args.get("group")
        and bool(tree.expressions)
        and all(item.find(exp.AggFunc) and not item.find(exp.Window, exp.Query) for item in tree.expressions)
    )  # fmt: skip
    if not order and not limit:
        return plan
    numbers = [
        part.expression.name if part and isinstance(part.expression, exp.Literal) else "" for part in (limit, offset)
    ]
    if (limit and not numbers[0].isdigit()) or (offset and not numbers[1].isdigit()):
        return plan
    uncut = tree.copy()
    for part in ("limit", "offset"):
        uncut.set(part, None)
    keys = _keys(uncut, order) if order else []
    if keys is None:
        return plan
    hidden = [key for key in keys if isinstance(key, exp.Expression)]
    if hidden:
        uncut = uncut.select(*(exp.alias_(key, f"{_KEY}{n}") for n, key in enumerate(hidden)), copy=False)
    plan.keys = tuple(key if isinstance(key, int) else _index(hidden, key) - len(hidden) for key in keys)
    plan.hidden = len(hidden)
    plan.limit = int(numbers[0]) if limit else None
    plan.offset = int(numbers[1]) if offset else 0
    try:
        plan.uncut, plan.uncut_functions = write(uncut, schema)
    except QueryError:
        plan.uncut = None
    return plan


def _counted(select: exp.Select) -> exp.Select:
    inner = exp.Subquery(this=select.copy(), alias=exp.TableAlias(this=exp.to_identifier("my_rows")))
    return exp.select("COUNT(*)").from_(inner)


def finds_one(plan: GoldPlan, connection: sqlite3.Connection, deadline: float) -> bool:
    """Do gold's inner queries that stand for one value find no more than one row? Else MySQL would refuse gold."""
    return all(run(connection, *single, deadline=deadline)[1][0][0] <= 1 for single in plan.singles)


def _index(nodes: list, wanted: exp.Expression) -> int:
    return next(n for n, node in enumerate(nodes) if node is wanted)


def _keys(tree: exp.Expression, order: exp.Order) -> list[int | exp.Expression] | None:
    """Each sort key as the index of an output column or as an expression to select besides; None where neither goes."""
    outputs = tree
    while isinstance(outputs, exp.SetOperation):
        outputs = outputs.this.unnest()
    if not isinstance(outputs, exp.Select):
        return None
    starred = any(item.is_star for item in outputs.expressions)
    names = [item.alias_or_name.lower() for item in outputs.expressions]
    aliases = {item.alias.lower(): item.this for item in outputs.expressions if isinstance(item, exp.Alias)}
    keys: list[int | exp.Expression] = []
    for item in order.expressions:
        key = item.this.unnest()
        # A place counts the columns that a star stands for too, which only the result shows; where it has fewer, gold
        # itself fails. As a hidden column it would be a constant, and any order would be right.
        place = int(key.name) if isinstance(key, exp.Literal) and key.is_int else 0
        if place > 0 and (starred or place <= len(names)):
            keys.append(place - 1)
            continue
        if isinstance(key, exp.Column) and not starred:
            wanted = key.name.lower()
            if not key.table and wanted in names:
                keys.append(names.index(wanted))
                continue
        same = next((n for n, output in enumerate(outputs.expressions) if output.unalias() == key), None)
        if same is not None and not starred:
            keys.append(same)
            continue
        if tree is not outputs or outputs.args.get("distinct"):
            return None
        key = key.copy()
        for column in list(key.find_all(exp.Column)):
            if not column.table and column.name.lower() in aliases:
                meant = aliases[column.name.lower()].copy()
                if column is key:
                    key = meant
                else:
                    column.replace(exp.Paren(this=meant))
        keys.append(key)
    return keys


def _fragile(tree: exp.Expression) -> bool:
    """Could the result depend on how rows are stored? An inner LIMIT, a window, a column that no group settles."""
    if tree.find(exp.Window, exp.Limit) and any(
        limit.parent is not tree for limit in tree.find_all(exp.Limit, exp.Window)
    ):
        return True
    for select in tree.find_all(exp.Select):
        group = select.args.get("group")
        keys = {key.sql().lower() for key in group.expressions} if group else set()
        if not group and not any(item.find(exp.AggFunc) for item in select.expressions):
            continue
        for item in select.expressions:
            bare = item.unalias()
            if isinstance(bare, (exp.Column, exp.Star)) and bare.sql().lower() not in keys:
                return True
    return False


def run_gold_once(
    plan: GoldPlan, connection: sqlite3.Connection, deadline: float, run: Callable = run
) -> tuple[Expected, list[tuple]]:
    """(what is right, gold's own rows). Raises QueryFailed where gold itself fails."""
    width, rows = run(connection, plan.sql, plan.functions, deadline=deadline)
    own = plain_rows(rows)
    if plan.uncut is not None:
        try:
            wide, uncut = run(connection, plan.uncut, plan.uncut_functions or set(), deadline=deadline)
        except QueryFailed:
            wide = -1
        if wide == width + plan.hidden:
            all_rows = plain_rows(uncut)
            keys = [tuple(row[k] for k in plan.keys) for row in all_rows] if plan.ordered else None
            expected = expect([row[:width] for row in all_rows], width, keys, plan.limit, plan.offset)
            # Gold's own result must be one of the right ones; where it is not, the plan misread the query.
            if agrees(expected, own):
                return expected, own
    strict = [(n,) for n in range(len(own))] if plan.ordered else None
    return expect(own, width, strict), own


def says_nothing(plan: GoldPlan, rows: list[tuple]) -> bool:
    """No rows, or a lone row without any value: such a result can't tell gold from an empty answer."""
    if not rows:
        return True
    empty = (None, 0) if plan.only_counts else (None,)
    return len(rows) == 1 and all(value in empty for value in rows[0])
