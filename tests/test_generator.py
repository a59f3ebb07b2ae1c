"""The training rows: made rows say in Korean what their queries ask, fit their schemas, and come out the same again."""

from __future__ import annotations

import json
import re
import sys
from collections import Counter
from pathlib import Path
from random import Random

import pytest
import sqlglot
from sqlglot import exp

ROOT = Path(__file__).resolve().parents[1]
sys.path[:0] = [
    str(ROOT),
    str(ROOT / "judge" / "src"),
]  # the judge is a package of its own, perhaps not installed

from judge.execution import run_golds  # noqa: E402

from recipes.ko_text2sql import korean  # noqa: E402
from recipes.ko_text2sql.disguise import pool  # noqa: E402
from recipes.ko_text2sql.domains import ddl, load_domains  # noqa: E402
from recipes.ko_text2sql.generator import SHARE, fill, generate, plain  # noqa: E402
from recipes.ko_text2sql.patterns import lift  # noqa: E402
from recipes.ko_text2sql.queries import own_names, read_query  # noqa: E402
from recipes.ko_text2sql.rows import HERE, hand_written_patterns, make, missing_from_prompt, read  # noqa: E402
from recipes.ko_text2sql.schema_text import parse_tables  # noqa: E402

MANY = 5000


@pytest.fixture(scope="module")
def splits():
    return make(seed=0, train_rows=MANY)


@pytest.fixture(scope="module")
def patterns():
    return hand_written_patterns()


def _lift(question: str, answer: str, domain: str = "shop"):
    return lift({"id": "row", "question": question, "answer": answer}, load_domains()[domain])


def _instances(question: str, answer: str, domain: str = "shop", n: int = 60):
    pattern = _lift(question, answer, domain)
    return [
        instance
        for seed in range(n)
        if (instance := fill(pattern, Random(f"test:{seed}"), rephrased=False)) is not None
    ]


@pytest.mark.parametrize(
    "old, new, following, fitted",
    [
        ("도시", "지역", "를 알려줘", "을 알려줘"), ("지역", "도시", "이 서울인", "가 서울인"), ("골드", "실버", "와 같은", "와 같은"),
        ("서울", "부산", "로 간", "으로 간"), ("부산", "서울", "으로 간", "로 간"), ("고객", "이용자", "은요?", "는요?"),
        ("LG", "나이키", "는 어때", "는 어때"), ("VIP", "실버", "나 골드", "나 골드"), ("카드", "계좌이체", "이나", "이나"),
        ("Apple", "다이슨", "은 어느", "은 어느"), ("B", "AB", "형", "형"), ("5", "3", "이 넘", "이 넘"), ("3", "5", "이 넘", "가 넘"),
        ("상품", "제품", "이름", "이름"), ("실버", "골드", "이면서", "이면서"), ("일반", "골드", "이면서", "면서"),
    ],
)  # fmt: skip
def test_a_particle_follows_the_sound_before_it(old, new, following, fitted):
    assert korean.refit(old, new, following) == fitted


@pytest.mark.parametrize(
    "text, value, style",
    [
        ("3만 원", 30000, "만"), ("1,200원", 1200, "comma"), ("십만 원", 100000, "sino"), ("백만 원", 1000000, "sino"), ("2억", 200000000, "억"),
        ("5천만 원", 50000000, "천만"), ("4.5점", 4.5, "digits"), ("다섯 개", 5, "native"), ("서른다섯 살", 35, "native"), ("스무 명", 20, "native"),
        ("만 점", 10000, "sino"), ("3만 5천 원", 35000, ""),
    ],
)  # fmt: skip
def test_a_number_is_read_as_people_write_it_and_spelled_back(text, value, style):
    (number,) = korean.numbers(text)
    assert (number.value, number.style) == (value, style)
    if style:
        assert text.startswith(korean.spell(value, style))


