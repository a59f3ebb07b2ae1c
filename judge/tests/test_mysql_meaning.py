"""What MySQL means where SQLite would mean something else: kinds of values set side by side, weeks, places in ORDER BY."""

from __future__ import annotations

import sqlite3
from datetime import date, timedelta

import pytest
from judge.execution import execution_verdicts
from judge.execution.constants import around
from judge.sql.dates import DATES, clock
from judge.sql.dialect import to_sqlite
from judge.sql.functions import register
from judge.sql.queries import parse_query
from judge.sql.schema import parse_schema

EVENTS = """
CREATE TABLE e (id INT PRIMARY KEY, created_at DATETIME, start_time TIME, day DATE, year_no INT);
CREATE TABLE emp (
  id INT PRIMARY KEY, name VARCHAR(20) NOT NULL, hire_date DATE, score VARCHAR(10), code VARCHAR(10),
  price INT, tax INT, qty INT, rate DECIMAL(6,2), grade ENUM('A', 'B', 'C')
);
"""
ID, NAME = "SELECT id FROM e WHERE ", "SELECT id FROM emp WHERE "

EQUAL = [
    # the parts of a text are computed before they are joined
    ("SELECT CONCAT('Total: ', price + tax) FROM emp", "SELECT CONCAT('Total: ', tax + price) FROM emp"),
    ("SELECT CONCAT(price * 2, '/', qty - tax) FROM emp", "SELECT CONCAT_WS('/', price + price, qty - tax) FROM emp WHERE price IS NOT NULL AND qty - tax IS NOT NULL "
     "UNION ALL SELECT NULL FROM emp WHERE price IS NULL OR qty - tax IS NULL"),
    ("SELECT CONCAT(rate) FROM emp", "SELECT CAST(rate AS CHAR) FROM emp"),
    ("SELECT COUNT(DISTINCT name, price) FROM emp WHERE price > 3", "SELECT COUNT(DISTINCT CONCAT(name, '/', price)) FROM emp WHERE price > 3"),
    # a date beside a DATETIME is its midnight, however it is written
    (f"{ID} created_at <= '2024-06-08'", f"{ID} created_at <= DATE_SUB('2024-06-15', INTERVAL 7 DAY)"),
    (f"{ID} created_at <= '2024-06-08'", f"{ID} created_at <= DATE_SUB(CURDATE(), INTERVAL 7 DAY)"),
    (f"{ID} created_at <= '2024-06-08'", f"{ID} created_at <= CURDATE() - INTERVAL 1 WEEK"),
    (f"{ID} created_at <= '2024-06-08'", f"{ID} created_at <= ADDDATE('2024-06-01', 7)"),
    (f"{ID} created_at <= '2024-06-08'", f"{ID} created_at <= DATE('2024-06-08 10:00:00')"),
    (f"{ID} created_at <= '2024-06-08'", f"{ID} created_at <= CAST('2024-06-08' AS DATE)"),
    (f"{ID} created_at <= '2024-06-30'", f"{ID} created_at <= LAST_DAY('2024-06-08')"),
    (f"{ID} created_at = '2024-06-08'", f"{ID} DATE(created_at) = '2024-06-08' AND TIME(created_at) = '0:00'"),
    (f"{ID} created_at <= day", f"{ID} created_at <= CAST(day AS DATETIME)"),
    (f"{ID} day = created_at", f"{ID} DATE(created_at) = day AND HOUR(created_at) = 0 AND MINUTE(created_at) = 0 AND SECOND(created_at) = 0"),
    (f"{ID} created_at BETWEEN day AND '2024-06-08'", f"{ID} created_at >= TIMESTAMP(day) AND created_at <= '2024-06-08 00:00:00'"),
    ("SELECT year_no FROM e GROUP BY year_no HAVING MAX(created_at) > '2024-06-08'", "SELECT year_no FROM e GROUP BY year_no HAVING MAX(created_at) > '2024-06-08 00:00:00'"),
    ("SELECT year_no, MAX(created_at) AS last FROM e GROUP BY year_no HAVING last > '2024-06-08'",
     "SELECT * FROM (SELECT year_no, MAX(created_at) AS m FROM e GROUP BY year_no) AS t WHERE m > DATE('2024-06-08')"),
    (f"{ID} COALESCE(created_at, NOW()) >= CURDATE()", f"{ID} created_at >= '2024-06-15' OR created_at IS NULL"),
    # times of day
    (f"{ID} start_time <= '09:00'", f"{ID} start_time <= '09:00:00'"),
    (f"{ID} start_time BETWEEN '9:00' AND '12:30'", f"{ID} start_time >= '09:00:00' AND start_time <= '12:30:00'"),
    (f"{ID} start_time >= 90000", f"{ID} start_time >= '9:00:00'"),
    (f"{ID} TIME(start_time) > '9:00'", f"{ID} start_time > '09:00:00'"),
    # numbers beside dates and texts
    (f"{NAME} hire_date >= 20200101", f"{NAME} hire_date >= '2020-01-01'"),
    (f"{NAME} hire_date BETWEEN 20200101 AND 20201231", f"{NAME} YEAR(hire_date) = 2020"),
    (f"{ID} created_at < 20240608", f"{ID} created_at < '2024-06-08 00:00:00'"),
    (f"{ID} created_at < 20240608120000", f"{ID} created_at < '2024-06-08 12:00:00'"),
    (f"{NAME} DATE_FORMAT(hire_date, '%Y') = 2020", f"{NAME} YEAR(hire_date) = 2020"),
    (f"{NAME} YEAR(hire_date) = 2020", f"{NAME} LEFT(hire_date, 4) = 2020"),
    (f"{NAME} LEFT(hire_date, 4) = 2020", f"{NAME} hire_date >= '2020-01-01' AND hire_date <= '2020-12-31'"),
    (f"{NAME} YEAR(hire_date) IN (2020, 2021)", f"{NAME} SUBSTRING(hire_date, 1, 4) IN (2020, 2021)"),
    (f"{NAME} MONTH(hire_date) BETWEEN 3 AND 5", f"{NAME} DATE_FORMAT(hire_date, '%m') BETWEEN 3 AND 5"),
    (f"{NAME} YEAR(hire_date) = DATE_FORMAT('2020-05-05', '%Y')", f"{NAME} YEAR(hire_date) = 2020"),
    ("SELECT DATE_FORMAT(hire_date, '%Y') AS y, COUNT(*) FROM emp GROUP BY y HAVING y > 2020",
     "SELECT DATE_FORMAT(hire_date, '%Y'), COUNT(*) FROM emp WHERE hire_date >= '2021-01-01' GROUP BY DATE_FORMAT(hire_date, '%Y')"),
    (f"{NAME} score > 80", f"{NAME} score + 0 > 80"),
    (f"{NAME} score > 80", f"{NAME} CAST(score AS SIGNED) > 80"),
    (f"{NAME} CAST(price AS CHAR) = 7", f"{NAME} price = 7"),
    # places in ORDER BY
    ("SELECT * FROM emp ORDER BY 2", "SELECT * FROM emp ORDER BY name, id DESC"),
    ("SELECT emp.*, price + 1 FROM emp ORDER BY 6 DESC", "SELECT *, 1 + price FROM emp ORDER BY price DESC"),
    ("SELECT *, price + 1 FROM emp ORDER BY 11 DESC", "SELECT *, 1 + price FROM emp ORDER BY price DESC"),
    # weeks
    ("SELECT WEEK(day) FROM e", "SELECT WEEK(day, 0) FROM e"),
    ("SELECT WEEK(day, 1) FROM e", "SELECT DATE_FORMAT(day, '%u') + 0 FROM e"),
    ("SELECT YEARWEEK(day, 1) FROM e", "SELECT DATE_FORMAT(day, '%x%v') + 0 FROM e"),
    ("SELECT YEARWEEK(day) FROM e", "SELECT DATE_FORMAT(day, '%X%V') + 0 FROM e"),
    ("SELECT WEEKOFYEAR(day) FROM e", "SELECT WEEK(day, 3) FROM e"),
    ("SELECT id, FROM_UNIXTIME(id, '%Y') FROM e", "SELECT id, DATE_FORMAT(FROM_UNIXTIME(id), '%Y') FROM e"),
]  # fmt: skip

