"""Requests by way of a provider's Batch API: cheaper and slower than `judge.parallel`, with the same result file.

`submit` cuts the request file into batches, `status` asks how far they are, `fetch` gathers the answers, submits what
failed once more, and writes the results. All that is known stands in `results.batch.json`, written anew at every step,
so each of the three may be killed at any moment and started again: a part that was submitted is found by its name or
its file's id and not submitted twice.
"""

import hashlib
import os
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.batch.client import Unreachable, connect, download, redactor, refresh_part, send_part
from judge.batch.files import State, collect, load_state, part_path, read_items, save_state, write_parts, write_results
from judge.parallel import failed_path
from judge.processor.endpoint import public_url
from judge.text import UserError

if TYPE_CHECKING:
    from openai import OpenAI

MOST_REQUESTS = 50_000  # of one batch at OpenAI
MOST_BYTES = 200_000_000  # of one input file there
ENDED = ("completed", "failed", "expired", "cancelled")
NO_ROOM = "token_limit_exceeded"  # too many tokens wait in this account's batches: later there is room


@dataclass(frozen=True)
class Progress:
    """How far a run is. `done` once `out` is written; then `answered` and `failed` count its requests."""

    parts: list[dict[str, Any]]
    total: int
    done: bool
    answered: int = 0
    failed: int = 0
    notes: tuple[str, ...] = ()


def submit(
    requests: str | Path,
    out: str | Path,
    *,
    base_url: str | None = None,
    most_requests: int = MOST_REQUESTS,
    most_bytes: int = MOST_BYTES,
    fresh: bool = False,
) -> Progress:
    """Submit a request file as batches whose results will go to `out`; what is submitted already is left alone.

    Raises UserError for a bad request file, one that changed since, a missing key, an endpoint that has no Batch API or
    does not answer. Nothing is lost by any of these: call it again.
    """
    requests, out = Path(requests), Path(out)
    if out.resolve() == requests.resolve():
        raise UserError(f"{out}: the results would overwrite the requests; choose another --out")
    with _only_one(out):
        old = load_state(state_path(out))
        notes = ()
        digest = _sha256(requests)
        if old and not fresh:
            if old["sha256"] != digest:
                raise UserError(
                    f"{requests} is not what {state_path(out)} was begun with; take another --out, or --fresh"
                )
            client, state = connect(base_url, old["base_url"]), old
        else:
            if out.exists() and not fresh:
                raise UserError(f"{out} is there already and from no batch; take another --out, or --fresh")
            client = connect(base_url)
            notes = _left_behind(old) if old else ()
            state = _plan(requests, out, digest, str(client.base_url), most_requests, most_bytes)
        _send_unsent(client, state, out)
        return _progress(state, notes)


def status(out: str | Path, *, base_url: str | None = None) -> Progress:
    """Ask how far the batches are. Raises UserError where nothing was submitted."""
    out = Path(out)
    with _only_one(out):
        state = _state_of(out)
        _refresh(connect(base_url, state["base_url"]), state, out)
        return _progress(state)


def fetch(
    out: str | Path,
    *,
    base_url: str | None = None,
    retries: int = 2,
    wait: bool = False,
    poll: float = 30,
    say: Callable[[str], None] = lambda text: None,
) -> Progress:
    """Gather what the batches gave; once all have ended, submit what failed again, and at last write `out`.

    retries: batches made of failed requests, one round after another. wait: come back when `out` is written, asking
    every `poll` seconds; else at once, with `done` False where batches still run. `say` is told of each change.
    """
    out = Path(out)
    with _only_one(out):
        state = _state_of(out)
        if state.get("done") and not state["failed"] and out.exists():
            return _progress(state, ("all was fetched already",))
        client = connect(base_url, state["base_url"])
        said = ""
        while True:
            try:
                _advance(client, state, out)
                if not _running(state) and not _again(client, state, out, retries, say):
                    return _finish(client, state, out)
            except Unreachable as error:
                if not wait or not said:  # a wait of hours outlasts a network that is gone for a while
                    raise
                say(f"{error}; still waiting")
            now = summary(_progress(state))
            if now != said:
                say(now)
                said = now
            if not wait:
                return _progress(state)
            time.sleep(poll)


def state_path(out: Path) -> Path:
    """results.jsonl -> results.batch.json"""
    return out.with_name(f"{out.stem}.batch.json")


def folder_of(out: Path) -> Path:
    """results.jsonl -> results.batch, the folder of the parts' files"""
    return out.with_name(f"{out.stem}.batch")


def summary(progress: Progress) -> str:
    """`2 of 3 batches ended, 71 of 100 requests answered, 1 failed`, of the latest try"""
    current = [part for part in progress.parts if part["round"] == progress.parts[-1]["round"]]
    ended = sum(part.get("status") in ENDED for part in current)
    counts = [part.get("counts") or {} for part in current]
    answered, failed = (sum(count.get(name) or 0 for count in counts) for name in ("completed", "failed"))
    total = sum(part["requests"] for part in current)
    tries = f"try {current[0]['round'] + 1}: " if current[0]["round"] else ""
    return f"{tries}{ended} of {len(current)} batches ended, {answered} of {total} requests answered, {failed} failed"


# Each step saves the state before the next begins.


