"""Formatting: texts a second of `make format`'s loop beside the plain pandas loop over the same rows, both in one run.

    python benchmarks/formatting.py --rows 45000

The plain loop reads the rows into a frame, makes each text with the recipe's own prompt in `iterrows()`, and writes the
CSV. It does what such a script does at its first row for every row: the schema of a row is parsed, no result of an earlier
row is used. Ours streams: rows are read, made into texts on all cores and written one by one. Both write the same file,
which is checked. With `--flat` also the memory of ours is shown at ten times the rows.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.parallel import cores
from scripts.prompts import prompt_maker
from scripts.recipe import load_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes" / "ko_text2sql"
TEMPLATES = {"short prompt, with a gloss": "smollm2-135m-cpu.yaml", "whole DDL and question": "yi-ko-6b-qlora.yaml"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--rows", type=int, default=45_000)
    parser.add_argument("--plain", type=int, help="rows of the plain loop, where all of them take too long")
    parser.add_argument("--flat", type=int, help="also format so many rows and show the memory")
    parser.add_argument("--side", nargs=5, help=argparse.SUPPRESS)  # which, recipe, rows, out, how many
    options = parser.parse_args()
    if options.side:
        return one_side(*options.side)
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "rows.jsonl"
        write_rows(source, options.rows)
        print(f"{options.rows} rows, {cores()} cores")
        for name, recipe in TEMPLATES.items():
            compare(name, recipe, source, options.rows, options.plain or options.rows)
        if options.flat:
            repeat_rows(source, Path(folder) / "many.jsonl", options.rows, options.flat)
            seconds, memory, _ = run("ours", "yi-ko-6b-qlora.yaml", Path(folder) / "many.jsonl", options.flat)
            print(
                f"{options.flat} rows, whole DDL: {options.flat / seconds:,.0f} rows a second, {memory:.0f} MB at most"
            )


def write_rows(path: Path, count: int) -> None:
    from recipes.ko_text2sql.rows import make

    rows = make(seed=42, train_rows=count, rename_share=0.15)["train"]
    path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows), encoding="utf-8")


def repeat_rows(source: Path, path: Path, there: int, count: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        for turn in range(-(-count // there)):
            with source.open(encoding="utf-8") as rows:
                for number, line in enumerate(rows, turn * there):
                    if number < count:
                        out.write(json.dumps({**json.loads(line), "id": str(number)}, ensure_ascii=False) + "\n")


def compare(name: str, recipe: str, source: Path, count: int, plain: int) -> None:
    ours, memory, made = run("ours", recipe, source, count)
    theirs, their_memory, their_made = run("plain", recipe, source, plain)
    if plain == count and made != their_made:
        raise SystemExit(f"{name}: the two wrote different files")
    print(
        f"{name}: ours {count / ours:,.0f} rows a second ({memory:.0f} MB at most), "
        f"the plain loop {plain / theirs:,.0f} ({their_memory:.0f} MB): {count / ours / (plain / theirs):.1f} times"
    )


def run(side: str, recipe: str, source: Path, count: int) -> tuple[float, float, str]:
    """(seconds, peak MB of the largest process, SHA-256 of the file) of one side, in a process of its own."""
    out = source.with_name(f"{side}.csv")
    command = [sys.executable, __file__, "--side", side, recipe, str(source), str(out), str(count)]
    said = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    with out.open("rb") as file:
        return said["seconds"], said["memory"], hashlib.file_digest(file, "sha256").hexdigest()


def one_side(side: str, recipe: str, source: str, out: str, count: str) -> None:
    maker = prompt_maker(load_recipe(RECIPES / recipe))
    started = time.perf_counter()
    (ours if side == "ours" else plain_loop)(maker, Path(source), Path(out), int(count))
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": seconds, "memory": peak / 1024}))


def ours(maker, source: Path, out: Path, count: int) -> None:
    from functools import partial

    from scripts.format import format_rows, training_line

    with out.open("w", encoding="utf-8", newline="\n") as file:
        file.write("id,text\r\n")
        format_rows(source, file, partial(training_line, maker))


def plain_loop(maker, source: Path, out: Path, count: int) -> None:
    import pandas

    from recipes.ko_text2sql import schema_text

    # No plain reader and nothing remembered: each row's schema goes through the parser.
    schema_text.read_plain = lambda context: None
    frame = pandas.read_json(source, lines=True, dtype=False).head(count)
    texts = []
    for _, row in frame.iterrows():
        schema_text.parse_tables.cache_clear()
        texts.append(maker.text(row.to_dict()))
    frame["text"] = texts
    frame[["id", "text"]].to_csv(out, index=False, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)


if __name__ == "__main__":
    main()