@pytest.mark.parametrize("value, style, spelled", [(80000000, "천만", "8천만"), (120000000, "천만", None), (120000, "만", "12만"), (4000, "천", "4천"), (15000, "천", None)])  # fmt: skip
def test_a_number_is_spelled_only_as_people_would(value, style, spelled):
    assert korean.spell(value, style) == spelled


@pytest.mark.parametrize("text", ["한국 브랜드", "두산 팀", "세탁기", "네이버페이", "만든 사람", "일반 회원", "1a2"])
def test_a_word_that_only_looks_like_a_number_is_none(text):
    assert [n for n in korean.numbers(text) if n.style != "digits"] == []


def test_a_value_goes_to_question_and_query_alike():
    for instance in _instances("VIP 등급 손님이 누구누구죠?", "SELECT name FROM customers WHERE grade = 'VIP'"):
        (value,) = re.findall(r"'(.+)'", instance.sql())
        assert value in ("일반", "실버", "골드", "VIP") and value in instance.question


def test_a_number_goes_to_question_and_query_alike_in_its_own_spelling():
    spelled = set()
    for instance in _instances("5만 원 넘는 물건은 뭐 있어?", "SELECT name FROM products WHERE price > 50000"):
        price = int(instance.sql().rsplit(" ", 1)[1])
        assert f"{price // 10000}만 원 넘는" in instance.question and price % 10000 == 0
        spelled.add(price)
    assert len(spelled) > 5


def test_the_lower_end_stays_below_the_upper_one():
    question, answer = (
        "가격이 1만 원에서 3만 원 사이인 거 뭐뭐 팔아요?",
        "SELECT name FROM products WHERE price BETWEEN 10000 AND 30000",
    )
    for instance in _instances(question, answer):
        low, high = map(int, re.findall(r"\d+", instance.sql()))
        assert low < high and instance.question.index(f"{low // 10000}만") < instance.question.index(
            f"{high // 10000}만 원 사이"
        )


def test_dates_keep_their_order_and_their_columns_range():
    question = "2024-06-01부터 2024-06-30까지 주문액 합이 얼마나 됐습니까?"
    answer = "SELECT SUM(total_amount) FROM orders WHERE ordered_on BETWEEN '2024-06-01' AND '2024-06-30'"
    for instance in _instances(question, answer):
        low, high = re.findall(r"\d{4}-\d\d-\d\d", instance.sql())
        assert "2022-01-01" <= low < high <= "2024-12-31" and re.findall(r"\d{4}-\d\d-\d\d", instance.question) == [
            low,
            high,
        ]


@pytest.mark.parametrize(
    "question, answer",
    [
        ("2분도 안 되는(120초 미만) 짧은 곡", "SELECT title FROM songs WHERE duration_sec < 120"),
        ("취소된 구독", "SELECT plan FROM subscriptions WHERE plan = '취소'"),
        ("20대 이용자", "SELECT nickname FROM users WHERE age BETWEEN 20 AND 29"),
        ("2024년 6월 구독", "SELECT plan FROM subscriptions WHERE started_on BETWEEN '2024-06-01' AND '2024-06-30'"),
    ],
)  # fmt: skip
def test_a_literal_that_cannot_be_rewritten_on_both_sides_stays(question, answer):
    for instance in _instances(question, answer, "streaming"):
        assert instance.sql() == answer


def test_a_column_is_exchanged_in_question_and_query_alike():
    words = {"grade": ("등급", "회원 등급"), "city": ("도시", "사는 곳", "지역"), "gender": ("성별",)}
    seen = set()
    for instance in _instances("평균 주문액이 가장 높은 등급?", "SELECT customers.grade FROM orders JOIN customers ON orders.customer_id = customers.customer_id GROUP BY customers.grade ORDER BY AVG(orders.total_amount) DESC LIMIT 1"):  # fmt: skip
        first, second = re.findall(r"customers\.(grade|city|gender)", instance.sql())
        assert first == second and any(word in instance.question for word in words[first])
        seen.add(first)
    assert seen == set(words)


