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
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TextIO

import numpy

from scripts.data import all_or_none, short_hash
from scripts.parallel import mapped
from scripts.prompts import PromptMaker, prompt_maker
from scripts.recipe import load_recipe, run_main, shown
from scripts.runs import Step, digest, folder_digest, need_columns, parsed_line, raw_lines, sha256, stream_jsonl

CHUNK = 512  # rows a task; for fewer than two such chunks starting other processes would cost more than it gains


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    sources = {split: recipe.run / "data" / f"{split}.jsonl" for split in ("train", "test")}
    made_by = f"make data RECIPE={recipe.shown}"
    for path in sources.values():
        parsed_line(path, *next(raw_lines(path, made_by)))
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
        format_rows(sources["train"], train, partial(training_line, maker))
        format_rows(sources["test"], test, partial(test_line, maker))
    step.finish()


def format_rows(source: Path, out: TextIO, line_of: Callable[[dict], str], workers: int | None = None) -> None:
    """Write `line_of` each row of `source`; UserError names the first row without id or answer, or with another's id.

    Rows go to the workers as they stand in the file: reading them is a good part of the work where prompts are plain.
    """
    ids = array("Q")
    task = partial(read_and_format, source, line_of)
    for short, line in mapped(task, enumerate(raw_lines(source), 1), workers, CHUNK):
        ids.append(short)
        out.write(line)
    in_order = numpy.sort(ids)
    if (in_order[1:] == in_order[:-1]).any():
        need_columns((row for _, row in stream_jsonl(source)), ["id"], source)


def read_and_format(source: Path, line_of: Callable[[dict], str], raw: tuple[int, tuple[int, str]]) -> tuple[int, str]:
    """(64 bits of the row's id, its line); `raw` is the row's number and the file's line with its number."""
    nth, (number, text) = raw
    row = parsed_line(source, number, text)
    if row.get("id") is None or row.get("answer") is None:
        need_columns([row], ["id", "answer"], source, [f"{shown(source)}: row {nth}"])
    return short_hash(str(row["id"])), line_of(row)


def training_line(maker: PromptMaker, row: dict) -> str:
    """A row's line of train.csv, as Python's csv writes it."""
    line = io.StringIO()
    csv.writer(line).writerow([row["id"], maker.text(row)])
    return line.getvalue()


def test_line(maker: PromptMaker, row: dict) -> str:
    """A row's line of test.jsonl."""
    return json.dumps({"id": row["id"], "prompt": maker.prompt(row), **row}, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    run_main(main)
