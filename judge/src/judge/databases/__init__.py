"""Execution accuracy on the SQLite databases that a data set brings along: Spider, BIRD, AI Hub.

    judge execution rows.jsonl --databases spider/database --out execution.jsonl

The folder is searched for `<db_id>.sqlite`, `.sqlite3` or `.db`, at most three folders deep, which covers Spider's
`database/<db_id>/<db_id>.sqlite`, BIRD's `dev_databases/<db_id>/<db_id>.sqlite` and a flat folder of files. A file is
opened read-only and under `judge.execution.sandbox`'s guard, in a worker process; nothing is written beside it.
"""

from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from urllib.parse import quote

from sqlglot import exp
from sqlglot.errors import SqlglotError

from judge.databases.one import MAX_BYTES, MAX_ROWS, TIMEOUT, Database, judge_on
from judge.execution.sandbox import guard, run
from judge.sql.dialect import to_sqlite
from judge.sql.queries import QueryError, first_line
from judge.sql.schema import Schema, SchemaError, parse_schema
from judge.text import UserError, name_some

SUFFIXES = (".sqlite", ".sqlite3", ".db")
_DEPTH = 3
_MAGIC = b"SQLite format 3\0"
# No step limit in effect: honest queries on a gigabyte need billions. CPU time is the limit.
_STEPS = 10**13
_HEAP = 1_000_000_000
_LONGEST = 10_000_000  # bytes of a value or a row

# What SQLite's own dialect has besides the functions that transpiled MySQL needs. None writes, reads files, or
# gives another answer each time ('now' apart, which gold may want).
_FUNCTIONS = frozenset({
    "concat", "concat_ws", "date", "datetime", "format", "glob", "json", "json_array", "json_array_length",
    "json_group_array", "json_group_object", "json_object", "json_type", "json_valid", "julianday", "likely", "printf",
    "quote", "round", "sign", "strftime", "string_agg", "time", "timediff", "typeof", "unhex", "unixepoch", "unlikely",
    "acos", "asin", "atan", "atan2", "ceil", "ceiling", "cos", "degrees", "exp", "floor", "ln", "log", "log10", "log2",
    "mod", "pi", "pow", "power", "radians", "sin", "sqrt", "tan", "trunc",
})  # fmt: skip


def find_databases(folder: str | Path) -> dict[str, list[Path]]:
    """The SQLite files under `folder` by name without suffix, which is the db_id. Raises UserError where none is."""
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"--databases {folder}: {'not a folder' if folder.exists() else 'no such folder'}")
    found: dict[str, list[Path]] = {}
    top = len(folder.parts)
    for at, folders, files in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith(".")) * (len(Path(at).parts) - top < _DEPTH)
        for name in sorted(files):
            path = Path(at, name)
            if path.suffix.lower() in SUFFIXES and not name.startswith("."):
                found.setdefault(path.stem, []).append(path)
    if not found:
        raise UserError(f"--databases {folder}: no {', '.join(SUFFIXES)} file in it; unpack the data set's databases")
    return found


def choose_databases(folder: str | Path, names: Iterable[str]) -> dict[str, Path]:
    """The file of each db_id. Raises UserError, naming all that are missing, doubled, or no SQLite database."""
    found = find_databases(folder)
    wanted = sorted(set(names))
    missing = [name for name in wanted if name not in found]
    if missing:
        raise UserError(
            f"--databases {folder}: no database for db_id {name_some(missing)}; there are {name_some(sorted(found))}"
        )
    for name in wanted:
        if len(found[name]) > 1:
            raise UserError(
                f"--databases {folder}: db_id {name} fits {name_some(found[name])}; give the folder of one of them"
            )
    chosen = {name: found[name][0].resolve() for name in wanted}
    for path in chosen.values():
        with open(path, "rb") as file:
            head = file.read(100)
        if not head.startswith(_MAGIC):
            what = "a Git LFS pointer, so fetch the file itself" if head.startswith(b"version https://git-lfs") else ""
            raise UserError(f"{path}: not an SQLite database{'; it is ' + what if what else ''}")
    return chosen


def database_verdicts(
    rows: list[dict], folder: str | Path, *, gold: str = "answer", prediction: str = "gen_sql", id: str = "id",
    db_id: str = "db_id", dialect: str = "sqlite", timeout: float = TIMEOUT, workers: int | None = None,
    progress: bool = False,
) -> list[dict]:  # fmt: skip
    """Judge rows on their data set's own databases: dicts of `id`, `db_id` and the fields of Verdict, in their order.

    dialect: that of the data's SQL; 'sqlite' runs as written, any other is rewritten first. timeout: CPU seconds for
    each query. Raises UserError as `choose_databases` does, ValueError for rows without id, gold or db_id.
    """
    from judge.execution import check_rows, verdicts_of

    check_rows(rows, id, (gold, db_id))
    paths = choose_databases(folder, (row[db_id] for row in rows))
    jobs = [
        {
            "task": "file", "path": str(paths[row[db_id]]), "name": f"database {row[db_id]}", "gold": row[gold],
            "prediction": row.get(prediction), "dialect": dialect, "timeout": timeout,
        }
        for row in rows
    ]  # fmt: skip
    verdicts = verdicts_of(rows, id, jobs, workers, progress)
    return [made | {"db_id": row[db_id]} for made, row in zip(verdicts, rows, strict=True)]


def judge_on_file(
    path: str, name: str, gold: str, prediction: str | None, *, dialect: str, timeout: float,
    stage: Callable[[str], None] = lambda name: None,
) -> dict:  # fmt: skip
    """One row on one SQLite file; runs inside a worker process."""
    stage("gold")
    connection, schema = open_guarded(path)
    try:
        native = dialect == "sqlite"
        database = Database(
            name, connection, schema, _as_sqlite if native else to_sqlite,
            partial(run, max_steps=_STEPS, max_rows=MAX_ROWS, max_bytes=MAX_BYTES), time.process_time, native,
        )  # fmt: skip
        return judge_on(database, gold, prediction, dialect=dialect, timeout=timeout, stage=stage)
    finally:
        connection.close()


def open_guarded(path: str) -> tuple[sqlite3.Connection, Schema]:
    """The file, open for reading its tables and views alone, and its schema (empty where its DDL can't be read)."""
    # `immutable` keeps SQLite from making lock or shared-memory files; rows that wait in a -wal need those.
    waiting = Path(path + "-wal").exists() and Path(path + "-wal").stat().st_size > 0
    address = f"file:{quote(path)}?mode=ro" + ("" if waiting else "&immutable=1")
    connection = sqlite3.connect(address, uri=True, isolation_level=None, cached_statements=4)
    connection.text_factory = lambda raw: raw.decode("utf-8", "replace")
    found = connection.execute("SELECT name, sql FROM sqlite_master WHERE type IN ('table', 'view')").fetchall()
    tables = {name.lower() for name, _ in found if not name.lower().startswith("sqlite_")}
    try:
        schema = parse_schema(";\n".join(sql for _, sql in found if sql))
    except SchemaError:
        schema = {}
    guard(connection, tables, _FUNCTIONS, _HEAP)
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, _LONGEST)
    return connection, schema


def _as_sqlite(tree: exp.Expression, schema: Schema) -> tuple[str, set[str]]:
    try:
        return tree.sql(dialect="sqlite", comments=False), set()
    except (SqlglotError, RecursionError, ValueError) as error:
        raise QueryError("transpile_error", f"cannot be written for SQLite: {first_line(error)}") from None
