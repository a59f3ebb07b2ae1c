"""Which rows are scored beside the test rows; the scoring itself is run in test_smoke.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import score
from scripts.recipe import UserError, load_recipe
from tests.conftest import ROOT

LAB = "recipes/ko_text2sql/smollm2-135m-cpu.yaml"


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    files: list[Path] = []
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(score, "score_file", lambda recipe, path: files.append(path))
    return files


def test_without_rows_those_that_the_recipe_names(scored: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["score", LAB])
    score.main()
    assert scored == [load_recipe(LAB).folder / "held_out/cinema.jsonl"]
    assert all("answer" in json.loads(line) for line in scored[0].read_text(encoding="utf-8").splitlines())


def test_rows_that_are_given_are_scored_alone(scored: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["score", LAB, "--rows", "mine.jsonl"])
    score.main()
    assert scored == [Path("mine.jsonl")]


def test_a_file_that_the_recipe_names_and_is_not_there_is_one_line(
    scored: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    recipe = load_recipe(LAB)
    named = recipe.model_copy(update={"judge": recipe.judge.model_copy(update={"also": ["nowhere.jsonl"]})})
    monkeypatch.setattr(score, "load_recipe", lambda _: named)
    monkeypatch.setattr("sys.argv", ["score", LAB])
    with pytest.raises(UserError, match=r"nowhere\.jsonl: no such file in recipes/ko_text2sql"):
        score.main()
    assert scored == []
