"""What every stage does with files: write beside and rename last, and know when nothing has changed."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any, TextIO

from scripts.recipe import UserError, read_text, shown


@contextmanager
def written_last(path: Path, mode: str = "w", **options: Any) -> Iterator[TextIO]:
    """Open `path` for writing under another name; it gets its own only when the block has ended without an error."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(path.name + ".part")
    if "b" not in mode:
        options = {"encoding": "utf-8", "newline": "\n", **options}
    with part.open(mode, **options) as file:
        yield file
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)


def sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def digest(value: Any) -> str:
    """A hash of any JSON-like value, the same on every machine."""
    return hashlib.sha256(json.dumps(value, sort_keys=True, ensure_ascii=False, default=str).encode()).hexdigest()


def folder_digest(folder: Path, patterns: Iterable[str]) -> str:
    """One hash over the names and contents of a folder's files that fit one of these patterns."""
    files = sorted({path for pattern in patterns for path in folder.glob(pattern) if path.is_file()})
    return digest([[path.relative_to(folder).as_posix(), sha256(path)] for path in files])


class Step:
    """One stage's memory of what it was made from, a `manifest.json` beside what it made.

    `fresh()` is true when the same inputs have already been turned into outputs that are still there, unchanged.
    """

    def __init__(self, manifest: Path, inputs: dict[str, str], outputs: list[Path]):
        self.manifest, self.inputs, self.outputs = manifest, inputs, outputs
        self.started = time.monotonic()

    def fresh(self) -> bool:
        try:
            seen = json.loads(self.manifest.read_text(encoding="utf-8"))
        except (FileNotFoundError, json.JSONDecodeError):
            return False
        return (
            seen["inputs"] == self.inputs
            and all(path.is_file() for path in self.outputs)
            and seen["outputs"] == {path.name: sha256(path) for path in self.outputs}
        )

    def say_fresh(self) -> None:
        print(f"{', '.join(shown(path) for path in self.outputs)}: nothing has changed")

    def finish(self, seconds: float | None = None, say: bool = True) -> None:
        """Write the manifest and `say` what was made; `seconds` where the time spent is not this process's alone."""
        content = {
            "inputs": self.inputs,
            "outputs": {path.name: sha256(path) for path in self.outputs},
            "seconds": round(time.monotonic() - self.started if seconds is None else seconds, 1),
        }
        with written_last(self.manifest) as file:
            json.dump(content, file, indent=2)
        for path in self.outputs if say else ():
            print(shown(path))


def read_jsonl(path: Path, made_by: str) -> list[dict]:
    """All rows of a JSON-lines file; UserError names the file and line that can't be read, or who makes the file."""
    if not path.is_file():
        raise UserError(f"{shown(path)}: no such file; `{made_by}` makes it")
    rows = list(numbered_jsonl(path).values())
    if not rows:
        raise UserError(f"{shown(path)}: empty; `{made_by}` makes it")
    return rows


def numbered_jsonl(path: Path) -> dict[int, dict]:
    """The rows of a JSON-lines file by their line, the first being 1; blank lines are left out."""
    return dict(stream_jsonl(path))


def stream_jsonl(path: Path) -> Iterator[tuple[int, dict]]:
    """(line, row) one by one, as `numbered_jsonl` gives them at once."""
    for number, line in raw_lines(path):
        yield number, parsed_line(path, number, line)


def raw_lines(path: Path, made_by: str = "") -> Iterator[tuple[int, str]]:
    """(line, its text) of a JSON-lines file, blank lines left out; with `made_by` errors as of `read_jsonl`."""
    if made_by and not path.is_file():
        raise UserError(f"{shown(path)}: no such file; `{made_by}` makes it")
    lines = 0
    try:
        with path.open(encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(file, 1):
                if line.strip():
                    lines += 1
                    yield number, line
    except (OSError, UnicodeDecodeError):
        read_text(path)  # says what is wrong and in which line
        raise
    if made_by and not lines:
        raise UserError(f"{shown(path)}: empty; `{made_by}` makes it")


def parsed_line(path: Path, number: int, line: str) -> dict:
    try:
        row = json.loads(line)
    except json.JSONDecodeError as error:
        raise UserError(f"{shown(path)}:{number}: half-written or broken line: {error.msg}") from None
    if not isinstance(row, dict):
        raise UserError(f"{shown(path)}:{number}: a row is a JSON object")
    return row


def as_jsonl(rows: Iterable[dict]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)


def write_jsonl(path: Path, rows: Iterable[dict]) -> None:
    with written_last(path) as file:
        for row in rows:
            file.write(as_jsonl([row]))


def need_columns(rows: Iterable[dict], columns: Iterable[str], path: Path, places: Iterable[str] | None = None) -> None:
    """UserError naming the first row that lacks one of `columns` (or has null there), or repeats an `id`.

    places: what to call each row in the error; `path` and the row's number where there are none.
    """
    columns = list(columns)
    seen: set[str] = set()
    for place, row in zip(places or (f"{shown(path)}: row {n}" for n in count(1)), rows, strict=False):
        missing = [column for column in columns if row.get(column) is None]
        if missing:
            found = ", ".join(str(column) for column, value in row.items() if value is not None)
            raise UserError(f"{place}: no {', '.join(missing)}; it has {found}")
        if "id" in columns:
            if str(row["id"]) in seen:
                raise UserError(f"{place}: id {str(row['id'])!r} stands there twice")
            seen.add(str(row["id"]))