def _plan(requests: Path, out: Path, digest: str, base_url: str, most_requests: int, most_bytes: int) -> State:
    shutil.rmtree(folder_of(out), ignore_errors=True)
    run = uuid.uuid4().hex[:16]
    limits = {"most_requests": most_requests, "most_bytes": most_bytes}
    parts = write_parts(read_items(requests), folder_of(out), f"judge-{run}-0-", **limits)
    if not parts:
        raise UserError(f"{requests}: holds no requests")
    state = {
        "run": run, "requests": os.path.relpath(requests, out.parent), "sha256": digest, "base_url": public_url(base_url).rstrip("/"),
        "created_at": int(time.time()), "limits": limits, "total": sum(part["requests"] for part in parts),
        "parts": [part | {"round": 0} for part in parts],
    }  # fmt: skip
    save_state(state_path(out), state)
    return state


def _send_unsent(client: "OpenAI", state: State, out: Path) -> None:
    for part in state["parts"]:
        crowded = part.get("refused") and any(_in_flight(other) for other in state["parts"])
        if not part.get("batch") and not crowded:
            path = part_path(folder_of(out), part, "input")
            send_part(client, part, path, state["created_at"], lambda: save_state(state_path(out), state))


def _refresh(client: "OpenAI", state: State, out: Path) -> None:
    for part in state["parts"]:
        if not _in_flight(part):
            continue
        errors = refresh_part(client, part)
        # One that was refused for room while others of ours waited is sent again when they are through. One that was
        # refused again though it was alone is not.
        alone = not any(_in_flight(other) for other in state["parts"])
        if (
            part["status"] == "failed"
            and any(e.code == NO_ROOM for e in errors)
            and not (alone and part.get("refused"))
        ):
            part["refused"] = [*part.get("refused", []), part["batch"]]
            part.update(batch=None, status=None)
    save_state(state_path(out), state)


def _advance(client: "OpenAI", state: State, out: Path) -> None:
    _refresh(client, state, out)
    _send_unsent(client, state, out)
    for part in state["parts"]:
        if part.get("status") in ENDED:
            for what in ("output", "error"):
                download(client, part.get(what), part_path(folder_of(out), part, what))


def _again(client: "OpenAI", state: State, out: Path, retries: int, say: Callable[[str], None]) -> bool:
    """Submit what failed and may yet succeed as new batches; False where there is none, or no try left."""
    number = state["parts"][-1]["round"] + 1
    again = collect(state, folder_of(out)).again() if number <= retries else set()
    if not again:
        return False
    items = (item for item in read_items(_unchanged(state, out)) if item.custom_id in again)
    parts = write_parts(items, folder_of(out), f"judge-{state['run']}-{number}-", **state["limits"])
    state["parts"] += [part | {"round": number} for part in parts]
    state["done"] = False
    save_state(state_path(out), state)
    say(f"{len(again)} requests failed and are submitted again, try {number + 1}")
    _send_unsent(client, state, out)
    return True


def _finish(client: "OpenAI", state: State, out: Path) -> Progress:
    found = collect(state, folder_of(out))
    answered, failed = write_results(_unchanged(state, out), out, failed_path(out), found, redactor(client))
    state.update(done=True, answered=answered, failed=failed)
    save_state(state_path(out), state)
    if not failed:  # else a later fetch with more retries needs them
        shutil.rmtree(folder_of(out), ignore_errors=True)
    return _progress(state)


def _in_flight(part: dict[str, Any]) -> bool:
    return bool(part.get("batch")) and part.get("status") not in ENDED


def _running(state: State) -> bool:
    return any(not part.get("batch") or _in_flight(part) for part in state["parts"])


def _left_behind(state: State) -> tuple[str, ...]:
    left = [part["batch"] for part in state["parts"] if _in_flight(part)]
    return (f"still at the provider, to be cancelled there: {', '.join(left)}",) if left else ()


def _progress(state: State, notes: tuple[str, ...] = ()) -> Progress:
    done, counts = bool(state.get("done")), (state.get("answered", 0), state.get("failed", 0))
    return Progress(state["parts"], state["total"], done, *counts, notes)


def _state_of(out: Path) -> State:
    state = load_state(state_path(out))
    if state is None:
        raise UserError(f"{state_path(out)}: no such file; `judge batch submit REQUESTS --out {out}` makes it")
    return state


def _unchanged(state: State, out: Path) -> Path:
    """The request file, if it is still what was submitted: answers are joined to it."""
    path = Path(os.path.normpath(out.parent / state["requests"]))  # kept relative, so that a folder may be moved
    if _sha256(path) != state["sha256"]:
        raise UserError(f"{path} has changed since it was submitted; put it back as it was, then fetch again")
    return path


def _sha256(path: Path) -> str:
    try:
        with open(path, "rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None


@contextmanager
def _only_one(out: Path) -> Iterator[None]:
    """Two commands at once on one run could submit a part twice. On Windows nothing notices."""
    try:
        import fcntl
    except ImportError:
        yield
        return
    path = state_path(out).with_suffix(".lock")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        lock = open(path, "w")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"cannot write {path}: {error.strerror}") from None
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(lock.fileno()).st_nlink == 0:  # whoever held it took it away since we opened it
                raise BlockingIOError
        except OSError:
            raise UserError(f"{out}: another `judge batch` is at work on it; wait for it") from None
        try:
            yield
        finally:
            with suppress(OSError):
                path.unlink()


def report(progress: Progress, out: Path) -> int:
    """Print what `fetch` came to; the exit code: 0, 1 where requests failed, 3 where batches still run."""
    for note in progress.notes:
        print(f"judge: {note}", file=sys.stderr)
    if not progress.done:
        print(f"{summary(progress)}; not finished: run it again, or with --wait")
        return 3
    print(f"{progress.answered} of {progress.total} requests answered -> {out}")
    if progress.failed:
        print(f"judge: {progress.failed} failed, see {failed_path(out)}", file=sys.stderr)
        return 1
    return 0
