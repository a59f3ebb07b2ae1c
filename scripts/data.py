"""Stage 1, data: make or load the recipe's rows as `data/train.jsonl` and `data/test.jsonl`.

    python -m scripts.data recipes/ko_text2sql/smollm2-135m-cpu.yaml

A row keeps one `id` the whole way. Rows come from a function of the recipe (`rows:`), from files (`files:`, as CSV,
JSON, JSON lines or Parquet) or from the Hugging Face Hub (`hub:`); `columns:` maps the names that the stages use
(id, context, question, answer) to the source's own.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from scripts.recipe import HubSplit, Recipe, UserError, load_function, load_recipe, run_main, shown
from scripts.runs import Step, digest, folder_digest, need_columns, read_jsonl, sha256, write_jsonl


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    outputs = {split: recipe.run / "data" / f"{split}.jsonl" for split in ("train", "test")}
    step = Step(recipe.run / "data" / "manifest.json", inputs(recipe), list(outputs.values()))
    if step.fresh():
        return step.say_fresh()
    splits = load_rows(recipe)
    for split, path in outputs.items():
        need_columns(splits[split], ["id", "answer"], recipe.path)
        write_jsonl(path, splits[split])
        print(f"{split}: {len(splits[split])} rows")
    wanted, found = recipe.data.test_sha256, sha256(outputs["test"])
    if wanted and wanted != found:
        outputs["test"].unlink()
        raise UserError(
            f"{shown(recipe.path)}: data.test_sha256: the test rows have changed (now {found}); "
            "scores before and after can't be compared. Restore them, or name the new hash in the recipe."
        )
    step.finish()


def inputs(recipe: Recipe) -> dict[str, str]:
    made_from = {"data": digest(recipe.data.model_dump())}
    if recipe.data.rows:
        # The rows' code and its data files: all of the recipe's folder but the recipes and hand-outs themselves.
        made_from["code"] = folder_digest(recipe.folder, [".py", ".jsonl", ".tsv", ".csv"])
        made_from["described"] = digest([sha256(p) for p in sorted(recipe.folder.rglob("*/*.yaml"))])
    for name in recipe.data.files.model_dump().values() if recipe.data.files else ():
        made_from[name] = sha256(source_file(recipe, name))
    return made_from


def load_rows(recipe: Recipe) -> dict[str, list[dict]]:
    """The splits `train` and `test` as lists of rows."""
    if recipe.data.rows:
        make = load_function(recipe, "data.rows", recipe.data.rows)
        splits = make(seed=recipe.data.seed, train_rows=recipe.data.train_rows, **recipe.data.options)
    elif recipe.data.files:
        splits = {name: read_table(source_file(recipe, path)) for name, path in recipe.data.files}
    else:
        splits = {"train": read_hub(recipe, recipe.data.hub.train), "test": read_hub(recipe, recipe.data.hub.test)}
    if not recipe.data.rows:
        splits = {name: renamed(recipe, name, rows) for name, rows in splits.items()}
    limits = {"train": recipe.data.train_rows, "test": recipe.data.test_rows}
    return {name: rows[: limits[name]] for name, rows in splits.items()}


def source_file(recipe: Recipe, name: str) -> Path:
    path = Path(name).expanduser()
    path = path if path.is_absolute() else recipe.folder / path
    if not path.is_file():
        raise UserError(f"{shown(recipe.path)}: data.files: {shown(path)}: no such file")
    return path


def read_table(path: Path) -> list[dict]:
    """A data file's rows; UserError names the file, and the line where there is one."""
    import pandas as pd

    if path.stat().st_size == 0:
        raise UserError(f"{shown(path)}: empty")
    if path.suffix == ".jsonl":
        return read_jsonl(path, "you")
    readers = {".csv": pd.read_csv, ".json": pd.read_json, ".parquet": pd.read_parquet}
    if path.suffix not in readers:
        raise UserError(f"{shown(path)}: expected one of .csv .json .jsonl .parquet")
    options = {"dtype": str, "keep_default_na": False, "encoding": "utf-8-sig"} if path.suffix == ".csv" else {}
    try:
        return readers[path.suffix](path, **options).to_dict("records")
    except UnicodeDecodeError:
        raise UserError(f"{shown(path)}: not UTF-8 (cp949?); convert it: iconv -f cp949 -t utf-8 OLD > NEW") from None
    except ValueError as error:
        raise UserError(f"{shown(path)}: not readable as {path.suffix}: {error}") from None


def read_hub(recipe: Recipe, split: HubSplit) -> list[dict]:
    from datasets import load_dataset

    try:
        return load_dataset(recipe.data.hub.path, split.config, split=split.split).to_list()
    except Exception as error:  # the Hub client has a dozen kinds; each means that these rows are not to be had
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        raise UserError(f"{shown(recipe.path)}: data.hub: can't load {recipe.data.hub.path!r}: {reason}") from None


def renamed(recipe: Recipe, split: str, rows: list[dict]) -> list[dict]:
    """Rows under the stages' column names; a row without an id gets its split's name and its number."""
    names = {source: role for role, source in recipe.data.columns.items()}
    renamed_rows = []
    for number, row in enumerate(rows, 1):
        row = {names.get(column, column): value for column, value in row.items()}
        renamed_rows.append({"id": str(row.pop("id", f"{split}-{number}")), **row})
    return renamed_rows


if __name__ == "__main__":
    run_main(main)
