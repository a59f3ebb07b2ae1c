"""Judging on the SQLite databases of a data set: Spider's and BIRD's folders, flat ones, and what goes wrong."""

from __future__ import annotations

import json
import sqlite3
from pathlib import Path

import pytest
from judge.databases import choose_databases, database_verdicts, find_databases
from judge.text import UserError, write_jsonl

CONCERT = """
CREATE TABLE "singer" ("Singer_ID" int, "Name" text, "Country" text, "Age" int, PRIMARY KEY ("Singer_ID"));
INSERT INTO singer VALUES (1, 'Joe', 'France', 52), (2, 'Tim', 'US', 32), (3, 'Rose', 'France', 41), (4, 'Tribal', 'US', 25);
CREATE VIEW elders AS SELECT * FROM singer WHERE Age > 40;
"""
SCHOOLS = """
CREATE TABLE `satscores` (cds TEXT, `Enroll Count` INTEGER, rate REAL, opened DATE);
INSERT INTO satscores VALUES ('01', 120, 0.5, '1998-03-01'), ('02', 80, NULL, '2003-07-15'), ('03', 80, 0.25, '2003-12-31');
"""

# db_id, gold, prediction, outcome; SQL in SQLite's own words, as Spider and BIRD have it
ROWS = [
    ("concert", "SELECT count(*) FROM singer", "SELECT count(singer_id) FROM singer", "equal"),
    ("concert", 'SELECT name FROM singer WHERE country = "France"', "SELECT name FROM singer WHERE age > 40", "equal"),
    ("concert", "SELECT name FROM singer WHERE age > 32", "SELECT name FROM singer WHERE age >= 32", "different_result"),
    ("concert", "SELECT name, age FROM singer ORDER BY age DESC", "SELECT age, name FROM singer ORDER BY age DESC", "equal"),
    ("concert", "SELECT name FROM singer ORDER BY age DESC", "SELECT name FROM singer ORDER BY age", "different_order"),
    ("concert", "SELECT country FROM singer", "SELECT DISTINCT country FROM singer", "different_result"),
    ("concert", "SELECT name FROM singer", "SELECT name, age FROM singer", "different_columns"),
    ("concert", "SELECT name FROM singer WHERE age > 99", "SELECT name FROM singer WHERE age > 98", "gold_always_empty"),
    ("concert", "SELECT name FROM elders", "SELECT name FROM singer WHERE country = 'France'", "equal"),
    ("concert", "SELECT nickname FROM singer", "SELECT name FROM singer", "gold_error"),
    ("concert", "SELECT name FROM singer", "SELECT title FROM album", "sql_error"),
    ("concert", "SELECT name FROM singer", "The answer is Joe.", "no_sql"),
    ("concert", "SELECT name FROM singer", None, "missing_prediction"),
    ("concert", "SELECT 7 / 2 FROM singer LIMIT 1", "SELECT 3", "equal"),
    ("schools", "SELECT MAX(`Enroll Count`) FROM satscores", "SELECT [Enroll Count] FROM satscores ORDER BY 1 DESC LIMIT 1", "equal"),
    ("schools", "SELECT strftime('%Y', opened) FROM satscores", "SELECT substr(opened, 1, 4) FROM satscores", "equal"),
    ("schools", "SELECT CAST(SUM(IIF(rate > 0.3, 1, 0)) AS REAL) * 100 / COUNT(rate) FROM satscores", "SELECT 50", "equal"),
    ("schools", "SELECT ROUND(AVG(rate), 2) FROM satscores", "SELECT printf('%.2f', AVG(rate)) FROM satscores", "different_result"),
    ("schools", "SELECT cds FROM satscores ORDER BY `Enroll Count` LIMIT 1", "SELECT '03'", "equal"),
    ("schools", "SELECT cds FROM satscores ORDER BY `Enroll Count` LIMIT 1", "SELECT '01'", "different_result"),
]  # fmt: skip

HOSTILE = [
    "DELETE FROM singer", "UPDATE singer SET age = 0", "DROP TABLE singer", "INSERT INTO singer VALUES (9, 'x', 'y', 1)",
    "CREATE TABLE z (a)", "ALTER TABLE singer ADD COLUMN z", "REINDEX", "VACUUM", "VACUUM INTO '{mark}'", "ANALYZE",
    "ATTACH DATABASE '{mark}' AS x", "PRAGMA query_only = OFF", "PRAGMA journal_mode = WAL", "PRAGMA user_version = 9",
    "SELECT sql FROM sqlite_master", "SELECT * FROM pragma_table_info('singer')", "SELECT load_extension('{mark}')",
    "SELECT writefile('{mark}', 'x')", "SELECT readfile('/etc/passwd')", "SELECT randomblob(2000000000)",
    "SELECT printf('%1000000000d', 1)", "WITH d AS (SELECT 1) DELETE FROM singer",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT n FROM r",
    "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT COUNT(*) FROM r",
    "SELECT COUNT(*) FROM " + ", ".join(f"singer t{n}" for n in range(30)),
]  # fmt: skip