def test_no_column_is_exchanged_where_the_ending_measures_it():
    for instance in _instances("VIP 회원 중 이메일 있는 사람 나이가 몇 살이야?", "SELECT age FROM customers WHERE grade = 'VIP' AND email IS NOT NULL"):  # fmt: skip
        assert instance.sql().startswith("SELECT age ")


def test_an_ending_is_exchanged_for_another_of_its_kind():
    endings = {plain(i.question)[-4:] for i in _instances("나이키 상품 목록 알려줘", "SELECT products.name FROM products JOIN brands ON products.brand_id = brands.brand_id WHERE brands.name = '나이키'")}  # fmt: skip
    assert {"알려주세요"[-4:], "알려줄래"[-4:]} & endings and len(endings) > 6


def test_hand_written_rows_stand_first_and_every_row_is_new(splits):
    train = splits["train"]
    written = {
        row["id"]: row
        for name in load_domains()
        if name != "game"
        for row in read(HERE / "questions" / f"{name}.jsonl")
    }
    assert {row["id"] for row in train[: len(written)]} == set(written) and len(train) == MANY
    assert all(row["question"] == written[row["id"]]["question"] for row in train[: len(written)])
    assert len({row["id"] for row in train}) == len({(row["question"], row["answer"]) for row in train}) == MANY
    old = {plain(row["question"]) for row in written.values()}
    made = [plain(row["question"]) for row in train[len(written) :]]
    assert not old & set(made) and len(set(made)) == len(made)


def test_no_pattern_carries_more_than_its_share(splits):
    made = [row["id"].rpartition("-g")[0] for row in splits["train"] if "-g" in row["id"]]
    assert max(Counter(made).values()) <= SHARE * len(made)


def test_the_same_seed_gives_the_same_rows_and_another_seed_others():
    once, again, other = (make(seed=seed, train_rows=1600)["train"] for seed in (3, 3, 4))
    assert json.dumps(once) == json.dumps(again) != json.dumps(other)


def test_a_small_sample_holds_all_domains_alike():
    rows = make(seed=1, train_rows=70)["train"]
    assert len(rows) == 70 and set(Counter(row["db_id"] for row in rows).values()) == {10}


def test_the_schema_holds_whatever_the_query_names(splits):
    for row in splits["train"]:
        tables = {name: set(columns) for name, columns, _ in parse_tables(row["context"])}
        tree = sqlglot.parse_one(row["answer"], read="mysql")
        own = own_names(tree)
        aliases = {table.alias_or_name: table.name for table in tree.find_all(exp.Table) if table.name not in own}
        assert set(aliases.values()) <= set(tables), row
        for column in tree.find_all(exp.Column):
            if column.name in own or (column.table in own and column.table not in aliases):
                continue
            owners = [aliases[column.table]] if column.table else aliases.values()
            assert any(column.name in tables[owner] for owner in owners), (column.sql(), row)


def test_renaming_and_subsets_can_be_switched_off(patterns):
    plain_rows = make(seed=0, rename_share=0, keep_columns=1, distractor_share=0)["train"]
    answers = {pattern.row["id"]: pattern.row["answer"] for pattern in patterns}
    assert all(row["answer"] == answers[row["id"]] for row in plain_rows)
    renamed = make(seed=0, rename_share=1)["train"]
    assert sum(row["answer"] != answers[row["id"]] for row in renamed) > 0.7 * len(renamed)


def test_paraphrases_can_be_switched_off():
    said, plainly = (
        [row["question"] for row in make(seed=0, train_rows=300, hand_written=False, paraphrases=on)["train"]]
        for on in (True, False)
    )
    assert len(set(said) - set(plainly)) > 100


