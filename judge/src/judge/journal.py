"""An append-only journal of the answers that came, so that a run killed at any moment goes on where
it was.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import IO, Any

from judge.text import UserError, to_json

try:
    import fcntl
except ImportError:  # Windows: two runs at once into one file go unnoticed there
    fcntl = None  # type: ignore[assignment]


def request_hash(request: dict[str, Any], metadata: dict[str, Any] | None) -> str:
    """SHA-256 of a request with its metadata, the same however its keys are ordered."""
    return hashlib.sha256(json.dumps([request, metadata], sort_keys=True).encode()).hexdigest()


class Journal:
    """Lines {"sha256", "endpoint", "id", "response"}, each written by a single call.

    A killed process loses at most the line it was writing; a machine that loses power may lose the last few,
    since lines are not forced to the disk one by one. Raises UserError where another run holds the file.
    """

    def __init__(self, path: Path, endpoint: str, *, fresh: bool = False) -> None:
        self.path, self.endpoint = path, endpoint
        self.ignored = 0  # lines that belong to another endpoint or are damaged
        self._answers: dict[str, list[Any]] = {}
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file: IO[bytes] = open(path, "a+b", buffering=0)  # noqa: SIM115
        except OSError as error:
            raise UserError(f"cannot write {path}: {error.strerror}") from None
        self._lock()
        if fresh:
            self._file.truncate(0)
        self._read()

    def _lock(self) -> None:
        if fcntl is None:
            return
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            self._file.close()
            raise UserError(f"{self.path}: another run is writing to it; wait for it or choose another --out") from None

    def _read(self) -> None:
        self._file.seek(0)
        data = self._file.read()
        whole = data.rfind(b"\n") + 1
        if whole < len(data):  # the line that a killed run was writing
            self._file.truncate(whole)
        for line in data[:whole].splitlines():
            try:
                entry = json.loads(line)
                key, endpoint, response = entry["sha256"], entry["endpoint"], entry["response"]
            except (ValueError, KeyError, TypeError):
                self.ignored += 1
                continue
            if endpoint == self.endpoint:
                self._answers.setdefault(key, []).append(response)
            else:
                self.ignored += 1

    def take(self, key: str) -> Any | None:
        """An answer kept for this request, given out once: equal requests without ids each need their own."""
        answers = self._answers.get(key)
        return answers.pop(0) if answers else None

    def unclaimed(self) -> int:
        """Answers that no request took, after all have asked: the request file has changed since."""
        return sum(map(len, self._answers.values()))

    def add(self, key: str, id: object, response: Any) -> None:
        line = to_json({"sha256": key, "endpoint": self.endpoint, "id": id, "response": response}).encode() + b"\n"
        try:
            while line:
                line = line[os.write(self._file.fileno(), line) :]
        except OSError as error:
            raise UserError(f"cannot write {self.path}: {error.strerror}") from None

    def close(self) -> None:
        self._file.close()
