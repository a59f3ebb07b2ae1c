"""Judge one row by running gold and prediction on made instances; runs inside a worker process."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from sqlglot import exp

from judge.compare import Expected, agrees, find_mapping, plain_rows
from judge.dialect import to_sqlite
from judge.extract import extract_sql
from judge.goldplan import GoldPlan, plan_gold, run_gold_once, says_nothing
from judge.hints import Hints, collect
from judge.instances import make_instance, needed_tables
from judge.mutants import mutants as make_mutants
from judge.queries import QueryError, mentioned, parse_query
from judge.sandbox import QueryFailed, load, run
from judge.schema import Schema, SchemaError, guessed_kind, parse_schema

Stage = Callable[[str], None]
_EXTRA = 3  # times as many further instances are tried where gold is empty, or where mutants survive


class GoldError(Exception):
    """Gold fails: the row is left out for every model."""


@dataclass
class _Instance:
    connection: sqlite3.Connection  # guarded; gold and prediction run on the same one
    expected: Expected
    own: list[tuple]


@dataclass
class _Bench:
    """Everything about a row's gold: its plan and the instances it was run on."""

    schema: Schema
    tree: exp.Expression
    plan: GoldPlan
    seed: str
    instances: list[_Instance] = field(default_factory=list)
    fragile_left_out: int = 0


def judge_row(
    context: str, gold: str, prediction: str | None, *, instances: int, seed: int, dialect: str, timeout: float,
    mutants: bool = False, stage: Stage = lambda name: None,
) -> dict:  # fmt: skip
    """The verdict of one row as a dict (fields of `judge.execution.Verdict`). `stage` is told whose work goes on."""
    stage("gold")
    try:
        bench = _bench(context, gold, seed, dialect)
    except GoldError as error:
        return _verdict("unscored", "gold_error", f"gold: {error}")

    stage("prediction")
    failure, tree, sql, functions = _read_prediction(prediction, dialect, bench.schema)

    stage("gold")
    hints = collect([bench.tree] + ([tree] if tree is not None else []), bench.schema)
    trees = [bench.tree] + ([tree] if tree is not None else [])
    try:
        _make(bench, trees, hints, range(instances), timeout)
        _fill_up(bench, instances, timeout)
    except GoldError as error:
        return _verdict("unscored", "gold_error", f"gold: {error}")
    if not bench.instances:
        return _verdict("unscored", "gold_error", "gold: its result depends on how rows are stored, on every instance")
    telling = sum(not says_nothing(bench.plan, instance.own) for instance in bench.instances)
    killed = _kill(bench, trees, hints, instances, timeout) if mutants else None
    facts = {
        "tie_at_limit": any(instance.expected.tie_at_limit for instance in bench.instances),
        "gold_non_empty": telling,
        "instances": len(bench.instances),
        "mutants_killed": killed,
    }
    if telling == 0:
        reason = f"gold gives nothing on all {len(bench.instances)} instances, so they prove nothing"
        return _verdict("unscored", "gold_always_empty", reason, **facts)
    if failure:
        return _verdict("no", failure[0], failure[1], **facts)

    stage("prediction")
    return _compare(bench, sql, functions, timeout, facts)


def _verdict(execution: str, outcome: str, reason: str, **facts: object) -> dict:
    return {"execution": execution, "reason": reason, "outcome": outcome, **facts}


def _bench(context: str, gold: str, seed: int, dialect: str) -> _Bench:
    try:
        schema = parse_schema(context)
        tree = parse_query((gold or "").strip(), dialect)
        return _Bench(schema, tree, plan_gold(tree, schema), f"{seed}/{gold.strip()}")
    except (SchemaError, QueryError) as error:
        raise GoldError(str(error)) from None
    except RecursionError:
        raise GoldError("nested too deeply") from None


