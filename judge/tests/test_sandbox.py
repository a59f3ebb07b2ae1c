"""Hostile statements: against the guarded connection itself, and through the whole path a prediction takes."""

from __future__ import annotations

import contextlib
import os
import time

import pytest
from judge.execution import execution_verdicts
from judge.execution.sandbox import QueryFailed, borrow, give_back, load, run
from judge.sql.schema import parse_schema

DDL = "CREATE TABLE t (id INT PRIMARY KEY, name TEXT); CREATE TABLE u (id INT);"

# Statements in SQLite's own words, so that no parser of ours stands before the guard.
HOSTILE = [
    ("ATTACH DATABASE 'stolen.db' AS x", "refused"),
    ("ATTACH ':memory:' AS x", "refused"),
    ("DETACH DATABASE main", "refused"),
    ("PRAGMA table_info(t)", "refused"),
    ("PRAGMA writable_schema = ON", "refused"),
    ("PRAGMA query_only = OFF", "refused"),
    ("PRAGMA hard_heap_limit = 0", "refused"),
    ("SELECT * FROM pragma_database_list", "refused"),
    ("SELECT * FROM pragma_table_info('t')", "refused"),
    ("SELECT name FROM sqlite_master", "refused"),
    ("SELECT sql FROM sqlite_schema", "refused"),
    ("SELECT name FROM sqlite_temp_master", "refused"),
    ("SELECT load_extension('evil.so')", "refused"),
    ("SELECT readfile('/etc/passwd')", "sql_error"),
    ("SELECT writefile('written', 'y')", "sql_error"),
    ("SELECT fts3_tokenizer('simple')", "refused"),
    ("SELECT randomblob(1000000000)", "refused"),
    ("SELECT zeroblob(1000000000)", "refused"),
    ("SELECT printf('%1000000000d', 1)", "refused"),
    ("SELECT random()", "refused"),
    ("SELECT sqlite_version()", "refused"),
    ("SELECT changes()", "refused"),
    ("SELECT * FROM json_each('[1]')", "any"),
    ("SELECT * FROM dbstat", "any"),
    ("INSERT INTO t VALUES (9, 'x')", "refused"),
    ("INSERT INTO t VALUES (9, 'x') RETURNING id", "refused"),
    ("UPDATE t SET name = 'x'", "refused"),
    ("DELETE FROM t", "refused"),
    ("DELETE FROM t RETURNING *", "refused"),
    ("REPLACE INTO t VALUES (1, 'x')", "refused"),
    ("DROP TABLE t", "refused"),
    ("ALTER TABLE t ADD COLUMN z", "refused"),
    ("CREATE TABLE z (a)", "refused"),
    ("CREATE TEMP TABLE z (a)", "refused"),
    ("CREATE TABLE z AS SELECT * FROM t", "refused"),
    ("CREATE TEMP VIEW v AS SELECT 1", "refused"),
    ("CREATE TRIGGER g AFTER INSERT ON t BEGIN SELECT 1; END", "refused"),
    ("CREATE VIRTUAL TABLE z USING fts5(a)", "refused"),
    ("VACUUM", "any"),
    ("VACUUM INTO 'copy.db'", "any"),
    ("REINDEX", "any"),
    ("ANALYZE", "refused"),
    ("BEGIN", "refused"),
    ("SAVEPOINT s", "refused"),
    ("SELECT 1; DROP TABLE t", "refused"),
    ("SELECT 1; SELECT 2", "refused"),
    ("WITH x AS (SELECT 1) INSERT INTO t SELECT 9, 'x' FROM x", "refused"),
    ("SELECT ?", "sql_error"),
    ("", "refused"),
    ("-- nothing", "refused"),
    ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r", "timeout"),
    ("WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r", "too_large"),
    ("WITH RECURSIVE r(s) AS (SELECT 'xxxxxxxxxx' UNION ALL SELECT s || s FROM r) SELECT s FROM r", "too_large"),
    ("WITH RECURSIVE r(n, s) AS (SELECT 1, 'x' UNION ALL SELECT n + 1, s || s FROM r WHERE n < 19) SELECT a.s FROM r a, r b, r c", "too_large"),
    ("SELECT COUNT(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j, t k, t l", "timeout"),
    ("SELECT " + "replace(" * 12 + "'aaaa'" + ", 'a', 'aaaa')" * 12, "too_large"),
    ("SELECT " + "(" * 2000 + "1" + ")" * 2000, "any"),
    ("SELECT " + " UNION ALL SELECT ".join("1" for _ in range(600)), "any"),
    ("SELECT 1" + " + 1" * 5000, "any"),
    ("SELECT printf('%.*c', 1000000000, 'x')", "refused"),
    ("SELECT hex(zeroblob(500000000))", "refused"),
    ("SELECT edit('x', 'rm')", "any"),
    ("WITH x AS (SELECT 1) DELETE FROM t WHERE id IN (SELECT * FROM x)", "refused"),
    ("WITH x AS (SELECT 1) UPDATE t SET name = 'x' WHERE id IN (SELECT * FROM x)", "refused"),
    ("SELECT " + ", ".join(f"{n}" for n in range(3000)), "any"),
    ("SELECT '" + "x" * 2_000_000 + "'", "too_large"),
    ("SELECT 1 /* " + "x" * 2_000_000 + " */", "too_large"),
    ("SELECT name FROM t WHERE name LIKE '" + "%n" * 900 + "'", "any"),
    ("SELECT COUNT(*) FROM t a, t b, t c, t d, t e, t f, t g WHERE a.name || b.name || g.name LIKE '%n%n%n%z%'", "timeout"),
    ("SELECT group_concat(a.name || b.name || c.name, d.name) FROM t a, t b, t c, t d, t e, t f, t g", "any"),
    ("SELECT replace(hex(a.name), '6', (SELECT group_concat(name, 'xxxxxxxxxxxxxxxxxxxxxxxx') FROM t, t b, t c, t d)) FROM t a", "any"),
    ("WITH RECURSIVE a(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM a), b(n) AS (SELECT n FROM a UNION ALL SELECT n FROM b) SELECT MAX(n) FROM b", "timeout"),
    ("WITH RECURSIVE r(n) AS (SELECT 1 UNION SELECT n + 1 FROM r) SELECT n FROM r ORDER BY n DESC", "any"),
    ("SELECT SUM(a.id) OVER (ORDER BY b.id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) FROM t a, t b, t c, t d, t e, t f, t g", "any"),
    ("SELECT * FROM t ORDER BY (SELECT COUNT(*) FROM t a, t b, t c, t d, t e, t f, t g, t h)", "timeout"),
    ("SELECT sqlite_compileoption_get(1)", "refused"),
    ("SELECT * FROM generate_series(1, 1000000000)", "any"),
]  # fmt: skip


