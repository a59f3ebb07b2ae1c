"""Answers kept from run to run, whatever files they were for, in one SQLite file."""

import os
import sqlite3
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from judge.processor.journal import request_hash
from judge.text import UserError

MODES = ("off", "read", "read-write")
COMMIT_EVERY = 1.0  # seconds


def default_folder() -> Path:
    """Where the platform keeps a user's caches: ~/.cache/sllm-judge on Linux."""
    home = Path.home()
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "sllm-judge"
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "sllm-judge"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "sllm-judge"


def cache_key(endpoint: str, request: dict, twin: int) -> bytes:
    """A request's hash without its metadata, at one endpoint.

    The second of two equal requests in a file (`twin` 1) has a key of its own: who asks twice wants two
    samples, not one twice.
    """
    return bytes.fromhex(request_hash({"endpoint": endpoint, "twin": twin, "request": request}, None))


class Cache:
    """{key: response's JSON} in FOLDER/responses.sqlite, shared by runs at the same time (WAL).

    Raises UserError where the file cannot be used.
    """

    def __init__(self, folder: Path | str | None, *, write: bool) -> None:
        self.path = Path(folder or default_folder()) / "responses.sqlite"
        self.write, self._committed = write, time.monotonic()
        self._db: sqlite3.Connection | None = None
        if not write and not self.path.exists():
            return
        with self._said():
            self.path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            self._db = sqlite3.connect(self.path, timeout=10, check_same_thread=False)
            self._db.execute("PRAGMA journal_mode = wal")
            self._db.execute("PRAGMA synchronous = normal")
            self._db.execute(
                "CREATE TABLE IF NOT EXISTS responses (key BLOB PRIMARY KEY, response TEXT NOT NULL, made INTEGER)"
            )
            self._db.commit()

    @contextmanager
    def _said(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, OSError) as error:
            raise UserError(
                f"cannot use the cache {self.path}: {error}; delete it, or choose another --cache-dir or --cache off"
            ) from None

    def get(self, key: bytes) -> str | None:
        if self._db is None:
            return None
        with self._said():
            found = self._db.execute("SELECT response FROM responses WHERE key = ?", (key,)).fetchone()
        return found[0] if found else None

    def put(self, key: bytes, response: str) -> None:
        if self._db is None or not self.write:
            return
        with self._said():
            self._db.execute("INSERT OR IGNORE INTO responses VALUES (?, ?, ?)", (key, response, int(time.time())))
            if time.monotonic() - self._committed > COMMIT_EVERY:
                self._db.commit()
                self._committed = time.monotonic()

    def close(self) -> None:
        if self._db is not None:
            with self._said():
                self._db.commit()
            self._db.close()
