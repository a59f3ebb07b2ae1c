"""Stage 5, judge: verdicts on the answers of base and tuned model: `judge/<model>/verdicts.csv`.

    python -m scripts.judge recipes/ko_text2sql/smollm2-135m-cpu.yaml

Calls the separate `judge` command, file by file: requests -> run -> csv for the LLM judge, and its own measures beside
it. With OPENAI_API_KEY or JUDGE_BASE_URL set the requests go there; without, to `judge serve` on this machine, whose
verdicts say so.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.generate import MODELS
from scripts.recipe import Recipe, UserError, load_recipe, run_main, shown
from scripts.runs import Step, digest, sha256

# With a pipe as its input, which the system closes however this process ends, none of them outlives it.
JUDGE = [sys.executable, "-m", "judge", "--with-parent"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    answers = {model: recipe.run / "generate" / f"{model}.jsonl" for model in MODELS}
    for path in answers.values():
        if not path.is_file():
            raise UserError(f"{shown(path)}: no such file; `make generate RECIPE={recipe.shown}` makes it")
    steps = {model: judge_step(recipe, model, path) for model, path in answers.items()}
    stale = [model for model, step in steps.items() if not step.fresh()]
    for model in MODELS:
        if model not in stale:
            steps[model].say_fresh()
    if not stale:
        return
    with endpoint(recipe) as url:
        for model in stale:
            step = judge_step(recipe, model, answers[model])
            judge_model(recipe, answers[model], step.outputs[0].parent, url)
            step.finish()


def judge_step(recipe: Recipe, model: str, answers: Path) -> Step:
    folder = recipe.run / "judge" / model
    made_from = {"answers": sha256(answers), "judge": digest(recipe.judge.model_dump(exclude={"breakdown", "also"}))}
    made_from |= {"rubric": sha256(recipe.file(recipe.judge.rubric)), "endpoint": digest(chosen_endpoint())}
    return Step(folder / "manifest.json", made_from, [folder / "verdicts.csv"])


def chosen_endpoint() -> str | None:
    """The judge endpoint that the environment asks for; None is the local stand-in, "" the client's own default."""
    if os.environ.get("JUDGE_BASE_URL"):
        return os.environ["JUDGE_BASE_URL"]
    return os.environ.get("OPENAI_BASE_URL", "") if os.environ.get("OPENAI_API_KEY") else None


@contextmanager
def endpoint(recipe: Recipe) -> Iterator[str]:
    """The URL to ask; where none is set, that of a local stand-in which runs as long as the block."""
    url = chosen_endpoint()
    if url is not None:
        yield url
        return
    words = ["serve", "--port", "0", "--dialect", recipe.judge.dialect, "--instances", str(recipe.judge.instances)]
    server = subprocess.Popen([*JUDGE, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    try:
        line = server.stdout.readline()
        if not line.startswith("listening on "):
            raise UserError("the local judge did not start; try `.venv/bin/judge serve` to see why")
        print(f"no OPENAI_API_KEY or JUDGE_BASE_URL: the local stand-in answers from execution ({line.split()[-1]})")
        yield line.split()[-1]
    finally:
        server.terminate()
        server.wait(timeout=10)


def judge_model(recipe: Recipe, answers: Path, folder: Path, url: str) -> None:
    """All measures of one model's answers, each a file in `folder`, joined by id into verdicts.csv."""
    folder.mkdir(parents=True, exist_ok=True)
    wanted, column = recipe.judge.verdicts, recipe.generate.column
    rows, measures = str(answers), []
    for measure in ("execution", "exact"):
        if measure in wanted:
            options = ["--instances", str(recipe.judge.instances)] if measure == "execution" else []
            out = str(folder / f"{measure}.jsonl")
            call(measure, rows, "--out", out, "--prediction", column, "--dialect", recipe.judge.dialect, *options)
            measures += [f"--{measure}", out]
    requests, results = str(folder / "requests.jsonl"), str(folder / "results.jsonl")
    rubric = str(recipe.file(recipe.judge.rubric))
    call("requests", rows, "--out", requests, "--model", recipe.judge.model, "--rubric", rubric, "--prediction", column)
    limits = ["--rpm", str(recipe.judge.requests_per_minute), "--tpm", str(recipe.judge.tokens_per_minute)]
    if chosen_endpoint() is None:
        limits = []  # the stand-in is this machine itself
    limits += ["--max-attempts", str(recipe.judge.max_attempts)]
    # A failed request becomes an unscored row with its reason, so code 1 (some failed) is no reason to stop.
    call("run", requests, "--out", results, *limits, *(["--base-url", url] if url else []), also_fine=(1,))
    call("csv", rows, results, "--out", str(folder / "verdicts.csv"), "--prediction", column, *measures)


def call(*words: str, also_fine: tuple[int, ...] = (), quiet: bool = False) -> None:
    out = subprocess.DEVNULL if quiet else None
    with subprocess.Popen([*JUDGE, *words], stdin=subprocess.PIPE, stdout=out) as process:
        code = process.wait()
    if code and code not in also_fine:
        raise UserError(f"`judge {words[0]}` stopped with code {code} (see above); the same command goes on from here")


if __name__ == "__main__":
    run_main(main)
