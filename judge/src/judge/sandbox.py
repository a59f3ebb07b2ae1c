"""Run SQL that nobody has vouched for: reading only, one statement, with caps on work, time, rows and bytes.

Generated SQL is hostile until proven otherwise (execution-spec, point 14). This module guards one SQLite connection in
memory; `judge.workers` puts it into a process of its own, with limits of the operating system and a kill from outside.
"""

from __future__ import annotations

import sqlite3
import time

from judge.functions import AGGREGATES, SCALARS, register
from judge.schema import AFFINITY, Schema

# Work is counted in steps of SQLite's virtual machine, so that a verdict does not depend on the machine's speed;
# honest queries on these instances need some thousands. The clock is a second line.
MAX_STEPS = 20_000_000
_STEPS_A_CALL = 5_000
MAX_ROWS = 10_000
MAX_BYTES = 4_000_000

_FUNCTIONS = {
    "->", "->>", "abs", "avg", "char", "coalesce", "count", "cume_dist", "dense_rank", "first_value", "group_concat",
    "hex", "ifnull", "iif", "instr", "json_extract", "lag", "last_value", "lead", "length", "like", "lower", "ltrim",
    "max", "min", "nth_value", "ntile", "nullif", "percent_rank", "rank", "replace", "row_number", "rtrim", "substr",
    "substring", "sum", "total", "trim", "unicode", "upper",
} | SCALARS.keys() | AGGREGATES.keys()  # fmt: skip
_LIMITS = {
    sqlite3.SQLITE_LIMIT_LENGTH: 1_000_000,
    sqlite3.SQLITE_LIMIT_SQL_LENGTH: 100_000,
    sqlite3.SQLITE_LIMIT_COLUMN: 500,
    sqlite3.SQLITE_LIMIT_EXPR_DEPTH: 300,
    sqlite3.SQLITE_LIMIT_COMPOUND_SELECT: 50,
    sqlite3.SQLITE_LIMIT_ATTACHED: 0,
    sqlite3.SQLITE_LIMIT_LIKE_PATTERN_LENGTH: 1_000,
    sqlite3.SQLITE_LIMIT_VARIABLE_NUMBER: 500,
    sqlite3.SQLITE_LIMIT_TRIGGER_DEPTH: 0,
    sqlite3.SQLITE_LIMIT_WORKER_THREADS: 0,
}


class QueryFailed(Exception):
    """A query that gave no result. `kind`: 'sql_error', 'timeout', 'too_large' or 'refused'."""

    def __init__(self, kind: str, message: str) -> None:
        super().__init__(message)
        self.kind = kind


def load(
    schema: Schema, rows: dict[str, list[list]], kinds: dict[tuple[str, str], str] | None = None
) -> sqlite3.Connection:
    """A guarded in-memory database with all tables of the schema, those in `rows` filled.

    Columns have an affinity but no key and no index: keys hold by the way the rows were made, and so the rows come
    back in the order they were put in, not in the key's. `kinds` overrules the schema's by (table, column).
    """
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=4)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    kinds = kinds or {}
    for name, table in schema.items():
        # Tables without rows still exist: a query may name them in a branch that is never reached.
        columns = []
        for c, column in table.columns.items():
            kind = kinds.get((name, c), column.kind)
            columns.append(f"{_quoted(column.name)} {AFFINITY.get(kind, 'TEXT')}")
        connection.execute(f"CREATE TABLE {_quoted(table.name)} ({', '.join(columns)})")
        if rows.get(name):
            places = ",".join("?" * len(table.columns))
            connection.execute("BEGIN")
            connection.executemany(f"INSERT INTO {_quoted(table.name)} VALUES ({places})", rows[name])
            connection.execute("COMMIT")
    return guard(connection, set(schema))


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def guard(connection: sqlite3.Connection, tables: set[str]) -> sqlite3.Connection:
    """Take away all but reading the named tables (lower case) through allowed functions; it can't be undone by SQL."""
    connection.execute("PRAGMA temp_store = MEMORY")  # sorting must not reach the disk
    connection.execute("PRAGMA query_only = ON")
    connection.execute("PRAGMA hard_heap_limit = 100000000")  # of the process; holds where RLIMIT_AS does not (macOS)
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)

    def allowed(action: int, first: str | None, second: str | None, database: str | None, via: str | None) -> int:
        if action in (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_RECURSIVE):
            return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_READ:
            # Derived tables and CTEs are asked about too, by their own names; the rest are virtual and system tables.
            name = (first or "").lower()
            if name in tables or not name.startswith(
                ("sqlite_", "pragma_", "json_", "fts", "dbstat", "generate_", "bytecode", "tables_used")
            ):
                return sqlite3.SQLITE_OK
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in _FUNCTIONS:
            return sqlite3.SQLITE_OK
        return sqlite3.SQLITE_DENY

    connection.set_authorizer(allowed)
    return connection


def run(
    connection: sqlite3.Connection,
    sql: str,
    functions: set[str],
    *,
    deadline: float | None = None,
    max_steps: int = MAX_STEPS,
    max_rows: int = MAX_ROWS,
    max_bytes: int = MAX_BYTES,
) -> tuple[int, list[tuple]]:
    """(number of columns, rows) of one statement on a guarded connection; `deadline` is a time.process_time() value.

    Raises QueryFailed with the kind and SQLite's own words.
    """
    register(connection, functions)
    stopped = _watch(connection, deadline, max_steps)
    try:
        cursor = connection.execute(sql)
        if cursor.description is None:
            raise QueryFailed("refused", "the statement gives no rows")
        rows: list[tuple] = []
        size = 0
        while part := cursor.fetchmany(500):
            rows += part
            size += sum(len(value) if isinstance(value, (str, bytes)) else 8 for row in part for value in row)
            if len(rows) > max_rows or size > max_bytes:
                raise QueryFailed("too_large", f"the result passes {max_rows} rows or {max_bytes} bytes")
        return len(cursor.description), rows
    except MemoryError:
        raise QueryFailed("too_large", "out of memory") from None
    except (sqlite3.Error, sqlite3.Warning, OverflowError, ValueError) as error:
        if stopped:
            raise QueryFailed("timeout", stopped[0]) from None
        message = str(error)
        kind = (
            "refused"
            if "not authorized" in message or "prohibited" in message or "one statement" in message
            else "sql_error"
        )
        kind = "too_large" if "too big" in message or "out of memory" in message else kind
        raise QueryFailed(kind, message[:200]) from None
    finally:
        connection.set_progress_handler(None, 0)


def _watch(connection: sqlite3.Connection, deadline: float | None, max_steps: int) -> list[str]:
    """Stop the statement at the step or time limit; the returned list then holds the reason."""
    stopped: list[str] = []
    left = [max_steps // _STEPS_A_CALL]

    def check() -> int:
        left[0] -= 1
        if left[0] < 0:
            stopped.append(f"stopped after {max_steps} steps")
        elif deadline is not None and time.process_time() > deadline:
            stopped.append("stopped at the time limit")
        return int(bool(stopped))

    connection.set_progress_handler(check, _STEPS_A_CALL)
    return stopped
