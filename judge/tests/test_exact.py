"""Exact match: spelling is put aside, meaning that spelling alone does not show is not."""

from __future__ import annotations

import pytest
from judge.exact import exact_match, string_match

JOIN = "SELECT a.n FROM a JOIN b ON a.id = b.id WHERE b.x > 1"

SAME = [
    ("SELECT name FROM t WHERE x > 1", "select NAME from `T` where 1 < X;"),
    ("SELECT name FROM t", "SELECT t.name AS who FROM t"),
    ("SELECT name FROM t", "SELECT p.name FROM t AS p"),
    ("SELECT name FROM t -- all", "/* names */ SELECT name FROM t"),
    ("SELECT a, b FROM t", "SELECT b, a FROM t"),
    ("SELECT a FROM t WHERE x = 1 AND y = 'b'", 'SELECT a FROM t WHERE y = "b" AND (1 = x)'),
    ("SELECT a FROM t WHERE x = 1 OR y = 2 OR z = 3", "SELECT a FROM t WHERE z = 3 OR (y = 2 OR x = 1)"),
    ("SELECT a FROM t WHERE x <> 1", "SELECT a FROM t WHERE x != 1.0"),
    ("SELECT a FROM t WHERE x <> 1", "SELECT a FROM t WHERE NOT x = 1"),
    ("SELECT a FROM t WHERE x BETWEEN 1 AND 5", "SELECT a FROM t WHERE x >= 1 AND x <= 5"),
    ("SELECT a FROM t WHERE x IN (1, 2)", "SELECT a FROM t WHERE x IN (2, 1, 1)"),
    ("SELECT a FROM t WHERE x IN (1)", "SELECT a FROM t WHERE x = 1"),
    ("SELECT a FROM t WHERE x = TRUE", "SELECT a FROM t WHERE x = 1"),
    ("SELECT COUNT(*) FROM t", "SELECT COUNT(1) FROM t"),
    ("SELECT IFNULL(a, 0) FROM t", "SELECT COALESCE(a, 0) FROM t"),
    ("SELECT a FROM t LIMIT 2 OFFSET 3", "SELECT a FROM t LIMIT 3, 2"),
    ("SELECT a FROM t LIMIT 2", "SELECT a FROM t LIMIT 0, 2"),
    ("SELECT g, COUNT(*) FROM t GROUP BY g ORDER BY COUNT(*) DESC", "SELECT COUNT(*) AS c, g FROM t GROUP BY 2 ORDER BY c DESC"),
    ("SELECT a FROM t ORDER BY b", "SELECT a FROM t ORDER BY b ASC"),
    ("SELECT COUNT(*) FROM t GROUP BY g, h", "SELECT COUNT(*) FROM t GROUP BY h, g"),
    (JOIN, "SELECT T1.n FROM a AS T1 INNER JOIN b AS T2 ON T2.id = T1.id WHERE T2.x > 1"),
    (JOIN, "SELECT a.n FROM b JOIN a ON a.id = b.id WHERE b.x > 1"),
    (JOIN, "SELECT a.n FROM a, b WHERE a.id = b.id AND b.x > 1"),
    (JOIN, "SELECT n FROM a JOIN b ON a.id = b.id WHERE x > 1"),
    ("SELECT T1.a FROM t AS T1 JOIN t AS T2 ON T1.x = T2.y", "SELECT p.a FROM t p JOIN t q ON q.y = p.x"),
    ("SELECT a FROM t WHERE x IN (SELECT y FROM u)", "SELECT t.a FROM t WHERE t.x IN (SELECT u.y FROM u)"),
    ("SELECT a FROM t UNION SELECT b FROM u", "(SELECT b FROM u) UNION (SELECT a FROM t)"),
    ("SELECT a + b FROM t", "SELECT b + a FROM t"),
    ("SELECT a FROM t WHERE d > NOW()", "SELECT a FROM t WHERE d > CURRENT_TIMESTAMP"),
    ("SELECT a FROM t WHERE d > CURDATE()", "SELECT a FROM t WHERE d > CURRENT_DATE"),
    ("SELECT a FROM t WHERE d > DATE_SUB(CURDATE(), INTERVAL 7 DAY)", "SELECT a FROM t WHERE d > CURDATE() - INTERVAL '7' DAY"),
    ("SELECT SUBSTRING(a, 1, 2) FROM t", "SELECT MID(a, 1, 2) FROM t"),
    ("SELECT IF(a > 1, 2, 3) FROM t", "SELECT CASE WHEN 1 < a THEN 2 ELSE 3 END FROM t"),
    ("SELECT a FROM t WHERE NOT x LIKE 'a%'", "SELECT a FROM t WHERE x NOT LIKE 'a%'"),
    ("SELECT a FROM t WHERE x NOT IN (1, 2)", "SELECT a FROM t WHERE NOT x IN (2, 1)"),
    ("SELECT a FROM t JOIN u USING (id)", "SELECT a FROM t JOIN u ON t.id = u.id"),
    ("SELECT t.a FROM t LEFT JOIN u ON t.id = u.id", "SELECT t.a FROM t LEFT OUTER JOIN u ON u.id = t.id"),
    ("SELECT a FROM t WHERE x = .5", "SELECT a FROM t WHERE x = 0.50"),
    ("SELECT a FROM t WHERE x = 1e3", "SELECT a FROM t WHERE x = 1000"),
    ("SELECT a FROM t WHERE x = '2024-01-01'", "SELECT a FROM t WHERE x = DATE '2024-01-01'"),
    ("SELECT a FROM shop.t", "SELECT a FROM t"),
    ("SELECT a FROM t WHERE x = 1 AND TRUE", "SELECT a FROM t WHERE x = 1"),
    ("WITH c AS (SELECT a FROM t) SELECT a FROM c", "WITH d AS (SELECT a FROM t) SELECT d.a FROM d"),
    ("SELECT DAY(a), EXTRACT(YEAR FROM a) FROM t", "SELECT DAYOFMONTH(a), YEAR(a) FROM t"),
    ("SELECT GROUP_CONCAT(a) FROM t", "SELECT GROUP_CONCAT(a SEPARATOR ',') FROM t"),
    ("SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u WHERE u.x = t.x)", "SELECT a FROM t WHERE EXISTS (SELECT * FROM u WHERE t.x = u.x)"),
    ("SELECT a, b FROM t ORDER BY 2", "SELECT b, a FROM t ORDER BY 1"),
    ("SELECT a FROM t WHERE x || y", "SELECT a FROM t WHERE y OR x"),
    ("SELECT a MOD 2 FROM t", "SELECT a % 2 FROM t"),
    ("SELECT YEAR(d) AS y, COUNT(*) FROM t GROUP BY y HAVING y > 3", "SELECT YEAR(d), COUNT(*) FROM t GROUP BY YEAR(d) HAVING YEAR(d) > 3"),
    ("SELECT t.name AS name, COUNT(*) FROM t GROUP BY name", "SELECT COUNT(*), name FROM t GROUP BY t.name"),
    ("SELECT -d AS d FROM t ORDER BY d", "SELECT -d FROM t ORDER BY -d"),
]  # fmt: skip

