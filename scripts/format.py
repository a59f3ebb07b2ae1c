"""Stage 2, format: rows become `format/train.csv` (id, text) and `format/test.jsonl` (id, prompt and the row).

    python -m scripts.format recipes/ko_text2sql/smollm2-135m-cpu.yaml

Rows come and go one by one, and their texts are made on all cores (or on a Ray cluster, see `scripts.parallel`): what is
held of a file is its ids' hashes, eight bytes a row. The files don't depend on how many cores there are.
"""

from __future__ import annotations

import argparse
import csv
import io
import json
from array import array
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy

from scripts.data import all_or_none, short_hash
from scripts.parallel import mapped
from scripts.prompts import PromptMaker, prompt_maker
from scripts.recipe import load_recipe, run_main, shown
from scripts.runs import Step, digest, folder_digest, need_columns, sha256, stream_jsonl

CHUNK = 512  # rows a task; for fewer than two such chunks starting other processes would cost more than it gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    sources = {split: recipe.run / "data" / f"{split}.jsonl" for split in ("train", "test")}
    made_by = f"make data RECIPE={recipe.shown}"
    for path in sources.values():
        next(stream_jsonl(path, made_by))
    maker = prompt_maker(recipe)
    outputs = [recipe.run / "format" / name for name in ("train.csv", "test.jsonl")]
    made_from = {split: sha256(path) for split, path in sources.items()}
    made_from["template"] = digest([maker.before, maker.after, recipe.prompt.prepare])
    if recipe.prompt.prepare:
        made_from["prepare"] = folder_digest(recipe.folder, ["**/*.py", "**/*.tsv", "**/*.txt"])
    step = Step(recipe.run / "format" / "manifest.json", made_from, outputs)
    if step.fresh():
        return step.say_fresh()
    with all_or_none(outputs) as (train, test):
        train.write("id,text\r\n")
        train.writelines(mapped(partial(training_line, maker), checked(sources["train"], made_by), chunk=CHUNK))
        test.writelines(mapped(partial(test_line, maker), checked(sources["test"], made_by), chunk=CHUNK))
    step.finish()


def training_line(maker: PromptMaker, row: dict) -> str:
    """A row's line of train.csv, as Python's csv writes it."""
    line = io.StringIO()
    csv.writer(line).writerow([row["id"], maker.text(row)])
    return line.getvalue()


def test_line(maker: PromptMaker, row: dict) -> str:
    """A row's line of test.jsonl."""
    return json.dumps({"id": row["id"], "prompt": maker.prompt(row), **row}, ensure_ascii=False) + "\n"


def checked(path: Path, made_by: str) -> Iterator[dict]:
    """The rows of a file, each with id and answer and no id twice; UserError names the first that is not so."""
    ids = array("Q")
    for number, (_, row) in enumerate(stream_jsonl(path, made_by), 1):
        need_columns([row], ["id", "answer"], path, [f"{shown(path)}: row {number}"])
        ids.append(short_hash(str(row["id"])))
        yield row
    in_order = numpy.sort(ids)
    if (in_order[1:] == in_order[:-1]).any():
        need_columns((row for _, row in stream_jsonl(path)), ["id"], path)


if __name__ == "__main__":
    run_main(main)
