"""Rows held out of training, to measure what a model has learnt and not remembered.

    python -m recipes.ko_text2sql.holdout recipes/ko_text2sql/mine.yaml FOLDER

writes what the recipe's `data.options` hold out (hold_out_patterns, hold_out_families, hold_out_domains) as
FOLDER/held_patterns.jsonl and so on; `make generate ROWS=FOLDER/held_patterns.jsonl OUT=answers.jsonl` answers them.
Three distances from training: a sentence never seen whose kind of query was; a kind of query never seen; a domain never
seen.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path
from random import Random

from recipes.ko_text2sql.patterns import Pattern
from scripts.recipe import UserError, load_recipe, run_main, shown
from scripts.runs import write_jsonl


def family(query: str) -> str:
    """A query's shape: names and literals gone, words of the language left.

    >>> family("SELECT name FROM customers WHERE grade = 'VIP' LIMIT 3")
    'SELECT x FROM x WHERE x = ? LIMIT ?'
    """
    bare = re.sub(r"'(?:[^']|'')*'|\b\d+(?:\.\d+)?\b", "?", query)
    return re.sub(r"\b[a-z_][\w]*(?:\.[a-z_]\w*)?", "x", bare)


def hold_out(
    patterns: list[Pattern], seed: int, patterns_share: float, families_share: float, domains: str
) -> tuple[list[Pattern], dict[str, list[Pattern]]]:  # fmt: skip
    """(what may be trained on, what was held out by split). Domains go first, then families, then patterns.

    Shares are of all patterns given, those of shapes.py and compose.py among them.

    Raises UserError for a domain that has no rows.
    """
    names = [name.strip() for name in domains.split(",") if name.strip()]
    known = sorted({pattern.domain["name"] for pattern in patterns})
    unknown = [name for name in names if name not in known]
    if unknown:
        raise UserError(f"hold_out_domains: no rows of {', '.join(unknown)}; there are: {', '.join(known)}")
    held: dict[str, list[Pattern]] = {}
    if names:
        held["held_domains"] = [pattern for pattern in patterns if pattern.domain["name"] in names]
        patterns = [pattern for pattern in patterns if pattern.domain["name"] not in names]
    if families_share:
        chosen = _families(patterns, Random(f"families:{seed}"), families_share)
        held["held_families"] = [pattern for pattern in patterns if family(pattern.row["answer"]) in chosen]
        patterns = [pattern for pattern in patterns if family(pattern.row["answer"]) not in chosen]
    if patterns_share:
        dice = Random(f"patterns:{seed}")
        chosen = set(dice.sample(range(len(patterns)), round(len(patterns) * patterns_share)))
        held["held_patterns"] = [pattern for at, pattern in enumerate(patterns) if at in chosen]
        patterns = [pattern for at, pattern in enumerate(patterns) if at not in chosen]
    return patterns, held


def _families(patterns: list[Pattern], dice: Random, share: float) -> set[str]:
    """Families whose rows make up the share, or a little less; large and small ones as they come."""
    sizes: dict[str, int] = {}
    for pattern in patterns:
        of = family(pattern.row["answer"])
        sizes[of] = sizes.get(of, 0) + 1
    order = list(sizes)
    dice.shuffle(order)
    chosen: set[str] = set()
    left = round(len(patterns) * share)
    for of in order:
        if sizes[of] <= left:
            chosen.add(of)
            left -= sizes[of]
    return chosen


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    parser.add_argument("folder", type=Path, help="where the held-out rows go")
    args = parser.parse_args()
    from recipes.ko_text2sql.rows import make

    recipe = load_recipe(args.recipe)
    made = make(seed=recipe.data.seed, train_rows=recipe.data.train_rows, **recipe.data.options)
    held = {split: rows for split, rows in made.items() if split.startswith("held_")}
    if not held:
        raise UserError(f"{shown(recipe.path)}: data.options hold nothing out")
    for split, rows in held.items():
        write_jsonl(args.folder / f"{split}.jsonl", rows)
        print(f"{shown(args.folder / split)}.jsonl: {len(rows)} rows")


if __name__ == "__main__":
    run_main(main)