DIFFERENT = [
    ("SELECT name FROM t WHERE g_id IS NULL", "SELECT name FROM t WHERE g.g_id IS NULL"),
    ("SELECT a FROM t WHERE x > 1", "SELECT a FROM t WHERE x >= 1"),
    ("SELECT a FROM t WHERE x > 1", "SELECT a FROM t WHERE x < 1"),
    ("SELECT a FROM t WHERE x = '1'", "SELECT a FROM t WHERE x = 1"),
    ("SELECT a FROM t WHERE x = 'Kim'", "SELECT a FROM t WHERE x = 'kim'"),
    ("SELECT a FROM t WHERE x = 1 OR y = 2 AND z = 3", "SELECT a FROM t WHERE (x = 1 OR y = 2) AND z = 3"),
    ("SELECT a - (b - c) FROM t", "SELECT a - b - c FROM t"),
    ("SELECT (a + b) * c FROM t", "SELECT a + b * c FROM t"),
    ("SELECT a - b FROM t", "SELECT b - a FROM t"),
    ("SELECT DISTINCT a FROM t", "SELECT a FROM t"),
    ("SELECT COUNT(DISTINCT a) FROM t", "SELECT COUNT(a) FROM t"),
    ("SELECT COUNT(*) FROM t", "SELECT COUNT(a) FROM t"),
    ("SELECT a FROM t ORDER BY b", "SELECT a FROM t ORDER BY b DESC"),
    ("SELECT a FROM t ORDER BY b, c", "SELECT a FROM t ORDER BY c, b"),
    ("SELECT a FROM t LIMIT 1", "SELECT a FROM t LIMIT 2"),
    ("SELECT a FROM t", "SELECT a FROM u"),
    ("SELECT a FROM t", "SELECT a, b FROM t"),
    (JOIN, JOIN.replace("JOIN", "LEFT JOIN")),
    ("SELECT a.n FROM a LEFT JOIN b ON a.id = b.id", "SELECT a.n FROM b LEFT JOIN a ON a.id = b.id"),
    ("SELECT a.n FROM a JOIN b ON a.id = b.id", "SELECT b.n FROM a JOIN b ON a.id = b.id"),
    ("SELECT a FROM t UNION SELECT a FROM u", "SELECT a FROM t UNION ALL SELECT a FROM u"),
    ("SELECT a FROM t EXCEPT SELECT a FROM u", "SELECT a FROM u EXCEPT SELECT a FROM t"),
    ("SELECT a FROM t WHERE NOT (x = 1 AND y = 2)", "SELECT a FROM t WHERE NOT x = 1 AND NOT y = 2"),
    ("SELECT * FROM a JOIN b ON a.id = b.id", "SELECT * FROM b JOIN a ON a.id = b.id"),
    ("SELECT * FROM a JOIN b USING (id)", "SELECT * FROM a JOIN b ON a.id = b.id"),
    ("SELECT a FROM t WHERE x LIKE 'a%'", "SELECT a FROM t WHERE x NOT LIKE 'a%'"),
    ("SELECT IF(a > 1, 2, 3) FROM t", "SELECT IF(a > 1, 3, 2) FROM t"),
    ("SELECT LENGTH(a) FROM t", "SELECT CHAR_LENGTH(a) FROM t"),
    ("SELECT x.a FROM t x JOIN t y ON x.p = y.q", "SELECT y.a FROM t x JOIN t y ON x.p = y.q"),
    ("SELECT a FROM t WHERE EXISTS (SELECT COUNT(*) FROM u)", "SELECT a FROM t WHERE EXISTS (SELECT 1 FROM u)"),
    ("SELECT GROUP_CONCAT(a) FROM t", "SELECT GROUP_CONCAT(a SEPARATOR '/') FROM t"),
    ("SELECT d - INTERVAL 7 DAY FROM t", "SELECT d - INTERVAL 7 MONTH FROM t"),
    ("WITH c AS (SELECT a FROM t), d AS (SELECT b FROM u) SELECT a FROM c", "WITH c AS (SELECT a FROM t), d AS (SELECT b FROM u) SELECT b FROM d"),
    ("SELECT RANK() OVER (ORDER BY a) FROM t", "SELECT RANK() OVER (ORDER BY a DESC) FROM t"),
    # in GROUP BY and HAVING a column goes before an output name
    ("SELECT DATE(created_at), COUNT(*) FROM logs GROUP BY DATE(created_at)", "SELECT DATE(created_at) AS created_at, COUNT(*) FROM logs GROUP BY created_at"),
    ("SELECT a, b FROM t GROUP BY a, b HAVING a > 3", "SELECT a AS b, b AS a FROM t GROUP BY a, b HAVING b > 3"),
    # columns of a part of a UNION, or of what IN looks into, have their places
    ("SELECT a, b FROM t UNION SELECT c, d FROM t", "SELECT b, a FROM t UNION SELECT c, d FROM t"),
    ("SELECT x FROM t WHERE (x, y) IN (SELECT a, b FROM u)", "SELECT x FROM t WHERE (x, y) IN (SELECT b, a FROM u)"),
]  # fmt: skip


