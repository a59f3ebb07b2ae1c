"""Read data files and Hub data sets row by row: CSV, JSON, JSON lines and Parquet, in any encoding that is named.

    for place, row in read_table(Path("train.csv"), "cp949"): ...

Each row comes with its place (file and line, or file and number of the row), which is how an error names it. Nothing
here holds a file in memory: rows come as they are read, so a mistake far down a file shows only when it is reached.
"""

from __future__ import annotations

import codecs
import csv
import json
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from scripts.recipe import HubData, HubSplit, UserError, shown
from scripts.runs import parsed_line

Rows = Iterator[tuple[str, dict]]

BLOCK = 1 << 20  # characters read at a time from a JSON list
LONGEST_ITEM = 64 << 20  # of a JSON list: what is longer is taken for broken


def read_table(path: Path, encoding: str = "utf-8") -> Rows:
    """A data file's rows with their places; UserError names the file, and the line where there is one."""
    readers = {".csv": read_csv, ".json": read_json, ".jsonl": read_lines, ".parquet": read_parquet}
    if path.suffix not in readers:
        raise UserError(f"{shown(path)}: expected one of {' '.join(readers)}")
    if not path.is_file():
        raise UserError(f"{shown(path)}: no such file")
    rows = readers[path.suffix](path, encoding) if path.stat().st_size else iter(())
    return filled(shown(path), rows)


def filled(name: str, rows: Rows) -> Rows:
    """The rows as they come; UserError where there is none."""
    empty = True
    for item in rows:
        empty = False
        yield item
    if empty:
        raise UserError(f"{name}: empty")


def numbered(source: str, rows: Iterable[dict]) -> Rows:
    return ((f"{source}: row {number}", row) for number, row in enumerate(rows, 1))


# --- text ----------------------------------------------------------------------------------------------------------
@contextmanager
def opened(path: Path, encoding: str, newline: str | None = "\n") -> Iterator[TextIO]:
    """The file as text, without a byte order mark. UserError says which line does not fit the encoding, and what would.

    newline: as `open` takes it; "\\n" cuts lines there alone, since JSON text may hold other ends of line.
    """
    utf8 = codecs.lookup(encoding).name == "utf-8"
    try:
        if not utf8:
            _refuse_utf8(path, encoding)
        with path.open(encoding="utf-8-sig" if utf8 else encoding, newline=newline) as file:
            yield file
    except UnicodeError:
        raise UserError(_wrong_encoding(path, encoding)) from None
    except OSError as error:
        if error.filename != str(path):  # not this file's: the reader's own
            raise
        raise UserError(f"{shown(path)}: can't be read: {error.strerror}") from None


def _refuse_utf8(path: Path, encoding: str) -> None:
    """UTF-8 read as cp949 often raises no error and gives wrong characters: the first bytes tell."""
    with path.open("rb") as file:
        start = file.read(1 << 16)
    text = codecs.getincrementaldecoder("utf-8")(errors="replace").decode(start)
    odd = sum(byte > 127 for byte in start)
    if odd > 8 and "\ufffd" not in text and b"\0" not in start:
        raise UserError(f"{shown(path)}: UTF-8, not {encoding}: leave data.encoding out of the recipe")


def _wrong_encoding(path: Path, encoding: str) -> str:
    """One line: where the file stops being in this encoding, and which line in the recipe mends it."""
    line, sample = _first_bad_line(path, encoding)
    place = f"{shown(path)}:{line}" if line else shown(path)
    if codecs.lookup(encoding).name != "utf-8":
        return f"{place}: not {encoding}, which data.encoding says; name the file's own, or none for UTF-8"
    with path.open("rb") as file:
        if file.read(2) in (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE):
            return f"{place}: not UTF-8 but UTF-16; mend it by `encoding: utf-16` under data: in the recipe"
    try:
        sample.decode("cp949")
    except UnicodeDecodeError:
        return f"{place}: not UTF-8 (nor cp949): damaged, or in an encoding to be named as data.encoding in the recipe"
    return f"{place}: not UTF-8 but cp949, it seems; mend it by `encoding: cp949` under data: in the recipe"


def _first_bad_line(path: Path, encoding: str) -> tuple[int, bytes]:
    """(line, its bytes) of the first line that doesn't decode; line 0 for encodings whose bytes hold no plain lines."""
    if codecs.lookup(encoding).name.startswith(("utf-16", "utf-32")):
        return 0, b""
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            try:
                line.decode(encoding)
            except UnicodeDecodeError:
                return number, line
    return 0, b""


