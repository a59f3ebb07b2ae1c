"""Execution accuracy on the user's own database: PostgreSQL, MySQL, MariaDB, or an SQLite file.

    export JUDGE_DATABASE_URL=postgresql://judge:PASSWORD@db.example/shop
    judge execution rows.jsonl --out execution.jsonl

Generated SQL is hostile until proven otherwise, and here it meets data that somebody needs. So: one SELECT that
`judge.databases.guard` has read and written anew; a transaction that is read-only and is rolled back always; a time limit
that the server keeps, and a later one that the worker process does not survive; rows streamed, and counted on the way.
Each row has a connection of its own, so that no lock, setting or temporary table lives on. A role that may write all or
read the server's files is refused: none of this replaces a role that may only read.

Gold and prediction run in one transaction on one snapshot, with one NOW(). Limits: one database proves less than made
instances do (see `judge.databases.one`); a result that a server makes large before it sends a row (a sort, a text of a
gigabyte) costs the server its memory, which is for its own settings to bound.
"""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from sqlglot import exp

from judge.databases.guard import Server, write_for
from judge.databases.one import MAX_BYTES, MAX_ROWS, TIMEOUT, Database, judge_on
from judge.databases.values import plain_value
from judge.execution.sandbox import QueryFailed
from judge.sql.schema import Schema
from judge.text import UserError

if TYPE_CHECKING:
    from sqlalchemy import URL, Connection, Engine

VARIABLE = "JUDGE_DATABASE_URL"
_INSTALL = "pip install './judge[databases]'"
_DRIVERS = {
    "postgresql": "postgresql+psycopg", "postgres": "postgresql+psycopg", "mysql": "mysql+pymysql",
    "mariadb": "mariadb+pymysql", "sqlite": "sqlite",
}  # fmt: skip
_PASSWORDS = {"postgresql": "PGPASSWORD", "mysql": "MYSQL_PWD", "mariadb": "MYSQL_PWD"}
_PATIENCE = 60.0  # seconds on top of four time limits, before a worker or a transaction that says nothing is ended
_CONNECT = 10  # seconds
_LOOPBACK = (None, "localhost", "127.0.0.1", "::1")
_FETCH = 500  # rows
# Servers' own codes for why a query ended.
_TIMEOUT = {"57014", "55P03", "25P03", 1969, 3024, 1317, 1205}
_TOO_LARGE = {"53100", "53200", "53400", "54000", 1037, 1038, 1041, 1114, 1153, 1301}
_REFUSED = {"25006", "42501", 1792, 1142, 1143, 1227, 1290, 1370, 1044, 1045}


class ServerLost(Exception):
    """The connection broke: nobody's SQL is to blame until that is known."""


def refuse_password(url: str) -> None:
    """Raises UserError for a URL with a password in it, which was given where other users of the machine see it."""
    found = re.search(r"://[^/?#]*:[^/?#]*@", url) or re.search(r"[?&](password|passwd|pwd)=", url, re.IGNORECASE)
    if not url.lower().startswith("sqlite"):  # a file's path may hold both signs
        # SQLAlchemy's own rule comes first: / ? # may stand in a password as they are.
        found = found or re.search(r"://[^:/]*:[^@]*@|://[^?]*:[^?]*@", url)
    if found:
        raise UserError(
            f"--database: the URL holds a password, which `ps` shows to everyone on this machine; leave the option "
            f"out and put the URL into the variable {VARIABLE}"
        )


def read_url(text: str) -> URL:
    """The URL with driver and password filled in (PGPASSWORD, MYSQL_PWD). Raises UserError; it never shows the URL."""
    try:
        from sqlalchemy import make_url
        from sqlalchemy.exc import ArgumentError
    except ImportError:
        raise UserError(f"--database needs SQLAlchemy and a driver: {_INSTALL}") from None
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        raise UserError("--database: not a URL such as postgresql://role@host:5432/name") from None
    kind = url.drivername.split("+")[0]
    if kind not in _DRIVERS:
        raise UserError(f"--database: {kind} is not known; PostgreSQL, MySQL, MariaDB and SQLite are")
    driver = url.drivername.partition("+")[2]
    if driver and driver not in ("pysqlite", _DRIVERS[kind].partition("+")[2]):
        raise UserError(f"--database: the driver {driver} is not known; leave it out, as in {kind}://role@host/name")
    if not driver or kind == "postgres":  # SQLAlchemy knows the longer name alone
        url = url.set(drivername=_DRIVERS[kind])
    if not url.database:
        raise UserError("--database: the URL names no database, as in postgresql://role@host:5432/name")
    password = os.environ.get(_PASSWORDS.get(url.get_backend_name(), ""), "")
    return url.set(password=password) if password and url.password is None else url


