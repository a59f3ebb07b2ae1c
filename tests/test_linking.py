"""The gloss of a question and the short form of a schema."""

from __future__ import annotations

import random
import time

import pytest

from recipes.ko_text2sql import words
from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.schema_text import compact_schema
from recipes.ko_text2sql.words import korean_number

GUILDS = """
CREATE TABLE players (player_id INT PRIMARY KEY AUTO_INCREMENT, username VARCHAR(255) UNIQUE NOT NULL, level INT,
  joined_on DATE, guild_id INT, FOREIGN KEY (guild_id) REFERENCES guilds(guild_id));
CREATE TABLE guilds (guild_id INT PRIMARY KEY, name VARCHAR(30));
"""
SHOP = """
CREATE TABLE customers (customer_id INT PRIMARY KEY, name VARCHAR(50), gender VARCHAR(9), age INT, city VARCHAR(20),
  grade VARCHAR(9), joined_on DATE);
CREATE TABLE orders (order_id INT PRIMARY KEY, customer_id INT REFERENCES customers(customer_id), total_amount INT,
  status VARCHAR(20), ordered_at DATETIME);
CREATE TABLE products (product_id INT, name VARCHAR(50), unit_price INT, stock INT);
"""


@pytest.mark.parametrize(
    ("schema", "question", "expected"),
    [
        (GUILDS, "레벨이 30 이상인 플레이어 이름 알려줘", "level 30 >= players username"),
        (GUILDS, "길드별 평균 레벨", "guilds per AVG level"),
        (GUILDS, "길드가 없는 플레이어", "guilds no null players"),
        (GUILDS, "레벨 높은 순으로 상위 5명", "level order DESC top 5"),
        (GUILDS, "'드래곤'으로 시작하는 길드 이름", "'드래곤' starts guilds name"),
        (SHOP, "총 금액이 백만 원 넘는 주문 번호", "total_amount 1000000 > orders order_id"),
        (SHOP, "한 번도 주문하지 않은 손님", "never orders not customers"),
        (SHOP, "도시별 고객 수를 많은 순으로", "city per customers COUNT order DESC"),
        (SHOP, "가장 어린 회원", "most low age customers"),
        (SHOP, "평균보다 비싼 상품", "AVG > unit_price products"),
    ],
)
def test_a_question_is_glossed_in_the_words_of_its_schema(schema: str, question: str, expected: str) -> None:
    assert hint(question, schema) == expected


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        ("상태가 배송 완료인 주문", "status 배송 완료 orders"),
        ("서른 살 이상인 VIP 고객 이름 좀 보여주세요", "age 30 >= grade VIP customers name"),
        ("이서연의 나이는?", "이서연 age"),
        ("제주도 고객 이름과 나이", "city 제주도 customers name age"),
    ],
)
def test_values_stay_korean_and_name_their_column_where_they_can(question: str, expected: str) -> None:
    assert hint(question, SHOP) == expected


@pytest.mark.parametrize(
    "particle", ["을", "은", "의", "만", "에서", "까지는", "으로", "과", "도", "이고", "들의", " "]
)
def test_particles_after_a_known_word_vanish(particle: str) -> None:
    assert hint(f"레벨{particle} 이름", GUILDS) == "level name"


@pytest.mark.parametrize(
    ("name", "particle"), [("이서연", "의"), ("김민수", "가"), ("한가람", "이"), ("제주항공사", "에서"), ("최도", "는")]
)
def test_a_particle_leaves_a_name_it_fits_and_the_name_stays_whole(name: str, particle: str) -> None:
    assert name in hint(f"{name}{particle} 레벨", GUILDS).split()


@pytest.mark.parametrize(
    ("spoken", "digits"),
    [
        ("3만 5천", "35000"),
        ("3만5천", "35000"),
        ("2천만", "20000000"),
        ("백만", "1000000"),
        ("1억 2천만", "120000000"),
        ("1만2000", "12000"),
        ("1,200", "1200"),
        ("4.50", "4.50"),
        ("3.5만", "35000"),
        ("이백오십", "250"),
        ("만", "10000"),
        ("사과", None),
    ],
)
def test_korean_numerals_become_digits(spoken: str, digits: str | None) -> None:
    assert korean_number(spoken) == digits