@pytest.mark.parametrize(("share", "moved"), [(0.0, False), (1.0, True)])
def test_columns_stand_in_another_order_in_as_many_tables_as_asked_for(share, moved):
    domains = {domain["db_id"]: domain for domain in load_domains().values()}
    others = 0
    for row in make(seed=0, train_rows=200, rename_share=0, keep_columns=1, shuffle_share=share)["train"]:
        tables = domains[row["db_id"]]["tables"]
        others += any(
            list(columns) != list(tables[name]["columns"]) for name, columns, _ in parse_tables(row["context"])
        )
    assert (others > 150) if moved else others == 0


def test_a_test_row_shows_the_tables_it_names_whole_and_in_order(splits):
    named = read(HERE / "test_rows.jsonl")
    assert [row["id"] for row in splits["test"]] == [row["id"] for row in named]
    game = load_domains()["game"]
    for row, source in zip(splits["test"], named, strict=True):
        assert row["context"] == ddl(game, source["tables"]) and row["answer"] == source["answer"]


def test_only_columns_marked_nullable_may_be_null():
    text = ddl(load_domains()["shop"], ["orders"])
    assert "customer_id INT NOT NULL" in text and "delivered_on DATE\n" in text and "order_id INT PRIMARY KEY" in text
    assert "FOREIGN KEY" not in text and "FOREIGN KEY (customer_id) REFERENCES customers(customer_id)" in ddl(
        load_domains()["shop"], ["orders", "customers"]
    )


@pytest.mark.timeout(900)
def test_every_hand_written_and_made_query_runs_and_finds_something(splits):
    written = [row for row in splits["train"] if "-g" not in row["id"]]
    made = Random("sample").sample([row for row in splits["train"] if "-g" in row["id"]], 300)
    rows = written + splits["test"] + made
    for instances in (6, 40):  # most rows show something at once; a few need more databases
        runs = run_golds(rows, instances=instances)
        failed = [
            (row, run.error or "always empty")
            for row, run in zip(rows, runs, strict=True)
            if run.error or not run.non_empty
        ]
        rows = [row for row, _ in failed]
    assert {row["id"]: why for row, why in failed} == {}


TINY = """
db_id: 90
name: library
korean: 도서관
tables:
  books:
    korean: [책, 도서]
    english: [volumes]
    columns:
      book_id: {type: INT, role: key, korean: [책 번호]}
      title: {type: VARCHAR(50), role: label, korean: [제목, 책 제목], values: [토지, 소나기, 무정, 광장]}
      genre: {type: VARCHAR(10), role: category, korean: [장르], english: [kind], values: [소설, 시, 역사]}
      pages: {type: INT, role: number, kind: length, unit: 쪽, korean: [쪽수, 페이지 수], values: [50, 900]}
"""


def test_a_domain_is_one_yaml_file_and_one_file_of_questions(tmp_path):
    (tmp_path / "domains").mkdir()
    (tmp_path / "questions").mkdir()
    (tmp_path / "domains" / "library.yaml").write_text(TINY, encoding="utf-8")
    questions = [
        {
            "id": "library-001",
            "question": "소설 장르 책 제목 알려줘",
            "answer": "SELECT title FROM books WHERE genre = '소설'",
        },
        {
            "id": "library-002",
            "question": "300쪽 넘는 도서는 몇 권이야?",
            "answer": "SELECT COUNT(*) FROM books WHERE pages > 300",
        },
    ]
    lines = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in questions)
    (tmp_path / "questions" / "library.jsonl").write_text(lines, encoding="utf-8")
    splits = make(seed=0, train_rows=30, folder=tmp_path)
    assert len(splits["train"]) == 30 and splits["test"] == [] and {row["db_id"] for row in splits["train"]} == {90}
    with pytest.raises(ValueError, match="write more questions"):
        make(seed=0, train_rows=100000, folder=tmp_path)


@pytest.mark.parametrize(
    "answer, named", [("SELECT title FROM books", "books"), ("SELECT colour FROM customers", "colour")]
)
def test_a_query_that_names_what_its_domain_lacks_is_refused(answer, named):
    with pytest.raises(ValueError, match=named):
        _lift("책 제목", answer)