def _read_prediction(prediction: str | None, dialect: str, schema: Schema) -> tuple:
    """(failure or None, tree, SQL for SQLite, its functions)"""
    nothing = (None, "", set())
    if prediction is None or not str(prediction).strip():
        return ("missing_prediction", "the row has no prediction"), *nothing
    found = extract_sql(str(prediction))
    if found.sql is None:
        return ("no_sql", "the reply holds no SQL statement"), *nothing
    try:
        tree = parse_query(found.sql, dialect)
    except QueryError as error:
        return (error.kind, str(error)), *nothing
    try:
        return None, tree, *to_sqlite(tree, schema)
    except QueryError as error:
        return (error.kind, str(error)), *nothing
    except RecursionError:
        return ("sql_error", "nested too deeply"), *nothing


def _make(
    bench: _Bench,
    trees: list,
    hints: Hints,
    indices: range,
    timeout: float,
    rich: bool = False,
    keep: Callable | None = None,
) -> None:
    """Make instances, run gold on each and keep them; raises GoldError where gold fails."""
    schema, plan = bench.schema, bench.plan
    tables = needed_tables(mentioned(trees, schema), schema)
    kinds = _kinds(schema, hints)
    deadline = time.process_time() + timeout
    for index in indices:
        rows = make_instance(schema, tables, hints, bench.seed, index, rich)
        connection = load(schema, rows, kinds)
        try:
            expected, own = run_gold_once(plan, connection, deadline)
            if plan.fragile:
                turned = load(schema, {name: made[::-1] for name, made in rows.items()}, kinds)
                other = plain_rows(run(turned, plan.sql, plan.functions, deadline=deadline)[1])
                turned.close()
                if not agrees(expected, other):
                    bench.fragile_left_out += 1
                    continue
        except QueryFailed as error:
            raise GoldError(f"{error.kind}: {error}") from None
        instance = _Instance(connection, expected, own)
        if keep is None or keep(instance):
            bench.instances.append(instance)


def _kinds(schema: Schema, hints: Hints) -> dict:
    """Kinds for the columns whose DDL does not settle them."""
    found = dict(hints.kinds)
    for name, table in schema.items():
        for c, column in table.columns.items():
            if column.kind == "any":
                found.setdefault((name, c), guessed_kind(column.name))
    return found


def _fill_up(bench: _Bench, instances: int, timeout: float) -> None:
    """Where gold gave nothing so far, look for instances by its own constants alone: the same ones for every model."""
    if any(not says_nothing(bench.plan, instance.own) for instance in bench.instances):
        return
    hints = collect([bench.tree], bench.schema)

    def telling(instance: _Instance) -> bool:
        return not says_nothing(bench.plan, instance.own)

    _make(bench, [bench.tree], hints, range(_EXTRA * instances), timeout, rich=True, keep=telling)


