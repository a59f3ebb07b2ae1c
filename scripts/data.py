"""Stage 1, data: make or load the recipe's rows as `data/train.jsonl` and `data/test.jsonl`.

    python -m scripts.data recipes/ko_text2sql/smollm2-135m-cpu.yaml

A row keeps one `id` the whole way. Rows come from a function of the recipe (`rows:`), from files (`files:`, as CSV,
JSON, JSON lines or Parquet), from a data set in a form of its own (`load:`, a function and a folder) or from the
Hugging Face Hub (`hub:`); `columns:` maps the names that the stages use (id, context, question, answer) to the
source's own. With `clean:` the training rows go through `scripts.cleaning`, which leaves a report beside them.

Rows are written as they are read: what is held of a file is its ids' hashes, eight bytes a row.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import math
from array import array
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import islice
from pathlib import Path
from typing import TextIO

import numpy

from scripts.loaders import Rows, numbered, read_hub, read_table
from scripts.recipe import Data, Recipe, UserError, load_function, load_recipe, need_options, run_main, shown
from scripts.runs import Step, digest, folder_digest, sha256, written_last

SPARE = 50  # one row in so many is made besides, for cleaning to drop


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    parser.add_argument("--rows", type=int, help="so many training rows, whatever the recipe's data.train_rows says")
    args = parser.parse_args()
    recipe = with_rows(load_recipe(args.recipe), args.rows)
    names = ["train.jsonl", "test.jsonl"] + (["clean_report.json", "clean_report.html"] if recipe.data.clean else [])
    outputs = [recipe.run / "data" / name for name in names]
    step = Step(recipe.run / "data" / "manifest.json", inputs(recipe), outputs)
    if step.fresh():
        return step.say_fresh()
    splits = Splits(recipe)
    # Nothing gets its name before all has been checked: a mistake leaves an earlier run's files as they are.
    with all_or_none(outputs) as (train_file, test_file, *report_files):
        tests, found = write_rows(test_file, splits.rows("test"), lambda: splits.rows("test"))
        wanted = recipe.data.test_sha256
        if wanted and wanted != found:
            raise UserError(
                f"{shown(recipe.path)}: data.test_sha256: the test rows have changed (now {found}); "
                "scores before and after can't be compared. Restore them, or name the new hash in the recipe."
            )
        rows = splits.rows("train")
        if recipe.data.clean:
            from scripts.cleaning import clean

            rows = clean(recipe, rows, splits.rows("test"), report_files)
        trained, _ = write_rows(train_file, rows, lambda: splits.rows("train"))
    print(f"train: {trained} rows\ntest: {tests} rows")
    step.finish()


def with_rows(recipe: Recipe, rows: int | None) -> Recipe:
    """The recipe with another `data.train_rows`, where one is given."""
    if rows is None:
        return recipe
    if rows < 1:
        raise UserError(f"--rows {rows}: at least one row")
    return recipe.model_copy(update={"data": recipe.data.model_copy(update={"train_rows": rows})})


def inputs(recipe: Recipe) -> dict[str, str]:
    data = recipe.data
    made_from = {"data": digest(data.model_dump(exclude={"describe", "card"}))}  # these change no row
    # The task's code and what it may read: all of the recipe's folder but the recipes, which lie at its top.
    code = [f"**/*.{suffix}" for suffix in ("py", "tsv", "txt")]
    if data.rows:
        made_from["code"] = folder_digest(recipe.folder, [*code, "**/*.jsonl", "**/*.csv", "*/**/*.yaml"])
    elif data.load or data.clean:
        made_from["code"] = folder_digest(recipe.folder, code)
    for name in data.files.model_dump().values() if data.files else ():
        made_from[name] = sha256(source_file(recipe, name))
    if data.load:
        # A data set with its databases can be tens of gigabytes: names, sizes and times stand for what is in them.
        files = (path for path in sorted(source_folder(recipe).rglob("*")) if path.is_file())
        made_from[data.load.folder] = digest([[str(path), *_size_and_time(path)] for path in files])
    return made_from


def _size_and_time(path: Path) -> tuple[int, int]:
    about = path.stat()
    return about.st_size, about.st_mtime_ns


class Splits:
    """The recipe's rows by split, under the stages' column names, each with its place; to be read more than once."""

    def __init__(self, recipe: Recipe):
        self.recipe, self.made = recipe, {}

    def rows(self, split: str) -> Rows:
        data = self.recipe.data
        rows = self._source(split) if data.rows else renamed(data.columns, split, self._source(split))
        # Where rows are cleaned, `train_rows` counts those that are left.
        limit = data.test_rows if split == "test" else None if data.clean else data.train_rows
        return islice(rows, limit)

    def _source(self, split: str) -> Rows:
        recipe, data = self.recipe, self.recipe.data
        if data.rows:
            if not self.made:
                make = load_function(recipe, "data.rows", data.rows)
                given = {"seed": data.seed, "train_rows": wanted(data), **data.options}
                need_options(recipe, "data.options", data.rows, make, (), given)
                self.made = make(**given)
            return numbered(f"{data.rows}: {split}", self.made[split])
        if data.files:
            return read_table(source_file(recipe, getattr(data.files, split)), data.encoding)
        if data.load:
            load = load_function(recipe, "data.load.by", data.load.by)
            given = {"name": getattr(data.load, split), "encoding": data.encoding, **data.options}
            need_options(recipe, "data.options", data.load.by, load, ("", split), given)
            return load(source_folder(recipe), split, **given)
        return read_hub(shown(recipe.path), data.hub, getattr(data.hub, split), recipe.folder)


def wanted(data: Data) -> int | None:
    """How many training rows to make: where rows are cleaned a few more, so that enough are left."""
    return data.train_rows and (data.train_rows + data.train_rows // SPARE + 1 if data.clean else data.train_rows)


def source_file(recipe: Recipe, name: str) -> Path:
    path = recipe.folder / Path(name).expanduser()
    if not path.is_file():
        raise UserError(f"{shown(recipe.path)}: data.files: {shown(path)}: no such file")
    return path


def source_folder(recipe: Recipe) -> Path:
    path = recipe.folder / Path(recipe.data.load.folder).expanduser()
    if not path.is_dir():
        raise UserError(f"{shown(recipe.path)}: data.load.folder: {shown(path)}: no such folder")
    return path


@contextmanager
def all_or_none(paths: list[Path]) -> Iterator[list[TextIO]]:
    """Files that get their names together once the block has ended without an error, and are gone if it has not."""
    try:
        with ExitStack() as stack:
            yield [stack.enter_context(written_last(path)) for path in paths]
    except BaseException:
        for path in paths:
            path.with_name(path.name + ".part").unlink(missing_ok=True)
        raise


def write_rows(file: TextIO, rows: Rows, again: Callable[[], Rows]) -> tuple[int, str]:
    """Write the rows as JSON lines; gives their number and the SHA-256 of what was written.

    again: gives the same rows once more, asked only to name the place of an id that stands there twice. UserError names the
    first row without an id or an answer, or with another's id.
    """
    hashed, ids = hashlib.sha256(), array("Q")
    for place, row in rows:
        missing = [column for column in ("id", "answer") if row.get(column) is None]
        if missing:
            found = ", ".join(str(column) for column, value in row.items() if value is not None)
            raise UserError(f"{place}: no {', '.join(missing)}; it has {found}")
        line = json.dumps(row, ensure_ascii=False) + "\n"
        file.write(line)
        hashed.update(line.encode())
        ids.append(short_hash(str(row["id"])))
    in_order = numpy.sort(ids)
    if (in_order[1:] == in_order[:-1]).any():
        refuse_repeated_id(again())
    return len(ids), hashed.hexdigest()


def refuse_repeated_id(rows: Rows) -> None:
    seen: set[str] = set()
    for place, row in rows:
        if str(row.get("id")) in seen:
            raise UserError(f"{place}: id {str(row['id'])!r} stands there twice")
        seen.add(str(row.get("id")))


def short_hash(text: str) -> int:
    """64 bits that two of five million texts share with a chance of one in a million."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest())


def renamed(columns: dict[str, str], split: str, rows: Rows) -> Rows:
    """Rows under the stages' column names; a row without an id gets its split's name and its number.

    A mapped column wins over one that has the stages' name already, which is left out. UserError where a row lacks a
    column that `columns` names.
    """
    taken = {*columns, *columns.values()}
    for number, (place, row) in enumerate(rows, 1):
        for role, source in columns.items():
            if source not in row:
                mapped = f"no {source}, which data.columns takes for {role}"
                raise UserError(f"{place}: {mapped}; it has {', '.join(map(str, row))}")
        row = {name: row[name] for name in row if name not in taken} | {
            role: row[source] for role, source in columns.items()
        }
        row = plain({"id": f"{split}-{number}", **row})
        yield place, row if row["id"] is None else {**row, "id": str(row["id"])}


def plain(value: object) -> object:
    """A value as JSON has it: dates and the like as text, what is no number as null, also within lists and objects."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list):
        return [plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float):
        return value
    return value.isoformat() if hasattr(value, "isoformat") else str(value)


if __name__ == "__main__":
    run_main(main)
