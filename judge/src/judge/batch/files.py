"""The files of a batch run: requests cut into parts that a provider takes, and what came back joined by custom_id."""

import json
import os
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from judge.processor.endpoint import CHAT, RETRIED
from judge.processor.journal import request_hash
from judge.text import UserError, clean, finished_file, id_key, to_json

LONGEST_ID = 64  # characters of a custom_id that every provider takes
State = dict[str, Any]


@dataclass(frozen=True)
class Item:
    """One request of the request file, under the id by which its answer is found again."""

    custom_id: str
    request: dict[str, Any]
    metadata: dict[str, Any]


def read_items(path: str | Path) -> Iterator[Item]:
    """The requests of a file one after another. Raises UserError, for a repeated metadata id among others.

    The custom_id is the metadata's id, or a hash where there is none or a provider would not take it; it is the same
    each time the same file is read.
    """
    ids: set[str] = set()
    equal: Counter[str] = Counter()  # requests without ids may be equal
    try:
        file = open(path, "rb")  # noqa: SIM115
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    with file:
        for number, line in enumerate(file, 1):
            line = line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line
            if not line.strip():
                continue
            where = f"{path} line {number}"
            request = _object(line, where)
            metadata = request.pop("metadata", None)
            if not isinstance(metadata, dict | None):
                raise UserError(f"{where}: metadata is an object, found {type(metadata).__name__}")
            id = id_key(metadata["id"], where) if metadata and "id" in metadata else ""
            if id and id in ids:
                raise UserError(f"{where}: metadata id {id!r} is already on an earlier line; each needs its own")
            ids.add(id)
            custom = id
            if not (id and id.isascii() and id.isprintable() and len(id) <= LONGEST_ID):
                custom = "sha256-" + request_hash(request, metadata)[:48]
                equal[custom] += 1
                custom += f"-{equal[custom]}" if equal[custom] > 1 else ""
            yield Item(custom, request, metadata or {})


def _object(line: bytes, where: str) -> dict[str, Any]:
    try:
        value = json.loads(line)
    except (ValueError, RecursionError):
        raise UserError(f"{where}: not a whole JSON value in UTF-8") from None
    if not isinstance(value, dict):
        raise UserError(f"{where}: a request is an object, found {type(value).__name__}")
    return value


def endpoint_of(request: dict[str, Any]) -> str:
    """The address that a request is for; a batch holds requests for one address."""
    if "messages" in request:
        return "/v1" + CHAT
    return "/v1/embeddings" if "prompt" not in request and "input" in request else "/v1/completions"


def write_parts(
    items: Iterator[Item], folder: Path, prefix: str, *, most_requests: int, most_bytes: int
) -> list[dict[str, Any]]:
    """Write `items` as input files of batches, each within the limits and for one address and one model.

    Gives a part a dict: name, url, requests. A file appears once it is whole. Raises UserError where a single request
    is larger than `most_bytes`.
    """
    parts: list[dict[str, Any]] = []
    with ExitStack() as stack:
        open_parts: dict[tuple[str, str], tuple[dict[str, Any], IO[str], ExitStack]] = {}
        for item in items:
            url = endpoint_of(item.request)
            line = to_json({"custom_id": item.custom_id, "method": "POST", "url": url, "body": item.request}) + "\n"
            size = len(line.encode())
            if size > most_bytes:
                raise UserError(f"request {item.custom_id}: {size} bytes, more than the {most_bytes} of a whole file")
            group = (url, str(item.request.get("model")))
            part, file, closing = open_parts.get(group, (None, None, None))
            if part is None or part["requests"] >= most_requests or part["bytes"] + size > most_bytes:
                if closing:
                    closing.close()
                closing = stack.enter_context(ExitStack())
                part = {"name": f"{prefix}{len(parts) + 1}", "url": url, "requests": 0, "bytes": 0}
                file = closing.enter_context(finished_file(part_path(folder, part, "input")))
                parts.append(part)
                open_parts[group] = part, file, closing
            file.write(line)
            part["requests"] += 1
            part["bytes"] += size
    return parts


def part_path(folder: Path, part: dict[str, Any], what: str) -> Path:
    """what: input, output, error"""
    return folder / f"{part['name']}.{what}.jsonl"


@dataclass
class Collected:
    """What came of a run so far, by custom_id."""

    answers: dict[str, tuple[Path, int]] = field(default_factory=dict)  # the file and where its line begins
    errors: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    final: set[str] = field(default_factory=set)  # refused so that asking again would end the same

    def again(self) -> set[str]:
        """The requests that may be asked again."""
        return self.errors.keys() - self.answers.keys() - self.final