def server_verdicts(
    rows: list[dict], url: str, *, gold: str = "answer", prediction: str = "gen_sql", id: str = "id",
    dialect: str = "mysql", timeout: float = TIMEOUT, workers: int | None = None, progress: bool = False,
    warn: Callable[[str], None] = lambda text: None,
) -> list[dict]:  # fmt: skip
    """Judge rows on the database at `url`: dicts of `id` and the fields of Verdict, in the rows' order.

    dialect: that of the data's SQL, transpiled to the server's. timeout: seconds for each query. workers: connections
    at once. warn is told where the role may write. The work stays on this machine with RAY_ADDRESS set too, since the
    URL must not travel. Raises UserError where the server is not reached or the role is too strong.
    """
    from judge.execution import check_rows, verdicts_of

    address = read_url(url)
    check_rows(rows, id, (gold,))
    if address.get_backend_name() == "sqlite":
        path = os.path.realpath(address.database)
        if not os.path.isfile(path):
            raise UserError(f"--database: {address.database}: no such file")
        place = {"task": "file", "path": path, "name": "the database"}
    else:
        check_server(address, timeout, warn)
        secret = address.render_as_string(hide_password=False)
        place = {"task": "server", "url": secret, "patience": 4 * timeout + _PATIENCE}
    jobs = [
        place | {"gold": row[gold], "prediction": row.get(prediction), "dialect": dialect, "timeout": timeout}
        for row in rows
    ]
    return verdicts_of(rows, id, jobs, workers, progress, here=True)


def check_server(url: URL, timeout: float, warn: Callable[[str], None]) -> None:
    """Connect once before any row does. Raises UserError where that fails, or where the role may do too much."""
    from judge.databases.role import complain

    try:
        with transaction(url.render_as_string(hide_password=False), timeout) as connection:
            complain(connection, warn)
    except ServerLost as error:
        raise UserError(f"--database: {where(url)} cannot be used: {error}") from None
    except ModuleNotFoundError as error:
        raise UserError(f"--database needs the driver {error.name}: {_INSTALL}") from None


def where(url: URL) -> str:
    """`postgresql at db.example:5432/shop`: what may be shown of a URL."""
    port = f":{url.port}" if url.port else ""
    return f"{url.get_backend_name()} at {url.host or 'this machine'}{port}/{url.database}"


def judge_on_server(
    url: str, gold: str, prediction: str | None, *, dialect: str, timeout: float,
    stage: Callable[[str], None] = lambda name: None,
) -> dict:  # fmt: skip
    """One row on a server; runs inside a worker process. A lost connection is no verdict but a fault."""
    from judge.databases.role import server_facts

    stage("gold")
    try:
        with ExitStack() as stack:
            connections = [stack.enter_context(transaction(url, timeout))]
            server = server_facts(url, connections[0])

            def run(_: object, sql: str, functions: set[str], *, deadline: float) -> tuple[int, list[tuple]]:
                if connections[-1].invalidated:  # gold without its LIMIT was too much; the rest goes on without it
                    connections.append(stack.enter_context(transaction(url, timeout)))
                return run_on_server(connections[-1], sql, functions, deadline=deadline)

            write = partial(_write, server, dialect)
            database = Database("the database", None, server.schema, write, run, time.monotonic)
            return judge_on(database, gold, prediction, dialect=dialect, timeout=timeout, stage=stage)
    except ServerLost as error:
        return {"fault": f"the database was lost: {error}"}


def _write(server: Server, dialect: str, tree: exp.Expression, schema: Schema) -> tuple[str, set[str]]:
    return write_for(server, dialect, tree)


@lru_cache(maxsize=4)
def _engine(url: str, timeout: float) -> Engine:
    from sqlalchemy import create_engine, make_url
    from sqlalchemy.pool import NullPool

    address = make_url(url)
    if address.get_backend_name() == "postgresql":
        given = {
            "connect_timeout": _CONNECT,
            "application_name": "judge",
            "tcp_user_timeout": 60_000,
            "prepare_threshold": None,
        }
        return create_engine(address, poolclass=NullPool, connect_args=given, use_native_hstore=False)
    late = timeout * 1.5 + 5  # for a server that does not keep its own limit
    given = {"connect_timeout": _CONNECT, "read_timeout": late, "write_timeout": late, "local_infile": False}
    if address.host in _LOOPBACK and not any(name.startswith("ssl") for name in address.query):
        given["ssl_disabled"] = True  # nobody listens there, and PyMySQL reads all certificates for each connection
    return create_engine(address, poolclass=NullPool, connect_args=given)


