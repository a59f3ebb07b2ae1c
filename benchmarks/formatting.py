"""Formatting: texts a second of `make format`'s loop beside the plain pandas loop over the same rows, both in one run.

    make data RECIPE=recipes/ko_text2sql/data-45k.yaml
    python benchmarks/formatting.py runs/ko_text2sql/data-45k/data/train.jsonl

The plain loop is the course's: the rows go into a frame, `iterrows()` gives each, its text is made with the recipe's own
prompt and put into the frame with `.loc`, and the frame is written as CSV. It does what such a script does at its first
row for every row: the schema of a row is parsed, no result of an earlier row is used. Ours streams: rows are read, made
into texts on all cores and written one by one. Both write the same file, which is checked. With `--flat` also the memory
of ours is shown at so many rows.
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
from itertools import islice
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from scripts.parallel import cores
from scripts.prompts import prompt_maker
from scripts.recipe import load_recipe

RECIPES = Path(__file__).resolve().parents[1] / "recipes" / "ko_text2sql"
PLAIN = "yi-ko-6b-qlora.yaml"
TEMPLATES = {"whole": PLAIN, "short": "smollm2-135m-cpu.yaml"}  # the whole DDL; the chosen columns with a gloss


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("rows", type=Path, help="jsonl as `make data` writes it")
    parser.add_argument("--only", choices=TEMPLATES, help="one of the two prompts")
    parser.add_argument(
        "--first", type=int, help="only so many rows: the short prompt's plain loop takes 20 ms for each"
    )
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--flat", type=int, help="also format so many rows and show the memory")
    parser.add_argument("--side", nargs=3, help=argparse.SUPPRESS)  # which, recipe, out
    options = parser.parse_args()
    if options.side:
        return one_side(options.rows, *options.side)
    with tempfile.TemporaryDirectory() as folder:
        rows = Path(folder) / "rows.jsonl"
        with options.rows.open("rb") as source, rows.open("wb") as target:
            target.writelines(islice(source, options.first))
        count = rows.read_bytes().count(b"\n")
        print(f"{count} rows, {cores()} cores", flush=True)
        for name in [options.only] if options.only else TEMPLATES:
            for _ in range(options.rounds):
                compare(name, rows, count, Path(folder))
        if options.flat:
            many = Path(folder) / "many.jsonl"
            repeat_rows(rows, many, count, options.flat)
            seconds, memory, _ = run("ours", PLAIN, many, Path(folder))
            print(
                f"{options.flat} rows, whole DDL: {options.flat / seconds:,.0f} rows a second, {memory:.0f} MB at most"
            )


def repeat_rows(source: Path, path: Path, there: int, count: int) -> None:
    with path.open("w", encoding="utf-8") as out:
        for turn in range(-(-count // there)):
            with source.open(encoding="utf-8") as rows:
                for number, line in enumerate(rows, turn * there):
                    if number < count:
                        out.write(json.dumps({**json.loads(line), "id": str(number)}, ensure_ascii=False) + "\n")


def compare(name: str, source: Path, count: int, folder: Path) -> None:
    ours, memory, made = run("ours", TEMPLATES[name], source, folder)
    theirs, their_memory, their_made = run("plain", TEMPLATES[name], source, folder)
    if made != their_made:
        raise SystemExit(f"{name}: the two wrote different files")
    print(
        f"{name} prompt: ours {count / ours:,.0f} rows a second ({memory:.0f} MB at most), "
        f"the plain loop {count / theirs:,.0f} ({their_memory:.0f} MB): {theirs / ours:.1f} times",
        flush=True,
    )


def run(side: str, recipe: str, source: Path, folder: Path) -> tuple[float, float, str]:
    """(seconds, peak MB of the largest process, SHA-256 of the file) of one side, in a process of its own."""
    out = folder / f"{side}.csv"
    command = [sys.executable, __file__, str(source), "--side", side, recipe, str(out)]
    said = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)
    with out.open("rb") as file:
        return said["seconds"], said["memory"], hashlib.file_digest(file, "sha256").hexdigest()


def one_side(source: Path, side: str, recipe: str, out: str) -> None:
    maker = prompt_maker(load_recipe(RECIPES / recipe))
    started = time.perf_counter()
    (ours if side == "ours" else plain_loop)(maker, source, Path(out))
    seconds = time.perf_counter() - started
    peak = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    print(json.dumps({"seconds": seconds, "memory": peak / 1024}))


def ours(maker, source: Path, out: Path) -> None:
    from functools import partial

    from scripts.format import format_rows, training_line

    with out.open("w", encoding="utf-8", newline="\n") as file:
        file.write("id,text\r\n")
        format_rows(source, file, partial(training_line, maker))


def plain_loop(maker, source: Path, out: Path) -> None:
    import pandas

    from recipes.ko_text2sql import schema_text

    # No plain reader and nothing remembered: each row's schema goes through the parser.
    schema_text.read_plain = lambda context: None
    frame = pandas.read_json(source, lines=True, dtype=False)
    for number, row in frame.iterrows():
        schema_text.parse_tables.cache_clear()
        frame.loc[number, "text"] = maker.text(row.to_dict())
    frame[["id", "text"]].to_csv(out, index=False, lineterminator="\r\n", quoting=csv.QUOTE_MINIMAL)


if __name__ == "__main__":
    main()
