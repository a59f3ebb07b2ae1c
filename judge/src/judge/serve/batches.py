"""Files and batches of `judge serve`, as OpenAI's Batch API has them: held in memory, answered in the background."""

import asyncio
import email
import hashlib
import json
import time
import uuid
from dataclasses import dataclass, field
from email.message import Message
from typing import TYPE_CHECKING, Any

from judge.processor.endpoint import CHAT
from judge.processor.journal import request_hash
from judge.serve.faults import Faults
from judge.text import UserError, to_json
from judge.tokens import count_request

if TYPE_CHECKING:
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from judge.serve import Desk

LONGEST_FILE = 200 * 10**6  # bytes, as at OpenAI
MOST_REQUESTS = 50_000
WINDOW = 24 * 3600
ENDED = ("failed", "completed", "expired", "cancelled")


@dataclass
class Batch:
    """One batch: what the API shows of it, and the lines that came of it."""

    shown: dict[str, Any]
    good: list[str] = field(default_factory=list)
    bad: list[str] = field(default_factory=list)
    fault: str = ""
    tokens: int = 0  # of prompts that wait in it


class Refused(Exception):
    """A request that gets an error reply."""

    def __init__(self, status: int, message: str, code: str = "invalid_request_error") -> None:
        super().__init__(message)
        self.status, self.code = status, code


