"""What is known of a server and of the role that the judge has on it."""

from __future__ import annotations

import fnmatch
import re
from collections.abc import Callable
from functools import lru_cache
from typing import TYPE_CHECKING

from judge.databases.guard import Server
from judge.sql.schema import Column, Schema, Table
from judge.text import UserError, name_some

if TYPE_CHECKING:
    from sqlalchemy import Connection

_KINDS = (("bool", "bool"), ("int", "int"), ("serial", "int"), ("numeric", "real"), ("decimal", "real"))
_OURS = "('information_schema', 'pg_catalog', 'mysql', 'performance_schema', 'sys')"
_COLUMNS = (
    "SELECT table_name, column_name, data_type FROM information_schema.columns "
    f"WHERE table_schema NOT IN {_OURS} ORDER BY table_name, ordinal_position"
)
# Rights that reach past the database, to the server's files, settings and other users.
_STRONG = ("SUPER", "FILE", "ALL PRIVILEGES", "SHUTDOWN", "CREATE USER")
_GRANT = re.compile(r"GRANT (?P<rights>.+?) ON (?:TABLE |FUNCTION |PROCEDURE )?(?P<place>.+?)\.\S+ TO ", re.IGNORECASE)
_WRITING = ("INSERT", "UPDATE", "DELETE", "DROP", "CREATE", "ALTER", "ALL PRIVILEGES", "TRIGGER", "EXECUTE")


def complain(connection: Connection, warn: Callable[[str], None]) -> None:
    """Raises UserError for a role that may do all; tells `warn` of one that may write, and how to make a better."""
    if connection.dialect.name == "postgresql":
        role, strong, writable = _postgres_role(connection)
        mend = "CREATE ROLE judge LOGIN PASSWORD '...'; GRANT pg_read_all_data TO judge"
    else:
        role, strong, writable = _mysql_role(connection)
        mend = f"CREATE USER judge IDENTIFIED BY '...'; GRANT SELECT ON {connection.engine.url.database}.* TO judge"
    if strong:
        raise UserError(f"--database: role {role} has {strong}, too much for SQL that a model wrote; make one: {mend}")
    if writable:
        warn(f"role {role} may write ({writable}); transactions are read-only, a role that may only read is safer")


def _postgres_role(connection: Connection) -> tuple[str, str, str]:
    role, strong = connection.exec_driver_sql(
        "SELECT current_user, concat_ws(', ', CASE WHEN rolsuper THEN 'SUPERUSER' END, "
        "(SELECT string_agg(name, ', ') FROM (VALUES ('pg_read_server_files'), ('pg_write_server_files'), "
        "('pg_execute_server_program')) AS v(name) WHERE pg_has_role(current_user, name, 'member'))) "
        "FROM pg_roles WHERE rolname = current_user"
    ).one()
    tables = connection.exec_driver_sql(
        "SELECT c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p') "
        f"AND n.nspname NOT IN {_OURS} AND has_schema_privilege(n.oid, 'USAGE') "
        "AND has_table_privilege(c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') ORDER BY 1"
    ).scalars().all()  # fmt: skip
    return role, strong, name_some(tables, 3)


def _mysql_role(connection: Connection) -> tuple[str, str, str]:
    role = connection.exec_driver_sql("SELECT CURRENT_USER()").scalar_one()
    here = connection.engine.url.database.lower()
    strong: list[str] = []
    writing: list[str] = []
    for grant in connection.exec_driver_sql("SHOW GRANTS").scalars().all():
        found = _GRANT.match(grant.replace("`", "").replace("\\", ""))
        if found is None:  # a role that is granted; its own grants have lines of their own where it is in force
            continue
        rights = re.sub(r"\([^)]*\)", "", found["rights"]).upper()
        if found["place"] == "*":
            strong += [right for right in _STRONG if right in rights]
        if fnmatch.fnmatchcase(here, found["place"].lower().replace("%", "*")):
            writing += [right for right in _WRITING if right in rights.split(", ")]
    return role, ", ".join(dict.fromkeys(strong)), name_some(dict.fromkeys(writing), 3)


@lru_cache(maxsize=4)
def _remembered(url: str) -> dict:
    return {}


def server_facts(url: str, connection: Connection) -> Server:
    """Tables, columns and volatile functions of the server at `url`; asked for once in a process."""
    kept = _remembered(url)
    if "server" not in kept:
        dialect = "postgres" if connection.dialect.name == "postgresql" else "mysql"
        schema: Schema = {}
        names: dict[str, set[str]] = {}
        for table, column, kind in connection.exec_driver_sql(_COLUMNS):
            here = schema.setdefault(table.lower(), Table(table))
            here.columns.setdefault(column.lower(), Column(column, _kind(kind)))
            names.setdefault(table.lower(), set()).add(table)
            names.setdefault(column.lower(), set()).add(column)
        volatile: frozenset[str] = frozenset()
        if dialect == "postgres":
            found = connection.exec_driver_sql("SELECT DISTINCT lower(proname) FROM pg_proc WHERE provolatile = 'v'")
            volatile = frozenset(found.scalars())
        spelling = {lower: found.pop() for lower, found in names.items() if len(found) == 1}
        kept["server"] = Server(dialect, schema, spelling, volatile)
    return kept["server"]


def _kind(name: str) -> str:
    return next((kind for part, kind in _KINDS if part in name.lower()), "text")
