"""The prompt of the task, for the stages and for notebooks."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from recipes.ko_text2sql.disguise import renamed
from recipes.ko_text2sql.focus import focus
from recipes.ko_text2sql.linking import hint
from recipes.ko_text2sql.shorthand import shorten

HERE = Path(__file__).resolve().parent
DEFAULT = HERE / "smollm2-135m-cpu.yaml"


def prepare(row: dict) -> dict:
    """A row as the short prompt shows it: the question as its English gloss, and of the schema what that speaks of.

    A small English base model reads Korean as bytes, two to three tokens a syllable, and knows none of it. The gloss
    is a dictionary's, word by word, aligned to the names in the schema; what is no word (a name, a value, a number)
    stays as it is. A question of which no word remains is left alone. The answer is written in shorthand, without the
    joins that foreign keys imply. A training row's `names` are put on last.
    """
    gloss = hint(row["question"], row["context"])
    shown = {**row, "question": gloss or row["question"], "context": focus(gloss, row["context"])}
    if row.get("answer"):
        shown["answer"] = shorten(row["answer"], row["context"])
    if row.get("names"):
        shown |= {part: renamed(shown[part], row["names"]) for part in ("context", "question", "answer")}
    return shown


def make_prompt(ddl: str, question: str, query: str = "", recipe: str | Path = DEFAULT) -> str:
    """The prompt that `recipe` trains and generates with; with `query`, the whole training text, end token included.

    `recipe` is a recipe's YAML file; the default is the task's default recipe.
    """
    maker = _maker(Path(recipe))
    row = {"id": "notebook", "context": ddl, "question": question, "answer": query}
    return maker.text(row) if query else maker.prompt(row)


@lru_cache
def _maker(recipe: Path):
    from scripts.prompts import prompt_maker
    from scripts.recipe import load_recipe

    return prompt_maker(load_recipe(recipe))
