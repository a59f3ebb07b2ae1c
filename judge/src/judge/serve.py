"""A local stand-in for a judge model: an OpenAI-compatible endpoint that answers from execution.

It takes the same requests over the same HTTP as a real one, reads the row out of the user message's data
blocks, and replies what execution says. Its replies name the model `local-execution`, whatever model was
asked for.
"""

import asyncio
import functools
import json
import math
import os
import socket
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from judge.evaluation import last_user_message, read_data_blocks
from judge.limits import Bucket
from judge.text import UserError
from judge.tokens import count_request, count_text

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MODEL = "local-execution"
LONGEST_BODY = 4 * 2**20
Answer = Callable[[dict[str, str]], tuple[str, str]]


def answer_from_execution(
    data: dict[str, str], *, instances: int = 20, seed: int = 0, dialect: str = "mysql"
) -> tuple[str, str]:
    """(yes | no | unscored, reason) for one row's data blocks. Raises UserError where one is missing."""
    from judge.execution import execution_verdict

    missing = [name for name in ("context", "answer", "gen_sql") if name not in data]
    if missing:
        raise UserError(
            f'the user message has no block <data name="{missing[0]}">; '
            f"make the requests with `judge requests` and a rubric that names {{{missing[0]}}}"
        )
    verdict = execution_verdict(
        data["context"], data["answer"], data["gen_sql"], instances=instances, seed=seed, dialect=dialect
    )
    return verdict.execution, verdict.reason


def make_app(
    answer: Answer = answer_from_execution, *, rpm: float = 0, tpm: float = 0, workers: int | None = None
) -> "Starlette":
    """The endpoint as an ASGI application; `rpm` or `tpm` 0 is no limit, `workers` answers run at once."""
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    buckets = {kind: Bucket(limit, burst=limit) for kind, limit in (("requests", rpm), ("tokens", tpm)) if limit}
    # Execution is work for a processor: off the event loop, and not all at once.
    pool = ThreadPoolExecutor(workers or os.cpu_count() or 1)

    async def models(_: "Request") -> "Response":
        entry = {"id": MODEL, "object": "model", "created": 0, "owned_by": "judge serve"}
        return JSONResponse({"object": "list", "data": [entry]})

    async def completions(request: "Request") -> "Response":
        raw = b""
        async for chunk in request.stream():
            raw += chunk
            if len(raw) > LONGEST_BODY:
                return _error(413, f"the request is larger than {LONGEST_BODY} bytes", "request_too_large")
        try:
            body = json.loads(raw)
            data = read_data_blocks(last_user_message(body))
        except UserError as error:
            return _error(400, str(error), "invalid_request_error")
        except (ValueError, RecursionError):
            return _error(400, "the body is not JSON", "invalid_request_error")
        if not isinstance(body, dict) or not last_user_message(body):
            return _error(400, "the body has no messages", "invalid_request_error")
        if body.get("stream"):
            return _error(400, "streaming is not offered here", "invalid_request_error")
        cost = await asyncio.to_thread(count_request, body)
        costs = {"requests": 1, "tokens": cost}
        headers, wait = _spend(buckets, costs)
        if wait:
            return _error(429, f"rate limit reached, try again in {wait:.1f} s", "rate_limit_exceeded", headers)
        try:
            verdict, reason = await asyncio.get_running_loop().run_in_executor(pool, answer, data)
        except UserError as error:
            return _error(400, str(error), "invalid_request_error", headers)
        content = json.dumps({"resolve_yn": verdict, "reason": reason}, ensure_ascii=False)
        asked, told = count_request({"messages": body["messages"]}), count_text(content)
        return JSONResponse(
            {
                "id": f"chatcmpl-{uuid.uuid4().hex}",
                "object": "chat.completion",
                "created": int(time.time()),
                "model": MODEL,
                "choices": [
                    {
                        "index": 0,
                        "message": {"role": "assistant", "content": content},
                        "finish_reason": "stop",
                    }
                ],
                "usage": {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told},
            },
            headers=headers,
        )

    return Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", completions, methods=["POST"]),
        ]
    )


def _error(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> "Response":
    from starlette.responses import JSONResponse

    kind = code if code.endswith("_error") else "requests" if status == 429 else "invalid_request_error"
    return JSONResponse({"error": {"message": message, "type": kind, "param": None, "code": code}}, status, headers)


def _spend(buckets: dict[str, Bucket], costs: dict[str, int]) -> tuple[dict[str, str], float]:
    """Pay for a request if it may pass; the rate-limit headers, and the seconds to wait if it may not."""
    wait = max([bucket.wait(costs[kind]) for kind, bucket in buckets.items()], default=0.0)
    headers = {}
    for kind, bucket in buckets.items():
        if not wait:
            bucket.spend(costs[kind])
        headers[f"x-ratelimit-limit-{kind}"] = f"{bucket.per_minute:g}"
        headers[f"x-ratelimit-remaining-{kind}"] = str(max(0, int(bucket.level)))
        headers[f"x-ratelimit-reset-{kind}"] = f"{bucket.wait(bucket.burst):.3f}s"
    if wait:
        headers["retry-after"] = str(math.ceil(wait))
    return headers, wait


def bind(host: str, port: int) -> socket.socket:
    """A bound socket; port 0 takes a free one. Raises UserError where the port is in use or not allowed."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
    except OSError as error:
        listener.close()
        raise UserError(f"cannot listen on {host}:{port}: {error.strerror}; choose another --port, 0 for any") from None
    return listener


def address(listener: socket.socket) -> str:
    host, port = listener.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}/v1"


def serve(app: "Starlette", listener: socket.socket) -> None:
    """Serve until a signal; the first line on standard output says where."""
    import uvicorn

    listener.listen(256)  # before the address is told, so that whoever reads it can connect at once
    print(f"listening on {address(listener)}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off")).run(sockets=[listener])


@contextmanager
def running_server(app: Any = None, *, host: str = "127.0.0.1", port: int = 0, **options: Any) -> Iterator[str]:
    """A server in a thread for the length of a `with`; gives its base URL, `http://127.0.0.1:PORT/v1`.

    `options` are `make_app`'s, unless an `app` of your own is given.
    """
    import uvicorn

    listener = bind(host, port)
    listener.listen(256)
    server = uvicorn.Server(uvicorn.Config(app or make_app(**options), log_level="warning", lifespan="off"))
    thread = threading.Thread(target=functools.partial(server.run, sockets=[listener]), daemon=True)
    thread.start()
    try:
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
