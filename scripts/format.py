"""Stage 2, format: rows become `format/train.csv` (id, text) and `format/test.jsonl` (id, prompt and the row).

python -m scripts.format recipes/ko_text2sql/smollm2-135m-cpu.yaml
"""

from __future__ import annotations

import argparse
import csv

from scripts.prompts import prompt_maker
from scripts.recipe import load_recipe, run_main
from scripts.runs import Step, digest, folder_digest, need_columns, read_jsonl, sha256, write_jsonl, written_last


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    sources = {split: recipe.run / "data" / f"{split}.jsonl" for split in ("train", "test")}
    rows = {split: read_jsonl(path, f"make data RECIPE={recipe.shown}") for split, path in sources.items()}
    maker = prompt_maker(recipe)
    train, test = recipe.run / "format" / "train.csv", recipe.run / "format" / "test.jsonl"
    made_from = {split: sha256(path) for split, path in sources.items()}
    made_from["template"] = digest([maker.before, maker.after, recipe.prompt.prepare])
    if recipe.prompt.prepare:
        made_from["prepare"] = folder_digest(recipe.folder, ["**/*.py", "**/*.tsv", "**/*.txt"])
    step = Step(recipe.run / "format" / "manifest.json", made_from, [train, test])
    if step.fresh():
        return step.say_fresh()
    for split, path in sources.items():
        need_columns(rows[split], ["id", "answer"], path)
    with written_last(train) as file:
        table = csv.writer(file)
        table.writerow(["id", "text"])
        table.writerows([row["id"], maker.text(row)] for row in rows["train"])
    write_jsonl(test, ({"id": row["id"], "prompt": maker.prompt(row), **row} for row in rows["test"]))
    step.finish()


if __name__ == "__main__":
    run_main(main)
