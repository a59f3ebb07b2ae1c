"""Instances hold the values at which a query turns, however the query says so: by an alias, in arithmetic, in a CASE."""

from __future__ import annotations

from judge.execution import execution_verdicts

ORDERS = "CREATE TABLE orders (id INT PRIMARY KEY, user_id INT, amount DECIMAL(10,2), status VARCHAR(10), skills VARCHAR(40), made_at DATETIME);"
PEOPLE = "CREATE TABLE people (id INT PRIMARY KEY, name VARCHAR(100), birth_date DATE, salary INT, rate DECIMAL(10,4), balance INT);"
SUMS = "SELECT user_id, SUM(amount) AS total FROM orders GROUP BY user_id"

UNEQUAL = [
    (ORDERS, f"{SUMS} HAVING total > 500", f"{SUMS} HAVING total >= 500"),
    (ORDERS, f"SELECT user_id FROM ({SUMS}) x WHERE x.total > 900", f"SELECT user_id FROM ({SUMS}) x WHERE x.total >= 900"),
    (ORDERS, f"WITH s AS ({SUMS}) SELECT user_id FROM s WHERE total < 700", f"WITH s AS ({SUMS}) SELECT user_id FROM s WHERE total <= 700"),
    (ORDERS, "SELECT id FROM orders WHERE made_at > NOW() - INTERVAL 7 DAY", "SELECT id FROM orders WHERE made_at >= NOW() - INTERVAL 7 DAY"),
    (PEOPLE, "SELECT name FROM people WHERE salary * 12 >= 60000", "SELECT name FROM people WHERE salary * 12 > 60000"),
    (PEOPLE, "SELECT name FROM people WHERE 100 - salary < 30", "SELECT name FROM people WHERE 100 - salary <= 30"),
    (PEOPLE, "SELECT name FROM people WHERE salary / 4 > 250", "SELECT name FROM people WHERE salary / 4 >= 250"),
    (ORDERS, "SELECT id, CASE status WHEN 'paid' THEN 1 ELSE 0 END FROM orders", "SELECT id, CASE status WHEN 'unpaid' THEN 1 ELSE 0 END FROM orders"),
    (ORDERS, "SELECT id, NULLIF(status, 'none') FROM orders", "SELECT id, status FROM orders"),
    (ORDERS, "SELECT id FROM orders ORDER BY FIELD(status, 'new', 'paid')", "SELECT id FROM orders"),
    (PEOPLE, "SELECT id, ABS(balance) FROM people", "SELECT id, balance FROM people"),
    (PEOPLE, "SELECT id, GREATEST(balance, 0) FROM people", "SELECT id, balance FROM people"),
    (PEOPLE, "SELECT id, ROUND(rate, 2) FROM people", "SELECT id, rate FROM people"),
    (PEOPLE, "SELECT id, ROUND(rate, 1) FROM people", "SELECT id, TRUNCATE(rate, 1) FROM people"),
    (PEOPLE, "SELECT id, LEFT(name, 20) FROM people", "SELECT id, name FROM people"),
    (PEOPLE, "SELECT name, salary FROM people ORDER BY salary DESC LIMIT 1", "SELECT name, MAX(salary) FROM people"),
]  # fmt: skip
ANSWERABLE = [
    (ORDERS, f"{SUMS} HAVING total > 10000"),
    (ORDERS, "SELECT user_id, COUNT(*) AS cnt FROM orders GROUP BY user_id HAVING cnt > 20"),
    (ORDERS, "SELECT SUM(CASE status WHEN 'paid' THEN 1 ELSE 0 END) FROM orders WHERE status = 'paid'"),
    (ORDERS, "SELECT id FROM orders WHERE FIND_IN_SET('sql', skills) > 0"),
    (ORDERS, r"SELECT id FROM orders WHERE status LIKE '%50\%%'"),
    (ORDERS, "SELECT id FROM orders WHERE status LIKE '%!%%' ESCAPE '!'"),
    (PEOPLE, "SELECT name FROM people WHERE TIMESTAMPDIFF(YEAR, birth_date, NOW()) >= 20"),
    (PEOPLE, "SELECT name FROM people WHERE YEAR(CURDATE()) - YEAR(birth_date) >= 20"),
    (PEOPLE, "SELECT name, MAX(salary) FROM people WHERE id = 3"),
]


def verdicts(rows: list[tuple[str, str, str]]) -> list:
    named = [{"id": n, "context": ddl, "answer": gold, "gen_sql": sql} for n, (ddl, gold, sql) in enumerate(rows)]
    return execution_verdicts(named)


def test_queries_that_differ_at_one_value_are_told_apart() -> None:
    found = verdicts(UNEQUAL)
    assert [
        (row[1], row[2], v["outcome"]) for row, v in zip(UNEQUAL, found, strict=True) if v["execution"] != "no"
    ] == []


def test_a_gold_that_asks_for_rare_values_finds_some() -> None:
    found = verdicts([(ddl, sql, sql) for ddl, sql in ANSWERABLE])
    assert [(row[1], v["outcome"]) for row, v in zip(ANSWERABLE, found, strict=True) if v["execution"] != "yes"] == []
