"""What training rows are worth: variants of a recipe, each trained and scored by the recipe's own stages.

    python benchmarks/compared.py curve --rows 100 300 1000          # accuracy against the number of training rows
    python benchmarks/compared.py ablation --rows 1000               # without one augmentation at a time
    python benchmarks/compared.py held-out --rows 1000               # patterns, families of queries, domains never seen

A variant is the recipe with other `data` lines, written beside it as compared-NAME.yaml while it runs; its run is kept in
`runs/`, so that a command that was cut off goes on where it stopped, and one that is run again only draws. Scores are those
of the tuned model, by execution, with 95 % intervals: of the test rows and of the development rows, or of what was held out.
They are printed as a table and drawn as runs/compared/COMMAND.png. One run each: differences within the intervals may be chance;
those of an ablation are tested row by row (McNemar), all rows together.
"""

from __future__ import annotations

import argparse
import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import yaml

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from judge.stats import mcnemar

from scripts.recipe import ROOT, Recipe, load_recipe, run_main, shown
from scripts.report import interval, percent
from scripts.runs import read_jsonl, written_last
from scripts.score import MEASURE, folder_of, score_file

DEFAULT = ROOT / "recipes/ko_text2sql/smollm2-135m-cpu.yaml"
DEVELOPMENT = ROOT / "recipes/ko_text2sql/held_out/three_domains.jsonl"
OUT = ROOT / "runs/compared"

# The recipe without an augmentation, by `data.options`. All of them train on generated rows alone: hand-written ones stand
# first otherwise, and few rows would have no paraphrase among them.
GENERATED = {"hand_written": False}
WITHOUT = {
    "all": {},
    "no paraphrases": {"paraphrases": False},
    "no renaming": {"rename_share": 0.0, "disguise_share": 0.0},
    "no disguises": {"disguise_share": 0.0},
    "no column shuffles": {"shuffle_share": 0.0},
    "no distractors": {"distractor_share": 0.0, "keep_columns": 0.0},
    "none of them": {"paraphrases": False, "rename_share": 0.0, "disguise_share": 0.0, "shuffle_share": 0.0,
                     "distractor_share": 0.0, "keep_columns": 0.0},
}  # fmt: skip
HELD_OUT = {"hold_out_patterns": 0.08, "hold_out_families": 0.08, "hold_out_domains": "sports"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("command", choices=("curve", "ablation", "held-out"))
    parser.add_argument("--recipe", type=Path, default=DEFAULT)
    parser.add_argument("--rows", type=int, nargs="+", default=[1000], help="training rows; several for the curve")
    args = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no variant's file is left beside the recipe
    variants = {
        "curve": {f"{rows} rows": {"train_rows": rows} for rows in args.rows},
        "ablation": {
            name: {"train_rows": args.rows[0], "options": GENERATED | options} for name, options in WITHOUT.items()
        },
        "held-out": {"held out": {"train_rows": args.rows[0], "options": HELD_OUT}},
    }[args.command]
    results = []
    for name, data in variants.items():
        with variant(args.recipe, f"{name} {data['train_rows']}", data) as recipe:
            scores = {path.stem: scored(recipe, path) for path in trained(recipe, args.command)}
        results.append({"variant": name, "rows": data["train_rows"], "scores": scores})
        for rows, score in scores.items():
            found = f"{score['correct']} of {score['n']}, {percent(score['rate'])} ({interval(score)})"
            print(f"{name:20}  {rows:15}  {found}", flush=True)
    with written_last(OUT / f"{args.command}.json") as file:
        json.dump(results, file, indent=2)
    if args.command == "ablation":
        for result in results[1:]:
            compare(results[0], result)
    draw(args.command, results)


@contextmanager
def variant(path: Path, name: str, data: dict) -> Iterator[Recipe]:
    """The recipe at `path` with other `data` lines, as a file beside it, where its relative names hold."""
    file = path.with_name(f"compared-{name.replace(' ', '-')}.yaml")
    file.write_text(yaml.safe_dump({"extends": path.name, "title": name, "data": data}), encoding="utf-8")
    try:
        yield load_recipe(file)
    finally:
        file.unlink()


def trained(recipe: Recipe, command: str) -> list[Path]:
    """Train the recipe, as far as it isn't; the files of rows to score it on."""
    for stage in ("data", "format", "train"):
        subprocess.run([sys.executable, "-m", f"scripts.{stage}", str(recipe.path)], cwd=ROOT, check=True)
    if command != "held-out":
        return [recipe.run / "data" / "test.jsonl", DEVELOPMENT]
    folder = recipe.run / "held"
    holdout = [sys.executable, "-m", "recipes.ko_text2sql.holdout", str(recipe.path), str(folder)]
    subprocess.run(holdout, cwd=ROOT, check=True)
    return sorted(folder.glob("held_*.jsonl"))


def scored(recipe: Recipe, path: Path) -> dict:
    score_file(recipe, path, ("tuned",))
    folder = folder_of(recipe, path)
    score = json.loads((folder / "score.json").read_text(encoding="utf-8"))["models"]["tuned"]
    verdicts = read_jsonl(folder / f"tuned-{MEASURE}.jsonl", f"make score RECIPE={recipe.shown} ROWS={shown(path)}")
    return {**score, "verdicts": {row["id"]: row[MEASURE] == "yes" for row in verdicts}}


def compare(whole: dict, other: dict) -> None:
    """Print how many rows a variant has right that `whole` has not, and the other way round; p by McNemar's exact test."""
    rows = [(name, id) for name, score in whole["scores"].items() for id in score["verdicts"]]
    a, b = ([result["scores"][name]["verdicts"][id] for name, id in rows] for result in (whole, other))
    gained = sum(y and not x for x, y in zip(a, b, strict=True))
    lost = sum(x and not y for x, y in zip(a, b, strict=True))
    print(f"{other['variant']:20}  of {len(rows)} rows {gained} gained and {lost} lost, p = {mcnemar(a, b):.2f}")


def draw(command: str, results: list[dict]) -> None:
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(8, 4.5))
    for rows in results[0]["scores"]:
        scores = [result["scores"][rows] for result in results]
        rates = [100 * score["rate"] for score in scores]
        ends = [
            [abs(100 * score["ci95"][end] - rate) for score, rate in zip(scores, rates, strict=True)] for end in (0, 1)
        ]
        label = f"{rows} ({scores[0]['n']})"
        # what was held out has one variant and several files: each has a place of its own
        places = {"curve": [result["rows"] for result in results], "held-out": [label]}.get(
            command, [result["variant"] for result in results]
        )
        axes.errorbar(places, rates, yerr=ends, marker="o", capsize=3, label=label,
                      linestyle="-" if command == "curve" else "none")  # fmt: skip
    if command == "curve":
        axes.set_xscale("log")
        axes.set_xticks([result["rows"] for result in results], [f"{result['rows']:,}" for result in results])
        axes.minorticks_off()
        axes.set_xlabel("training rows")
    else:
        axes.tick_params(axis="x", rotation=20)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("execution accuracy, %, with 95 % intervals")
    if command == "held-out":
        axes.margins(x=0.3)
    else:
        axes.legend()
    figure.tight_layout()
    figure.savefig(OUT / f"{command}.png", dpi=120)
    print(shown(OUT / f"{command}.png"))


if __name__ == "__main__":
    run_main(main)