# --- kinds of files --------------------------------------------------------------------------------------------------
def read_lines(path: Path, encoding: str = "utf-8") -> Rows:
    """JSON lines; blank ones are passed over."""
    with opened(path, encoding) as file:
        for number, line in enumerate(file, 1):
            if line.strip():
                yield f"{shown(path)}:{number}", parsed_line(path, number, line)


def read_csv(path: Path, encoding: str = "utf-8") -> Rows:
    """Rows of text: what looks like a number or like nothing stays as it is written."""
    csv.field_size_limit(2**31 - 1)  # the reader's own 131,072 characters are few for a long context
    header, line = [], 1
    with opened(path, encoding, newline="") as file:
        reader = csv.reader(file, strict=True)
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
                    yield place, dict(zip(header, cells, strict=True))
        except csv.Error as error:
            raise UserError(f"{shown(path)}:{line}: not readable as CSV: {error}") from None


def read_json(path: Path, encoding: str = "utf-8", under: str = "") -> Rows:
    """The objects of a JSON list one by one; `under`: of the first list with this key, as in {"data": [...]}."""
    start = re.compile(rf'"{re.escape(under)}"\s*:\s*\[' if under else r"\s*\[")
    decoder = json.JSONDecoder()
    with opened(path, encoding) as file:
        text, line = file.read(BLOCK), 1

        def fail(reason: str, at: int) -> UserError:
            return UserError(f"{shown(path)}:{line + text.count(chr(10), 0, at)}: {reason}")

        head = start.search(text) if under else start.match(text)
        if head is None:
            raise fail(f'expected {{"{under}": [objects]}}' if under else "expected a list of objects", 0)
        at, number = head.end(), 0
        while True:
            at = _past(text, at, " \t\r\n,")
            if at < len(text) and text[at] == "]":
                return
            if at < len(text) and text[at] != "{":
                raise fail("expected a list of objects", at)
            try:
                row, end = decoder.raw_decode(text, at)
            except json.JSONDecodeError as error:
                more = file.read(max(BLOCK, len(text) - at))
                if not more or len(text) - at > LONGEST_ITEM:
                    raise fail(f"not readable as JSON, half-written or broken: {error.msg}", error.pos) from None
                line, text, at = line + text.count("\n", 0, at), text[at:] + more, 0
                continue
            number += 1
            yield f"{shown(path)}: row {number}", row
            at = end


def _past(text: str, at: int, passed: str) -> int:
    while at < len(text) and text[at] in passed:
        at += 1
    return at


def read_parquet(path: Path, encoding: str = "utf-8") -> Rows:
    import pyarrow
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            batches = file.iter_batches(batch_size=1000)
            yield from numbered(shown(path), (row for batch in batches for row in batch.to_pylist()))
    except (pyarrow.ArrowException, OSError) as error:
        reason = str(error).split("\n")[0]
        raise UserError(f"{shown(path)}: not readable as Parquet: {reason}") from None


# --- the Hub -----------------------------------------------------------------------------------------------------------
def read_hub(where: str, hub: HubData, split: HubSplit, folder: Path) -> Rows:
    """A split of a Hub data set, from the local cache where there is no network; `where` begins an error's line.

    A `path` that begins with a dot, `~` or a slash is a folder with a copy of the data set, relative to `folder`.
    """
    path, options = hub.path, {}
    if path.startswith((".", "/", "~")):
        local = folder / Path(path).expanduser()
        if not local.is_dir():
            raise UserError(f"{where}: data.hub: {shown(local)}: no such folder")
        # The cache knows a folder by its last name alone, and would give another folder's rows, or older ones.
        path, options = str(local), {"download_mode": "force_redownload"}
    from datasets import load_dataset

    try:
        rows = load_dataset(path, split.config, split=split.split, **options)
    except Exception as error:  # the Hub client has a dozen kinds; each means that these rows are not to be had
        reason = str(error).strip().split("\n")[0] or type(error).__name__
        if isinstance(error, ConnectionError) or "offline" in reason.lower():
            reason += (
                f"; where there is a network: hf download --repo-type dataset {path} --local-dir FOLDER, "
                "then data.hub.path: ./FOLDER"
            )
        raise UserError(f"{where}: data.hub: can't load {hub.path!r}: {reason}") from None
    return filled(f"{hub.path}: {split.split}", numbered(f"{hub.path}: {split.split}", rows))
