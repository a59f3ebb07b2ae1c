"""Judging on a user's own PostgreSQL or MariaDB: real servers on loopback, hostile SQL, passwords, strong roles."""

from __future__ import annotations

import os
import socket
import struct
import threading
import time
from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal

import pytest
from database_servers import PASSWORD, running
from judge.databases.guard import Server, write_for
from judge.databases.server import VARIABLE, refuse_password
from judge.databases.values import plain_value
from judge.execution.sandbox import QueryFailed
from judge.sql.queries import QueryError, parse_query
from judge.sql.schema import parse_schema
from judge.text import UserError, write_jsonl

GOLD = "SELECT username FROM players"

# gold, prediction, outcome: MySQL's words, as the data has them, on whichever server.
VERDICTS = [
    ("SELECT username FROM players WHERE level > 10", "SELECT p.username FROM players AS p WHERE p.level >= 11", "equal"),
    ("SELECT username FROM players WHERE level > 10", "SELECT username FROM players WHERE level >= 10", "different_result"),
    ("SELECT username, level FROM players", "```sql\nSELECT level, username FROM players;\n```", "equal"),
    ("SELECT `username` FROM `players` WHERE is_active = 1", "SELECT username FROM players WHERE is_active = TRUE", "equal"),
    ("SELECT username FROM players WHERE is_active = TRUE", "SELECT username FROM players WHERE is_active = 0", "different_result"),
    ("SELECT username FROM players ORDER BY level DESC LIMIT 2", "SELECT username FROM players WHERE player_id IN (2, 4) ORDER BY level DESC", "equal"),
    ("SELECT username FROM players ORDER BY level", "SELECT username FROM players ORDER BY level DESC", "different_order"),
    ("SELECT username FROM players ORDER BY level, player_id", "SELECT username FROM players ORDER BY level, player_id DESC", "different_order"),
    ("SELECT username FROM players LIMIT 2", "SELECT username FROM players WHERE player_id >= 4", "equal"),
    ("SELECT AVG(rating) FROM players", "SELECT SUM(rating) / COUNT(rating) FROM players", "equal"),
    ("SELECT COUNT(*) FROM players", "SELECT SUM(1.0) FROM players", "equal"),
    ("SELECT rating FROM players", "SELECT COALESCE(rating, 0) FROM players", "different_result"),
    ("SELECT username FROM players", "SELECT DISTINCT username FROM players", "different_result"),
    ("SELECT username FROM players WHERE username = 'lee'", "SELECT username FROM players WHERE username LIKE 'l%'", "equal"),
    ("SELECT username FROM players WHERE username = \"민수\"", "SELECT username FROM players WHERE player_id = 1", "equal"),
    ("SELECT YEAR(last_login), MONTH(last_login) FROM players", "SELECT EXTRACT(YEAR FROM last_login), EXTRACT(MONTH FROM last_login) FROM players", "equal"),
    ("SELECT DATE_FORMAT(last_login, '%Y-%m') FROM players WHERE level > 7", "SELECT LEFT(DATE_FORMAT(last_login, '%Y-%m-%d'), 7) FROM players WHERE level > 7", "equal"),
    ("SELECT username FROM players WHERE last_login >= DATE_SUB('2024-03-02', INTERVAL 7 DAY)", "SELECT username FROM players WHERE player_id IN (1, 2, 4)", "equal"),
    ("SELECT HOUR(last_login) FROM players WHERE level > 7", "SELECT DATE_FORMAT(last_login, '%H') FROM players WHERE level > 7", "different_result"),
    ("SELECT TIMESTAMPDIFF(MONTH, founded_on, '2024-06-14') FROM guilds WHERE guild_id < 3", "SELECT 13 UNION ALL SELECT 5", "different_result"),
    ("SELECT TIMESTAMPDIFF(MONTH, founded_on, '2024-06-15') FROM guilds WHERE guild_id < 3", "SELECT 13 UNION ALL SELECT 5", "equal"),
    ("SELECT DATEDIFF('2024-01-20', founded_on) FROM guilds WHERE guild_id = 2", "SELECT TIMESTAMPDIFF(DAY, founded_on, '2024-01-20') FROM guilds WHERE guild_id = 2", "equal"),
    ("SELECT g.guild_name, COUNT(p.player_id) FROM guilds g LEFT JOIN players p ON p.guild_id = g.guild_id GROUP BY g.guild_id, g.guild_name",
     "SELECT guild_name, (SELECT COUNT(*) FROM players WHERE players.guild_id = guilds.guild_id) FROM guilds", "equal"),
    ("SELECT g.guild_name, COUNT(p.player_id) FROM guilds g LEFT JOIN players p ON p.guild_id = g.guild_id GROUP BY g.guild_id, g.guild_name",
     "SELECT g.guild_name, COUNT(*) FROM guilds g JOIN players p ON p.guild_id = g.guild_id GROUP BY g.guild_id, g.guild_name", "different_result"),
    ("SELECT IFNULL(rating, 0), '50%' FROM players", "SELECT COALESCE(rating, 0), '50%' FROM players", "equal"),
    ("SELECT NOW(), username FROM players", "SELECT NOW(), username FROM players", "equal"),
    ("SELECT username, level FROM players", "SELECT username FROM players", "different_columns"),
    ("SELECT username FROM players WHERE level = 99", "SELECT 1", "gold_always_empty"),
    ("SELECT COUNT(*) FROM players WHERE level = 99", "SELECT 0", "gold_always_empty"),
    ("SELECT nothing FROM nowhere", "SELECT 1", "gold_error"),
    ("SELECT username FROM players", "SELECT nickname FROM players", "sql_error"),
    ("SELECT username FROM players", "I cannot answer that.", "no_sql"),
    ("SELECT username FROM players", None, "missing_prediction"),
]  # fmt: skip