@pytest.fixture
def connection():
    opened = load(parse_schema(DDL), {"t": [[n, f"n{n}"] for n in range(10)]})
    yield opened
    opened.close()


@pytest.mark.parametrize(("sql", "kind"), HOSTILE, ids=lambda value: value[:50])
def test_the_guard_stops_it_and_the_data_stay(connection, sql, kind, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(QueryFailed) as failure:
        run(connection, sql, set(), deadline=time.process_time() + 3, max_steps=3_000_000)
    assert kind in ("any", failure.value.kind), failure.value
    assert run(connection, "SELECT COUNT(*), MAX(name) FROM t", set()) == (2, [(10, "n9")])
    assert os.listdir(tmp_path) == []


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT COUNT(*) FROM t",
        "SELECT a.id FROM t a JOIN t b ON a.id = b.id",
        "WITH c AS (SELECT id FROM t) SELECT * FROM c",
        "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT n FROM r",
        "SELECT ROW_NUMBER() OVER (ORDER BY id), LAG(name) OVER (ORDER BY id) FROM t",
        "SELECT id FROM t UNION SELECT id FROM u ORDER BY 1 LIMIT 3",
    ],
)
def test_honest_reading_passes(connection, sql):
    width, rows = run(connection, sql, set())
    assert width >= 1
    assert rows


def test_a_database_handed_back_shows_its_next_tenant_nothing_and_stays_closed():
    schema = parse_schema(DDL)
    first = borrow(schema, {"t": [[1, "secret"], [2, "other"]]}, {})
    for sql, _ in HOSTILE[:48]:
        with contextlib.suppress(QueryFailed):
            run(first.connection, sql, set())
    give_back(first)
    second = borrow(schema, {"t": [[3, "mine"]]}, {})
    assert second.connection is first.connection
    assert run(second.connection, "SELECT * FROM t", set()) == (2, [(3, "mine")])
    for sql in ("DELETE FROM t", "PRAGMA query_only = OFF", "SELECT name FROM sqlite_master"):
        with pytest.raises(QueryFailed):
            run(second.connection, sql, set())
    give_back(second)


