"""From a model's text to one statement."""

from __future__ import annotations

import time

import pytest
from judge.extract import extract_sql

FOUND = [
    ("SELECT name FROM t", "SELECT name FROM t"),
    ("  select name from t ;  ", "select name from t"),
    ("SELECT a FROM t", "SELECT a FROM t"),
    ("SELECT\n  a\nFROM t", "SELECT\n  a\nFROM t"),
    ("```sql\nSELECT name FROM t;\n```", "SELECT name FROM t"),
    ("```\nSELECT name FROM t\n```", "SELECT name FROM t"),
    ("```mysql\nSELECT name FROM t\n```\nI hope this helps.", "SELECT name FROM t"),
    ("```SELECT name FROM t```", "SELECT name FROM t"),
    ("```sql\nSELECT name FROM t", "SELECT name FROM t"),
    ("Select the best players with this query:\n```sql\nSELECT name FROM t\n```", "SELECT name FROM t"),
    ("Here is the query: SELECT name FROM t", "SELECT name FROM t"),
    ("SQL: SELECT name FROM t;\nExplanation: it lists names.", "SELECT name FROM t"),
    ("정답: SELECT name FROM t", "SELECT name FROM t"),
    ("아래 쿼리를 쓰세요.\n\nSELECT name FROM t\n\n이 쿼리는 이름을 찾습니다.", "SELECT name FROM t"),
    ("SELECT name FROM t\n이 쿼리는 이름을 찾습니다.", "SELECT name FROM t"),
    ("SELECT name FROM t\n\nThis query lists names.", "SELECT name FROM t"),
    ("SELECT name\n\nFROM t\n\nWHERE id = 1", "SELECT name\n\nFROM t\n\nWHERE id = 1"),
    ("Use `SELECT name FROM t` for this.", "SELECT name FROM t"),
    ('The answer is "SELECT name FROM t".', "SELECT name FROM t"),
    ("SELECT name FROM t; SELECT 2", "SELECT name FROM t"),
    ("SELECT ';' FROM t; DROP TABLE t", "SELECT ';' FROM t"),
    ("SELECT 'it''s; fine' FROM t; x", "SELECT 'it''s; fine' FROM t"),
    (r"SELECT 'it\'s; fine' FROM t; x", r"SELECT 'it\'s; fine' FROM t"),
    ('SELECT "a;b", `c;d` FROM t; x', 'SELECT "a;b", `c;d` FROM t'),
    ("SELECT a -- one; two\nFROM t; x", "SELECT a -- one; two\nFROM t"),
    ("SELECT a /* one; two */ FROM t; x", "SELECT a /* one; two */ FROM t"),
    ("SELECT `이름` FROM `회원`", "SELECT `이름` FROM `회원`"),
    ("WITH best AS (SELECT 1) SELECT * FROM best", "WITH best AS (SELECT 1) SELECT * FROM best"),
    ("With this query you get it: WITH b (x) AS (SELECT 1) SELECT x FROM b", "WITH b (x) AS (SELECT 1) SELECT x FROM b"),
    ("(SELECT 1 FROM a) UNION (SELECT 2 FROM b)", "(SELECT 1 FROM a) UNION (SELECT 2 FROM b)"),
    ("<think>maybe SELECT x FROM y</think>SELECT name FROM t", "SELECT name FROM t"),
    ("SELECT name FROM t<|im_end|>\n<|im_start|>user\nmore", "SELECT name FROM t"),
    ("<|im_start|>assistant\nSELECT name FROM t</s>", "SELECT name FROM t"),
    ("SELECT all FROM t", "SELECT all FROM t"),
    ("SELECT a DIV b FROM t", "SELECT a DIV b FROM t"),
    ("SELECT a MOD b FROM t", "SELECT a MOD b FROM t"),
    ("SELECT a % b FROM t", "SELECT a % b FROM t"),
    ("SELECT a & b, one ^ 2 FROM t", "SELECT a & b, one ^ 2 FROM t"),
    ("SELECT a != b FROM t", "SELECT a != b FROM t"),
    ("SELECT a x FROM t WHERE x > 1", "SELECT a x FROM t WHERE x > 1"),
    ("SELECT a IS NULL FROM t", "SELECT a IS NULL FROM t"),
    ("SELECT a IN (1, 2) FROM t;", "SELECT a IN (1, 2) FROM t"),
    ("SELECT one NOT IN (1, 2) AS other FROM t", "SELECT one NOT IN (1, 2) AS other FROM t"),
    ("Answer: SELECT a BETWEEN 1 AND 3 FROM t\n\nThis query tells.", "SELECT a BETWEEN 1 AND 3 FROM t"),
    ("SELECT a NOT LIKE 'x%' FROM t", "SELECT a NOT LIKE 'x%' FROM t"),
    ("SELECT a REGEXP 'x', a RLIKE 'y' FROM t", "SELECT a REGEXP 'x', a RLIKE 'y' FROM t"),
    ("SELECT a AND b FROM t", "SELECT a AND b FROM t"),
    ("SELECT a XOR b FROM t", "SELECT a XOR b FROM t"),
    ("```sql\nSELECT ALL name FROM t\n```", "SELECT ALL name FROM t"),
    ("SELECT ALL name, n FROM t WHERE n > 1", "SELECT ALL name, n FROM t WHERE n > 1"),
    ("(SELECT ALL a FROM t) UNION (SELECT b FROM u)", "(SELECT ALL a FROM t) UNION (SELECT b FROM u)"),
    ("Select all players of the guild: SELECT name FROM t", "SELECT name FROM t"),
    ("Select a player from the guild.\nSELECT name FROM t", "SELECT name FROM t"),
    ("The SELECT statement is used to read. SELECT name FROM t", "SELECT name FROM t"),
    ("SELECT 1", "SELECT 1"),
    ("DROP TABLE t", "DROP TABLE t"),
    ("SELECT name FROM", "SELECT name FROM"),
]  # fmt: skip


@pytest.mark.parametrize(("text", "sql"), FOUND, ids=lambda value: value[:40])
def test_the_first_statement_is_found(text, sql):
    found = extract_sql(text)
    assert (found.sql, found.outcome) == (sql, "sql")


@pytest.mark.parametrize(
    "text",
    ["", "   ", None, "I am sorry, I cannot.", "이 질문에는 답할 수 없습니다.", "Select the players who won.", "Select the players from the guild",
     "Select a player from the guild", "Select any or all of them", "Select all the players from the guild",
     "Select one in the list", "SELECT A PLAYER FROM THE GUILD", "The SELECT statement is read first", "With pleasure!", "yes", "SELECT", "```python\nprint(1)\n```",
     "Please update your settings and set it.", "<think>SELECT x FROM y"],
)  # fmt: skip
def test_text_without_a_statement_is_no_sql(text):
    found = extract_sql(text)
    assert (found.sql, found.outcome) == (None, "no_sql")


@pytest.mark.parametrize(
    "text",
    [
        "(" * 50_000,
        "SELECT " * 20_000,
        "```" * 30_000,
        "'" * 50_000,
        "SELECT '" + "\\" * 60_000,
        "<think>" * 10_000,
        " " * 90_000 + "x",
        "SELECT a x " * 9_000,
        "SELECT all " + "(" * 4_000,
    ],
)
def test_no_text_takes_long(text):
    start = time.process_time()
    extract_sql(text)
    assert time.process_time() - start < 2