@pytest.mark.parametrize(
    ("phrase", "digits"),
    [
        ("서른 이상", "30"),
        ("스무 살", "20"),
        ("마흔다섯 살", "45"),
        ("세 명", "3"),
        ("열두 번", "12"),
        ("오십 세", "50"),
        ("3만 5천 원", "35000"),
        ("100kg", "100"),
        ("1,000원", "1000"),
    ],
)
def test_counted_numerals_in_a_question_become_digits_without_their_counter(phrase: str, digits: str) -> None:
    assert hint(f"{phrase}", "") in (digits, f"{digits} >=")


@pytest.mark.parametrize(
    ("phrase", "expected"),
    [
        ("2024년 3월 1일", "2024-03-01"),
        ("2024-3-1", "2024-03-01"),
        ("2024.03.01", "2024-03-01"),
        ("2024년", "year 2024"),
        ("3월", "month 3"),
        ("2023년 12월", "year 2023 month 12"),
    ],
)
def test_dates_are_normalised(phrase: str, expected: str) -> None:
    assert hint(phrase, "") == expected


def test_a_date_names_the_only_date_column_of_the_table_it_is_about() -> None:
    assert hint("2024-03-01 이후 주문", SHOP) == "ordered_at 2024-03-01 after orders"


def test_the_same_word_finds_whatever_the_schema_calls_it() -> None:
    for column in ("join_date", "joined_on", "signup_date", "registered_at"):
        assert hint("가입일", f"CREATE TABLE members (member_id INT, {column} DATE)") == column


@pytest.mark.parametrize(
    ("ddl", "expected"),
    [
        (
            GUILDS,
            "players(player_id, username, level, joined_on, guild_id->guilds) guilds(guild_id, name)",
        ),
        ("CREATE TABLE `a` (`x` INT COMMENT 'it''s, a (trap)', -- note\n `y` INT) ENGINE=InnoDB;", "a(x, y)"),
        ("CREATE TABLE b (a_id INT REFERENCES a(x), v ENUM('p','q,r') NOT NULL DEFAULT 'p')", "b(a_id->a, v)"),
        (
            "CREATE TABLE c (i INT, j INT, PRIMARY KEY (i, j), CONSTRAINT k FOREIGN KEY (i) REFERENCES a (x) "
            "ON DELETE CASCADE, UNIQUE KEY u (j), INDEX n (i), CHECK (i > 0))",
            "c(i->a, j)",
        ),
        ("/* head */ CREATE TABLE IF NOT EXISTS d (q DECIMAL(10,2) UNSIGNED); INSERT INTO d VALUES (1)", "d(q)"),
        ("CREATE TABLE e (a_id INT); ALTER TABLE e ADD FOREIGN KEY (a_id) REFERENCES a(x)", "e(a_id->a)"),
        ("  no DDL {question} $PATH  ", "no DDL {question} $PATH"),
        ("CREATE TABLE broken (", "CREATE TABLE broken ("),
        ("", ""),
    ],
)
def test_any_ddl_becomes_one_short_line_and_other_text_stays(ddl: str, expected: str) -> None:
    assert compact_schema(ddl) == expected


def test_no_text_makes_either_function_raise() -> None:
    dice = random.Random(20240301)
    pieces = [
        *"가나다레벨이의수별순명년월일만천 \n\t'\"`“”‘’()[]{}$%\\;,.?!-_0123456789aZ🙂\x00",
        "레벨",
        "CREATE TABLE ",
        "a (b INT)",
    ]
    pieces += ["2024년", "3월", "세 명", "한 번도", "보다 큰", "길드별", "DROP TABLE x;", "²", "٣", "１２"]
    for _ in range(250):
        question = "".join(dice.choices(pieces, k=dice.randint(0, 25)))
        context = dice.choice([GUILDS, "", "".join(dice.choices(pieces, k=dice.randint(0, 25)))])
        assert isinstance(hint(question, context), str)
        assert isinstance(compact_schema(context), str)


def test_a_very_long_question_costs_little_and_always_gives_the_same_hint() -> None:
    question = "레벨이 30 이상인 플레이어 이름 " * 5000
    started = time.process_time()
    assert hint(question, GUILDS) == hint(question, GUILDS)
    assert time.process_time() - started < 2


def test_the_lexicon_has_no_line_that_is_never_read() -> None:
    rows = [
        line.split("\t")
        for line in words.LEXICON.read_text(encoding="utf-8").splitlines()
        if line.strip() and not line.startswith("#")
    ]
    assert len(rows) >= 2000
    assert not [row for row in rows if len(row) != 2 or not row[0].strip()]
    read = {entry.korean for entries in words.lexicon().values() for _, entry in entries}
    assert {row[0].removeprefix("-").strip() for row in rows} == read