def _kill(bench: _Bench, trees: list, hints: Hints, instances: int, timeout: float) -> float | None:
    """The share of gold's mutants that some instance tells from gold; makes further instances for the survivors."""
    alive = []
    total = 0
    for tree in make_mutants(bench.tree, bench.schema):
        try:
            alive.append(to_sqlite(tree, bench.schema))
            total += 1
        except (QueryError, RecursionError):
            continue
    if not total:
        return None

    def kills(instance: _Instance) -> bool:
        before = len(alive)
        alive[:] = [mutant for mutant in alive if not _differs(mutant, instance, timeout)]
        return len(alive) < before

    for instance in list(bench.instances):
        kills(instance)
    for step in range(_EXTRA * 2):
        if not alive:
            break
        start = instances + step * (instances // 2 + 1)
        _make(bench, trees, hints, range(start, start + instances // 2 + 1), timeout, keep=kills)
    return round(1 - len(alive) / total, 4)


def _differs(mutant: tuple[str, set[str]], instance: _Instance, timeout: float) -> bool:
    deadline = time.process_time() + timeout
    try:
        width, rows = run(instance.connection, *mutant, deadline=deadline, max_steps=2_000_000)
    except QueryFailed:
        return True
    return width != instance.expected.width or not agrees(instance.expected, plain_rows(rows))


def _compare(bench: _Bench, sql: str, functions: set[str], timeout: float, facts: dict) -> dict:
    deadline = time.process_time() + timeout
    given: list[list[tuple]] = []
    width = 0
    for instance in bench.instances:
        try:
            width, rows = run(instance.connection, sql, functions, deadline=deadline)
        except QueryFailed as error:
            outcome = {"timeout": "timeout", "too_large": "too_large"}.get(error.kind, "sql_error")
            return _verdict("no", outcome, str(error), **facts)
        given.append(plain_rows(rows))

    expected = [instance.expected for instance in bench.instances]
    wanted = expected[0].width
    facts["set_equal"] = width == wanted and all(
        set(instance.own) == set(rows) for instance, rows in zip(bench.instances, given, strict=True)
    )
    facts["contains_gold"] = find_mapping(expected, given, width) is not None
    if width == wanted and facts["contains_gold"]:
        return _verdict("yes", "equal", f"same result on {len(expected)} instances", **facts)
    at = 0 if width != wanted else _first_difference(expected, given, width)
    facts["counter_example"] = _shown(at + 1, bench.instances[at].own, given[at])
    if width != wanted:
        return _verdict("no", "different_columns", f"{width} columns where gold has {wanted}", **facts)
    return _verdict("no", *_difference(expected[at], given[at], at + 1), **facts)


def _first_difference(expected: list[Expected], given: list[list[tuple]], width: int) -> int:
    """Index of the first instance at which no mapping of columns serves any more."""
    for at in range(len(expected)):
        if find_mapping(expected[: at + 1], given[: at + 1], width) is None:
            return at
    return len(expected) - 1


def _difference(wanted: Expected, found: list[tuple], number: int) -> tuple[str, str]:
    """(outcome, reason): wrong order is told from wrong rows."""
    free = Expected(wanted.width, [([row for block, _ in wanted.groups for row in block], wanted.size)])
    if len(wanted.groups) > 1 and find_mapping([free], [found], wanted.width):
        return "different_order", f"the right rows in another order than ORDER BY asks, on instance {number}"
    if len(found) != wanted.size:
        return "different_result", f"{len(found)} rows where gold has {wanted.size}, on instance {number}"
    return "different_result", f"other values than gold's, on instance {number}"


def _shown(number: int, gold: list[tuple], prediction: list[tuple]) -> str:
    def first(rows: list[tuple]) -> str:
        lines = [", ".join("NULL" if v is None else repr(v)[:40] for v in row[:8]) for row in rows[:3]]
        more = " ..." if len(rows) > 3 else ""
        return f"{len(rows)} rows: " + "".join(f"({line}) " for line in lines).strip() + more if rows else "no rows"

    return f"instance {number}; gold {first(gold)}; prediction {first(prediction)}"


def run_gold_row(
    context: str,
    gold: str,
    *,
    instances: int,
    seed: int,
    dialect: str,
    timeout: float,
    stage: Stage = lambda name: None,
) -> dict:
    """Gold alone (fields of `judge.execution.GoldRun`): does it run, on how many instances does it give rows?"""
    stage("gold")
    try:
        bench = _bench(context, gold, seed, dialect)
        hints = collect([bench.tree], bench.schema)
        _make(bench, [bench.tree], hints, range(instances), timeout)
    except GoldError as error:
        return {"error": str(error), "non_empty": 0, "instances": 0}
    telling = [instance for instance in bench.instances if not says_nothing(bench.plan, instance.own)]
    return {
        "error": None,
        "non_empty": len(telling),
        "instances": len(bench.instances),
        "depends_on_storage": bench.fragile_left_out,
        "tie_at_limit": sum(instance.expected.tie_at_limit for instance in bench.instances),
        "sample": [list(row) for row in telling[0].own[:5]] if telling else [],
    }
