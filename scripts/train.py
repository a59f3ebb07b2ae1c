"""Stage 3, train: fine-tune the recipe's base model through `autotrain llm`; the adapter lands in `train/adapter/`.

    python -m scripts.train recipes/ko_text2sql/smollm2-135m-cpu.yaml

Prints the equivalent `autotrain` command, shows loss and time left, goes on from its last checkpoint when it was cut
off, and leaves `train/loss.jsonl` (one line a step), `train/loss.json` and `train/loss.png`.
"""

from __future__ import annotations

import argparse
import json
import shlex
import shutil
import time
from pathlib import Path

from scripts.models import base_model
from scripts.prompts import prompt_maker
from scripts.recipe import Recipe, UserError, load_recipe, run_main, shown
from scripts.runs import Step, digest, sha256, written_last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    folder, texts = recipe.run / "train", recipe.run / "format" / "train.csv"
    if not texts.is_file():
        raise UserError(f"{shown(texts)}: no such file; `make format RECIPE={recipe.shown}` makes it")
    step = train_step(recipe, texts)
    if step.fresh():
        return step.say_fresh()
    model = base_model(recipe)
    start_over_if_changed(folder, step)

    from scripts.autotrain_engine import command, read_history, train

    data = folder / "data"
    data.mkdir(exist_ok=True)
    # AutoTrain takes whatever train.csv it finds, so it gets a folder with this one alone.
    shutil.copyfile(texts, data / "train.csv")
    print("equivalent command:\n  " + shlex.join(command(recipe, model, str(data))))
    started = time.monotonic()
    before = {row["step"] for row in read_history(folder / "loss.jsonl")}
    train(recipe, model, data.resolve(), folder, prompt_maker(recipe).answer_after)
    history = read_history(folder / "loss.jsonl")
    draw(history, folder)
    for checkpoint in (folder / "adapter").glob("checkpoint-*"):
        shutil.rmtree(checkpoint)
    # Steps done before an interruption count too: their time stands in the history.
    earlier = sum(row["seconds"] for row in history if row["step"] in before)
    step.finish(time.monotonic() - started + earlier)


def train_step(recipe: Recipe, texts: Path) -> Step:
    made_from = {"texts": sha256(texts), "model": recipe.model, "train": digest(recipe.train.model_dump())}
    folder = recipe.run / "train"
    outputs = [folder / "adapter" / "adapter_model.safetensors", folder / "loss.json", folder / "loss.png"]
    return Step(folder / "manifest.json", made_from, outputs)


def start_over_if_changed(folder: Path, step: Step) -> None:
    """Keep checkpoints only of a run from the very same inputs."""
    mark = folder / "started.json"
    if mark.is_file() and json.loads(mark.read_text(encoding="utf-8")) == step.inputs:
        if any((folder / "adapter").glob("checkpoint-*")):
            print("going on from the last checkpoint")
        return
    shutil.rmtree(folder, ignore_errors=True)
    with written_last(mark) as file:
        json.dump(step.inputs, file)


def draw(history: list[dict], folder: Path) -> None:
    """The loss history as `loss.json` and `loss.png`."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib import pyplot

    with written_last(folder / "loss.json") as file:
        json.dump(history, file)
    figure, axes = pyplot.subplots(figsize=(7, 3.5), layout="constrained")
    axes.plot([row["step"] for row in history], [row["loss"] for row in history], linewidth=1.2)
    axes.set(xlabel="step", ylabel="training loss", ylim=(0, None))
    axes.grid(alpha=0.3)
    figure.savefig(folder / "loss.png", dpi=120, metadata={"Software": None})
    pyplot.close(figure)


if __name__ == "__main__":
    run_main(main)
