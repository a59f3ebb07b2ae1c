"""Judge one row on one database that is already there, whatever runs its SQL: a file or a server.

One database proves less than made instances do: two queries that differ only on rows which it does not hold come out
equal. Where gold gives nothing on it, it proves nothing, and the row is `unscored`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from judge.execution.compare import plain_rows
from judge.execution.goldplan import plan_gold, run_gold_once, says_nothing
from judge.execution.rowjudge import read_prediction, verdict, verdict_on_results
from judge.execution.sandbox import QueryFailed
from judge.extract import extract_sql
from judge.sql.queries import QueryError, parse_query
from judge.sql.schema import Schema

# Of one result. Real databases give more than made instances: BIRD's gold has answers of 100,000 rows.
MAX_ROWS = 200_000
MAX_BYTES = 64_000_000
TIMEOUT = 30.0


@dataclass
class Database:
    """A database as a row is judged on it."""

    name: str  # as reasons call it
    connection: Any  # handed to `run`, which has judge.execution.sandbox.run's shape
    schema: Schema
    write: Callable  # (tree, schema) -> (SQL of this database, functions it needs); raises QueryError
    run: Callable
    clock: Callable[[], float]  # deadlines are its seconds
    native: bool = False  # SQL runs as it was written; `write` serves only for gold's sort keys


def judge_on(
    database: Database, gold: str, prediction: str | None, *, dialect: str, timeout: float,
    stage: Callable[[str], None] = lambda name: None,
) -> dict:  # fmt: skip
    """The verdict of one row as a dict (fields of `judge.execution.Verdict`); `timeout` is for each of the queries."""
    try:
        tree = parse_query((gold or "").strip(), dialect)
        plan = plan_gold(tree, database.schema, database.write)
        if database.native:
            plan.sql, plan.functions = gold.strip(), set()
        if plan.uncut:  # so that what is too much ends by itself, wherever it runs
            plan.uncut += f" LIMIT {MAX_ROWS + 1}"
        deadline = database.clock() + timeout
        expected, own = run_gold_once(plan, database.connection, deadline, database.run)
    except QueryError as error:
        return verdict("unscored", "gold_error", f"gold: {error}")
    except QueryFailed as error:
        return verdict("unscored", "gold_error", f"gold: {error.kind}: {error}")
    except RecursionError:
        return verdict("unscored", "gold_error", "gold: nested too deeply")
    telling = not says_nothing(plan, own)
    facts = {"tie_at_limit": expected.tie_at_limit, "gold_non_empty": int(telling), "instances": 1}
    if not telling:
        reason = f"gold gives nothing on {database.name}, so it proves nothing"
        return verdict("unscored", "gold_always_empty", reason, **facts)

    stage("prediction")
    failure, sql, functions = _prediction(database, prediction, dialect)
    if failure:
        return verdict("no", *failure, **facts)
    try:
        width, rows = database.run(database.connection, sql, functions, deadline=database.clock() + timeout)
    except QueryFailed as error:
        outcome = error.kind if error.kind in ("timeout", "too_large") else "sql_error"
        return verdict("no", outcome, f"refused: {error}" if error.kind == "refused" else str(error), **facts)
    return verdict_on_results([expected], [own], [plain_rows(rows)], width, facts, [database.name])


def _prediction(database: Database, prediction: str | None, dialect: str) -> tuple:
    """((outcome, reason) or None, SQL, functions)"""
    failure, _, sql, functions = read_prediction(prediction, dialect, database.schema, database.write)
    if database.native and (failure is None or failure[0] not in ("missing_prediction", "no_sql")):
        # The sandbox refuses what is no query; a parser that knows less than SQLite must not.
        return None, extract_sql(str(prediction)).sql, set()
    return failure, sql, functions
