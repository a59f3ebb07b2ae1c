"""Held-out rows: patterns, families and domains that training never sees."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from recipes.ko_text2sql.holdout import family
from recipes.ko_text2sql.rows import make
from scripts.recipe import UserError


@pytest.mark.parametrize(
    "query, shape",
    [
        ("SELECT name FROM customers WHERE grade = 'it''s' LIMIT 3", "SELECT x FROM x WHERE x = ? LIMIT ?"),
        ("SELECT a.b, COUNT(*) FROM a JOIN c ON a.d = c.d GROUP BY a.b", "SELECT x, COUNT(*) FROM x JOIN x ON x = x GROUP BY x"),
        ("SELECT AVG(price) FROM products WHERE rating >= 4.5", "SELECT AVG(x) FROM x WHERE x >= ?"),
    ],
)  # fmt: skip
def test_a_family_is_the_query_without_names_and_literals(query: str, shape: str) -> None:
    assert family(query) == shape


@pytest.fixture(scope="module")
def splits() -> dict:
    return make(
        seed=3, train_rows=3000, hold_out_patterns=0.1, hold_out_families=0.1, hold_out_domains="sports, travel"
    )


def test_held_out_rows_are_the_shares_asked_for(splits: dict) -> None:
    assert {row["db_id"] for row in splits["held_domains"]} == {
        row["db_id"] for row in make()["train"] if row["id"].startswith(("sports", "travel"))
    }
    rest = len(make()["train"]) - len(splits["held_domains"])
    assert 0.08 * rest <= len(splits["held_families"]) <= round(0.1 * rest)
    assert abs(len(splits["held_patterns"]) - 0.1 * (rest - len(splits["held_families"]))) <= 1


def test_nothing_held_out_is_trained_on(splits: dict) -> None:
    trained = {row["id"].rpartition("-g")[0] or row["id"] for row in splits["train"]}
    held = {row["id"] for split in splits if split.startswith("held") for row in splits[split]}
    assert len(splits["train"]) == 3000 and not trained & held
    assert not {row["db_id"] for row in splits["train"]} & {row["db_id"] for row in splits["held_domains"]}
    seen = {family(row["answer"]) for row in splits["train"]}
    assert not seen & {family(row["answer"]) for row in splits["held_families"]}


def test_the_same_seed_holds_out_the_same_and_test_rows_do_not_change(splits: dict) -> None:
    again = make(
        seed=3, train_rows=3000, hold_out_patterns=0.1, hold_out_families=0.1, hold_out_domains="sports, travel"
    )
    assert json.dumps(again) == json.dumps(splits) and splits["test"] == make()["test"]


def test_a_domain_that_has_no_rows_gives_one_line() -> None:
    with pytest.raises(UserError, match="no rows of cinema; there are: company") as told:
        make(hold_out_domains="cinema")
    assert "\n" not in str(told.value)


def test_held_out_rows_are_written_for_make_generate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from recipes.ko_text2sql import holdout
    from scripts.recipe import ROOT

    recipe = tmp_path / "mine.yaml"
    smoke = ROOT / "recipes/ko_text2sql/smoke.yaml"
    recipe.write_text(f"extends: {smoke}\ndata:\n  options: {{hold_out_domains: hospital}}\n", encoding="utf-8")
    monkeypatch.setattr("sys.argv", ["holdout", str(recipe), str(tmp_path / "held")])
    holdout.main()
    rows = [json.loads(line) for line in (tmp_path / "held/held_domains.jsonl").read_text("utf-8").splitlines()]
    assert len(rows) > 100 and {"id", "context", "question", "answer", "hardness"} <= set(rows[0])