def make(path: Path, script: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    connection = sqlite3.connect(path)
    connection.executescript(script)
    connection.close()
    return path


@pytest.fixture
def spider(tmp_path) -> Path:
    folder = tmp_path / "database"
    make(folder / "concert" / "concert.sqlite", CONCERT)
    make(folder / "schools" / "schools.sqlite", SCHOOLS)
    (folder / "concert" / "schema.sql").write_text(CONCERT)
    (folder / "concert" / "._concert.sqlite").write_bytes(b"a mac's own notes")
    return folder


def rows_of(table: list[tuple]) -> list[dict]:
    return [{"id": n, "db_id": db, "answer": gold, "gen_sql": said} for n, (db, gold, said) in enumerate(table)]


def test_rows_are_judged_on_their_own_database_in_its_own_words(spider):
    found = database_verdicts(rows_of([row[:3] for row in ROWS]), spider, workers=1)
    wrong = [(verdict, row) for verdict, row in zip(found, ROWS, strict=True) if verdict["outcome"] != row[3]]
    assert not wrong
    assert [verdict["db_id"] for verdict in found] == [row[0] for row in ROWS]
    assert found[-2]["tie_at_limit"] and not found[0]["tie_at_limit"]
    assert found[7]["execution"] == "unscored" and "database concert" in found[7]["reason"]


def test_hostile_statements_end_with_a_reason_and_leave_the_folder_as_it_was(spider):
    before = {path: path.read_bytes() for path in spider.rglob("*") if path.is_file()}
    mark = spider / "written"
    table = [("concert", "SELECT age FROM singer", statement.replace("{mark}", str(mark))) for statement in HOSTILE]
    for row, verdict in zip(table, database_verdicts(rows_of(table), spider, timeout=0.3), strict=True):
        assert verdict["execution"] == "no" and verdict["reason"], (row, verdict)
    assert {path: path.read_bytes() for path in spider.rglob("*") if path.is_file()} == before


def test_mysql_flavoured_rows_are_rewritten_for_sqlite(spider):
    table = [
        ("schools", "SELECT cds FROM satscores WHERE YEAR(opened) = 2003", "SELECT cds FROM satscores WHERE opened > DATE_SUB('2003-01-08', INTERVAL 7 DAY)"),
        ("schools", "SELECT 7 / 2", "SELECT 3.5"),
    ]  # fmt: skip
    assert [v["outcome"] for v in database_verdicts(rows_of(table), spider, dialect="mysql")] == ["equal", "equal"]


def test_a_database_in_write_ahead_mode_is_read_with_its_waiting_rows(tmp_path):
    path = tmp_path / "live.sqlite"
    writer = sqlite3.connect(path)
    try:
        writer.executescript("PRAGMA journal_mode = WAL; CREATE TABLE t (a); INSERT INTO t VALUES (1), (2);")
        assert (tmp_path / "live.sqlite-wal").stat().st_size > 0
        (found,) = database_verdicts(rows_of([("live", "SELECT a FROM t", "SELECT 1 UNION SELECT 2")]), tmp_path)
    finally:
        writer.close()
    assert found["outcome"] == "equal"


@pytest.mark.parametrize(
    "place",
    [
        "database/concert/concert.sqlite", "dev_databases/concert/concert.sqlite", "concert.sqlite", "concert.db",
        "data/sqlite/concert/concert.sqlite3", "AI Hub %23 자료/concert.db",
    ],
)  # fmt: skip
def test_each_layout_is_found(tmp_path, place):
    made = make(tmp_path / place, CONCERT)
    assert choose_databases(tmp_path, ["concert"]) == {"concert": made.resolve()}
    (found,) = database_verdicts(rows_of([ROWS[0][:3]]), tmp_path)
    assert found["execution"] == "yes"


def test_what_is_wrong_with_the_folder_is_told_at_once_by_name(spider, tmp_path):
    (tmp_path / "file").write_text("x")
    (tmp_path / "empty").mkdir()
    for folder, said in [("nowhere", "no such folder"), ("file", "not a folder"), ("empty", "no .sqlite")]:
        with pytest.raises(UserError, match=said):
            find_databases(tmp_path / folder)
    with pytest.raises(UserError, match=r"db_id orchestra, world; there are concert, schools"):
        choose_databases(spider, ["world", "concert", "orchestra"])
    make(spider / "copy" / "concert.db", CONCERT)
    with pytest.raises(UserError, match=r"concert fits .*concert\.sqlite.*concert\.db"):
        choose_databases(spider, ["concert"])
    (spider / "schools" / "schools.sqlite").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    with pytest.raises(UserError, match="Git LFS pointer"):
        choose_databases(spider, ["schools"])


def test_a_db_id_is_a_name_and_never_a_path(spider, tmp_path):
    make(tmp_path / "secret.sqlite", CONCERT)
    for name in ("../secret", str(tmp_path / "secret"), "concert/concert"):
        with pytest.raises(UserError, match="no database"):
            choose_databases(spider, [name])


def test_the_command_writes_a_verdict_a_row_with_its_database(spider, tmp_path, capsys):
    from judge.cli import main

    rows = [{"id": "a", "db": "concert", "query": ROWS[0][1], "gen_sql": ROWS[0][2]}]
    write_jsonl(tmp_path / "rows.jsonl", rows)
    out = tmp_path / "out.jsonl"
    command = [
        "execution",
        str(tmp_path / "rows.jsonl"),
        "--out",
        str(out),
        "--gold",
        "query",
        "--databases",
        str(spider),
    ]
    with pytest.raises(SystemExit) as ended:
        main(command)
    assert ended.value.code == 2 and "no 'db_id'" in capsys.readouterr().err
    with pytest.raises(SystemExit) as ended:
        main([*command, "--db-id", "db"])
    assert ended.value.code == 0 and "1 of 1" in capsys.readouterr().out
    verdict = json.loads(out.read_text())
    assert (verdict["id"], verdict["execution"], verdict["outcome"], verdict["db_id"]) == (
        "a",
        "yes",
        "equal",
        "concert",
    )
