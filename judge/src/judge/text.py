"""Reading and writing JSON lines, with errors that name the file and the line."""

import hashlib
import json
import os
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

_dump = json.JSONEncoder(ensure_ascii=False).encode
SURROGATE = re.compile("[\ud800-\udfff]")
FORMULA = re.compile(r"'*[=+\-@\t\r]")


class UserError(ValueError):
    """A mistake of the user: its text is one line that says what is wrong, where, and what mends it.

    The command line prints the text alone and exits with 2; any other exception is a bug and keeps its
    traceback.
    """


def read_jsonl(path: str | Path) -> list[tuple[int, Any]]:
    """(line number from 1, value) of every line that is not blank; UTF-8, a byte order mark is let pass.

    Raises UserError for a missing or empty file, bytes that are not UTF-8, a line that is not whole JSON.
    """
    path = Path(path)
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    values = []
    for number, line in enumerate(data.removeprefix(b"\xef\xbb\xbf").split(b"\n"), 1):
        if line.strip():
            values.append((number, parse_line(line, f"{path} line {number}")))
    if not values:
        raise UserError(f"{path}: holds no lines")
    return values


def parse_line(line: bytes, where: str) -> Any:
    """The JSON value of one line. Raises UserError that begins with `where` for anything else."""
    try:
        return json.loads(line.decode("utf-8"))
    except UnicodeDecodeError:
        try:
            line.decode("cp949")
        except UnicodeDecodeError:
            raise UserError(f"{where}: not UTF-8 text") from None
        raise UserError(
            f"{where}: not UTF-8; it looks like CP949, so save it again as UTF-8: iconv -f cp949 -t utf-8"
        ) from None
    except ValueError as error:  # a number of thousands of digits, too
        raise UserError(f"{where}: not a whole JSON value, cut off or damaged ({error})") from None
    except RecursionError:
        raise UserError(f"{where}: JSON nested too deep") from None


def read_rows(
    path: str | Path, *, id_column: str = "id", needs: Iterable[str] = (), prediction: str | None = None
) -> list[dict[str, Any]]:
    """The rows of a JSON lines file: objects, each with an id of its own and a text in each column of
    `needs`.

    The prediction's column must be there too but may hold null: a model that said nothing is wrong, not an
    error. Raises UserError with file and line.
    """
    needed = {column: str for column in needs} | ({prediction: str | None} if prediction else {})
    rows: list[dict[str, Any]] = []
    seen: dict[str, int] = {}
    for number, row in read_jsonl(path):
        where = f"{path} line {number}"
        if not isinstance(row, dict):
            raise UserError(f"{where}: expected an object with columns, found {type(row).__name__}")
        for column in [id_column, *needed]:
            if column not in row:
                raise UserError(f"{where}: no '{column}'; the columns there are {', '.join(row) or 'none'}")
        for column, kind in needed.items():
            if not isinstance(row[column], kind):
                raise UserError(f"{where}: '{column}' is {json.dumps(row[column])[:40]}, expected text")
        key = id_key(row[id_column], where)
        if key in seen:
            raise UserError(f"{where}: id {key!r} is already on line {seen[key]}; each row needs its own")
        seen[key] = number
        rows.append(row)
    return rows


def id_key(value: Any, where: str) -> str:
    """An id as the text by which files are joined: 7 and "7" are the same id."""
    if isinstance(value, bool) or not isinstance(value, str | int) or value == "":
        raise UserError(f"{where}: an id is text or a whole number, not {json.dumps(value, default=str)}")
    if isinstance(value, str) and SURROGATE.search(value):
        raise UserError(f"{where}: id {json.dumps(value)} holds half a character, which no file can")
    return str(value)


def name_some(names: Iterable[object], most: int = 5) -> str:
    """The first few names for an error message, and how many more there are."""
    names = [str(name) for name in names]
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more


def texts_digest(*texts: str | None) -> str:
    """What a verdict keeps of the texts that it was made from, to be known again: 16 hex digits of their SHA-256."""
    return hashlib.sha256(json.dumps(texts).encode()).hexdigest()[:16]


def clean(text: str) -> str:
    """`text` without lone surrogates, which JSON can spell and UTF-8 cannot."""
    return SURROGATE.sub("\ufffd", text)


def to_json(value: Any) -> str:
    """One line of JSON that UTF-8 can hold, Korean left readable."""
    line = _dump(value)
    try:
        line.encode()
    except UnicodeEncodeError:  # a lone surrogate
        return json.dumps(value)
    return line


@contextmanager
def finished_file(path: str | Path, *, encoding: str = "utf-8", newline: str | None = "\n") -> Iterator[IO[str]]:
    """A text file that appears under its name only once it is whole."""
    path = Path(path)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(part, "w", encoding=encoding, errors="replace", newline=newline) as file:
            yield file
        os.replace(part, path)
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror or error}") from None
    finally:
        with suppress(OSError):
            part.unlink()


def write_jsonl(path: str | Path, values: Iterable[Any], dump: Callable[[Any], str] = to_json) -> Path:
    """One value a line; see `finished_file`."""
    with finished_file(path) as file:
        file.writelines(dump(value) + "\n" for value in values)
    return Path(path)


def for_excel(value: Any) -> Any:
    """A text that a spreadsheet would take for a formula, with an apostrophe before it; all else as it is.

    Text that already begins with apostrophes and such a character gets one more, so `from_excel` can undo it.
    """
    return "'" + value if isinstance(value, str) and FORMULA.match(value) else value


def from_excel(text: str) -> str:
    """The text that `for_excel` was given."""
    return text[1:] if text.startswith("'") and FORMULA.match(text) else text