UNEQUAL = [
    ("SELECT CONCAT('Total: ', price + tax) FROM emp", "SELECT CONCAT('Total: ', qty + tax) FROM emp"),
    ("SELECT CONCAT(name, ' ', price) FROM emp", "SELECT CONCAT_WS(' ', name, price) FROM emp"),
    (f"{ID} created_at > DATE_SUB(CURDATE(), INTERVAL 7 DAY)", f"{ID} created_at >= DATE_SUB(CURDATE(), INTERVAL 7 DAY)"),
    (f"{ID} created_at > CURDATE()", f"{ID} created_at >= CURDATE()"),
    (f"{ID} created_at > LAST_DAY('2024-05-05')", f"{ID} created_at >= LAST_DAY('2024-05-05')"),
    (f"{ID} created_at > day", f"{ID} created_at >= day"),
    (f"{ID} DATE(created_at) > day", f"{ID} created_at > day"),
    ("SELECT year_no FROM e GROUP BY year_no HAVING MAX(created_at) > '2024-06-08'", "SELECT year_no FROM e GROUP BY year_no HAVING MAX(created_at) >= '2024-06-08'"),
    (f"{ID} start_time <= '09:00'", f"{ID} start_time < '09:00:00'"),
    (f"{ID} start_time <= '09:00'", f"{ID} start_time <= '10:00'"),
    (f"{NAME} hire_date >= 20200101", f"{NAME} hire_date > 20200101"),
    (f"{NAME} DATE_FORMAT(hire_date, '%Y') = 2020", f"{NAME} YEAR(hire_date) = 2021"),
    (f"{NAME} score > 80", f"{NAME} score >= 80"),
    (f"{NAME} score > 80", f"{NAME} score > '80'"),
    ("SELECT * FROM emp ORDER BY 2", "SELECT * FROM emp"),
    ("SELECT * FROM emp ORDER BY 2", "SELECT * FROM emp ORDER BY 2 DESC"),
    ("SELECT * FROM emp ORDER BY 6 DESC LIMIT 3", "SELECT * FROM emp ORDER BY 7 DESC LIMIT 3"),
    ("SELECT WEEK(day, 1) FROM e", "SELECT WEEK(day) FROM e"),
    ("SELECT YEARWEEK(day, 1) FROM e", "SELECT YEARWEEK(day) FROM e"),
    ("SELECT DATE_FORMAT(day, '%u') FROM e", "SELECT DATE_FORMAT(day, '%W') FROM e"),
]  # fmt: skip

