"""Spider's four levels; the examples follow its published table of criteria."""

from __future__ import annotations

import pytest
from judge.hardness import LEVELS, hardness

CASES = [
    ("SELECT name FROM t", "easy"),
    ("SELECT COUNT(*) FROM t WHERE x > 1", "easy"),
    ("SELECT name FROM t ORDER BY x", "easy"),
    ("SELECT name, age FROM t", "medium"),
    ("SELECT name FROM t WHERE x > 1 AND y = 2", "medium"),
    ("SELECT AVG(a), MIN(a) FROM t WHERE x = 1", "medium"),
    ("SELECT name FROM t JOIN u ON t.id = u.id WHERE u.x = 1", "medium"),
    ("SELECT g, COUNT(*) FROM t GROUP BY g", "medium"),
    ("SELECT name FROM t ORDER BY x LIMIT 1", "medium"),
    ("SELECT a.name FROM a JOIN b ON a.id = b.id JOIN c ON b.id = c.id WHERE c.x = 1", "hard"),
    ("SELECT t.name FROM t JOIN u ON t.id = u.id GROUP BY t.name ORDER BY COUNT(*)", "hard"),
    ("SELECT name FROM t WHERE id IN (SELECT id FROM u WHERE x = 1 AND y = 2)", "hard"),
    ("SELECT name FROM t WHERE id NOT IN (SELECT id FROM u)", "hard"),
    ("SELECT name FROM t UNION SELECT name FROM u", "hard"),
    ("SELECT name FROM t WHERE x = 1 OR y LIKE 'a%' OR z = 3", "extra"),
    ("SELECT name, age FROM t WHERE x > (SELECT AVG(x) FROM t)", "extra"),
    (
        "SELECT t.name FROM t JOIN u ON t.id = u.id WHERE u.x = 1 GROUP BY t.name ORDER BY COUNT(*) DESC LIMIT 1",
        "extra",
    ),
    ("SELECT name FROM t WHERE id IN (SELECT id FROM u) AND age > (SELECT AVG(age) FROM t)", "extra"),
    ("SELECT name FROM t WHERE", "extra"),
]


@pytest.mark.parametrize(("sql", "level"), CASES)
def test_a_query_has_the_level_its_components_make(sql, level):
    assert hardness(sql) == level
    assert level in LEVELS


def test_spelling_does_not_change_the_level():
    assert hardness("select `name` from t where (x > 1)") == hardness("SELECT t.name FROM t WHERE t.x > 1") == "easy"
