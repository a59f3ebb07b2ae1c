"""The held-out rows: on the game domain and on domains that nothing else has, written without a look at how it is done."""

from __future__ import annotations

import pytest
from judge.execution import execution_verdicts

from recipes.ko_text2sql.rows import HERE, TEST_DOMAIN, make, read

FILES = {"three_domains": 120, "game_blind": 100, "cinema": 60, "game_second": 60}
GAME = ("game_blind", "game_second")


@pytest.mark.parametrize(("name", "rows"), FILES.items())
def test_every_reference_runs_and_agrees_with_itself(name: str, rows: int) -> None:
    table = read(HERE / f"held_out/{name}.jsonl")
    assert len({row["id"] for row in table}) == rows
    verdicts = execution_verdicts(table, gold="answer", prediction="answer", instances=5)
    assert [v["id"] for v in verdicts if v["execution"] != "yes"] == []


def test_no_held_out_question_is_a_training_or_test_question() -> None:
    known = {row["question"] for split in make(seed=42).values() for row in split}
    for name in FILES:
        assert not known & {row["question"] for row in read(HERE / f"held_out/{name}.jsonl")}


def test_the_blind_rows_are_on_the_test_domain_and_the_others_on_none_of_ours() -> None:
    from recipes.ko_text2sql.domains import load_domains

    domains = load_domains(HERE)
    ours = {domain["db_id"] for domain in domains.values()}
    for name in FILES:
        ids = {row["db_id"] for row in read(HERE / f"held_out/{name}.jsonl")}
        assert ids == {domains[TEST_DOMAIN]["db_id"]} if name in GAME else not ids & ours
