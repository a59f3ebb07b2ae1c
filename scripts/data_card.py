"""The data set's card and the folder that goes to the Hub with it: `hub-data/`.

    python -m scripts.data_card recipes/ko_text2sql/smollm2-135m-cpu.yaml

Holds the rows as Parquet or JSON lines, the card (README.md with the Hub's front matter, from `data_card.md.jinja`) and
its plots. What can be counted is counted here; what can't is in the recipe's `data.card`, and `data.describe` names a
function that says what a row is like: a text for one of several kinds, a list for what of a set of things it has.
Rows are read one by one; held are counts, and eight bytes a text to tell how many are different.
"""

from __future__ import annotations

import argparse
import json
import shutil
from array import array
from collections import Counter
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

import numpy

from scripts.card_text import card
from scripts.data import short_hash
from scripts.hub import repo_name
from scripts.loaders import read_lines
from scripts.recipe import Card, Recipe, UserError, all_recipes, load_function, load_recipe, run_main, shown
from scripts.runs import Step, digest, folder_digest, sha256
from scripts.tokens import count_tokens

SPLITS = ("train", "test")
TEXTS = ("context", "question", "answer")  # the columns whose lengths are shown
BATCH = 10_000  # rows of a Parquet row group


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    print(shown(build(recipe, repo_name(card_of(recipe).repo, "data.card.repo")) / "README.md"))


def card_of(recipe: Recipe) -> Card:
    if recipe.data.card is None:
        having = [shown(path) for path in all_recipes() if load_recipe(path).data.card]
        raise UserError(f"{recipe.shown}: data.card: missing; recipes that have it: {', '.join(having) or 'none'}")
    return recipe.data.card


def build(recipe: Recipe, repo: str | None) -> Path:
    """Fill `runs/<task>/<recipe>/hub-data/` and return it; nothing is written when it already holds just that.

    Raises UserError when the rows are missing or were made with other settings.
    """
    settings, folder = card_of(recipe), recipe.run / "hub-data"
    sources = {split: recipe.run / "data" / f"{split}.jsonl" for split in SPLITS}
    check_rows(recipe, sources)
    made_from = {split: sha256(path) for split, path in sources.items()}
    made_from |= {"card": digest([settings.model_dump(), recipe.data.describe, recipe.data.model_dump(), repo])}
    made_from |= {"about": sha256(recipe.file(settings.about)), "license": recipe.hub.license, "title": recipe.title}
    here = Path(__file__).parent
    made_from["code"] = digest([sha256(here / name) for name in ("data_card.py", "card_text.py", "card_plots.py")])
    made_from["template"] = sha256(here / "data_card.md.jinja")
    made_from["task"] = folder_digest(recipe.folder, ["**/*.py"])
    made_from["tokens"] = recipe.model if settings.tokens == "model" else settings.tokens
    names = sorted(["README.md", "kinds.png", "lengths.png", *(f"{split}.{settings.files}" for split in SPLITS)])
    step = Step(folder.with_name("hub-data.manifest.json"), made_from, [folder / name for name in names])
    # A file more would go up with the rest.
    if step.fresh() and sorted(path.name for path in folder.iterdir()) == names:
        print(f"{shown(folder)}: nothing has changed")
        return folder
    part = folder.with_name("hub-data.part")
    shutil.rmtree(part, ignore_errors=True)
    part.mkdir(parents=True)
    fill(recipe, part, sources, repo)
    shutil.rmtree(folder, ignore_errors=True)
    part.rename(folder)
    step.finish(say=False)
    return folder


def check_rows(recipe: Recipe, sources: dict[str, Path]) -> None:
    again = f"`make data RECIPE={recipe.shown}` makes it"
    for path in sources.values():
        if not path.is_file():
            raise UserError(f"{shown(path)}: no such file; {again}")
    # The card tells the recipe's settings: they must be those that the rows were made with.
    try:
        made = json.loads((recipe.run / "data" / "manifest.json").read_text(encoding="utf-8"))["inputs"]["data"]
    except (FileNotFoundError, ValueError, KeyError):
        made = None
    if made != digest(recipe.data.model_dump(exclude={"describe", "card"})):
        raise UserError(f"{shown(sources['train'])}: made before `data` changed in {recipe.shown}; {again} anew")


def fill(recipe: Recipe, part: Path, sources: dict[str, Path], repo: str | None) -> None:
    from scripts.card_plots import draw_kinds, draw_lengths

    settings = recipe.data.card
    survey = Survey(recipe)
    for split, path in sources.items():
        for place, row in read_lines(path):
            survey.add(split, place, row)
    files = {}
    for split, path in sources.items():
        name = f"{split}.{settings.files}"
        rows = ({column: row.get(column) for column in survey.columns} for _, row in read_lines(path))
        write = write_parquet if settings.files == "parquet" else write_lines
        write(part / name, rows, survey.columns)
        about = {"rows": survey.rows[split], "bytes": (part / name).stat().st_size}
        files[name] = about | {"sha256": sha256(part / name), "source": sha256(path), "split": split}
    draw_lengths(survey, part / "lengths.png")
    draw_kinds(survey, part / "kinds.png")
    (part / "README.md").write_text(card(recipe, survey, files, repo), encoding="utf-8", newline="\n")