CROSS = "players a, " + ", ".join(f"players t{n}" for n in range(13))
HOSTILE = [
    "INSERT INTO players VALUES (9, 'x', 1, NULL, TRUE, NULL, NULL)", "UPDATE players SET level = 0", "DELETE FROM players",
    "DROP TABLE players", "TRUNCATE TABLE players", "CREATE TABLE stolen AS SELECT * FROM players", "CREATE TABLE z (a INT)",
    "ALTER TABLE players ADD COLUMN z INT", "REPLACE INTO guilds VALUES (1, 'x', NULL)", "GRANT ALL ON players TO PUBLIC",
    "WITH d AS (DELETE FROM players RETURNING *) SELECT * FROM d",
    "WITH d AS (INSERT INTO guilds VALUES (9, 'x', NULL) RETURNING guild_id) SELECT * FROM d",
    "WITH d AS (SELECT 1) DELETE FROM players", "SELECT username INTO stolen FROM players", "SELECT 1 INTO @x",
    "SELECT pg_sleep(100)", "SELECT SLEEP(100)", "SELECT * FROM (SELECT SLEEP(100)) AS t",
    "SELECT username FROM players WHERE SLEEP(100) = 0 OR pg_sleep(100) IS NULL",
    'SELECT "pg_sleep"(100)', "SELECT pg_catalog.pg_sleep(100)", "SELECT BENCHMARK(10000000000, MD5('x'))",
    "COPY players TO PROGRAM 'touch {mark}'", "COPY players TO '{mark}'", "COPY players FROM '/etc/passwd'",
    "SELECT pg_read_file('/etc/passwd')", "SELECT pg_ls_dir('/')", "SELECT lo_import('/etc/passwd')",
    "SELECT lo_export(1, '{mark}')", "SELECT LOAD_FILE('/etc/passwd')", "LOAD DATA INFILE '/etc/passwd' INTO TABLE guilds",
    "SELECT username FROM players INTO OUTFILE '{mark}'", "SELECT username INTO DUMPFILE '{mark}' FROM players",
    "SELECT * FROM generate_series(1, 100000000000)", "SELECT COUNT(*) FROM generate_series(1, 100000000000)",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n FROM r) SELECT COUNT(*) FROM r a, r b, r c",
    f"SELECT COUNT(*) FROM {CROSS}", f"SELECT a.username, t1.username FROM {CROSS}",
    "SELECT REPEAT('x', 1000000000)", "SELECT LPAD('x', 1000000000, 'y')",
    "SET statement_timeout = 0", "SET SESSION max_statement_time = 0", "SET GLOBAL max_connections = 1", "SET @a = 1",
    "SELECT set_config('statement_timeout', '0', false)", "SELECT set_config('transaction_read_only', 'off', false)",
    "SELECT @a := 1", "SELECT @@secure_file_priv", "SELECT current_setting('data_directory')",
    "SELECT level FROM players; DROP TABLE players", "COMMIT; DROP TABLE players", "BEGIN", "COMMIT", "ROLLBACK",
    "SELECT 1 /*! INTO OUTFILE '{mark}' */ FROM nowhere", "SELECT E'\\'; DROP TABLE players; --'",
    "SELECT pg_advisory_lock(1)", "SELECT pg_advisory_lock_shared(1)", "SELECT GET_LOCK('a', 100)",
    "SELECT nextval('tickets')", "SELECT NEXTVAL(tickets)", "SELECT NEXT VALUE FOR tickets", "SELECT setval('tickets', 900)",
    "SELECT SETVAL(tickets, 900)", "SELECT currval('tickets')", "SELECT pg_notify('a', 'b')",
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity", "SELECT pg_cancel_backend(1)", "SELECT pg_reload_conf()",
    "SELECT * FROM pg_shadow", "SELECT * FROM pg_catalog.pg_authid", "SELECT * FROM mysql.user",
    "SELECT * FROM information_schema.tables", "SELECT query_to_xml('DELETE FROM players', true, true, '')",
    "SELECT * FROM dblink('host=127.0.0.1', 'SELECT 1') AS t(a INT)", "SELECT RAND()", "SELECT gen_random_uuid()",
    "SELECT UUID()", "SELECT LAST_INSERT_ID(5)", "SELECT VERSION()", "SELECT CONNECTION_ID()", "SELECT sys_exec('touch {mark}')",
    "DO $$ BEGIN DELETE FROM players; END $$", "CALL cleanup()", "EXECUTE IMMEDIATE 'DROP TABLE players'",
    "PREPARE p AS DELETE FROM players", "EXPLAIN ANALYZE DELETE FROM players", "LOCK TABLE players", "LOCK TABLES players WRITE",
    "VACUUM", "ANALYZE TABLE players", "OPTIMIZE TABLE players", "FLUSH TABLES", "KILL 1", "SHUTDOWN", "LISTEN a", "HANDLER players OPEN",
    "SELECT (20).pg_sleep", "SELECT CAST(20 AS DOUBLE).pg_sleep", "SELECT t.pg_sleep FROM generate_series(20, 20) AS t",
    "SELECT ('port').current_setting", "SELECT (1).pg_advisory_lock", "SELECT players.touch FROM players",
    "SELECT (players).touch FROM players", "SELECT EXTRACT(`DAY FROM NOW()), ROLPASSWORD FROM PG_AUTHID -- ` FROM NOW())",
    "SELECT EXTRACT(`DAY FROM NOW()), INFO FROM INFORMATION_SCHEMA.PROCESSLIST -- ` FROM NOW())",
    "SELECT INTERVAL '1 day' TO 'SECOND, ROLPASSWORD FROM PG_AUTHID --'",
    "INSTALL SONAME 'x'", "SELECT " + "(" * 1500 + "1" + ")" * 1500,
]  # fmt: skip

