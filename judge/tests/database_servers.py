"""Real PostgreSQL and MariaDB servers for the tests: on loopback, in a temporary folder, as an unprivileged user."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from glob import glob
from pathlib import Path

import pytest

ROOT_PASSWORD = "root-only"
PASSWORD = "s3cret:p@ss/word"  # with characters that a URL has to escape
TABLES = [
    "CREATE TABLE guilds (guild_id INT PRIMARY KEY, guild_name VARCHAR(30) NOT NULL, founded_on DATE)",
    "CREATE TABLE players (player_id INT PRIMARY KEY, username VARCHAR(20) NOT NULL, level INT NOT NULL, "
    "rating DECIMAL(4,2), is_active BOOLEAN NOT NULL, last_login TIMESTAMP NULL, guild_id INT)",
    "INSERT INTO guilds VALUES (1, '불사조', '2023-05-01'), (2, '늑대', '2024-01-15'), (3, '빈 길드', NULL)",
    "INSERT INTO players VALUES "
    "(1, '민수', 10, 4.50, TRUE, '2024-03-01 10:00:00', 1), (2, '지영', 25, 3.25, TRUE, '2024-03-02 23:30:00', 1), "
    "(3, 'kim', 25, NULL, FALSE, NULL, 2), (4, 'lee', 40, 5.00, TRUE, '2024-02-28 08:15:30', NULL), "
    "(5, 'lee', 7, 1.00, FALSE, '2023-12-31 00:00:00', 2)",
    "CREATE SEQUENCE tickets",
]


def found(name: str) -> str | None:
    """The program, also where Debian hides it."""
    places = sorted(glob(f"/usr/lib/postgresql/*/bin/{name}"), key=lambda path: int(path.split("/")[4]))
    return shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin") or (places[-1] if places else None)


def need(kind: str) -> None:
    """Skip, with the reason, where the server or its driver is not installed."""
    programs, package, driver = {
        "postgresql": (("initdb", "postgres"), "postgresql", "psycopg"),
        "mariadb": (("mariadb-install-db", "mariadbd"), "mariadb-server", "pymysql"),
    }[kind]
    for module in ("sqlalchemy", driver):
        pytest.importorskip(module, reason=f"needs {module}: pip install './judge[databases]'")
    missing = [name for name in programs if not found(name)]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}: apt-get install {package}")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return listener.getsockname()[1]


def _drop() -> dict:
    """Popen's arguments for an unprivileged user; both servers refuse to run as root, rightly."""
    return {"user": "nobody", "group": "nogroup", "extra_groups": []} if os.geteuid() == 0 else {}


@contextlib.contextmanager
def running(kind: str) -> Iterator[tuple[str, str]]:
    """(URL of an administrator, URL of the role `judge`, which may only read) of a server with the tables above."""
    need(kind)
    folder = Path(tempfile.mkdtemp(prefix="judge-"))
    if os.geteuid() == 0:
        shutil.chown(folder, "nobody", "nogroup")
    process = None
    try:
        port = free_port()
        command = {"postgresql": _prepare_postgresql, "mariadb": _prepare_mariadb}[kind](folder, port)
        with open(folder / "log", "wb") as log:
            process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, stdin=subprocess.DEVNULL, **_drop())
        urls = _fill(kind, port, process, folder)
        yield urls
    finally:
        if process is not None:
            process.send_signal(signal.SIGQUIT if kind == "postgresql" else signal.SIGKILL)
            process.wait(60)
        shutil.rmtree(folder, ignore_errors=True)


def _call(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, **_drop())
    assert done.returncode == 0, done.stdout + done.stderr


def _prepare_postgresql(folder: Path, port: int) -> list[str]:
    secret = folder / "secret"
    secret.write_text(ROOT_PASSWORD)
    secret.chmod(0o644)
    options = ["-U", "root", "-A", "scram-sha-256", "--pwfile", str(secret), "-E", "UTF8", "--locale=C.UTF-8", "-N"]
    _call([found("initdb"), "-D", str(folder / "data"), *options], folder)
    settings = [f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}", "fsync=off"]
    settings += ["shared_buffers=16MB", "max_connections=30", "autovacuum=off"]
    return [found("postgres"), "-D", str(folder / "data"), *(part for one in settings for part in ("-c", one))]


def _prepare_mariadb(folder: Path, port: int) -> list[str]:
    data = f"--datadir={folder / 'data'}"
    small = ["--innodb-buffer-pool-size=16M", "--innodb-log-file-size=4M", "--innodb-flush-log-at-trx-commit=0"]
    _call(
        [found("mariadb-install-db"), "--no-defaults", data, "--auth-root-authentication-method=normal", *small], folder
    )
    return [
        found("mariadbd"), "--no-defaults", data, f"--port={port}", "--bind-address=127.0.0.1",
        f"--socket={folder / 's'}", f"--pid-file={folder / 'pid'}", "--character-set-server=utf8mb4", *small,
    ]  # fmt: skip


def _fill(kind: str, port: int, process: subprocess.Popen, folder: Path) -> tuple[str, str]:
    from sqlalchemy import URL, create_engine
    from sqlalchemy.exc import OperationalError
    from sqlalchemy.pool import NullPool

    name = "postgresql+psycopg" if kind == "postgresql" else "mysql+pymysql"
    root = URL.create(
        name, "root", ROOT_PASSWORD if kind == "postgresql" else None, "127.0.0.1", port,
        "postgres" if kind == "postgresql" else "mysql",
    )  # fmt: skip

    def execute(url: URL, statements: list[str]) -> None:
        engine = create_engine(url, poolclass=NullPool, isolation_level="AUTOCOMMIT")
        with engine.connect() as connection:
            for statement in statements:
                connection.exec_driver_sql(statement)

    until = time.monotonic() + 120
    while True:
        try:
            execute(root, ["SELECT 1"])
            break
        except OperationalError:
            assert process.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < until, "the server did not start"
            time.sleep(0.1)
    execute(root, ["CREATE DATABASE shop"])
    shop = root.set(database="shop")
    execute(shop, TABLES)
    if kind == "postgresql":
        roles = [
            f"CREATE ROLE judge LOGIN PASSWORD '{PASSWORD}'", "GRANT pg_read_all_data TO judge",
            f"CREATE ROLE writer LOGIN PASSWORD '{PASSWORD}'", "GRANT ALL ON ALL TABLES IN SCHEMA public TO writer",
            "GRANT ALL ON ALL SEQUENCES IN SCHEMA public TO writer", "GRANT CREATE ON SCHEMA public TO writer",
        ]  # fmt: skip
    else:
        roles = [
            "DROP USER IF EXISTS ''@localhost",  # comes before judge, since it names a host
            f"CREATE USER judge IDENTIFIED BY '{PASSWORD}'", "GRANT SELECT ON shop.* TO judge",
            f"CREATE USER writer IDENTIFIED BY '{PASSWORD}'", "GRANT ALL ON shop.* TO writer",
        ]  # fmt: skip
    execute(shop, roles)
    judge = shop.set(username="judge", password=PASSWORD)
    return shop.render_as_string(hide_password=False), judge.render_as_string(hide_password=False)