# The same intent in what a model may write: through extraction, parser, worker and guard.
WRITTEN = [
    "DROP TABLE t",
    "DELETE FROM t",
    "INSERT INTO t VALUES (1, 'x')",
    "UPDATE t SET name = 'x'",
    "TRUNCATE TABLE t",
    "CREATE TABLE z (a INT)",
    "ALTER TABLE t DROP COLUMN name",
    "ATTACH DATABASE 'x.db' AS x",
    "PRAGMA table_info(t)",
    "VACUUM INTO 'x.db'",
    "SHOW TABLES",
    "EXPLAIN SELECT name FROM t",
    "SELECT name FROM t INTO OUTFILE 'outfile.txt'",
    "SELECT LOAD_FILE('/etc/passwd')",
    "SELECT SLEEP(100)",
    "SELECT BENCHMARK(1000000000, MD5('x'))",
    "SELECT @@datadir",
    "SELECT USER()",
    "SELECT VERSION()",
    "SELECT UUID()",
    "SELECT name FROM t ORDER BY RAND()",
    "SELECT table_name FROM information_schema.tables",
    "SELECT name FROM sqlite_master",
    "SELECT * FROM pragma_table_info('t')",
    "SELECT load_extension('x')",
    "SELECT my_repeat(name, 3) FROM t",
    "SELECT REPEAT('x', 1000000000)",
    "SELECT LPAD(name, 1000000000, 'x') FROM t",
    "SELECT name FROM t; ATTACH 'x' AS y; SELECT name FROM y.t WHERE 1 = 0 UNION",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT MAX(n) FROM r",
    "SELECT COUNT(*) FROM t a, t b, t c, t d, t e, t f, t g, t h, t i, t j, t k, t l",
    "SELECT " + "(" * 3000 + "1" + ")" * 3000,
    "SELECT " + "NOT " * 4000 + "1",
    "SELECT name FROM t WHERE " + " OR ".join(f"id = {n}" for n in range(2500)),
    "SELECT " + "(SELECT " * 400 + "1" + ")" * 400,
    "(" * 5000,
    "SELECT '" + "x" * 50_000,
    "SELECT name FROM t WHERE name LIKE '" + "%a" * 5000 + "'",
    "SELECT 9223372036854775807 + SUM(id) * 9223372036854775807 FROM t",
    "SELECT \x00 FROM t",
    "SELECT '\ud800' FROM t",
    "WITH c AS (SELECT 1) DELETE FROM t",
    "WITH c AS (SELECT 1) UPDATE t SET name = 'x'",
    "SELECT readfile('/etc/passwd')",
    "SELECT writefile('x', 'y')",
    "SELECT zeroblob(1000000000) FROM t",
    "SELECT printf('%.*c', 1000000000, 'x') FROM t",
    "SELECT name FROM t WHERE id = REGEXP_LIKE('aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa!', '^(a+)+$')",
    "SELECT name FROM t WHERE id > 3 AND id < POW(10, 400) * SUM(id)",
    "SELECT " + ", ".join("name" for _ in range(2000)) + " FROM t",
    "SELECT name FROM t WHERE name = '" + "x" * 1_100_000 + "'",
    "SELECT LPAD(LPAD(LPAD(name, 99999, 'x'), 999999, 'y'), 9999999, 'z') FROM t",
    "SELECT GROUP_CONCAT(REPEAT(a.name, 9999)) FROM t a, t b, t c, t d",
    "SELECT name FROM t UNION ALL " * 300 + "SELECT name FROM t",
    "SELECT CAST(REPEAT('9', 100000) AS DECIMAL(65, 30)) FROM t",
    "SELECT name FROM t LIMIT 99999999999999999999",
    "SELECT DATE_ADD('9999-12-31', INTERVAL 999999999999999999 YEAR) FROM t",
]  # fmt: skip


def test_no_written_attack_is_right_or_stops_the_others(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    gold = "SELECT name FROM t WHERE id > 3"
    rows = []
    for n, sql in enumerate(WRITTEN):
        rows.append({"id": f"bad{n}", "context": DDL, "answer": gold, "gen_sql": sql})
        rows.append({"id": f"good{n}", "context": DDL, "answer": gold, "gen_sql": gold})
    verdicts = execution_verdicts(rows, instances=3, timeout=0.2)
    for row, verdict in zip(rows, verdicts, strict=False):
        if row["id"].startswith("good"):
            assert verdict["execution"] == "yes", verdict
        elif not row["gen_sql"].startswith("SELECT name FROM t; ATTACH"):  # there only the first statement counts
            assert verdict["execution"] == "no", (row["gen_sql"][:80], verdict)
            assert verdict["outcome"] != "equal"
            assert verdict["reason"]
    assert os.listdir(tmp_path) == []
