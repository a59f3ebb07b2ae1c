"""Judge one row by running gold and prediction on made instances; runs inside a worker process."""

from __future__ import annotations

import time
from collections.abc import Callable

from judge.execution.bench import Bench, GoldError, Instance, add_large, furnish, read_gold
from judge.execution.compare import Expected, find_mapping, plain_rows
from judge.execution.hints import collect
from judge.execution.sandbox import QueryFailed, run
from judge.extract import extract_sql
from judge.sql.dialect import to_sqlite
from judge.sql.queries import QueryError, bare_beside_aggregate, parse_query
from judge.sql.schema import Schema

Stage = Callable[[str], None]


def judge_row(
    context: str, gold: str, prediction: str | None, *, instances: int, seed: int, dialect: str, timeout: float,
    mutants: bool = False, stage: Stage = lambda name: None,
) -> dict:  # fmt: skip
    """The verdict of one row as a dict (fields of `judge.execution.Verdict`). `stage` is told whose work goes on."""
    stage("gold")
    try:
        bench = read_gold(context, gold, seed, dialect, timeout)
    except GoldError as error:
        return verdict("unscored", "gold_error", f"gold: {error}")

    stage("prediction")
    failure, tree, sql, functions = read_prediction(prediction, dialect, bench.schema)
    if tree is not None and dialect == "mysql" and not bare_beside_aggregate(bench.tree, bench.schema):
        bare = bare_beside_aggregate(tree, bench.schema)
        if bare:
            failure = ("sql_error", f"column {bare} stands beside an aggregate without GROUP BY, which MySQL refuses")
    trees = [bench.tree] + ([tree] if tree is not None else [])
    hints = collect(trees, bench.schema)

    stage("gold")
    try:
        bench = furnish(bench, trees, hints, instances, mutants, (context, gold, seed, dialect, timeout))
    except GoldError as error:
        return verdict("unscored", "gold_error", f"gold: {error}")
    if not bench.instances:
        return verdict("unscored", "gold_error", "gold: its result depends on how rows are stored, on every instance")
    telling = bench.telling()
    facts = {
        "tie_at_limit": any(instance.expected.tie_at_limit for instance in bench.instances),
        "gold_non_empty": telling,
        "mutants_killed": bench.mutants_killed,
    }
    seen = {**facts, "instances": len(bench.instances)}
    if telling == 0:
        reason = f"gold gives nothing on all {len(bench.instances)} instances, so they prove nothing"
        return verdict("unscored", "gold_always_empty", reason, **seen)
    if failure:
        return verdict("no", failure[0], failure[1], **seen)

    stage("prediction")
    found = _compare(bench, bench.instances, sql, functions, facts)
    if found["execution"] != "yes" or sql == bench.plan.sql:
        return found
    stage("gold")
    try:
        large = add_large(bench, trees, hints, (instances + 1) // 2)
    except GoldError:  # gold did run on as many as were asked for
        return found
    stage("prediction")
    return _compare(bench, bench.instances + large, sql, functions, facts)


def verdict(execution: str, outcome: str, reason: str, **facts: object) -> dict:
    """The answer of a worker: fields of `judge.execution.Verdict`."""
    return {"execution": execution, "reason": reason, "outcome": outcome, **facts}


def read_prediction(prediction: str | None, dialect: str, schema: Schema, write: Callable = to_sqlite) -> tuple:
    """(failure or None, tree, SQL for SQLite or whatever `write` writes for, its functions)"""
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
        return None, tree, *write(tree, schema)
    except QueryError as error:
        return (error.kind, str(error)), *nothing
    except RecursionError:
        return ("sql_error", "nested too deeply"), *nothing


def _compare(bench: Bench, instances: list[Instance], sql: str, functions: set[str], facts: dict) -> dict:
    deadline = time.process_time() + bench.timeout
    facts = {**facts, "instances": len(instances)}
    given: list[list[tuple]] = []
    width = 0
    for instance in instances:
        try:
            width, rows = run(instance.borrowed.connection, sql, functions, deadline=deadline)
        except QueryFailed as error:
            outcome = {"timeout": "timeout", "too_large": "too_large"}.get(error.kind, "sql_error")
            return verdict("no", outcome, str(error), **facts)
        given.append(plain_rows(rows))
        # Once one instance tells the two apart by both rules, the rest could not change the verdict.
        alone = find_mapping([instance.expected], [given[-1]], width) is not None
        if not alone and (width != instance.expected.width or set(instance.own) != set(given[-1])):
            break
    used = instances[: len(given)]
    expected = [instance.expected for instance in used]
    names = [f"instance {number}" for number in range(1, len(expected) + 1)]
    return verdict_on_results(expected, [instance.own for instance in used], given, width, facts, names)


def verdict_on_results(
    expected: list[Expected], own: list[list[tuple]], given: list[list[tuple]], width: int, facts: dict,
    names: list[str],
) -> dict:  # fmt: skip
    """The verdict on what a prediction gave; one entry a database: gold's own rows, the prediction's, the name."""
    wanted = expected[0].width
    facts["set_equal"] = width == wanted and all(set(mine) == set(rows) for mine, rows in zip(own, given, strict=True))
    facts["contains_gold"] = find_mapping(expected, given, width) is not None
    if width == wanted and facts["contains_gold"]:
        where = f"{len(expected)} instances" if len(expected) > 1 else names[0]
        return verdict("yes", "equal", f"same result on {where}", **facts)
    at = 0 if width != wanted else _first_difference(expected, given, width)
    facts["counter_example"] = _shown(names[at], own[at], given[at])
    if width != wanted:
        return verdict("no", "different_columns", f"{width} columns where gold has {wanted}", **facts)
    return verdict("no", *_difference(expected[at], given[at], names[at]), **facts)


def _first_difference(expected: list[Expected], given: list[list[tuple]], width: int) -> int:
    """Index of the first instance at which no mapping of columns serves any more."""
    for at in range(len(expected)):
        if find_mapping(expected[: at + 1], given[: at + 1], width) is None:
            return at
    return len(expected) - 1


def _difference(wanted: Expected, found: list[tuple], where: str) -> tuple[str, str]:
    """(outcome, reason): wrong order is told from wrong rows."""
    free = Expected(wanted.width, [([row for block, _ in wanted.groups for row in block], wanted.size)])
    if len(wanted.groups) > 1 and find_mapping([free], [found], wanted.width):
        return "different_order", f"the right rows in another order than ORDER BY asks, on {where}"
    if len(found) != wanted.size:
        return "different_result", f"{len(found)} rows where gold has {wanted.size}, on {where}"
    return "different_result", f"other values than gold's, on {where}"


def _shown(where: str, gold: list[tuple], prediction: list[tuple]) -> str:
    def first(rows: list[tuple]) -> str:
        lines = [", ".join("NULL" if v is None else repr(v)[:40] for v in row[:8]) for row in rows[:3]]
        more = " ..." if len(rows) > 3 else ""
        return f"{len(rows)} rows: " + "".join(f"({line}) " for line in lines).strip() + more if rows else "no rows"

    return f"{where}; gold {first(gold)}; prediction {first(prediction)}"


def run_gold_row(
    context: str, gold: str, *, instances: int, seed: int, dialect: str, timeout: float,
    stage: Stage = lambda name: None,
) -> dict:  # fmt: skip
    """Gold alone (fields of `judge.execution.GoldRun`): does it run, on how many instances does it give rows?"""
    stage("gold")
    try:
        bench = read_gold(context, gold, seed, dialect, timeout)
        hints = collect([bench.tree], bench.schema)
        bench = furnish(bench, [bench.tree], hints, instances, None, (context, gold, seed, dialect, timeout))
    except GoldError as error:
        return {"error": str(error), "non_empty": 0, "instances": 0}
    sample = next((instance.own for instance in bench.instances if bench.tells(instance)), [])
    return {
        "error": None,
        "non_empty": bench.telling(),
        "instances": len(bench.instances),
        "depends_on_storage": bench.fragile_left_out,
        "tie_at_limit": sum(instance.expected.tie_at_limit for instance in bench.instances),
        "sample": [list(row) for row in sample[:5]],
    }