@contextmanager
def transaction(url: str, timeout: float) -> Iterator[Connection]:
    """A connection of its own in a read-only transaction that ends in a rollback. Raises ServerLost."""
    from sqlalchemy import make_url
    from sqlalchemy.exc import DBAPIError

    try:
        connection = _engine(url, timeout).connect()
    except DBAPIError as error:
        raise ServerLost(_said(error)) from None
    except RuntimeError as error:
        if "cryptography" not in str(error):
            raise
        # PyMySQL's caching_sha2_password, MySQL 8's default, which without TLS encrypts the password by itself.
        raise ServerLost("the server's way to log in needs one more package: pip install 'pymysql[rsa]'") from None
    except (TypeError, ValueError):  # PyMySQL takes them as keyword arguments; their values may be secret
        names = ", ".join(make_url(url).query)
        if not names:
            raise
        raise ServerLost(f"its driver doesn't take the parameters after the ? of the URL ({names})") from None
    try:
        for statement in _opening(connection, timeout):
            connection.exec_driver_sql(statement)
        yield connection
        if not connection.invalidated:
            connection.rollback()
    except DBAPIError as error:
        raise ServerLost(_said(error)) from None
    finally:
        drop(connection)
        with suppress(Exception):
            connection.close()


def drop(connection: Connection) -> None:
    """Cut the connection off at once; the server then ends what runs and rolls back.

    A rollback or a polite close would first read a result to its end, which a hostile query may not have.
    """
    if connection.invalidated:
        return
    with suppress(Exception):
        result = getattr(connection.connection.dbapi_connection, "_result", None)
        if result is not None:  # PyMySQL's, which is read to its end even when it is merely collected
            result.unbuffered_active = False
        connection.invalidate()


def _opening(connection: Connection, timeout: float) -> list[str]:
    milliseconds, seconds = max(1, int(timeout * 1000)), max(1, int(timeout))
    if connection.dialect.name == "postgresql":
        return [
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
            f"SET LOCAL statement_timeout = {milliseconds}; SET LOCAL lock_timeout = {milliseconds}; "
            f"SET LOCAL idle_in_transaction_session_timeout = {4 * milliseconds + int(_PATIENCE * 1000)}; "
            "SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY",  # for one that a COMMIT would begin
        ]
    limit = f"max_statement_time = {timeout}" if _is_mariadb(connection) else f"max_execution_time = {milliseconds}"
    now = "timestamp = UNIX_TIMESTAMP()"  # one NOW() for gold and prediction
    return [
        f"SET SESSION {limit}, SESSION lock_wait_timeout = {seconds}, SESSION {now}",
        "SET SESSION TRANSACTION READ ONLY",
        "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY",
    ]


def _is_mariadb(connection: Connection) -> bool:
    return bool(getattr(connection.dialect, "is_mariadb", False))


def run_on_server(connection: Connection, sql: str, functions: set[str], *, deadline: float) -> tuple[int, list[tuple]]:
    """(number of columns, rows) of one statement, as judge.execution.sandbox.run gives them; `deadline` is of time.monotonic.

    Raises QueryFailed, after which the connection may be dropped (`connection.invalidated`), and ServerLost where it
    broke before the deadline.
    """
    from sqlalchemy.exc import DBAPIError

    options = {"stream_results": True, "max_row_buffer": _FETCH, "no_parameters": True}
    point = connection.begin_nested()  # PostgreSQL gives up a whole transaction at an error
    try:
        result = connection.exec_driver_sql(sql, execution_options=options)
        if not result.returns_rows:
            raise QueryFailed("refused", "the statement gives no rows")
        rows: list[tuple] = []
        size, width = 0, len(result.keys())
        while part := result.fetchmany(_FETCH):
            made = [tuple(plain_value(value) for value in row) for row in part]
            rows += made
            size += sum(len(value) if isinstance(value, (str, bytes)) else 8 for row in made for value in row)
            if len(rows) > MAX_ROWS or size > MAX_BYTES:
                raise QueryFailed("too_large", f"the result passes {MAX_ROWS} rows or {MAX_BYTES} bytes")
            if len(part) == _FETCH and time.monotonic() > deadline:
                raise QueryFailed("timeout", "stopped at the time limit")
        point.commit()
        return width, rows
    except MemoryError:
        drop(connection)
        raise QueryFailed("too_large", "out of memory") from None
    except QueryFailed:
        drop(connection)
        raise
    except DBAPIError as error:
        if error.connection_invalidated and time.monotonic() < deadline:
            raise ServerLost(_said(error)) from None
        kind = "timeout" if error.connection_invalidated else _kind(error.orig)
        failed = QueryFailed(kind, _said(error))
    with suppress(DBAPIError):
        point.rollback()
    raise failed


def _kind(error: Any) -> str:
    said = {getattr(error, "sqlstate", None), error.args[0] if error.args else None}
    kinds = {"timeout": _TIMEOUT, "too_large": _TOO_LARGE, "refused": _REFUSED}
    return next((kind for kind, codes in kinds.items() if said & codes), "sql_error")


def _said(error: Any) -> str:
    """The server's own words, on one line; drivers put no password into them, and PyMySQL puts a code before them."""
    said = error.orig if getattr(error, "orig", None) is not None else error
    words = said.args[1] if len(said.args) == 2 and isinstance(said.args[1], str) else str(said)
    return (words.strip().splitlines() or [type(said).__name__])[0][:200]
