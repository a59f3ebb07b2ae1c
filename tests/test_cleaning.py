"""Cleaning by rule: planted faults are found, good rows stay, the report says which and why."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from random import Random

import pytest
import sqlglot

from recipes.ko_text2sql.agreement import disagreements
from recipes.ko_text2sql.cleaning import alike, check, names_and_flags
from scripts.cleaning import Index, Seen, judge, judged, letter_groups
from scripts.recipe import Clean
from tests.planted import MEANT, hand_written, planted, rows_of_the_test
from tests.test_loaders import Lab

SHOP = "CREATE TABLE products (product_id INT PRIMARY KEY, name VARCHAR(30), price INT, is_sold_out BOOLEAN);"
ZOO = "CREATE TABLE animals (animal_id INT PRIMARY KEY, species VARCHAR(30), weight_kg INT, arrived_on DATE);"


@pytest.fixture
def lab(tmp_path, monkeypatch, capsys) -> Lab:
    return Lab(tmp_path, monkeypatch, capsys)


# --- planted faults ------------------------------------------------------------------------------------------------------
def test_planted_faults_are_found_and_good_rows_stay() -> None:
    rows, tests = hand_written(160, seed=3), rows_of_the_test()
    index, seen, settings = Index(), Seen(alike), Clean(check="-")
    for row in tests:
        index.add(row, judge(check, row))

    def faults(row: dict) -> list:
        row = {name: row[name] for name in ("id", "context", "question", "answer")}
        found = judge(check, row, index, settings)
        return found["faults"] or seen.duplicate(row["id"], row)

    lost = {row["id"]: found for row in rows if (found := faults(row))}
    assert len(lost) <= 0.01 * len(rows), lost
    missed = [row for kind in MEANT for row in planted(kind, 20, rows, tests, seed=3) if not faults(row)]
    assert len(missed) <= 0.02 * 20 * len(MEANT), [(row["id"], row["question"], row["answer"]) for row in missed]


# --- one row at a time -----------------------------------------------------------------------------------------------------
ROWS = {
    "a good row": (SHOP, "5만 원 넘는 상품 이름", "SELECT name FROM products WHERE price > 50000", None),
    "prose": (SHOP, "상품 이름", "죄송하지만 답할 수 없습니다", "does not parse"),
    "half a query": (SHOP, "상품 이름", "SELECT name FROM products WHERE", "does not parse"),
    "two queries": (SHOP, "상품 이름", "SELECT name FROM products; SELECT 1", "does not parse"),
    "a query that writes": (SHOP, "상품 지워", "DELETE FROM products", "does not parse"),
    "a keyword for a name": (SHOP, "상품 수", "SELECT price FROM products ORDER GROUP BY price", "does not parse"),
    "no DDL": ("상품 표", "상품 이름", "SELECT name FROM products", "does not parse"),
    "no context": (None, "상품 이름", "SELECT name FROM products", "does not parse"),
    "another table": (SHOP, "상품 이름", "SELECT name FROM items", "not in the schema"),
    "another column": (SHOP, "상품 색", "SELECT colour FROM products", "not in the schema"),
    "a column of a table not read": (SHOP + ZOO, "종 이름", "SELECT species FROM products", "not in the schema"),
    "an alias is no unknown name": (
        SHOP, "가격별 상품 수", "SELECT price, COUNT(*) AS n FROM products GROUP BY price ORDER BY n DESC", None,
    ),
    "a CTE's columns are its own": (
        SHOP, "평균 가격", "WITH p (cost) AS (SELECT price FROM products) SELECT AVG(cost) FROM p", None,
    ),
    "never true": (SHOP, "5보다 크고 3보다 작은 가격", "SELECT name FROM products WHERE price > 5 AND price < 3", "always empty"),
    "another number": (SHOP, "5만 원 넘는 상품 이름", "SELECT name FROM products WHERE price > 70000", "values disagree"),
    "another text": (SHOP, "연필 값", "SELECT price FROM products WHERE name = '공책'", "values disagree"),
    "nothing at all": (SHOP, " ", "SELECT name FROM products", "incomplete"),
    "no answer": (SHOP, "상품 이름", None, "incomplete"),
}  # fmt: skip


@pytest.mark.parametrize(("context", "question", "answer", "rule"), ROWS.values(), ids=ROWS)
def test_a_row_falls_to_the_rule_that_it_breaks(context, question, answer, rule) -> None:
    found = judge(check, {"id": "1", "context": context, "question": question, "answer": answer})
    assert (found["faults"][0][0] if found["faults"] else None) == rule, found["faults"]


AGREE = [
    ("서른 살 넘는 회원", "SELECT n FROM t WHERE age > 30", True),
    ("서른 살 넘는 회원", "SELECT n FROM t WHERE age > 40", False),
    ("3만 5천 원 이상", "SELECT n FROM t WHERE price >= 35000", True),
    ("제일 비싼 상품", "SELECT n FROM t ORDER BY price DESC LIMIT 1", True),
    ("비싼 상품 다섯 개", "SELECT n FROM t ORDER BY price DESC LIMIT 5", True),
    ("비싼 상품 다섯 개", "SELECT n FROM t ORDER BY price DESC LIMIT 1", False),
    ("2024년 4월 주문", "SELECT n FROM t WHERE d BETWEEN '2024-04-01' AND '2024-04-30'", True),
    ("2024년 4월 주문", "SELECT n FROM t WHERE d >= '2024-04-01' AND d < '2024-05-01'", True),
    ("2024년 4월 주문", "SELECT n FROM t WHERE d BETWEEN '2023-04-01' AND '2023-04-30'", False),
    ("2024년 주문", "SELECT n FROM t WHERE d >= '2024-01-01' AND d < '2025-01-01'", True),
    ("2024년 주문", "SELECT n FROM t WHERE YEAR(d) = 2022", False),
    ("3월에 입사한 직원", "SELECT n FROM t WHERE MONTH(d) = 3", True),
    ("3월에 입사한 직원", "SELECT n FROM t WHERE MONTH(d) = 4", False),
    ("할인율 30% 이상", "SELECT n FROM t WHERE rate >= 0.3", True),
    ("두 시간 넘는 영화", "SELECT n FROM t WHERE minutes > 120", True),
    ("오후 3시 이후", "SELECT n FROM t WHERE HOUR(at) >= 15", True),
    ("여자 환자 보여줘", "SELECT n FROM t WHERE gender = '여'", True),
    ("남자 환자 보여줘", "SELECT n FROM t WHERE gender = '여'", False),
    ("재택근무하는 직원", "SELECT n FROM t WHERE is_remote = 1", True),
    ("재택근무하는 직원", "SELECT n FROM t WHERE is_remote = 0", False),
    ("재택근무 안 하는 직원", "SELECT n FROM t WHERE is_remote = 0", True),
    (
        "반마다 제일 큰 학생",
        "SELECT n FROM (SELECT n, RANK() OVER (PARTITION BY c ORDER BY h DESC) AS place FROM t) AS r WHERE place = 1",
        True,
    ),
    (
        "반마다 두 번째로 큰 학생",
        "SELECT n FROM (SELECT n, RANK() OVER (PARTITION BY c ORDER BY h DESC) AS place FROM t) AS r WHERE place = 3",
        False,
    ),
    ("층이 같은 방", "SELECT n FROM t WHERE floor = 1", False),
    ("리뷰가 세 개 이상인 상품", "SELECT n FROM t GROUP BY n HAVING COUNT(*) >= 3", True),
    ("리뷰가 두 개 이상인 상품", "SELECT n FROM t GROUP BY n HAVING COUNT(*) >= 1", False),
    ("How many players scored more than twenty five points?", "SELECT COUNT(*) FROM t WHERE points > 25", True),
    ("How many players scored more than twenty five points?", "SELECT COUNT(*) FROM t WHERE points > 52", False),
    ("Which singers are from France?", "SELECT n FROM t WHERE country = 'France'", True),
    ("Which singers are from France?", "SELECT n FROM t WHERE country = 'Japan'", False),
]


@pytest.mark.parametrize(("question", "query", "agree"), AGREE)
def test_question_and_query_agree_on_values(question: str, query: str, agree: bool) -> None:
    found = disagreements(question, sqlglot.parse_one(query, read="mysql"))
    assert (not found) == agree, found


def test_a_translated_question_may_ask_for_foreign_values_where_the_recipe_says_so() -> None:
    tree = sqlglot.parse_one("SELECT n FROM t WHERE country = 'France'", read="mysql")
    assert disagreements("프랑스 가수", tree)
    assert not disagreements("프랑스 가수", tree, foreign_values=True)


DDL = [
    SHOP,
    "CREATE TABLE `t a` (`No. 3` DECIMAL(10, 2) NOT NULL, `x/y` ENUM('a', 'b'), PRIMARY KEY (`No. 3`));",
    'CREATE TABLE "Show" ("Show_ID" int, "Singer_ID" int, FOREIGN KEY ("Singer_ID") REFERENCES singer("Singer_ID"))',
    "CREATE TABLE a (id INT, ok TINYINT(1) DEFAULT 0)\nCREATE TABLE IF NOT EXISTS b (a_id INT REFERENCES a(id), on_sale BOOL)",
    "CREATE TABLE bare (one, two)",
    "no DDL at all",
]


@pytest.mark.parametrize("context", DDL)
def test_names_read_by_signs_are_those_that_a_parser_reads(context: str) -> None:
    from judge.sql.schema import SchemaError, parse_schema

    try:
        schema = parse_schema(context)
    except SchemaError:
        schema = {}
    names, flags = names_and_flags(context)
    assert names == [f"{table}.{column}" for table, about in schema.items() for column in about.columns]
    assert flags == {name for t in schema.values() for name, column in t.columns.items() if column.kind == "bool"}


# --- duplicates and leaks --------------------------------------------------------------------------------------------------
SAME = [
    ("상품 이름?", "SELECT name FROM products", "duplicate"),
    ("상품  이름", "SELECT name FROM products", "near duplicate"),
    ("상품 이름?", "select p.name\nfrom products as p;", "near duplicate"),
    ("상품 이름?", "SELECT price FROM products", None),
    ("모든 상품 이름?", "SELECT name FROM products", None),
]


@pytest.mark.parametrize(("question", "answer", "rule"), SAME)
def test_a_row_that_says_the_same_again_is_a_duplicate(question: str, answer: str, rule: str | None) -> None:
    seen = Seen(alike)

    def fault(id: str, question: str, answer: str) -> list:
        row = {"id": id, "context": SHOP, "question": question, "answer": answer}
        return seen.duplicate(f"row {id}", row)

    assert fault("1", "상품 이름?", "SELECT name FROM products") == []
    found = fault("2", question, answer)
    assert [name for name, _ in found] == ([rule] if rule else [])
    assert all("row 1" in reason for _, reason in found)


def test_the_overlap_is_the_one_that_comparing_with_each_test_question_gives() -> None:
    dice = Random(0)
    words = ["가장", "비싼", "상품", "이름", "게임", "유저", "레벨", "알려줘", "몇", "명"]
    questions = [" ".join(dice.choices(words, k=dice.randint(2, 6))) for _ in range(120)]
    index = Index()
    for number, question in enumerate(questions[:60]):
        index.add({"id": number, "question": question}, {"names": []})
    for question in questions[60:]:
        groups = letter_groups(question)
        shares = [len(groups & other) / len(groups | other) for other in map(letter_groups, questions[:60])]
        share, nearest = index.question(question)
        assert share == (max(shares) if max(shares) >= 0.3 else 0)
        assert not share or shares[int(nearest)] == share


# --- the stage -------------------------------------------------------------------------------------------------------------
def row(id: str, question: str, answer: str, context: str | None = SHOP) -> dict:
    return {"id": id, "context": context, "question": question, "answer": answer}


TRAIN = [
    row("good-1", "상품 이름", "SELECT name FROM products"),
    row("good-2", "5만 원 넘는 상품 이름", "SELECT name FROM products WHERE price > 50000"),
    row("parse", "<script>alert(1)</script> & 상품", "SELECT <b>bold</b> FROM"),
    row("schema", "상품 색", "SELECT colour FROM products"),
    row("empty", "5보다 크고 3보다 작은 가격", "SELECT name FROM products WHERE price > 5 AND price < 3"),
    row("values", "5만 원 넘는 상품 이름 줘", "SELECT name FROM products WHERE price > 70000"),
    row("again", "상품 이름", "SELECT name FROM products"),
    row("near", "상품이름?", "select name from products"),
    row("leak", "몸무게가 제일 많이 나가는 동물의 종이 뭐야", "SELECT name FROM products ORDER BY price DESC LIMIT 1"),
    row("zoo", "들어온 날짜들", "SELECT arrived_on FROM animals", ZOO),
    row("nothing", "", "SELECT 1"),
]
TESTS = [
    row(
        "t-1",
        "몸무게가 제일 많이 나가는 동물의 종이 뭐야?",
        "SELECT species FROM animals ORDER BY weight_kg DESC LIMIT 1",
        ZOO,
    ),
    row("t-2", "종 이름들", "SELECT sort FROM animals", ZOO),
]
DATA = {
    "files": {"train": "train.jsonl", "test": "test.jsonl"},
    "clean": {
        "check": "recipes.ko_text2sql.cleaning:check",
        "alike": "recipes.ko_text2sql.cleaning:alike",
        "workers": 1,
    },
}


def run(lab: Lab, **clean: object) -> tuple[int, str]:
    """The data stage with cleaning; `Lab.run` would leave it out."""
    lab.write("train.jsonl", TRAIN)
    lab.write("test.jsonl", TESTS)
    import yaml

    from scripts import data
    from scripts.recipe import run_main
    from tests.test_loaders import REST

    recipe = {**REST, "data": {**DATA, "clean": DATA["clean"] | clean}}
    lab.write("toy.yaml", yaml.safe_dump(recipe, allow_unicode=True))
    lab.monkeypatch.setattr(sys, "argv", ["data", "toy.yaml"])
    try:
        run_main(data.main)
    except SystemExit as stop:
        return stop.code, lab.capsys.readouterr().err
    return 0, lab.capsys.readouterr().err


def report(lab: Lab) -> dict:
    return json.loads((lab.folder / "runs/toy/toy/data/clean_report.json").read_text(encoding="utf-8"))


def test_the_stage_keeps_the_good_rows_and_reports_the_others(lab: Lab) -> None:
    assert run(lab)[0] == 0
    assert [kept["id"] for kept in lab.rows("train")] == ["good-1", "good-2"]
    said = report(lab)
    assert said["train"] == {"read": 11, "kept": 2, "dropped": 9}
    assert {rule: [example["id"] for example in about["examples"]] for rule, about in said["rules"].items()} == {
        "does not parse": ["parse"], "not in the schema": ["schema"], "always empty": ["empty"],
        "values disagree": ["values"], "duplicate": ["again"], "near duplicate": ["near"],
        "leaked question": ["leak"], "leaked schema": ["zoo"], "incomplete": ["nothing"],
    }  # fmt: skip
    assert said["rules"]["leaked question"]["examples"][0]["place"] == "train.jsonl:9"
    assert said["closest_questions"][0]["test_id"] == "t-1"
    assert sum(said["overlap_with_test"]["question"].values()) == 10


def test_test_rows_stay_and_their_faults_are_reported(lab: Lab) -> None:
    run(lab)
    assert [kept["id"] for kept in lab.rows("test")] == ["t-1", "t-2"]
    assert report(lab)["test"] == {"read": 2, "faulty": 1}
    assert report(lab)["test_rules"]["not in the schema"]["examples"][0]["id"] == "t-2"


def test_a_rows_html_is_text_on_the_page(lab: Lab) -> None:
    run(lab)
    page = (lab.folder / "runs/toy/toy/data/clean_report.html").read_text(encoding="utf-8")
    assert "<script" not in page and "<b>bold" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt; &amp; 상품" in page
    assert "&lt;b&gt;bold" in page
    assert "default-src &#39;none&#39;" in page or "default-src 'none'" in page


def test_overlaps_can_be_turned_off(lab: Lab) -> None:
    run(lab, schema_overlap=None, question_overlap=None)
    assert {"leak", "zoo"} <= {kept["id"] for kept in lab.rows("train")}


def test_train_rows_counts_what_is_left(lab: Lab) -> None:
    lab.monkeypatch.setitem(DATA, "train_rows", 1)
    run(lab)
    assert [kept["id"] for kept in lab.rows("train")] == ["good-1"]


def test_a_second_run_changes_nothing(lab: Lab) -> None:
    run(lab)
    before = {path: path.stat().st_mtime_ns for path in (lab.folder / "runs").rglob("*.*")}
    run(lab)
    assert {path: path.stat().st_mtime_ns for path in (lab.folder / "runs").rglob("*.*")} == before


MISTAKES = {
    "an unknown option": ({"options": {"instance": 3}}, "data.clean.options"),
    "no such function": ({"check": "recipes.ko_text2sql.cleaning:chek"}, "data.clean.check"),
    "an overlap above one": ({"schema_overlap": 60.0}, "data.clean.schema_overlap"),
    "no row is left": ({"question_overlap": 0.0}, "leaves no training row"),
}


@pytest.mark.parametrize(("clean", "expected"), MISTAKES.values(), ids=MISTAKES)
def test_a_mistake_in_the_recipe_is_one_line(lab: Lab, clean: dict, expected: str) -> None:
    code, said = run(lab, **clean)
    assert (code, said.count("\n")) == (2, 1), said
    assert "toy.yaml" in said and expected in said
    assert not list((lab.folder / "runs").rglob("*.part"))


# --- all cores ---------------------------------------------------------------------------------------------------------------
def double(row: dict) -> dict:
    return {"twice": 2 * row["n"]}


def test_a_pool_gives_the_rows_in_order_and_reads_no_further_ahead_than_it_must() -> None:
    from scripts.parallel import CHUNK

    asked = 0

    def source():
        nonlocal asked
        for n in range(40 * CHUNK):
            asked += 1
            yield f"row {n}", {"n": n}

    for given, (place, row, found) in enumerate(judged(double, source(), workers=2)):
        assert (place, found["twice"]) == (f"row {row['n']}", 2 * given)
        assert asked - given <= 7 * CHUNK


def test_few_rows_take_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("scripts.parallel.ProcessPoolExecutor", None)
    assert len(list(judged(double, iter([("row 1", {"n": 1})]), workers=8))) == 1


def test_planted_faults_are_what_they_are_called(tmp_path: Path) -> None:
    rows, tests = hand_written(40), rows_of_the_test()
    for kind in MEANT:
        made = list(planted(kind, 10, rows, tests))
        assert len({faulty["id"] for faulty in made}) == 10
        good = {row["id"]: row for row in rows + tests}
        if kind not in ("duplicate", "leaked test row"):
            assert all(faulty["answer"] != good[faulty["made_from"]]["answer"] for faulty in made)