class Survey:
    """What has been counted of the rows, by split."""

    def __init__(self, recipe: Recipe):
        name = recipe.data.describe
        self.describe = load_function(recipe, "data.describe", name) if name else None
        self.wanted, self.count = recipe.data.card.columns, lru_cache(20_000)(token_counter(recipe))
        self.rows = dict.fromkeys(SPLITS, 0)
        self.columns: dict[str, set[str]] = {name: set() for name in self.wanted or ()}
        self.kinds: dict[str, dict[str, Counter]] = {}  # heading -> split -> value -> rows
        self.things: dict[str, dict[str, Counter]] = {}
        self.lengths = {text: {split: Counter() for split in SPLITS} for text in TEXTS}
        self.tokens = {text: {split: Counter() for split in SPLITS} for text in TEXTS}
        self.hashes = {text: {split: array("Q") for split in SPLITS} for text in TEXTS}
        self.examples: dict[str, list[dict]] = {split: [] for split in SPLITS}

    def add(self, split: str, place: str, row: dict) -> None:
        self.rows[split] += 1
        for column, value in row.items():
            if self.wanted is None or column in self.wanted:
                self.columns.setdefault(column, set()).add(type(value).__name__)
        for text in TEXTS:
            value = row.get(text)
            if isinstance(value, str):
                self.lengths[text][split][len(value)] += 1
                self.tokens[text][split][self.count(value)] += 1
                self.hashes[text][split].append(short_hash(value))
        if len(self.examples[split]) < 2:
            self.examples[split].append({name: row.get(name) for name in TEXTS if row.get(name) is not None})
        for heading, value in (self.describe(row) if self.describe else {}).items():
            counted = self.things if isinstance(value, list) else self.kinds
            counter = counted.setdefault(heading, {split: Counter() for split in SPLITS})[split]
            counter.update(value if isinstance(value, list) else [value])

    def different(self, text: str, split: str) -> int:
        return len(numpy.unique(numpy.asarray(self.hashes[text][split])))

    def values(self, heading: str) -> list[str]:
        """A heading's values: in the order that the describing function names, else the most frequent first."""
        counted = self.kinds.get(heading) or self.things[heading]
        order = {value: at for at, value in enumerate(getattr(self.describe, "order", {}).get(heading, ()))}
        total = sum(counted.values(), Counter())
        return sorted(total, key=lambda value: (order.get(value, len(order)), -total[value], value))


def token_counter(recipe: Recipe) -> Callable[[str], int]:
    name = recipe.data.card.tokens
    if name != "model":
        return lambda text: count_tokens(text, name)
    from scripts.models import base_model

    folder = base_model(recipe)
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(folder)
    except OSError as error:
        reason = str(error).strip().split("\n")[0]
        mend = "data.card.tokens: o200k_base needs no download"
        raise UserError(
            f"{recipe.shown}: data.card.tokens: the tokenizer of {recipe.model}: {reason}; {mend}"
        ) from None
    return lambda text: len(tokenizer(text, add_special_tokens=False)["input_ids"])


# --- the rows' files -------------------------------------------------------------------------------------------------
def kind_of(types: set[str]) -> str:
    """What a column holds, of the Python types seen in it; lists and objects go as JSON, a mixture as text."""
    types = types - {"NoneType"}
    if types & {"dict", "list"}:
        return "json"
    if types in ({"int"}, {"bool"}, {"float"}, {"int", "float"}):
        return "bool" if types == {"bool"} else "float64" if "float" in types else "int64"
    return "text"


def as_kind(value: object, kind: str) -> object:
    if value is None:
        return None
    if kind == "json":
        return json.dumps(value, ensure_ascii=False)
    if kind == "text":
        return value if isinstance(value, str) else json.dumps(value)
    return float(value) if kind == "float64" else value


def write_parquet(path: Path, rows: Iterator[dict], columns: dict[str, set[str]]) -> None:
    import pyarrow
    from pyarrow import parquet

    types = {"json": pyarrow.string(), "text": pyarrow.string(), "bool": pyarrow.bool_()}
    types |= {"int64": pyarrow.int64(), "float64": pyarrow.float64()}
    kinds = {column: kind_of(seen) for column, seen in columns.items()}
    schema = pyarrow.schema([(column, types[kind]) for column, kind in kinds.items()])
    with parquet.ParquetWriter(path, schema, compression="zstd") as writer:
        batch: list[dict] = []
        for row in rows:
            batch.append({column: as_kind(row[column], kind) for column, kind in kinds.items()})
            if len(batch) == BATCH:
                writer.write_table(pyarrow.Table.from_pylist(batch, schema))
                batch = []
        writer.write_table(pyarrow.Table.from_pylist(batch, schema))


def write_lines(path: Path, rows: Iterator[dict], columns: dict[str, set[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="\n") as file:
        for row in rows:
            file.write(json.dumps(row, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    run_main(main)
