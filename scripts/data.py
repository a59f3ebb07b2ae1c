"""Stage 1, data: make or load the recipe's rows as `data/train.jsonl` and `data/test.jsonl`.

    python -m scripts.data recipes/ko_text2sql/smollm2-135m-cpu.yaml

A row keeps one `id` the whole way. Rows come from a function of the recipe (`rows:`), from files (`files:`, as CSV,
JSON, JSON lines or Parquet) or from the Hugging Face Hub (`hub:`); `columns:` maps the names that the stages use
(id, context, question, answer) to the source's own.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import io
import json
import math
from pathlib import Path

from scripts.recipe import HubSplit, Recipe, UserError, load_function, load_recipe, read_text, run_main, shown
from scripts.runs import Step, as_jsonl, digest, folder_digest, need_columns, numbered_jsonl, sha256, written_last

# Rows by their place, as an error names it: file and line, or file and number of the row.
Rows = dict[str, dict]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    outputs = {split: recipe.run / "data" / f"{split}.jsonl" for split in ("train", "test")}
    step = Step(recipe.run / "data" / "manifest.json", inputs(recipe), list(outputs.values()))
    if step.fresh():
        return step.say_fresh()
    splits = load_rows(recipe)
    for rows in splits.values():
        need_columns(list(rows.values()), ["id", "answer"], recipe.path, rows)
    # Nothing is written before all has been checked: a mistake leaves an earlier run's files as they are.
    train, test = (as_jsonl(splits[split].values()) for split in outputs)
    wanted, found = recipe.data.test_sha256, hashlib.sha256(test.encode()).hexdigest()
    if wanted and wanted != found:
        raise UserError(
            f"{shown(recipe.path)}: data.test_sha256: the test rows have changed (now {found}); "
            "scores before and after can't be compared. Restore them, or name the new hash in the recipe."
        )
    with written_last(outputs["train"]) as train_file, written_last(outputs["test"]) as test_file:
        train_file.write(train)
        test_file.write(test)
    for split, rows in splits.items():
        print(f"{split}: {len(rows)} rows")
    step.finish()


def inputs(recipe: Recipe) -> dict[str, str]:
    made_from = {"data": digest(recipe.data.model_dump())}
    if recipe.data.rows:
        # The rows' code and what it may read: all of the recipe's folder but the recipes, which lie at its top.
        patterns = [*(f"**/*.{suffix}" for suffix in ("py", "jsonl", "tsv", "csv", "txt")), "*/**/*.yaml"]
        made_from["code"] = folder_digest(recipe.folder, patterns)
    for name in recipe.data.files.model_dump().values() if recipe.data.files else ():
        made_from[name] = sha256(source_file(recipe, name))
    return made_from


def load_rows(recipe: Recipe) -> dict[str, Rows]:
    """The splits `train` and `test`, under the stages' column names."""
    data = recipe.data
    if data.rows:
        make = load_function(recipe, "data.rows", data.rows)
        made = make(seed=data.seed, train_rows=data.train_rows, **data.options)
        splits = {split: numbered(f"{data.rows}: {split}", made[split]) for split in ("train", "test")}
    else:
        if data.files:
            splits = {split: read_table(source_file(recipe, name)) for split, name in data.files}
        else:
            splits = {"train": read_hub(recipe, data.hub.train), "test": read_hub(recipe, data.hub.test)}
        splits = {split: renamed(data.columns, split, rows) for split, rows in splits.items()}
    limits = {"train": data.train_rows, "test": data.test_rows}
    return {split: dict(list(rows.items())[: limits[split]]) for split, rows in splits.items()}


def source_file(recipe: Recipe, name: str) -> Path:
    path = Path(name).expanduser()
    path = path if path.is_absolute() else recipe.folder / path
    if not path.is_file():
        raise UserError(f"{shown(recipe.path)}: data.files: {shown(path)}: no such file")
    return path