# Whatever stands beside a column, a row gets its verdict: these are odd, but no reason to fail.
ODD = [
    f"{NAME} hire_date >= 2020", f"{NAME} hire_date > 99999999", f"{NAME} hire_date < 1e400", f"{NAME} hire_date = 20.5",
    f"{NAME} hire_date = TRUE", f"{NAME} score > 1e400", f"{NAME} score = -1.5", f"{NAME} grade = 2", f"{NAME} hire_date IN (1, 'x', 20240101)",
    f"{ID} start_time > 90000", f"{ID} start_time > 'noon'", f"{ID} created_at < 0", f"{ID} created_at > 20241301", f"{ID} created_at = 'x'",
    f"{NAME} price > {'9' * 5000}", f"{NAME} price > 1e400", f"{NAME} name = 10000000000000000000000", f"{NAME} hire_date BETWEEN 1 AND '2024-01-01'",
]  # fmt: skip


def verdicts_of(pairs):
    rows = [{"id": n, "context": EVENTS, "answer": gold, "gen_sql": other} for n, (gold, other) in enumerate(pairs)]
    return dict(zip(pairs, execution_verdicts(rows, mutants=False), strict=True))


@pytest.fixture(scope="module")
def verdicts():
    return verdicts_of(EQUAL + UNEQUAL)


@pytest.mark.parametrize("pair", EQUAL, ids=lambda pair: pair[1][:60])
def test_what_means_the_same_to_mysql_is_equal(verdicts, pair):
    verdict = verdicts[pair]
    assert (verdict["execution"], verdict["outcome"]) == ("yes", "equal"), verdict
    assert verdict["gold_non_empty"] >= 3


@pytest.mark.parametrize("pair", UNEQUAL, ids=lambda pair: pair[1][:60])
def test_what_differs_to_mysql_is_told_apart(verdicts, pair):
    verdict = verdicts[pair]
    assert verdict["execution"] == "no", verdict
    assert verdict["outcome"] in ("different_result", "different_order")


def test_no_value_beside_a_column_fails_a_row():
    pairs = [("SELECT id FROM emp" if " emp " in odd else "SELECT id FROM e", odd) for odd in ODD]
    pairs += [(odd, odd) for odd in ODD]
    faults = [(pair, v["reason"]) for pair, v in verdicts_of(pairs).items() if v["outcome"] == "judge_error"]
    assert faults == []


@pytest.mark.parametrize(
    ("day", "mode", "week", "yearweek"),
    [  # from MySQL's reference manual, and from its table of modes
        ("2008-02-20", 0, 7, 200807),
        ("2008-02-20", 1, 8, 200808),
        ("2008-12-31", 1, 53, 200901),
        ("1987-01-01", 0, 0, 198652),
        ("2000-01-01", 0, 0, 199952),
        ("2000-01-01", 2, 52, 199952),
        ("2023-01-01", 0, 1, 202301),
        ("2023-01-01", 1, 0, 202252),
        ("2023-01-01", 3, 52, 202252),
        ("2022-01-01", 4, 0, 202152),
        ("2021-01-01", 6, 53, 202053),
        ("2024-01-01", 5, 1, 202401),
        ("2023-01-01", 7, 52, 202252),
    ],
)
def test_weeks_are_counted_in_the_mode_that_is_asked_for(day, mode, week, yearweek):
    assert (DATES["my_week"](day, mode), DATES["my_yearweek"](day, mode)) == (week, yearweek)