class Batches:
    """The store of files and batches; its routes are mounted by `judge.serve.make_app`."""

    def __init__(self, desk: "Desk", faults: Faults, *, latency: float = 0, most_tokens: int = 0) -> None:
        self.desk, self.faults, self.latency, self.most_tokens = desk, faults, latency, most_tokens
        self.files: dict[str, tuple[dict[str, Any], bytes]] = {}
        self.batches: dict[str, Batch] = {}
        self._tasks: set[asyncio.Task] = set()  # the loop alone would let them be collected

    def routes(self) -> "list[Route]":
        from starlette.routing import Route

        def route(path: str, handler: Any, method: str) -> Route:
            return Route(path, _answering(handler), methods=[method])

        return [
            route("/v1/files", self._upload, "POST"),
            route("/v1/files", self._list_files, "GET"),
            route("/v1/files/{id}", self._file, "GET"),
            route("/v1/files/{id}", self._delete_file, "DELETE"),
            route("/v1/files/{id}/content", self._content, "GET"),
            route("/v1/batches", self._create, "POST"),
            route("/v1/batches", self._list_batches, "GET"),
            route("/v1/batches/{id}", self._batch, "GET"),
            route("/v1/batches/{id}/cancel", self._cancel, "POST"),
        ]

    # files

    async def _upload(self, request: "Request") -> Any:
        from judge.serve import TooLong, read_body

        try:
            raw = await read_body(request, LONGEST_FILE + 2**16)
        except TooLong as error:
            raise Refused(413, str(error), "request_too_large") from None
        form = read_form(request.headers.get("content-type", ""), raw)
        if "file" not in form or "purpose" not in form:
            raise Refused(400, "a file needs the form fields file and purpose")
        name, data = form["file"]
        return self._keep(name or "file", form["purpose"][1].decode("utf-8", "replace"), data)

    def _keep(self, name: str, purpose: str, data: bytes) -> dict[str, Any]:
        shown = {
            "id": f"file-{uuid.uuid4().hex}", "object": "file", "bytes": len(data), "created_at": int(time.time()),
            "filename": name, "purpose": purpose, "status": "processed",
        }  # fmt: skip
        self.files[shown["id"]] = (shown, data)
        return shown

    async def _list_files(self, request: "Request") -> Any:
        purpose = request.query_params.get("purpose")
        kept = [shown for shown, _ in self.files.values() if purpose in (None, shown["purpose"])]
        return page(kept if request.query_params.get("order") == "asc" else kept[::-1], request)

    async def _file(self, request: "Request") -> Any:
        return self._found(request)[0]

    async def _delete_file(self, request: "Request") -> Any:
        shown, _ = self._found(request)
        del self.files[shown["id"]]
        return {"id": shown["id"], "object": "file", "deleted": True}

    async def _content(self, request: "Request") -> Any:
        from starlette.responses import Response

        return Response(self._found(request)[1], media_type="application/octet-stream")

    def _found(self, request: "Request") -> tuple[dict[str, Any], bytes]:
        id = request.path_params["id"]
        if id not in self.files:
            raise Refused(404, f"no file {id}")
        return self.files[id]

    # batches

    async def _create(self, request: "Request") -> Any:
        try:
            asked = json.loads(await request.body())
            file, endpoint = asked["input_file_id"], asked["endpoint"]
        except (ValueError, KeyError, TypeError, RecursionError):
            raise Refused(400, "a batch needs input_file_id, endpoint and completion_window") from None
        if endpoint != "/v1" + CHAT:
            raise Refused(400, f"endpoint {endpoint!r} is not offered here, only /v1{CHAT}")
        if file not in self.files or self.files[file][0]["purpose"] != "batch":
            raise Refused(400, f"no file {file} with purpose batch")
        now = int(time.time())
        shown = {
            "id": f"batch_{uuid.uuid4().hex}", "object": "batch", "endpoint": endpoint, "errors": None,
            "input_file_id": file, "completion_window": asked.get("completion_window", "24h"), "status": "validating",
            "output_file_id": None, "error_file_id": None, "created_at": now, "expires_at": now + WINDOW,
            "request_counts": {"total": 0, "completed": 0, "failed": 0}, "metadata": asked.get("metadata"),
        }  # fmt: skip
        data = self.files[file][1]
        batch = Batch(shown, fault=self.faults.of_batch(hashlib.sha256(data).hexdigest()))
        self.batches[shown["id"]] = batch
        task = asyncio.create_task(self._process(batch, data))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return shown

    async def _batch(self, request: "Request") -> Any:
        return self._found_batch(request).shown

    async def _list_batches(self, request: "Request") -> Any:
        return page([batch.shown for batch in reversed(self.batches.values())], request)

    async def _cancel(self, request: "Request") -> Any:
        batch = self._found_batch(request)
        if batch.shown["status"] in ENDED:
            raise Refused(409, f"the batch is {batch.shown['status']} and cannot be cancelled")
        _enter(batch, "cancelling")
        return batch.shown

    def _found_batch(self, request: "Request") -> Batch:
        id = request.path_params["id"]
        if id not in self.batches:
            raise Refused(404, f"no batch {id}")
        return self.batches[id]

    async def _process(self, batch: Batch, data: bytes) -> None:
        """From validating to an end, `workers` requests at once."""
        lines, errors = await asyncio.to_thread(read_batch_lines, data)
        if self.most_tokens and not errors:
            tokens = sum(count_request(line["body"]) for line in lines)
            waiting = sum(other.tokens for other in self.batches.values() if other.shown["status"] not in ENDED)
            if waiting + tokens > self.most_tokens:
                text = f"{waiting} tokens wait in batches, {tokens} more would exceed {self.most_tokens}"
                errors = [{"code": "token_limit_exceeded", "message": text, "param": None, "line": None}]
            else:
                batch.tokens = tokens
        if errors:
            batch.shown["errors"] = {"object": "list", "data": errors}
            return _enter(batch, "failed")
        batch.shown["request_counts"]["total"] = len(lines)
        if batch.shown["status"] != "cancelling":
            _enter(batch, "in_progress")
        await asyncio.sleep(self.latency)
        in_time = lines[: len(lines) // 2] if batch.fault == "expired" else lines
        todo = iter(in_time)

        async def consume() -> None:
            for line in todo:
                if batch.shown["status"] == "cancelling":
                    return
                await self._answer(batch, line)

        await asyncio.gather(*(consume() for _ in range(self.desk.workers)))
        self._end(batch, lines)

    async def _answer(self, batch: Batch, line: dict[str, Any]) -> None:
        from judge.serve import check, error_body

        fault, counts = self.faults.of_request(request_hash(line["body"], None)), batch.shown["request_counts"]
        status = 200
        if fault in ("429", "429-bare", "500"):
            status = int(fault[:3])
            body = error_body(
                status, "a fault made on purpose", "server_error" if status == 500 else "rate_limit_exceeded"
            )
        else:
            try:
                body = await self.desk.completion(check(line["body"]), talkative=fault == "prose")
            except UserError as error:
                status, body = 400, error_body(400, str(error), "invalid_request_error")
        response = {"status_code": status, "request_id": f"req_{uuid.uuid4().hex}", "body": body}
        counts["completed" if status == 200 else "failed"] += 1
        (batch.good if status == 200 else batch.bad).append(_line(line, response, None))

    def _end(self, batch: Batch, lines: list[dict[str, Any]]) -> None:
        cancelled = batch.shown["status"] == "cancelling"
        expired = batch.fault == "expired" and not cancelled
        _enter(batch, "finalizing")
        if cancelled or expired:
            answered = {json.loads(made)["custom_id"] for made in [*batch.good, *batch.bad]}
            why = {"code": "batch_cancelled", "message": "the batch was cancelled"}
            if expired:
                why = {"code": "batch_expired", "message": "not answered before the completion window expired"}
            left = [line for line in lines if line["custom_id"] not in answered]
            batch.bad += [_line(line, None, why) for line in left]
            batch.shown["request_counts"]["failed"] += len(left)
        # Backwards, since the order of the lines promises nothing, and whoever counts on it should notice.
        for name, made in (("output", batch.good), ("error", batch.bad)):
            if made:
                kept = self._keep(f"{batch.shown['id']}_{name}.jsonl", "batch_output", "".join(made[::-1]).encode())
                batch.shown[f"{name}_file_id"] = kept["id"]
        _enter(batch, "cancelled" if cancelled else "expired" if expired else "completed")


def _enter(batch: Batch, status: str) -> None:
    batch.shown["status"] = status
    batch.shown[f"{status}_at"] = int(time.time())


def _line(line: dict[str, Any], response: dict[str, Any] | None, error: dict[str, Any] | None) -> str:
    made = {"id": f"batch_req_{uuid.uuid4().hex}", "custom_id": line["custom_id"], "response": response, "error": error}
    return to_json(made) + "\n"


def read_batch_lines(data: bytes) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """(the lines of a batch's input file, what is wrong with it); all of it is refused where one line is wrong."""
    lines: list[dict[str, Any]] = []
    errors: list[dict[str, Any]] = []
    seen: set[str] = set()

    def wrong(code: str, message: str, number: int | None = None) -> None:
        errors.append({"code": code, "message": message, "param": None, "line": number})

    for number, text in enumerate(data.splitlines(), 1):
        try:
            line = json.loads(text)
            id, body, fits = line["custom_id"], line["body"], line["method"] == "POST" and line["url"] == "/v1" + CHAT
        except (ValueError, KeyError, TypeError, RecursionError):
            wrong("invalid_json_line", "not a JSON object with custom_id, method, url and body", number)
            continue
        if not fits or not isinstance(body, dict) or not isinstance(id, str):
            wrong("invalid_request", f"expected method POST, url /v1{CHAT}, a text custom_id, an object body", number)
        elif id in seen:
            wrong("duplicate_custom_id", f"the custom_id {id!r} comes twice", number)
        elif lines and body.get("model") != lines[0]["body"].get("model"):
            wrong("mismatched_model", "all requests of a file are for one model", number)
        else:
            seen.add(id)
            lines.append(line)
    if not lines and not errors:
        wrong("empty_file", "the file holds no request")
    if len(lines) > MOST_REQUESTS:
        wrong("too_many_tasks", f"more than {MOST_REQUESTS} requests")
    return lines, errors


def read_form(content_type: str, raw: bytes) -> dict[str, tuple[str | None, bytes]]:
    """Fields of a multipart/form-data body (RFC 7578): {name: (file name, content)}. Raises Refused."""
    header = Message()
    header["content-type"] = content_type
    boundary = header.get_boundary()
    if header.get_content_type() != "multipart/form-data" or not boundary:
        raise Refused(400, "the body is no multipart/form-data")
    form = {}
    for part in (b"\r\n" + raw).split(b"\r\n--" + boundary.encode())[1:-1]:
        head, _, content = part.partition(b"\r\n\r\n")
        about = email.message_from_bytes(head.lstrip(b"\r\n") + b"\r\n\r\n")
        form[str(about.get_param("name", header="content-disposition"))] = (about.get_filename(), content)
    return form


def page(entries: list[dict[str, Any]], request: "Request") -> dict[str, Any]:
    """One page of a list: what follows the id `after`, at most `limit` of it."""
    asked = request.query_params
    ids = [entry["id"] for entry in entries]
    start = ids.index(asked["after"]) + 1 if asked.get("after") in ids else 0
    limit = int(asked["limit"]) if asked.get("limit", "").isdigit() else 20
    data = entries[start : start + max(1, limit)]
    ends = {"first_id": data[0]["id"], "last_id": data[-1]["id"]} if data else {"first_id": None, "last_id": None}
    return {"object": "list", "data": data, "has_more": start + len(data) < len(entries), **ends}


def _answering(handler: Any) -> Any:
    async def answer(request: "Request") -> "Response":
        from starlette.responses import JSONResponse, Response

        from judge.serve import error_response

        try:
            made = await handler(request)
        except Refused as error:
            return error_response(error.status, str(error), error.code)
        return made if isinstance(made, Response) else JSONResponse(made)

    return answer