@pytest.mark.parametrize(
    "query, written",
    [
        ("SELECT name, RANK() OVER (PARTITION BY grade ORDER BY points DESC) FROM customers",
         "SELECT 0.name, RANK() OVER (PARTITION BY 0.grade ORDER BY 0.points DESC) FROM 0"),
        ("SELECT name FROM (SELECT name, RANK() OVER (ORDER BY points DESC) AS place FROM customers) AS ranked WHERE place <= 3",
         "SELECT 0.name FROM (SELECT 0.name, RANK() OVER (ORDER BY 0.points DESC) AS place FROM 0) AS ranked WHERE place <= 3"),
        ("SELECT CASE WHEN age < 30 THEN '청년' ELSE '그 외' END AS age_group, COUNT(*) FROM customers GROUP BY age_group",
         "SELECT CASE WHEN 0.age < 30 THEN '청년' ELSE '그 외' END AS age_group, COUNT(*) FROM 0 GROUP BY age_group"),
        ("SELECT T1.name FROM customers AS T1 WHERE T1.points > (SELECT AVG(T2.points) FROM customers AS T2 WHERE T2.city = T1.city)",
         "SELECT T1.0.name FROM 0 AS T1 WHERE T1.0.points > (SELECT AVG(T2.0.points) FROM 0 AS T2 WHERE T2.0.city = T1.0.city)"),
        ("SELECT name FROM customers UNION SELECT content FROM reviews ORDER BY name",
         "SELECT 0.name FROM 0 UNION SELECT content FROM reviews ORDER BY 0.name"),
        ("WITH per_city AS (SELECT city, COUNT(*) AS n FROM customers GROUP BY city) SELECT city FROM per_city WHERE n > 5",
         "WITH per_city AS (SELECT 0.city, COUNT(*) AS n FROM 0 GROUP BY 0.city) SELECT 0.city FROM per_city WHERE n > 5"),
        ("SELECT content FROM reviews WHERE EXISTS (SELECT 1 FROM customers WHERE customers.customer_id = reviews.customer_id)",
         "SELECT content FROM reviews WHERE EXISTS (SELECT 1 FROM 0 WHERE 0.0.customer_id = reviews.customer_id)"),
    ],
)  # fmt: skip
def test_a_name_is_the_schemas_or_the_querys_own(query, written):
    """`written` is the query with each name of customers put as 0, each of its columns as 0.column."""
    names, _ = read_query(query, load_domains()["shop"])
    for name in sorted(names, key=lambda name: -name.start):
        if name.table == "customers":
            query = query[: name.start] + (f"0.{name.column}" if name.column else "0") + query[name.end :]
    assert query == written


@pytest.mark.parametrize(
    "question, answer, read",
    [
        ("5만 원 넘는 상품은 몇 퍼센트?", "SELECT SUM(CASE WHEN price > 50000 THEN 1 ELSE 0 END) * 100.0 / COUNT(*) FROM products", r"price > (\d+) THEN 1 ELSE 0 END\) \* 100\.0 "),
        ("포인트 3등까지", "SELECT name FROM (SELECT name, RANK() OVER (ORDER BY points DESC) AS place FROM customers) AS ranked WHERE place <= 3", r"place <= (\d+)$"),
    ],
)  # fmt: skip
def test_what_only_says_how_to_compute_stays_while_the_number_asked_for_changes(question, answer, read):
    found = set()
    for instance in _instances(question, answer):
        (number,) = re.findall(read, instance.sql())
        said = korean.numbers(instance.question)[-1]  # an opener may hold one before
        assert said.value == int(number)
        found.add(number)
    assert len(found) > 2


def test_the_two_sides_of_a_set_operation_go_on_giving_the_same_kind_of_thing():
    for instance in _instances("이메일은 있는데 후기는 안 쓴 고객 번호", "SELECT customer_id FROM customers WHERE email IS NOT NULL EXCEPT SELECT customer_id FROM reviews"):  # fmt: skip
        assert instance.sql().startswith("SELECT customer_id ") and instance.columns == {}