# Past the parser, straight at the server, as a role that may write: the transaction alone has to hold.
WRITES = {
    "postgresql": [
        "DELETE FROM players", "UPDATE players SET level = 0", "INSERT INTO guilds VALUES (9, 'x', NULL)",
        "CREATE TABLE z (a INT)", "DROP TABLE players", "TRUNCATE players", "SELECT nextval('tickets')",
        "SELECT setval('tickets', 900)", "WITH d AS (DELETE FROM players RETURNING *) SELECT * FROM d",
        "SELECT set_config('transaction_read_only', 'off', false)", "COPY players TO PROGRAM 'true'",
        "SELECT pg_read_file('/etc/passwd')", "SELECT pg_sleep(100)", "SELECT 1; COMMIT; DELETE FROM players",
    ],
    "mariadb": [
        "DELETE FROM players", "UPDATE players SET level = 0", "INSERT INTO guilds VALUES (9, 'x', NULL)",
        "CREATE TABLE z (a INT)", "DROP TABLE players", "TRUNCATE TABLE players", "SELECT NEXTVAL(tickets)",
        "SELECT SETVAL(tickets, 900)", "SELECT 1 INTO OUTFILE '/tmp/never-written'", "SELECT SLEEP(100)",
        "SELECT 1; DELETE FROM players", "LOCK TABLES players WRITE", "SET GLOBAL max_connections = 1",
    ],
}  # fmt: skip


@pytest.fixture(scope="module", params=["postgresql", "mariadb"])
def server(request):
    with running(request.param) as (root, judge):
        yield request.param, root, judge


def verdicts(url: str, pairs: list[tuple], **options) -> list[dict]:
    from judge.databases.server import server_verdicts

    rows = [{"id": n, "answer": gold, "gen_sql": prediction} for n, (gold, prediction) in enumerate(pairs)]
    return server_verdicts(rows, url, **{"timeout": 20, "workers": 1, **options})


def state(kind: str, root: str) -> tuple:
    """All rows, all tables, the sequence's place, locks that are held, settings: what a statement could leave behind."""
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    locks = "SELECT COUNT(*) FROM pg_locks WHERE locktype = 'advisory'"
    activity = "SELECT COUNT(*) FROM pg_stat_activity WHERE usename IN ('judge', 'writer')"
    tables = "SELECT table_name FROM information_schema.tables WHERE table_schema = 'public' ORDER BY 1"
    place = "SELECT last_value, is_called FROM tickets"
    if kind == "mariadb":
        locks = "SELECT IS_FREE_LOCK('a')"
        activity = "SELECT COUNT(*) FROM information_schema.processlist WHERE user IN ('judge', 'writer')"
        tables = tables.replace("public", "shop")
        place = "SELECT next_not_cached_value, cycle_count, @@global.max_connections FROM tickets"
    with create_engine(root, poolclass=NullPool).connect() as connection:
        asked = ["SELECT * FROM players ORDER BY 1", "SELECT * FROM guilds ORDER BY 1", tables, place, locks]
        found = tuple(tuple(map(tuple, connection.exec_driver_sql(query))) for query in asked)
        until = time.monotonic() + 60  # a server notices a connection that was dropped when it next looks
        while connection.exec_driver_sql(activity).scalar_one() and time.monotonic() < until:
            connection.rollback()
            time.sleep(0.2)
        assert connection.exec_driver_sql(activity).scalar_one() == 0, "a query still runs"
    return found


