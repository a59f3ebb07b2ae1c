"""Whole questions said otherwise: the same meaning, particles that fit, values untouched."""

from __future__ import annotations

import re
from random import Random

import pytest

from recipes.ko_text2sql import korean
from recipes.ko_text2sql.domains import load_domains
from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.paraphrase import marked, paraphrase, rewrites, rules
from recipes.ko_text2sql.rows import hand_written_patterns

SHOP = "CREATE TABLE products (product_id INT PRIMARY KEY, name VARCHAR(30), price INT, category VARCHAR(10))"
NAMES = "SELECT name FROM products WHERE price > 50000"
COUNT = "SELECT COUNT(*) FROM customers WHERE city = '제주'"


def said(question: str, query: str, values: list[str] = (), n: int = 300) -> set[str]:
    shop = load_domains()["shop"]
    return {paraphrase(question, query, shop, list(values), Random(f"said:{seed}")) for seed in range(n)}


@pytest.mark.parametrize(
    "question, query, other",
    [
        ("5만 원 넘는 상품 이름 알려줘", NAMES, "5만 원을 넘는 상품"), ("5만 원 넘는 상품 이름 알려줘", NAMES, "5만 원 초과인"),
        ("5만 원 넘는 상품 이름 알려줘", NAMES, "상품만 골라서 이름"), ("5만 원 넘는 상품 이름 알려줘", NAMES, "상품 이름 알려줘, 5만 원"),
        ("5만 원 넘는 상품의 이름을 알려줘", NAMES, "상품 이름 알려줘"), ("5만 원 넘는 상품 이름 알려줘", NAMES, "name"),
        ("제주 사는 고객은 몇 명이야?", COUNT, "고객 수"), ("제주 사는 고객은 몇 명이야?", COUNT, "고객이 몇 명"),
        ("다섯 명 이상 사는 도시", "SELECT city FROM customers GROUP BY city HAVING COUNT(*) >= 5", "5명"),
        ("등급별로 평균 나이 알려줘", "SELECT grade, AVG(age) FROM customers GROUP BY grade", "등급마다"),
        ("등급별로 평균 나이 알려줘", "SELECT grade, AVG(age) FROM customers GROUP BY grade", "나이 평균"),
        ("35000원 넘는 상품 이름", NAMES, "3만 5천 원"), ("2024-03-01 이후 주문", "SELECT 1", "2024.03.01 이후"),
    ],
)  # fmt: skip
def test_a_question_is_said_in_other_ways_too(question: str, query: str, other: str) -> None:
    assert any(other in way for way in said(question, query)), sorted(said(question, query))[:20]


def test_a_rule_waits_for_the_queries_that_it_is_for() -> None:
    ways = said("제주 사는 고객은 몇 명이야?", "SELECT COUNT(DISTINCT city) FROM customers")
    assert not any("고객 수" in way for way in ways)


def test_values_stay_as_they_are_whatever_is_said_around_them() -> None:
    value = "이름 목록 알려줘 상품"
    ways = said(f"'{value}'라는 상품 가격 알려줘", f"SELECT price FROM products WHERE name = '{value}'", [value])
    assert len(ways) > 20 and all(f"'{value}'" in way for way in ways)


def test_the_same_dice_say_the_same() -> None:
    assert said("5만 원 넘는 상품 이름 알려줘", NAMES) == said("5만 원 넘는 상품 이름 알려줘", NAMES)


def test_particles_follow_the_sound_before_them_also_behind_english_and_quotes() -> None:
    assert marked("상품<을> 가게<을> 서울<으로>", []) == "상품을 가게를 서울로"
    assert korean.refit("취소", "배송중", "'로 된") == "'으로 된"
    ways = said("5만 원 넘는 상품 이름을 알려줘", NAMES)
    assert any("name을" in way for way in ways) and not any("name를" in way for way in ways)


@pytest.mark.parametrize(
    "value, text", [(35000, "3만 5천"), (120000, "12만"), (120000000, "1억 2천만"), (9000, None), (12345, None)]
)
def test_sums_of_money_are_spelled_as_people_write_them(value: int, text: str | None) -> None:
    assert korean.spell_mixed(value) == text
    assert text is None or korean.read_sino(text.replace(" ", "")) == value


def test_what_is_said_before_and_behind_says_nothing_to_the_dictionary() -> None:
    question = "5만 원 넘는 상품 이름"
    plain = hint(question, SHOP)
    loud = {
        extra for register in rules()["fronts"].values() for extra in register
        if hint(f"{extra} {question}", SHOP) != plain
    }  # fmt: skip
    loud |= {
        extra for register in rules()["backs"].values() for extra in register
        if hint(f"{question} {extra}", SHOP) != plain
    }  # fmt: skip
    assert loud == set()


def test_every_rule_is_used_on_some_hand_written_question_and_names_only_its_own_groups() -> None:
    patterns = hand_written_patterns()
    for domain in {id(pattern.domain): pattern.domain for pattern in patterns}.values():
        for rewrite in rewrites(domain):
            named = {group for form in rewrite.forms for group in re.findall(r"\{(\w+)(?::\w+)?\}", form)}
            assert named <= set(rewrite.find.groupindex), rewrite
    used = {
        at for pattern in patterns for at, rewrite in enumerate(rewrites(pattern.domain))
        if rewrite.fits(pattern.row["answer"]) and rewrite.find.search(pattern.row["question"])
    }  # fmt: skip
    unused = [rule["find"] for at, rule in enumerate(rules()["rewrites"]) if at not in used]
    assert len(unused) <= 4, unused  # rules for what other rules write