def test_no_hand_written_query_makes_a_result_name_that_a_schema_may_be_given(patterns):
    """A column called like the alias that it is grouped by would change the query."""
    given = set(pool())
    for domain in load_domains().values():
        for about in domain["tables"].values():
            for column, described in about["columns"].items():
                given |= {column, *described.get("english", ())}
    for pattern in patterns:
        made = {node.alias for node in sqlglot.parse_one(pattern.row["answer"], read="mysql").find_all(exp.Alias)}
        assert not made & given, pattern.row


def test_a_rows_own_names_are_not_missing_from_its_prompt():
    asked = {"question": "도시별 고객 수가 5명 넘는 도시", "context": ddl(load_domains()["shop"], ["customers"])}
    query = "WITH per_city AS (SELECT city, COUNT(*) AS n FROM customers GROUP BY city) SELECT city FROM per_city WHERE n > 5"
    assert missing_from_prompt(asked | {"answer": query}) == []
    assert missing_from_prompt(asked | {"answer": query.replace("n > 5", "n > 7")}) == ["7"]


def test_too_few_questions_for_the_rows_asked_for_is_an_error_with_a_remedy(patterns):
    with pytest.raises(ValueError, match=r"lower data\.train_rows"):
        generate(patterns[:3], 2000, 0)


def test_rows_in_sqlite_have_its_types_and_functions_and_run_there():
    rows = make(seed=2, train_rows=300, sqlite_share=1.0)["train"]
    assert {row["dialect"] for row in rows} == {"sqlite"}
    text = " ".join(row["context"] + row["answer"] for row in rows)
    assert not re.search(r"VARCHAR|DECIMAL|\bINT\b|YEAR\(|MONTH\(", text) and "strftime('%Y'" in text
    assert all(parse_tables(row["context"]) for row in rows)
    dated = [row for row in rows if "strftime" in row["answer"]]
    assert [run.error for run in run_golds(dated, instances=4, dialect="sqlite") if run.error] == []
    some = make(seed=2, train_rows=300, sqlite_share=0.3)["train"]
    assert 50 < sum("dialect" in row for row in some) < 130


def test_contexts_show_one_to_six_tables(splits):
    shown = Counter(len(parse_tables(row["context"])) for row in splits["train"])
    assert set(shown) == {1, 2, 3, 4, 5, 6}, shown


def test_dependent_values_are_not_exchanged():
    question, answer = (
        "축구팀 골키퍼 이름",
        (
            "SELECT athletes.name FROM athletes JOIN teams ON athletes.team_id = teams.team_id "
            "WHERE teams.sport = '축구' AND athletes.position = '골키퍼'"
        ),
    )
    assert all("'축구'" in i.sql() and "'골키퍼'" in i.sql() for i in _instances(question, answer, "sports"))


def test_names_and_values_are_those_that_a_parser_finds(patterns):
    from recipes.ko_text2sql.queries import is_form, own_names
    from recipes.ko_text2sql.rows import names_and_values

    for pattern in patterns:
        tree = sqlglot.parse_one(pattern.row["answer"], read="mysql")
        tables, columns, values = names_and_values(pattern.row["answer"])
        own = own_names(tree)
        assert set(tables) == {table.name for table in tree.find_all(exp.Table)} - own, pattern.row
        assert set(columns) == {c.name for c in tree.find_all(exp.Column)} - {"", "*"} - own, pattern.row
        assert set(values) == {str(v.this) for v in tree.find_all(exp.Literal) if not is_form(v)}, pattern.row


def test_a_bound_beside_one_that_cannot_be_filled_stays_below_it():
    question = "가격이 3만 원에서 4만 6천 원 사이인 상품 이름"
    for instance in _instances(question, "SELECT name FROM products WHERE price BETWEEN 30000 AND 46000"):
        assert "BETWEEN 30000 AND 46000" in instance.sql() and "3만 원에서 4만 6천 원" in instance.question