def test_mysql_flavoured_rows_are_judged_on_either_server(server):
    _, _, judge = server
    found = verdicts(judge, [(gold, prediction) for gold, prediction, _ in VERDICTS])
    wrong = [(v["outcome"], v["reason"], v["counter_example"], row) for v, row in zip(found, VERDICTS, strict=True) if v["outcome"] != row[2]]  # fmt: skip
    assert not wrong
    assert {v["execution"] for v in found if v["outcome"] == "gold_always_empty"} == {"unscored"}


def test_hostile_statements_end_in_time_with_a_reason_and_leave_nothing_behind(server, tmp_path):
    kind, root, judge = server
    mark = tmp_path / "written"
    before = state(kind, root)
    statements = [statement.replace("{mark}", str(mark)) for statement in HOSTILE]
    slow = (f"SELECT COUNT(*) FROM {CROSS}", GOLD)
    start = time.monotonic()
    *found, left_out = verdicts(judge, [*((GOLD, statement) for statement in statements), slow], timeout=0.3, workers=2)
    assert time.monotonic() - start < 5 * len(HOSTILE)
    assert (left_out["execution"], left_out["outcome"]) == ("unscored", "gold_error")
    assert "timeout" in left_out["reason"]
    for statement, verdict in zip(statements, found, strict=True):
        assert verdict["execution"] == "no", (statement, verdict)
        assert verdict["reason"], statement
    assert state(kind, root) == before
    assert not mark.exists()


def test_a_users_own_function_is_not_called_in_the_way_a_column_is_read(server):
    from sqlalchemy import create_engine
    from sqlalchemy.pool import NullPool

    kind, root, judge = server
    if kind != "postgresql":
        pytest.skip("only PostgreSQL has attribute notation")
    with create_engine(root, poolclass=NullPool, isolation_level="AUTOCOMMIT").connect() as connection:
        connection.exec_driver_sql("CREATE FUNCTION touch(players) RETURNS INT VOLATILE LANGUAGE sql AS 'SELECT 1'")
        try:
            called = connection.exec_driver_sql("SELECT (0).pg_sleep, players.touch FROM players").all()
            assert len(called) == 5, "PostgreSQL no longer calls functions so; then the guard may let it pass"
            pairs = [
                (GOLD, f"SELECT {what} FROM players") for what in ("players.touch", "(players).touch", "(9).pg_sleep")
            ]
            found = verdicts(judge, pairs, timeout=5)
        finally:
            connection.exec_driver_sql("DROP FUNCTION touch(players)")
    assert all("refused" in verdict["reason"] and verdict["outcome"] == "sql_error" for verdict in found), found


def test_the_transaction_alone_keeps_a_role_that_may_write_from_writing(server):
    from judge.databases.server import run_on_server, transaction

    kind, root, judge = server
    before = state(kind, root)
    for statement in WRITES[kind]:
        with pytest.raises(QueryFailed), transaction(judge.replace("//judge:", "//writer:"), 1.0) as connection:
            run_on_server(connection, statement, set(), deadline=time.monotonic() + 1)
    assert state(kind, root) == before


def test_a_result_without_end_is_cut_off_on_the_way_and_its_connection_goes(server, monkeypatch):
    from judge.databases import server as server_database

    kind, root, judge = server
    monkeypatch.setattr(server_database, "MAX_ROWS", 2000)
    start = time.monotonic()
    with server_database.transaction(judge, 60.0) as connection:
        with pytest.raises(QueryFailed, match="2000 rows") as failed:
            sql = f"SELECT a.username FROM {CROSS}"
            server_database.run_on_server(connection, sql, set(), deadline=start + 60)
        assert failed.value.kind == "too_large" and connection.invalidated
    state(kind, root)  # no query of ours runs on
    assert time.monotonic() - start < 50, "the rest of the result was read first"


def test_gold_that_is_too_much_without_its_limit_is_judged_all_the_same(server, monkeypatch):
    """What LIMIT cuts is looked for in gold without it; where that has no end, the prediction is still run."""
    from judge.databases import one as onedatabase
    from judge.databases import server as server_database

    _, _, judge = server
    monkeypatch.setattr(server_database, "MAX_ROWS", 2000)
    monkeypatch.setattr(onedatabase, "MAX_ROWS", 10**9)
    gold = f"SELECT a.username FROM {CROSS} WHERE a.player_id = 1 LIMIT 2"
    prediction = "SELECT username FROM players WHERE player_id = 1 UNION ALL SELECT '민수'"
    found = server_database.judge_on_server(judge, gold, prediction, dialect="mysql", timeout=60)
    assert found["outcome"] == "equal"


def test_a_role_that_may_do_all_is_refused_and_one_that_may_write_is_told(server):
    from judge.databases.server import check_server, read_url

    _, root, judge = server
    told: list[str] = []
    with pytest.raises(UserError, match="role root") as refused:
        check_server(read_url(root), 20, told.append)
    assert "judge" in str(refused.value) and "\n" not in str(refused.value)
    check_server(read_url(judge), 20, told.append)
    assert told == []
    check_server(read_url(judge.replace("//judge:", "//writer:")), 20, told.append)
    assert len(told) == 1 and "may write" in told[0]