def read_table(path: Path) -> Rows:
    """A data file's rows; UserError names the file, and the line where there is one."""
    readers = {".csv": read_csv, ".json": read_json, ".jsonl": read_lines, ".parquet": read_parquet}
    if path.suffix not in readers:
        raise UserError(f"{shown(path)}: expected one of {' '.join(readers)}")
    rows = readers[path.suffix](path) if path.stat().st_size else {}
    if not rows:
        raise UserError(f"{shown(path)}: empty")
    return rows


def numbered(source: str, rows: list[dict]) -> Rows:
    return {f"{source}: row {number}": row for number, row in enumerate(rows, 1)}


def read_lines(path: Path) -> Rows:
    return {f"{shown(path)}:{line}": row for line, row in numbered_jsonl(path).items()}


def read_csv(path: Path) -> Rows:
    """Rows of text: what looks like a number or like nothing stays as it is written."""
    csv.field_size_limit(2**31 - 1)  # the reader's own 131,072 characters are few for a long context
    reader = csv.reader(io.StringIO(read_text(path), newline=""), strict=True)
    header, rows, line = [], {}, 1
    try:
        for cells in reader:
            place, line = f"{shown(path)}:{line}", reader.line_num + 1  # a row can take several lines
            if not cells:
                continue
            if not header:
                header = cells
                if len(set(header)) < len(header):
                    raise UserError(f"{place}: a column stands there twice: {', '.join(header)}")
            elif len(cells) != len(header):
                raise UserError(f"{place}: {len(cells)} cells, expected {len(header)}: {', '.join(header)}")
            else:
                rows[place] = dict(zip(header, cells, strict=True))
    except csv.Error as error:
        raise UserError(f"{shown(path)}:{line}: not readable as CSV: {error}") from None
    return rows


def read_json(path: Path) -> Rows:
    try:
        rows = json.loads(read_text(path))
    except json.JSONDecodeError as error:
        raise UserError(f"{shown(path)}:{error.lineno}: not readable as JSON: {error.msg}") from None
    if not isinstance(rows, list) or not all(isinstance(row, dict) for row in rows):
        raise UserError(f"{shown(path)}: expected a list of objects")
    return numbered(shown(path), rows)


def read_parquet(path: Path) -> Rows:
    import pyarrow
    from pyarrow import parquet

    try:
        return numbered(shown(path), parquet.read_table(path, partitioning=None).to_pylist())
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{shown(path)}: not readable as Parquet: {reason}") from None


def read_hub(recipe: Recipe, split: HubSplit) -> Rows:
    from datasets import load_dataset

    try:
        rows = load_dataset(recipe.data.hub.path, split.config, split=split.split).to_list()
    except Exception as error:  # the Hub client has a dozen kinds; each means that these rows are not to be had
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{shown(recipe.path)}: data.hub: can't load {recipe.data.hub.path!r}: {reason}") from None
    return numbered(f"{recipe.data.hub.path}: {split.split}", rows)


def renamed(columns: dict[str, str], split: str, rows: Rows) -> Rows:
    """Rows under the stages' column names; a row without an id gets its split's name and its number.

    UserError where a row lacks a column that `columns` names, or has another one under the new name already.
    """
    renamed_rows = {}
    for number, (place, row) in enumerate(rows.items(), 1):
        for role, source in columns.items():
            if source not in row:
                mapped = f"no {source}, which data.columns takes for {role}"
                raise UserError(f"{place}: {mapped}; it has {', '.join(map(str, row))}")
            if role in row and role not in columns.values():
                raise UserError(f"{place}: has both {source} and {role}, and data.columns takes {source} for {role}")
        row = {name: row[name] for name in row if name not in columns.values()} | {
            role: row[source] for role, source in columns.items()
        }
        row = plain({"id": f"{split}-{number}", **row})
        renamed_rows[place] = row if row["id"] is None else {**row, "id": str(row["id"])}
    return renamed_rows


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
