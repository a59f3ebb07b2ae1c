"""The requests of a file, and what has become of each, in little memory however many there are."""

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge.processor.journal import request_hash
from judge.text import UserError, id_key, parse_line

CHUNK = 64


@dataclass(slots=True)
class Job:
    """One request on its way to its one final line; `number` counts them from 0."""

    number: int
    key: str
    twin: int  # how many requests before it are the same but for metadata
    request: dict[str, Any]
    metadata: dict[str, Any] | None
    tokens: int | None = None
    errors: list[dict[str, Any]] = field(default_factory=list)


class RequestFile:
    """An index of a requests file: each one's place, hash, and outcome, in a temporary SQLite file.

    What SQLite holds in memory is a few megabytes; the texts stay in the requests file and are read again
    when they are sent and when results are written. Raises UserError for a bad file, for a repeated metadata
    id among others.
    """

    def __init__(self, path: str | Path, *, twins: bool = False) -> None:
        """`twins` also finds requests that are the same but for metadata, which a response cache needs."""
        self.path, self.twins = Path(path), twins
        self._answers: list[tuple[int, int]] = []  # (place, number) that the index doesn't hold yet
        try:
            self._file = open(self.path, "rb")  # noqa: SIM115
        except FileNotFoundError:
            raise UserError(f"{path}: no such file") from None
        except OSError as error:
            raise UserError(f"{path}: {error.strerror}") from None
        # A temporary file, deleted when it is closed. In a notebook the run has a thread of its own.
        self._db = sqlite3.connect("", isolation_level=None, check_same_thread=False)
        with self._said():
            self._db.executescript(
                "PRAGMA journal_mode = off; PRAGMA synchronous = off; PRAGMA cache_size = -8000; BEGIN;"
                "CREATE TABLE requests (number INTEGER PRIMARY KEY, line INTEGER, place INTEGER, key BLOB, id TEXT,"
                " same BLOB, twin INTEGER DEFAULT 0, answer INTEGER, errors TEXT)"
            )
            self._db.executemany(
                "INSERT INTO requests (number, line, place, key, id, same) VALUES (?, ?, ?, ?, ?, ?)", self._rows()
            )
            self._check_ids()
            self._db.execute("CREATE INDEX unanswered ON requests (key, answer)")
            if twins:
                self._number_twins()
        [self.total] = self._db.execute("SELECT count(*) FROM requests").fetchone()
        if not self.total:
            raise UserError(f"{path}: holds no lines")

    def _rows(self) -> Iterator[tuple[Any, ...]]:
        number = place = 0
        for line_number, line in enumerate(self._file, 1):
            if line.strip(b"\xef\xbb\xbf \t\r\n"):
                request, metadata, id = self._parse(line, line_number)
                key = bytes.fromhex(request_hash(request, metadata))
                same = bytes.fromhex(request_hash(request, None)) if self.twins else None
                yield number, line_number, place, key, id, same
                number += 1
            place += len(line)

    def _parse(self, line: bytes, number: int) -> tuple[dict[str, Any], dict[str, Any] | None, str | None]:
        where = f"{self.path} line {number}"
        request = parse_line(line.removeprefix(b"\xef\xbb\xbf"), where)
        if not isinstance(request, dict):
            raise UserError(f"{where}: a request is an object, found {type(request).__name__}")
        metadata = request.pop("metadata", None)
        if not isinstance(metadata, dict | None):
            raise UserError(f"{where}: metadata is an object, found {type(metadata).__name__}")
        return request, metadata, id_key(metadata["id"], where) if metadata and "id" in metadata else None

    def _check_ids(self) -> None:
        self._db.execute("CREATE INDEX ids ON requests (id)")
        twice = self._db.execute(
            "SELECT id, min(line) FROM requests WHERE id IS NOT NULL GROUP BY id HAVING count(*) > 1 LIMIT 1"
        ).fetchone()
        if twice:
            id, first = twice
            lines = self._db.execute("SELECT line FROM requests WHERE id = ? ORDER BY line", (id,))
            line = lines.fetchmany(2)[1][0]
            raise UserError(
                f"{self.path} line {line}: metadata id {id!r} is already on line {first}; each needs its own"
            )
        self._db.execute("DROP INDEX ids")

    def _number_twins(self) -> None:
        self._db.execute("CREATE INDEX same ON requests (same)")
        self._db.execute(
            "UPDATE requests SET twin = ranked.twin FROM (SELECT number, row_number() OVER"
            " (PARTITION BY same ORDER BY number) - 1 AS twin FROM requests) AS ranked"
            " WHERE ranked.number = requests.number AND ranked.twin > 0"
        )

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.OperationalError as error:
            raise UserError(f"cannot keep an index of {self.path} in the temporary folder: {error}") from None

    def claim(self, key: str, place: int) -> bool:
        """An answer in the journal goes to the first request of that hash that has none yet; False if none.

        Equal requests without ids thus each need an answer of their own.
        """
        try:
            digest = bytes.fromhex(key)
        except ValueError:
            return False
        with self._said():
            changed = self._db.execute(
                "UPDATE requests SET answer = ? WHERE number = (SELECT number FROM requests"
                " WHERE key = ? AND answer IS NULL ORDER BY number LIMIT 1)",
                (place, digest),
            )
        return changed.rowcount > 0

    def answered(self, number: int, place: int) -> None:
        self._answers.append((place, number))
        if len(self._answers) >= CHUNK:
            self._flush()

    def _flush(self) -> None:
        """The index lags behind by less than a chunk; the journal, which outlives the run, does not."""
        if self._answers:
            with self._said():
                self._db.executemany("UPDATE requests SET answer = ? WHERE number = ?", self._answers)
            self._answers.clear()

    def failed(self, number: int, errors: list[dict[str, Any]]) -> None:
        with self._said():
            self._db.execute("UPDATE requests SET errors = ? WHERE number = ?", (json.dumps(errors), number))

    def count(self) -> tuple[int, int]:
        """How many are answered, and how many failed."""
        self._flush()
        return self._db.execute("SELECT count(answer), count(errors) FROM requests").fetchone()

    def waiting(self) -> Iterator[list[Job]]:
        """The requests without an answer or a failure, in order, `CHUNK` at a time."""
        self._flush()
        last = -1
        while rows := self._db.execute(
            "SELECT number, place, hex(key), twin FROM requests"
            " WHERE number > ? AND answer IS NULL AND errors IS NULL ORDER BY number LIMIT ?",
            (last, CHUNK),
        ).fetchall():
            last = rows[-1][0]
            yield [Job(number, key.lower(), twin, *self._read(place)) for number, place, key, twin in rows]

    def _read(self, place: int) -> tuple[dict[str, Any], dict[str, Any] | None]:
        self._file.seek(place)
        try:
            request = json.loads(self._file.readline().removeprefix(b"\xef\xbb\xbf"))
            return request, request.pop("metadata", None)
        except (ValueError, AttributeError):
            raise UserError(f"{self.path}: was changed while the run was reading it; run it again") from None

    def results(
        self, response_at: Callable[[int], str], not_sent: str | None
    ) -> Iterator[tuple[dict[str, Any], dict[str, Any] | None, str | None, list[dict[str, Any]]]]:
        """(request, metadata, response's JSON or None, errors) of each, in order.

        `not_sent` is the error of those that were neither answered nor tried.
        """
        self._flush()
        for place, answer, errors in self._db.execute("SELECT place, answer, errors FROM requests ORDER BY number"):
            request, metadata = self._read(place)
            response = None if answer is None else response_at(answer)
            told = json.loads(errors) if errors else [{"status": None, "error": f"not sent: {not_sent}"}]
            yield request, metadata, response, [] if response is not None else told

    def close(self) -> None:
        self._db.close()
        self._file.close()