def test_the_password_comes_from_a_variable_and_is_never_shown(server, tmp_path, monkeypatch, capfd):
    from judge.cli import main
    from sqlalchemy import make_url

    kind, _, judge = server
    url = make_url(judge)
    bare = url._replace(password=None).render_as_string()
    plain = "PGPASSWORD" if kind == "postgresql" else "MYSQL_PWD"
    write_jsonl(tmp_path / "rows.jsonl", [{"id": 1, "answer": GOLD, "gen_sql": GOLD}])
    out = tmp_path / "out.jsonl"
    secrets = [PASSWORD, judge.split("judge:")[1].split("@127")[0]]

    def command(*arguments: str, **variables: str) -> tuple[int, str]:
        for name in (VARIABLE, "PGPASSWORD", "MYSQL_PWD"):
            monkeypatch.delenv(name, raising=False)
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        with pytest.raises(SystemExit) as ended:
            main(["execution", str(tmp_path / "rows.jsonl"), "--out", str(out), *arguments])
        said = "".join(capfd.readouterr())
        assert not any(secret in said for secret in secrets) and "Traceback" not in said
        return ended.value.code, said

    code, said = command("--database", judge)
    assert code == 2 and VARIABLE in said
    for wrong in (judge.replace("judge:", "judge:x"), judge.replace(f":{url.port}/", ":1/")):
        code, said = command(**{VARIABLE: wrong})
        assert code == 2 and "cannot be used" in said and said.count("\n") == 1
    assert not out.exists()
    code, said = command(**{VARIABLE: judge})
    assert code == 0 and f"at 127.0.0.1:{url.port}/shop: 1 of 1" in said
    code, said = command("--database", bare, **{plain: PASSWORD})
    assert code == 0 and f"at 127.0.0.1:{url.port}/shop: 1 of 1" in said
    assert not any(secret in out.read_text() for secret in secrets)


def test_a_worker_reaches_the_server_by_the_same_variables_as_the_check(server, tmp_path, monkeypatch):
    from sqlalchemy import make_url

    kind, _, judge = server
    if kind != "postgresql":
        pytest.skip("PyMySQL reads no variables")
    url = make_url(judge)
    (tmp_path / ".pgpass").write_text(f"*:*:*:judge:{PASSWORD.replace(':', chr(92) + ':')}\n")
    (tmp_path / ".pgpass").chmod(0o600)
    variables = {"PGHOST": url.host, "PGPORT": str(url.port), "PGUSER": "judge", "HOME": str(tmp_path)}
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    (found,) = verdicts("postgresql:///shop", [(GOLD, GOLD)])
    assert found["execution"] == "yes", found


@pytest.mark.skipif(not os.path.exists("/proc/self/environ"), reason="needs /proc to look into another process")
def test_only_workers_for_a_server_see_its_variables_and_none_sees_a_password(monkeypatch):
    from judge.execution.workers import Worker

    for name in ("PGHOST", "PGSSLMODE", "PGPASSFILE", "PGPASSWORD", "MYSQL_PWD", "OPENAI_API_KEY"):
        monkeypatch.setenv(name, f"of-{name}")
    common = {"gold": GOLD, "prediction": GOLD, "dialect": "mysql", "timeout": 1}
    server = {"task": "server", "url": "postgresql+psycopg://judge@127.0.0.1:1/shop", "patience": 60, **common}
    file = {"task": "file", "path": "/nowhere", "name": "x", **common}
    worker = Worker()
    try:
        for job, sees in [(file, set()), (server, {"PGHOST", "PGSSLMODE", "PGPASSFILE"}), (file, set())]:
            worker.ask(job)
            with open(f"/proc/{worker.process.pid}/environ") as environment:
                seen = {value[3:] for value in environment.read().replace("\0", "=").split("=") if value[:3] == "of-"}
            assert seen == sees
    finally:
        worker.close()


