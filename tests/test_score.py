"""Which rows are scored beside the test rows; the scoring itself is run in test_smoke.py."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from scripts import generate, score
from scripts.recipe import Recipe, UserError, load_recipe
from tests.conftest import ROOT

LAB = "recipes/ko_text2sql/smollm2-135m-cpu.yaml"
asked: list[tuple[str, ...]] = []  # the models of each file that `scored` notes


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    files: list[Path] = []

    def note(recipe: Recipe, path: Path, models: tuple[str, ...]) -> None:
        files.append(path)
        asked.append(models)

    asked.clear()
    monkeypatch.chdir(ROOT)
    monkeypatch.setattr(score, "score_file", note)
    return files


def test_without_rows_those_that_the_recipe_names(scored: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.argv", ["score", LAB])
    score.main()
    assert scored == [load_recipe(LAB).folder / "held_out/cinema.jsonl"]
    assert all("answer" in json.loads(line) for line in scored[0].read_text(encoding="utf-8").splitlines())


def test_rows_that_are_given_are_scored_alone(
    scored: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "mine.jsonl").touch()
    monkeypatch.setattr("sys.argv", ["score", LAB, "--rows", str(tmp_path / "mine.jsonl")])
    score.main()
    assert scored == [tmp_path / "mine.jsonl"] and asked == [("base", "tuned")]
    monkeypatch.setattr("sys.argv", ["score", LAB, "--rows", str(tmp_path / "gone.jsonl")])
    with pytest.raises(UserError, match=r"gone\.jsonl: no such file"):
        score.main()


def test_a_number_of_rows_is_for_make_data_and_not_a_file(
    scored: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["score", LAB, "--rows", "45000"])
    score.main()
    assert [path.name for path in scored] == ["cinema.jsonl"]


def test_the_base_model_answers_the_recipes_further_rows_only_where_it_has_before(
    scored: list[Path], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("RUNS", str(tmp_path))
    monkeypatch.setattr("sys.argv", ["score", LAB])
    score.main()
    assert asked == [("tuned",)]
    folder = score.folder_of(load_recipe(LAB), scored[0])
    folder.mkdir(parents=True)
    (folder / "base.jsonl").touch()
    score.main()
    assert asked[1:] == [("base", "tuned")]


def test_the_base_model_may_search_fewer_candidates_than_the_tuned_one(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    searched = {}

    def answer(recipe: Recipe, rows: list[dict], prompts: dict, adapter: Path | None, out: Path, inputs: str) -> None:
        searched[out.name] = (recipe.generate.candidates, inputs)
        raise UserError("that was it")

    monkeypatch.chdir(ROOT)
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    (tmp_path / "rows.jsonl").write_text('{"id": "1", "context": "CREATE TABLE t (a INT)", "question": "a?"}\n')
    monkeypatch.setattr(generate, "answer_all", answer)
    monkeypatch.setattr(generate, "adapter_of", lambda recipe: None)
    recipe = load_recipe(LAB)
    for own, base in ((None, 3), (1, 1)):
        settings = {"candidates": 3, "base_candidates": own}
        asked = recipe.model_copy(update={"generate": recipe.generate.model_copy(update=settings)})
        for model in ("base", "tuned"):
            with pytest.raises(UserError, match="that was it"):
                generate.generate(asked, model, tmp_path / "rows.jsonl", tmp_path / model)
        assert searched["base"][0] == base and searched["tuned"][0] == 3


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