@pytest.mark.parametrize(("gold", "prediction"), SAME, ids=lambda value: value[:50])
def test_another_spelling_of_the_same_tree_is_yes(gold, prediction):
    assert exact_match(gold, prediction)[0] == "yes"
    assert exact_match(prediction, gold)[0] == "yes"


@pytest.mark.parametrize(("gold", "prediction"), DIFFERENT, ids=lambda value: value[:50])
def test_another_tree_is_no(gold, prediction):
    assert exact_match(gold, prediction) == ("no", "different tree")
    assert exact_match(gold, gold)[0] == "yes"


@pytest.mark.parametrize(
    ("gold", "prediction", "verdict", "words"),
    [
        ("SELECT a FROM t", "", "no", "empty"),
        ("SELECT a FROM t", None, "no", "empty"),
        ("SELECT a FROM t", "I don't know", "no", "does not parse"),
        ("SELECT a FROM t", "SELECT a FROM", "no", "does not parse"),
        ("SELECT a FROM t", "DROP TABLE t", "no", "not a query"),
        ("SELECT a FROM t", "SELECT a FROM t; SELECT b FROM t", "no", "2 statements"),
        ("SELECT a FROM t", "SELECT " + "(" * 3000 + "a" + ")" * 3000 + " FROM t", "no", ""),
        ("SELECT a FROM", "SELECT a FROM t", "unscored", "gold does not parse"),
        ("", "SELECT a FROM t", "unscored", "gold"),
    ],
)
def test_what_cannot_be_compared_says_why(gold, prediction, verdict, words):
    given, reason = exact_match(gold, prediction)
    assert given == verdict
    assert words in reason


@pytest.mark.parametrize(
    ("gold", "prediction", "verdict"),
    [
        ("SELECT a FROM t", "SELECT a FROM t", "yes"),
        ("SELECT a FROM t", "  SELECT a FROM t ;\n", "yes"),
        ("SELECT a FROM t", "select a from t", "no"),
        ("SELECT a FROM t", "SELECT  a FROM t", "no"),
        ("SELECT a FROM t", None, "no"),
        ("SELECT 가 FROM t", "SELECT 가 FROM t", "yes"),
    ],
)
def test_the_plain_string_match_forgives_nothing_but_ends(gold, prediction, verdict):
    assert string_match(gold, prediction) == verdict