def test_a_server_that_is_lost_on_the_way_blames_nobody(monkeypatch):
    """The first connection works, the rows' do not: unscored, the fault is not the prediction's."""
    from judge.databases import server as server_database

    pytest.importorskip("sqlalchemy")
    pytest.importorskip("psycopg")
    monkeypatch.setattr(server_database, "check_server", lambda *arguments: None)
    (found,) = verdicts("postgresql://judge@127.0.0.1:1/shop", [(GOLD, GOLD)], timeout=2)
    assert (found["execution"], found["outcome"]) == ("unscored", "judge_error")


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a:b@host/x", "mysql://:b@host/x", "postgresql://a:@host/x", "mysql+pymysql://a:b%40@host:1/x",
        "postgresql://a@host/x?password=b", "postgresql://host/x?user=a&PASSWORD=b", "mysql://host/x?passwd=b",
        "postgresql://judge:pa/ss@127.0.0.1/shop", "postgresql://judge:pa?ss@host/x", "mysql://judge:pa#s@host/x",
        "postgresql+psycopg://a:/b@host:1/x", "postgresql://a/b:c@host/x",
    ],
)  # fmt: skip
def test_a_password_on_the_command_line_is_refused_without_repeating_it(url):
    with pytest.raises(UserError, match=VARIABLE) as refused:
        refuse_password(url)
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://a@host/x", "sqlite:///x:y@z.db", "postgresql://host/x?sslmode=require", "sqlite+pysqlite:///a:b/@c",
        "postgresql://a@host:5432/x", "postgresql://a@[::1]:5432/x", "postgresql://host:5432/x", "mysql://a%40b@host:1/x",
    ],
)  # fmt: skip
def test_a_url_without_a_password_may_stand_on_the_command_line(url):
    refuse_password(url)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("no url", "not a URL"),
        ("oracle://a@host/x", "oracle is not known"),
        ("postgresql://a@host", "names no database"),
        ("postgresql+foo://a@host/x", "driver foo is not known"),
        ("mysql+mysqldb://a@host/x", "driver mysqldb is not known"),
        ("postgres+pymysql://a@host/x", "driver pymysql is not known"),
    ],
)
def test_a_url_that_cannot_be_used_is_told_in_one_line_without_showing_it(url, said):
    pytest.importorskip("sqlalchemy")
    from judge.databases.server import read_url

    with pytest.raises(UserError, match=said) as refused:
        read_url(url)
    assert url not in str(refused.value)


@pytest.mark.parametrize(
    ("url", "driver"),
    [
        ("postgresql://a@host/x", "postgresql+psycopg"), ("postgres://a@host/x", "postgresql+psycopg"),
        ("postgres+psycopg://a@host/x", "postgresql+psycopg"), ("mysql+pymysql://a@host/x", "mysql+pymysql"),
        ("mariadb://a@host/x", "mariadb+pymysql"), ("sqlite+pysqlite:///x.db", "sqlite+pysqlite"),
    ],
)  # fmt: skip
def test_a_url_gets_the_driver_that_the_package_brings(url, driver):
    pytest.importorskip("sqlalchemy")
    from judge.databases.server import read_url

    assert read_url(url).drivername == driver


@pytest.mark.parametrize("parameters", ["unknown=secret", "read_timeout=secret"])
def test_a_parameter_that_the_driver_does_not_take_is_named_without_its_value(parameters):
    pytest.importorskip("sqlalchemy")
    pytest.importorskip("pymysql")
    from judge.databases.server import check_server, read_url

    name = parameters.partition("=")[0]
    with pytest.raises(UserError, match=rf"parameters .*\({name}\)") as refused:
        check_server(read_url(f"mysql://a@127.0.0.1:1/shop?{parameters}"), 1, print)
    assert "secret" not in str(refused.value)


def test_a_login_that_needs_another_package_says_which(monkeypatch):
    """A server that greets as MySQL 8 does: caching_sha2_password, no TLS, the password not in its cache."""
    pytest.importorskip("sqlalchemy")
    auth = pytest.importorskip("pymysql._auth")
    from judge.databases.server import check_server, read_url

    monkeypatch.setattr(auth, "_have_cryptography", False)
    flags = 0x8 | 0x200 | 0x8000 | 0x80000  # database, protocol 4.1, secure, plugins
    greeting = b"\x0a8.0.36\0" + struct.pack("<I", 1) + b"s" * 8 + b"\0" + struct.pack("<H", flags & 0xFFFF)
    greeting += struct.pack("<BHHB", 255, 2, flags >> 16, 21) + b"\0" * 10 + b"s" * 12 + b"\0caching_sha2_password\0"

    def answer() -> None:
        with listener.accept()[0] as peer:
            for number, said in ((0, greeting), (2, b"\1\4"), (4, b"\1a public key")):
                peer.sendall(len(said).to_bytes(3, "little") + bytes([number]) + said)
                peer.recv(4096)

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        url = read_url(f"mysql://judge:s3cret@127.0.0.1:{listener.getsockname()[1]}/shop")
        with pytest.raises(UserError, match=r"pip install 'pymysql\[rsa\]'") as refused:
            check_server(url, 1, lambda text: None)
        thread.join(10)
    assert "\n" not in str(refused.value) and "s3cret" not in str(refused.value)


def test_a_url_of_sqlite_is_judged_under_the_sandbox(tmp_path):
    pytest.importorskip("sqlalchemy")
    import sqlite3

    path = tmp_path / "shop.db"
    with sqlite3.connect(path) as connection:
        connection.executescript("CREATE TABLE players (username TEXT); INSERT INTO players VALUES ('a')")
    before = path.read_bytes()
    good, bad = verdicts(f"sqlite:///{path}", [(GOLD, GOLD), (GOLD, "DELETE FROM players")])
    assert (good["execution"], bad["execution"]) == ("yes", "no")
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["shop.db"]
    with pytest.raises(UserError, match="no such file"):
        verdicts(f"sqlite:///{tmp_path / 'other.db'}", [(GOLD, GOLD)])


