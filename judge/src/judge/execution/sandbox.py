"""Run SQL that nobody has vouched for: reading only, one statement, with caps on work, time, rows and bytes.

Generated SQL is hostile until proven otherwise (execution-spec, point 14). This module guards one SQLite connection in
memory; `judge.execution.workers` puts it into a process of its own, with limits of the operating system and a kill from outside.
"""

from __future__ import annotations

import sqlite3
import time
from collections import OrderedDict
from dataclasses import dataclass

from judge.sql.functions import AGGREGATES, SCALARS, register
from judge.sql.schema import AFFINITY, Schema

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


@dataclass(frozen=True)
class Borrowed:
    """A guarded in-memory database and the statements that made its tables."""

    connection: sqlite3.Connection
    shape: tuple[str, ...]


def load(
    schema: Schema, rows: dict[str, list[list]], kinds: dict[tuple[str, str], str] | None = None
) -> sqlite3.Connection:
    """A guarded in-memory database with all tables of the schema, those in `rows` filled.

    Columns have an affinity but no key and no index: keys hold by the way the rows were made, and so the rows come
    back in the order they were put in, not in the key's. `kinds` overrules the schema's by (table, column).
    """
    connection = _connect()
    # Tables without rows still exist: a query may name them in a branch that is never reached.
    for statement in _creations(schema, list(schema), kinds or {}):
        connection.execute(statement)
    _fill(connection, schema, rows)
    return guard(connection, set(schema))


_free: OrderedDict[tuple[str, ...], list[sqlite3.Connection]] = OrderedDict()  # by their CREATE statements
_MOST_SHAPES = 8
_MOST_FREE = 64  # of one shape


def borrow(schema: Schema, rows: dict[str, list[list]], kinds: dict[tuple[str, str], str]) -> Borrowed:
    """Like `load`, with the tables named in `rows` alone; a database handed back is filled again where one fits.

    Making tables costs several times what filling them does. Nothing of the last tenant is left: a guarded connection
    allows reading only, and the rows are deleted here. Hand it back with `give_back`.
    """
    shape = tuple(_creations(schema, list(rows), kinds))
    free = _free.get(shape)
    if free:
        connection = free.pop()
        connection.set_authorizer(None)
        connection.execute("PRAGMA query_only = OFF")
        for name in rows:
            connection.execute(f"DELETE FROM {_quoted(schema[name].name)}")
        _fill(connection, schema, rows)
        return Borrowed(_close_off(connection, set(rows)), shape)
    connection = _connect()
    for statement in shape:
        connection.execute(statement)
    _fill(connection, schema, rows)
    return Borrowed(guard(connection, set(rows)), shape)


def give_back(borrowed: Borrowed) -> None:
    free = _free.setdefault(borrowed.shape, [])
    _free.move_to_end(borrowed.shape)
    if len(free) < _MOST_FREE:
        free.append(borrowed.connection)
    else:
        borrowed.connection.close()
    while len(_free) > _MOST_SHAPES:
        for connection in _free.popitem(last=False)[1]:
            connection.close()


def _connect() -> sqlite3.Connection:
    connection = sqlite3.connect(":memory:", isolation_level=None, cached_statements=4)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    return connection


def _creations(schema: Schema, names: list[str], kinds: dict[tuple[str, str], str]) -> list[str]:
    statements = []
    for name in names:
        table = schema[name]
        columns = [
            f"{_quoted(column.name)} {AFFINITY.get(kinds.get((name, c), column.kind), 'TEXT')}"
            for c, column in table.columns.items()
        ]
        statements.append(f"CREATE TABLE {_quoted(table.name)} ({', '.join(columns)})")
    return statements


def _fill(connection: sqlite3.Connection, schema: Schema, rows: dict[str, list[list]]) -> None:
    connection.execute("BEGIN")
    for name, made in rows.items():
        if made:
            places = ",".join("?" * len(schema[name].columns))
            connection.executemany(f"INSERT INTO {_quoted(schema[name].name)} VALUES ({places})", made)
    connection.execute("COMMIT")


def _quoted(name: str) -> str:
    return "`" + name.replace("`", "``") + "`"


def guard(
    connection: sqlite3.Connection, tables: set[str], more: frozenset[str] = frozenset(), heap: int = 100_000_000
) -> sqlite3.Connection:
    """Take away all but reading the named tables (lower case) through allowed functions; it can't be undone by SQL.

    more: functions allowed besides. heap: bytes that SQLite may hold in this process.
    """
    connection.execute("PRAGMA temp_store = MEMORY")  # sorting must not reach the disk
    connection.execute(f"PRAGMA hard_heap_limit = {heap}")  # of the process; holds where RLIMIT_AS does not (macOS)
    for limit, value in _LIMITS.items():
        connection.setlimit(limit, value)
    return _close_off(connection, tables, more)


def _close_off(
    connection: sqlite3.Connection, tables: set[str], more: frozenset[str] = frozenset()
) -> sqlite3.Connection:
    connection.execute("PRAGMA query_only = ON")
    functions = _FUNCTIONS | more

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
        if action == sqlite3.SQLITE_FUNCTION and (second or "").lower() in functions:
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
    cursor = connection.cursor()
    try:
        cursor.execute(sql)
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
        kind = "too_large" if any(words in message for words in ("too big", "too large", "out of memory")) else kind
        raise QueryFailed(kind, message[:200]) from None
    finally:
        connection.set_progress_handler(None, 0)
        cursor.close()  # a statement left half read would lock its tables


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