def collect(state: State, folder: Path) -> Collected:
    """Read what the ended batches gave, oldest first. Raises UserError for a damaged file."""
    found = Collected()
    for part in state["parts"]:
        silent = {id: number for number, id in enumerate(_custom_ids(part_path(folder, part, "input")), 1)}
        for what in ("output", "error"):
            path = part_path(folder, part, what)
            for at, line in _lines(path):
                id = line.get("custom_id")
                silent.pop(id, None)
                if id not in found.answers:
                    _take(found, id, line, path, at)
        for id, number in silent.items():
            if id not in found.answers:
                told = part.get("wrong_lines", {}).get(str(number))
                reason = told or part.get("problem") or "no answer in its files"
                found.errors.setdefault(id, []).append(
                    {"status": None, "error": f"batch {part.get('batch')} {part.get('status')}: {reason}"}
                )
                if told or part.get("status") == "cancelled":
                    found.final.add(id)
    return found


def _take(found: Collected, id: str, line: dict[str, Any], path: Path, at: int) -> None:
    """One line of an output or error file."""
    response, error = line.get("response"), line.get("error")
    status = response.get("status_code") if isinstance(response, dict) else None
    body = response.get("body") if isinstance(response, dict) else None
    if status == 200 and isinstance(body, dict) and not body.get("error") and not _hollow(body):
        found.answers[id] = path, at
        return
    detail = body.get("error") if isinstance(body, dict) and body.get("error") else error
    detail = detail if isinstance(detail, dict) else {"message": detail or "malformed reply"}
    text = detail.get("message") or detail.get("code")
    found.errors.setdefault(id, []).append({"status": status, "error": " ".join(clean(str(text)).split())[:1000]})
    passing = status in (None, 429, *RETRIED) or status >= 500
    if not passing or detail.get("code") == "batch_cancelled":
        found.final.add(id)


def _hollow(body: dict[str, Any]) -> bool:
    """A chat completion without choices."""
    return body.get("object") == "chat.completion" and not body.get("choices")


def _custom_ids(path: Path) -> Iterator[str]:
    return (line["custom_id"] for _, line in _lines(path))


def _lines(path: Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """(where the line begins, its object) of a file that may be absent."""
    if not path.exists():
        return
    with open(path, "rb") as file:
        at = 0
        for line in file:
            if line.strip():
                try:
                    value = json.loads(line)
                except (ValueError, RecursionError):
                    value = None
                if not isinstance(value, dict):
                    raise UserError(f"{path}: damaged at byte {at}; delete it, and the next fetch loads it again")
                yield at, value
            at += len(line)


def write_results(
    requests: Path, out: Path, failed: Path, found: Collected, redact: Callable[[str], str]
) -> tuple[int, int]:
    """Write `out` and, where any failed, `failed`, in the order of the requests; (answered, failed)."""
    counts = [0, 0]
    with ExitStack() as stack:
        good, bad = stack.enter_context(finished_file(out)), stack.enter_context(finished_file(failed))
        answers: dict[Path, IO[bytes]] = {}
        for item in read_items(requests):
            if place := found.answers.get(item.custom_id):
                path, at = place
                file = answers.get(path) or answers.setdefault(path, stack.enter_context(open(path, "rb")))
                file.seek(at)
                response = json.loads(redact(file.readline().decode()))["response"]["body"]
                good.write(to_json([item.request, response, item.metadata]) + "\n")
            else:
                errors = found.errors.get(item.custom_id) or [{"status": None, "error": "no batch answered it"}]
                errors = [error | {"error": redact(error["error"])} for error in errors]
                bad.write(to_json([item.request, errors, item.metadata]) + "\n")
            counts[0 if place else 1] += 1
    if not counts[1]:
        failed.unlink(missing_ok=True)
    return counts[0], counts[1]


def save_state(path: Path, state: State) -> None:
    with finished_file(path) as file:
        json.dump(state, file, ensure_ascii=False, indent=1)
        file.write("\n")
        file.flush()
        os.fsync(file.fileno())  # what was submitted costs money: a power cut must not forget it


def load_state(path: Path) -> State | None:
    """The state beside `out`, None where there is none. Raises UserError where it is damaged."""
    try:
        state = json.loads(path.read_bytes())
        state["parts"], state["run"], state["base_url"], state["requests"], state["sha256"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: not the state of a batch run; move it away to begin anew") from None
    return state