SHOP = Server(
    "postgres",
    parse_schema("CREATE TABLE Players (id INT, is_active BOOLEAN, level INT, joined DATE)"),
    {"players": "Players", "id": "id", "is_active": "is_active", "level": "level", "joined": "joined"},
    frozenset({"pg_sleep", "random", "nextval", "my_function", "touch", "level"}),
)
MYSQL = Server("mysql")


@pytest.mark.parametrize(
    ("server", "read", "sql", "written"),
    [
        (SHOP, "mysql", "SELECT `ID` FROM players WHERE is_active = 1", 'SELECT "id" FROM "Players" WHERE is_active = TRUE'),
        (SHOP, "mysql", "SELECT id FROM players WHERE level = TRUE", 'SELECT id FROM "Players" WHERE level = 1'),
        (SHOP, "mysql", "SELECT COUNT(*) AS Total FROM players ORDER BY total", 'SELECT COUNT(*) AS total FROM "Players" ORDER BY total NULLS FIRST'),
        (SHOP, "mysql", "SELECT id FROM players LIMIT 2, 3", 'SELECT id FROM "Players" LIMIT 3 OFFSET 2'),
        (SHOP, "mysql", "SELECT id FROM players WHERE joined = \"2024-01-01\" FOR UPDATE", "SELECT id FROM \"Players\" WHERE joined = '2024-01-01'"),
        (SHOP, "postgres", 'SELECT "id" FROM "Players" WHERE is_active', 'SELECT "id" FROM "Players" WHERE is_active'),
        # `level` is a volatile function of this server, and yet a column here
        (SHOP, "postgres", 'SELECT p.level FROM "Players" AS p', 'SELECT p.level FROM "Players" AS p'),
        (SHOP, "postgres", 'SELECT public."Players".level FROM public."Players"', 'SELECT public."Players".level FROM public."Players"'),
        (SHOP, "postgres", 'SELECT t.lo_sum FROM (SELECT SUM(id) AS lo_sum FROM "Players") AS t', 'SELECT t.lo_sum FROM (SELECT SUM(id) AS lo_sum FROM "Players") AS t'),
        (SHOP, "postgres", 'WITH t AS (SELECT * FROM "Players") SELECT u.level FROM t AS u', 'WITH t AS (SELECT * FROM "Players") SELECT u.level FROM t AS u'),
        (SHOP, "postgres", "SELECT EXTRACT(DAY FROM joined), CAST(id AS mood), INTERVAL '1 day' FROM \"Players\"", "SELECT EXTRACT(DAY FROM joined), CAST(id AS mood), INTERVAL '1 DAY' FROM \"Players\""),
        (MYSQL, "mysql", "SELECT EXTRACT(YEAR_MONTH FROM x), x + INTERVAL 1 DAY, CONVERT(y USING utf8mb4) FROM t", "SELECT EXTRACT(YEAR_MONTH FROM x), x + INTERVAL '1' DAY, CAST(y AS CHAR CHARACTER SET utf8mb4) FROM t"),
        (MYSQL, "mysql", "SELECT id /* a */ FROM players -- b", "SELECT id FROM players"),
        (MYSQL, "mysql", "SELECT 1 /*! + SLEEP(9) */ FROM players", "SELECT 1 FROM players"),
        (MYSQL, "mysql", "SELECT FIELD(id, 1, 2), FIND_IN_SET('a', x) FROM players", "SELECT FIELD(id, 1, 2), FIND_IN_SET('a', x) FROM players"),
    ],
)  # fmt: skip
def test_a_query_is_written_anew_for_its_server(server, read, sql, written):
    assert write_for(server, read, parse_query(sql, read)) == (written, set())


@pytest.mark.parametrize(
    ("server", "sql"),
    [
        (SHOP, "SELECT pg_sleep(1)"), (SHOP, "SELECT RAND()"), (SHOP, "SELECT my_function(id) FROM players"),
        (SHOP, "SELECT pg_catalog.PG_READ_FILE('x')"), (SHOP, "SELECT (SELECT nextval('x'))"), (SHOP, "SELECT * FROM pg_user"),
        (SHOP, "SELECT * FROM pg_catalog.x"), (SHOP, "SELECT lo_import('x')"), (SHOP, "SELECT id FROM players WHERE id = @x"),
        (SHOP, "WITH d AS (DELETE FROM players RETURNING *) SELECT * FROM d"), (MYSQL, "SELECT @x := 1"),
        (MYSQL, "SELECT my_function(1)"), (MYSQL, "SELECT GET_LOCK('a', 1)"), (MYSQL, "SELECT UUID()"), (MYSQL, "SELECT USER()"),
        (MYSQL, "SELECT * FROM mysql.user"), (MYSQL, "SELECT * FROM a JOIN performance_schema.threads"),
        (MYSQL, "SELECT REPEAT('x', 99999999)"), (SHOP, "SELECT * FROM crosstab('SELECT 1')"),
        (SHOP, "SELECT CROSSTABN('x')"), (SHOP, "SELECT connectby('a', 'b', 'c', 'd', 0)"), (SHOP, "SELECT xpath_table('a', 'b', 'c', 'd', 'e')"),
    ],
)  # fmt: skip
def test_a_query_that_could_do_more_than_read_is_refused_before_it_is_sent(server, sql):
    with pytest.raises(QueryError, match="refused"):
        write_for(server, "mysql", parse_query(sql, "mysql"))


