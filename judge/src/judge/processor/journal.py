"""An append-only journal of the answers that came, so that a run killed at any moment goes on where
it was.
"""

import hashlib
import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from judge.text import UserError, to_json

try:
    import fcntl
except ImportError:  # Windows: two runs at once into one file go unnoticed there
    fcntl = None  # type: ignore[assignment]

RESPONSE = b', "response": '


def request_hash(request: dict[str, Any], metadata: dict[str, Any] | None) -> str:
    """SHA-256 of a request with its metadata, the same however its keys are ordered."""
    return hashlib.sha256(json.dumps([request, metadata], sort_keys=True).encode()).hexdigest()


class Journal:
    """Lines {"sha256", "endpoint", "id", "response"}, each written by a single call.

    Nothing of it is held in memory: `answers` reads it line by line and `response_at` one line again. A
    killed process loses at most the line it was writing; a machine that loses power may lose the last few,
    since lines are not forced to the disk one by one. Raises UserError where another run holds the file.
    """

    def __init__(self, path: Path, endpoint: str, *, fresh: bool = False) -> None:
        """`fresh` keeps what is there aside, as `set_aside` does."""
        self.path, self.endpoint = path, endpoint
        self.ignored = 0  # lines that belong to another endpoint or are damaged, once `answers` is through
        self.kept: Path | None = None
        self._open()
        if fresh and self._end:
            # Renamed while it is locked, so that no run is robbed of its journal.
            if fcntl is None:
                self.close()  # Windows renames no open file
            self.kept = set_aside(path)
            self.close()
            self._open()

    def _open(self) -> None:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(self.path, "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None
        self._lock()
        self._reader: IO[bytes] = open(self.path, "rb")  # noqa: SIM115
        self._end = self._file.seek(0, os.SEEK_END)

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UserError(f"{self.path}: another run is writing to it; wait for it or choose another --out") from None

    def answers(self) -> Iterator[tuple[str, int]]:
        """(request's hash, where its response begins) of every whole line from this endpoint, in order.

        The half line that a killed run was writing is cut off.
        """
        self._reader.seek(0)
        at = 0
        for line in self._reader:
            if not line.endswith(b"\n"):
                break
            try:
                entry = json.loads(line)
                key, endpoint, _ = entry["sha256"], entry["endpoint"], entry["response"]
                known = isinstance(key, str) and endpoint == self.endpoint
            except (ValueError, KeyError, TypeError, RecursionError):
                known = False
            start = line.find(RESPONSE)
            if known and start > 0:
                yield key, at + start + len(RESPONSE)
            else:
                self.ignored += 1
            at += len(line)
        if at < self._end:
            self._file.truncate(at)
            self._end = at

    def add(self, key: str, id: object, response: str) -> int:
        """Append one answer, a line of JSON; gives where its response begins. Raises UserError, the file then
        being what it was before.
        """
        head = to_json({"sha256": key, "endpoint": self.endpoint, "id": id}).encode()[:-1] + RESPONSE
        line = head + response.encode() + b"}\n"
        try:
            left = line
            while left:
                left = left[os.write(self._file.fileno(), left) :]
        except OSError as error:
            self._file.truncate(self._end)  # a full disk takes the first part of a line
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None
        self._end += len(line)
        return self._end - len(line) + len(head)

    def response_at(self, place: int) -> str:
        """The JSON of the response that begins there."""
        self._reader.seek(place)
        return self._reader.readline().rstrip()[:-1].decode()

    def close(self) -> None:
        self._reader.close()
        self._file.close()


def set_aside(path: Path) -> Path | None:
    """Rename a file to PATH.bak1, or the next number that is free; None where there is no file."""
    if not path.exists():
        return None
    number = 1
    while (kept := path.with_name(f"{path.name}.bak{number}")).exists():
        number += 1
    try:
        os.rename(path, kept)
    except OSError as error:
        raise UserError(f"cannot rename {path} to {kept.name}: {error.strerror}") from None
    return kept
