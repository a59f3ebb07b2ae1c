"""Questions put together from parts: what they say is what their queries ask, on any domain."""

from __future__ import annotations

import re
from random import Random

import pytest
from judge.execution import run_golds

from recipes.ko_text2sql.cleaning import check
from recipes.ko_text2sql.compose import PREDICATE, bound_part, composed_rows, parts
from recipes.ko_text2sql.domains import ddl, load_domains
from recipes.ko_text2sql.generator import SHARE, stream
from recipes.ko_text2sql.rows import TEST_DOMAIN, hand_written_patterns, make
from tests.test_shapes import folder  # noqa: F401 - a fixture: the task's data with one domain more

TABLE = 25  # rows a table in these tests


@pytest.fixture(scope="module")
def rows() -> list[dict]:
    """Composed rows of all training domains, each with its whole domain as context."""
    return [
        {"context": ddl(domain, list(domain["tables"])), "db_id": domain["db_id"], "domain": name} | row
        for name, domain in load_domains().items()
        if name != TEST_DOMAIN
        for row in composed_rows(domain, TABLE)
    ]


def test_every_table_has_as_many_as_asked_for_each_once(rows: list[dict]) -> None:
    tables = sum(len(domain["tables"]) for name, domain in load_domains().items() if name != TEST_DOMAIN)
    assert len(rows) == TABLE * tables
    for unique in ("id", "question"):
        assert len({(row["domain"], row[unique]) for row in rows}) == len(rows)
    assert len({row["shape"].split("-")[0] for row in rows}) > len(rows) / 2  # parts are combined anew in most rows


def test_the_same_rows_come_again(rows: list[dict]) -> None:
    again = composed_rows(load_domains()["shop"], TABLE)
    kept = [{key: row[key] for key in ("id", "question", "answer", "shape")} for row in rows if row["domain"] == "shop"]
    assert [{key: row[key] for key in ("id", "question", "answer", "shape")} for row in again] == kept


def test_nothing_unfilled_is_left_in_a_question_or_query(rows: list[dict]) -> None:
    for row in rows:
        assert not re.search(r"[<>\[\]{}]|  |^ | $", row["question"]), row["question"]
        assert not re.search(r"[\[\]{}]|  ", row["answer"]), row["answer"]


def test_every_query_runs_and_nearly_all_find_something(rows: list[dict]) -> None:
    sample = Random("composed").sample(rows, 250)
    runs = run_golds(sample, instances=20)
    assert {row["id"]: run.error for row, run in zip(sample, runs, strict=True) if run.error} == {}
    # two conditions may meet in no row of any instance: cleaning would take such rows out
    assert sum(run.non_empty > 0 for run in runs) >= 0.9 * len(sample)


def test_questions_and_queries_speak_of_the_same_values(rows: list[dict]) -> None:
    sample = Random("values").sample(rows, 200)
    faults = {row["question"]: fault for row in sample for fault in check(row)["faults"] if "disagree" in fault[0]}
    assert faults == {}


@pytest.mark.parametrize("kind", ["asks", "conditions"])
def test_every_part_fits_some_table_and_every_way_to_say_it_can_be_filled(kind: str) -> None:
    tables = [
        (domain, table) for name, domain in load_domains().items() if name != TEST_DOMAIN for table in domain["tables"]
    ]
    for part in parts()[kind]:
        fitting = [
            table for domain, table in tables if bound_part(domain, part, {"t": (table,)}, Random("fits")) is not None
        ]
        assert fitting, part
        for way in part["say"]:
            assert set(PREDICATE.findall(way)) <= set(parts()["predicates"]), way
            assert kind == "conditions" or way.count("<T>") == 1, way


def test_conditions_that_mean_either_are_said_with_or(rows: list[dict]) -> None:
    either = [row for row in rows if re.match(r"c[\d+]+e", row["shape"])]
    assert either
    for row in either:
        assert " OR " in row["answer"] and re.search(r"거나", row["question"]), row


def test_a_column_has_one_condition_in_a_question_at_most(rows: list[dict]) -> None:
    plain = [row["answer"] for row in rows if "JOIN" not in row["answer"] and "(SELECT" not in row["answer"]]
    seen = 0
    for answer in plain:
        where = re.sub(r"(\w+) < (\S+) OR \1 > \S+", r"\1 < \2", answer.partition(" WHERE ")[2].split(" GROUP ")[0])
        columns = re.findall(r"\b(\w+)\)? (?:=|<>|<=?|>=?|IN|NOT IN|LIKE|BETWEEN|IS) ", where.split(" ORDER ")[0])
        assert len(columns) == len(set(columns)), answer
        seen += len(columns) > 1
    assert seen > 50


def test_rows_are_never_put_in_order_by_a_column_that_may_be_empty() -> None:
    seen = 0
    for domain in load_domains().values():
        for row in composed_rows(domain, 50):
            for by in re.findall(r"ORDER BY (?:(\w+)\.)?(\w+)(?! ?[\w(.])", row["answer"].replace(" DESC", "")):
                table = by[0] or re.search(r"FROM (\w+)", row["answer"])[1]
                seen += 1
                assert not domain["tables"][table]["columns"][by[1]].get("nullable"), row
    assert seen > 100


def test_training_takes_them_as_further_patterns() -> None:
    options = {"seed": 3, "train_rows": 2200, "rename_share": 0.0}
    without = make(**options)["train"]
    some = make(**options, composed=5)["train"]
    composed = [row for row in some if "-c-" in row["id"]]
    assert not any("-c-" in row["id"] for row in without)
    assert len(composed) > 40 and all("-g" in row["id"] for row in composed)  # none of them passes for hand-written
    assert [row for row in some if "-g" not in row["id"]] == [row for row in without if "-g" not in row["id"]]


def test_no_combination_carries_more_than_its_share() -> None:
    patterns = [pattern for pattern in hand_written_patterns(composed=30) if "-c-" in pattern.row["id"]]
    count: dict[str, int] = {}
    for instance in stream(patterns, 1500, 1):
        count[instance.pattern.row["shape"]] = count.get(instance.pattern.row["shape"], 0) + 1
    assert max(count.values()) <= max(1, int(1500 * SHARE))


def test_a_new_domain_is_asked_too(folder) -> None:  # noqa: F811
    domain = load_domains(folder)["cinema"]
    made = composed_rows(domain, 10)
    assert len(made) == 30 and any("JOIN" in row["answer"] for row in made)


def test_further_folders_of_questions_are_named_in_the_recipe() -> None:
    more = hand_written_patterns(questions="questions, questions/more")
    ids = [pattern.row["id"] for pattern in more]
    assert len(ids) == len(set(ids)) == 2785
    for wrong, named in (("questions/mroe", "questions/mroe"), ("questions,", "")):
        with pytest.raises(ValueError, match=f"data.options.questions: no folder '{named}' in ko_text2sql/"):
            hand_written_patterns(questions=wrong)


def test_what_cannot_be_a_number_of_questions_or_a_file_of_them_is_refused(folder) -> None:  # noqa: F811
    with pytest.raises(ValueError, match="composed: how many questions a table"):
        hand_written_patterns(composed=True)
    (folder / "questions" / "shopp.jsonl").write_text("", encoding="utf-8")
    with pytest.raises(ValueError, match=r"questions/shopp\.jsonl: no domain of that name"):
        hand_written_patterns(folder)