@pytest.mark.parametrize(
    ("server", "read", "sql"),
    [
        (SHOP, "mysql", "SELECT EXTRACT(`DAY FROM NOW()), ROLPASSWORD FROM PG_AUTHID -- ` FROM NOW())"),
        (SHOP, "mysql", "SELECT EXTRACT(`DAY FROM NOW()), PG_SLEEP(9), EXTRACT(DAY` FROM NOW())"),
        (MYSQL, "mysql", "SELECT EXTRACT(`DAY FROM NOW()), INFO FROM INFORMATION_SCHEMA.PROCESSLIST -- ` FROM NOW())"),
        (MYSQL, "mysql", "SELECT EXTRACT(`DAY FROM NOW()), SLEEP(9), EXTRACT(DAY` FROM NOW())"),
        (SHOP, "mysql", "SELECT INTERVAL '1 day' TO 'SECOND, ROLPASSWORD FROM PG_AUTHID --'"),
        (SHOP, "postgres", "SELECT INTERVAL '1 day' TO 'SECOND, ROLPASSWORD FROM PG_AUTHID --'"),
        (SHOP, "postgres", "SELECT INTERVAL '1 day' TO 'SECOND FROM PG_AUTHID'"),
        (SHOP, "postgres", 'SELECT CAST(NULL AS "xid), rolpassword FROM pg_authid --")'),
        (SHOP, "postgres", 'SELECT CAST(NULL AS "xid), (SELECT MAX(id) FROM x")'),
        (SHOP, "postgres", 'SELECT DATE_PART("DAY FROM NOW()), rolpassword FROM pg_authid --", NOW())'),
        (MYSQL, "postgres", 'SELECT DATE_PART("DAY FROM NOW()), info FROM information_schema.processlist -- ", NOW())'),
    ],
)  # fmt: skip
def test_a_name_that_loses_its_quotes_cannot_bring_other_sql_with_it(server, read, sql):
    with pytest.raises(QueryError, match=r"refused|does not parse"):
        write_for(server, read, parse_query(sql, read))


@pytest.mark.parametrize("read", ["mysql", "postgres"])
@pytest.mark.parametrize(
    "sql",
    [
        "SELECT (20).pg_sleep", "SELECT (20).PG_SLEEP", "SELECT ('port').current_setting", "SELECT (1).pg_advisory_lock",
        "SELECT ('host=x').dblink_connect", "SELECT players.touch FROM players", "SELECT p.touch FROM players AS p",
        "SELECT public.players.touch FROM public.players", "SELECT (players).touch FROM players", "SELECT (players).level FROM players",
        "SELECT t.pg_sleep FROM generate_series(20, 20) AS t", "SELECT t.touch FROM (SELECT id FROM players) AS t",
        "SELECT players.touch FROM players WHERE EXISTS (SELECT 1 FROM (SELECT 1 AS touch) AS players)",
        "SELECT x.level FROM (SELECT p.id FROM players AS p) AS x", "WITH t AS (SELECT 1 AS a) SELECT t.random FROM t",
        "SELECT (SELECT 20).pg_sleep", "SELECT ((20)).pg_sleep AS pg_sleep", "SELECT id FROM players ORDER BY players.touch",
    ],
)  # fmt: skip
def test_a_function_that_is_called_like_a_column_is_refused(read, sql):
    with pytest.raises(QueryError, match="refused"):
        write_for(SHOP, read, parse_query(sql, read))


@pytest.mark.parametrize(
    ("value", "plain"),
    [
        (Decimal("5"), 5), (Decimal("2.50"), 2.5), (Decimal("NaN"), "NaN"), (Decimal("1E+3"), 1000), (float("inf"), "inf"),
        (True, 1), (None, None), ("5", "5"), (date(2024, 1, 2), "2024-01-02"),
        (datetime(2024, 1, 2, 3, 4, 5), "2024-01-02 03:04:05"), (datetime(2024, 1, 2, 3, 4, 5, 60), "2024-01-02 03:04:05.000060"),
        (datetime(2024, 1, 2, 12, tzinfo=timezone(timedelta(hours=9))), "2024-01-02 03:00:00+00:00"),
        (datetime(2024, 1, 2, 3, tzinfo=UTC), "2024-01-02 03:00:00+00:00"), (timedelta(hours=-30), "-30:00:00"),
        (timedelta(seconds=1.5), "00:00:01.500000"), (b"a", b"a"), (memoryview(b"a"), b"a"), (bytearray(b"a"), b"a"),
        ({"b": 1, "a": Decimal("2")}, '{"a": 2, "b": 1}'), ([date(2024, 1, 2)], '["2024-01-02"]'),
    ],
)  # fmt: skip
def test_a_drivers_values_become_what_the_comparison_knows(value, plain):
    assert plain_value(value) == plain
    assert type(plain_value(value)) is type(plain)
