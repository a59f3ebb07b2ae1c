"""Models on further rows than the test rows: `score/<file's name>/score.json`, which the report then shows too.

    python -m scripts.score recipes/ko_text2sql/smollm2-135m-cpu.yaml --rows my_rows.jsonl

Any JSON lines with `id`, what the prompt needs and a gold `answer`: both models answer, and the judge's execution measure
says which answers are right. Without --rows the tuned model answers those that the recipe names under `judge.also`, and the
base model where it has before. A second run on the same rows does nothing.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from scripts.generate import MODELS, generate
from scripts.judge import call
from scripts.recipe import Recipe, UserError, load_recipe, run_main, shown
from scripts.report import interval, percent, score
from scripts.runs import Step, digest, need_columns, read_jsonl, sha256, written_last

MEASURE = "execution"  # the one that needs nothing but the rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    parser.add_argument("--rows", type=Path, help="JSON lines with id, the template's columns and answer")
    args = parser.parse_args()
    recipe = load_recipe(args.recipe)
    if args.rows and args.rows.name.isdigit():
        args.rows = None  # `make lab ROWS=45000` says how many rows `make data` makes
    if args.rows and not args.rows.is_file():
        raise UserError(f"{shown(args.rows)}: no such file; ROWS= names JSON lines of yours")
    files = [args.rows] if args.rows else [recipe.file(name) for name in recipe.judge.also]
    if not files:
        print(
            f"{recipe.shown}: judge.also names no further rows: nothing to do; ROWS=mine.jsonl scores those of a file"
        )
    elif MEASURE not in recipe.judge.verdicts:
        raise UserError(f"{recipe.shown}: judge.verdicts: no {MEASURE}, by which rows are scored")
    for path in files:
        asked = (folder_of(recipe, path) / "base.jsonl").exists()
        score_file(recipe, path, MODELS if args.rows or asked else ("tuned",))


def folder_of(recipe: Recipe, path: Path) -> Path:
    return recipe.run / "score" / path.stem


def score_file(recipe: Recipe, path: Path, models: tuple[str, ...] = MODELS) -> None:
    """Let models answer the rows of a file and judge them; prints their scores."""
    rows = read_jsonl(path, "you; see README.md")
    need_columns(rows, ["id", "answer"], path)
    folder = folder_of(recipe, path)
    for model in models:
        generate(recipe, model, path, folder / f"{model}.jsonl")
    step = score_step(recipe, folder, models)
    if not step.fresh():
        scores = {model: judged(recipe, folder, model) for model in models}
        with written_last(folder / "score.json") as file:
            json.dump({"rows": path.name, "sha256": sha256(path), "models": scores}, file, indent=2)
        step.finish()
    for model, one in json.loads((folder / "score.json").read_text(encoding="utf-8"))["models"].items():
        print(f"{path.name}, {model}: {percent(one['rate'])} ({one['correct']} of {one['n']}; {interval(one)})")


def score_step(recipe: Recipe, folder: Path, models: tuple[str, ...]) -> Step:
    made_from = {model: sha256(folder / f"{model}.jsonl") for model in models}
    made_from["judge"] = digest(recipe.judge.model_dump(exclude={"breakdown", "also"}))
    return Step(folder / "manifest.json", made_from, [folder / "score.json"])


def judged(recipe: Recipe, folder: Path, model: str) -> dict:
    """One model's answers by execution: correct, n, rate, ci95, unscored."""
    answers, out = folder / f"{model}.jsonl", folder / f"{model}-{MEASURE}.jsonl"
    options = ["--prediction", recipe.generate.column, "--dialect", recipe.judge.dialect]
    call(MEASURE, str(answers), "--out", str(out), *options, "--instances", str(recipe.judge.instances))
    return score([row[MEASURE] for row in read_jsonl(out, f"make score ROWS={shown(answers)}")])


if __name__ == "__main__":
    run_main(main)