def test_weeks_agree_with_pythons_on_every_day_of_forty_years():
    days = [date(1990, 1, 1) + timedelta(days=n) for n in range(365 * 40)]
    for day in days:
        text = day.isoformat()
        year, week, _ = day.isocalendar()
        assert DATES["my_week"](text, 3) == week
        assert DATES["my_yearweek"](text, 1) == year * 100 + week
        assert DATES["my_week"](text) == DATES["my_week"](text, 0) == int(day.strftime("%U"))
        assert DATES["my_week"](text, 5) == int(day.strftime("%W"))


@pytest.mark.parametrize(
    ("form", "text"),
    [
        ("%D %y %a %d %m %b %j", "4th 97 Sat 04 10 Oct 277"),
        ("%H %k %I %r %T %S %w", "22 22 10 10:23:00 PM 22:23:00 00 6"),
        ("%W %M %Y", "Saturday October 1997"),
        ("%U %u %V %v %X %x", "39 40 39 40 1997 1997"),
    ],
)
def test_dates_are_written_as_the_manual_shows(form, text):
    sql, functions = to_sqlite(parse_query(f"SELECT DATE_FORMAT('1997-10-04 22:23:00', '{form}')"), {})
    connection = sqlite3.connect(":memory:")
    register(connection, functions)
    assert connection.execute(sql).fetchone() == (text,)


def test_days_have_their_english_endings():
    found = [DATES["my_date_format"](f"2024-01-{n:02}", "%D") for n in (1, 2, 3, 4, 11, 12, 13, 21, 22, 23, 30, 31)]
    assert found == ["1st", "2nd", "3rd", "4th", "11th", "12th", "13th", "21st", "22nd", "23rd", "30th", "31st"]
    assert DATES["my_date_format"]("1999-01-01", "%X %V") == "1998 52"


@pytest.mark.parametrize(
    ("value", "text"),
    [("9:00", "09:00:00"), ("09:00:30", "09:00:30"), ("9:5:1.5", "09:05:01"), (90000, "09:00:00"), ("1112", "00:11:12"), ("9:75", None), ("noon", None), (None, None)],
)  # fmt: skip
def test_a_time_of_day_is_read_in_mysqls_spellings(value, text):
    assert clock(value) == text


@pytest.mark.parametrize(
    ("value", "op", "kind", "hits", "misses"),
    [
        (80, ">", "text", {"81", "100"}, {"80", "79", "9"}),
        (20200101, ">=", "date", {"2020-01-01", "2020-01-02"}, {"2019-12-31"}),
        ("2024-06-08", "=", "datetime", {"2024-06-08 00:00:00"}, {"2024-06-08 23:59:59"}),
        (2020, "=", "date", {"2020-01-01", "2020-12-31"}, {"2019-12-31", "2021-01-01"}),
        ("9:00", "<=", "time", {"09:00:00"}, {"23:59:59"}),
        (7, ">", "date", set(), set()),
        (float("inf"), ">", "any", set(), set()),
    ],
)
def test_values_beside_a_constant_fit_the_column(value, op, kind, hits, misses):
    found = around(value, op, kind)
    assert hits <= set(found[0]) and misses <= set(found[1])
    assert bool(found[0]) == bool(hits)


@pytest.mark.parametrize(
    ("condition", "written"),
    [
        ("created_at > day", "`created_at` > MY_DATETIME(`day`)"),
        ("created_at > NOW()", "`created_at` > MY_NOW()"),
        ("day > CURDATE()", "`day` > MY_TODAY()"),
        ("day >= NOW()", "MY_DATETIME(`day`) >= MY_NOW()"),
        ("day = '2024-3-1'", "`day` = '2024-03-01'"),
        ("year_no = '5'", "`year_no` = '5'"),
        ("year_no + 1 = '5'", "`year_no` + 1 = 5"),
        ("(SELECT MAX(created_at) FROM e) > day", "(SELECT MAX(`created_at`) FROM `e`) > MY_DATETIME(`day`)"),
    ],
)
def test_only_what_is_of_another_kind_is_converted(condition, written):
    sql, _ = to_sqlite(parse_query(f"SELECT id FROM e WHERE {condition}"), parse_schema(EVENTS))
    assert sql.endswith("WHERE " + written), sql
