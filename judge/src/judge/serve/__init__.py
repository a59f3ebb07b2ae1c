"""A local stand-in for a judge model: an OpenAI-compatible endpoint, with limits and faults where they are asked for.

It takes the same requests over the same HTTP as a real one; `judge.serve.answerers` says who answers, and each reply
names its answerer as its model. Files and batches are in `judge.serve.batches`.
"""

import asyncio
import functools
import json
import socket
import threading
import time
import uuid
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from judge.evaluation import last_user_message
from judge.processor.journal import request_hash
from judge.serve.answerers import Answer, Answerer, Execution, answerer_for_model, make_answerer, row_of
from judge.serve.faults import Faults, cut_response, malformed_response, parse_faults, prose, quiet_about_cuts
from judge.serve.limits import Limits
from judge.text import UserError
from judge.tokens import count_request, count_text

if TYPE_CHECKING:
    from starlette.applications import Starlette
    from starlette.requests import Request
    from starlette.responses import Response

MODEL = "local-execution"
LONGEST_BODY = 4 * 2**20
MOST_CHOICES = 128
SHOWN_MODELS = ("execution", "heuristic", "noisy:0.1", "naive")


class Desk:
    """Works out replies, off the event loop and `workers` at once. A row's text may cost a processor's time."""

    def __init__(self, answers: str, answer: Answer | None, *, workers: int, instances: int, seed: int, dialect: str):
        self.workers = workers
        self.execution = Execution(workers=workers, instances=instances, seed=seed, dialect=dialect)
        self.make = functools.lru_cache(64)(
            functools.partial(make_answerer, by_execution=self.execution, dialect=dialect, seed=seed)
        )
        self.default = Answerer(MODEL, lambda body, _: answer(row_of(body))) if answer else self.make(answers)
        self._pool = ThreadPoolExecutor(workers)

    def answerer(self, body: dict[str, Any]) -> Answerer:
        """A request that names one of our models gets that one; any other name gets the default."""
        named = answerer_for_model(body.get("model"))
        return self.make(named) if named else self.default

    def models(self) -> list[str]:
        return list(dict.fromkeys([self.default.model, *(self.make(name).model for name in SHOWN_MODELS)]))

    async def completion(self, body: dict[str, Any], *, talkative: bool = False) -> dict[str, Any]:
        """A chat completion for a request that `check` let pass. Raises UserError where it holds no row."""
        answerer = self.answerer(body)
        loop = asyncio.get_running_loop()
        choices, told = [], 0
        for index in range(body.get("n") or 1):
            verdict, reason = await loop.run_in_executor(self._pool, answerer.answer, body, index)
            content = json.dumps({"resolve_yn": verdict, "reason": reason}, ensure_ascii=False)
            content = prose(content) if talkative else content
            told += count_text(content)
            message = {"role": "assistant", "content": content}
            choices.append({"index": index, "message": message, "finish_reason": "stop"})
        asked = count_request({"messages": body["messages"]})
        return {
            "id": f"chatcmpl-{uuid.uuid4().hex}",
            "object": "chat.completion",
            "created": int(time.time()),
            "model": answerer.model,
            "choices": choices,
            "usage": {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told},
        }

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self.execution.close()


def check(body: Any) -> dict[str, Any]:
    """The body, if it is a request that can be answered here. Raises UserError."""
    if not isinstance(body, dict) or not last_user_message(body):
        raise UserError("the body has no messages")
    if body.get("stream"):
        raise UserError("streaming is not offered here")
    n = body.get("n")
    if n is not None and (not isinstance(n, int) or not 1 <= n <= MOST_CHOICES):
        raise UserError(f"n is a whole number from 1 to {MOST_CHOICES}")
    return body


def make_app(
    answer: Answer | None = None,
    *,
    answers: str = "execution",
    rpm: float = 0,
    tpm: float = 0,
    limit_mode: str = "bucket",
    headers: bool = True,
    faults: Iterable[str] = (),
    slow: float = 5.0,
    latency: float = 0,
    seed: int = 0,
    instances: int = 20,
    dialect: str = "mysql",
    workers: int | None = None,
    batch_tokens: int = 0,
) -> "Starlette":
    """The endpoint as an ASGI application.

    answers: who answers, see `judge.serve.answerers.KNOWN`; `answer` instead, a function of a row's data blocks. rpm, tpm:
    0 is no limit. faults: such as "429:0.05", see `judge.serve.faults.KINDS`. slow: seconds of a slow answer. latency:
    milliseconds before every answer. workers: answers worked out at once, by default one a core. batch_tokens: tokens
    that may wait in batches, 0 is no limit. Raises UserError.
    """
    from starlette.applications import Starlette
    from starlette.responses import JSONResponse
    from starlette.routing import Route

    from judge.execution.workers import cores
    from judge.serve.batches import Batches

    limits = Limits(rpm, tpm, mode=limit_mode, headers=headers)
    trouble = Faults(parse_faults(faults), seed)
    desk = Desk(answers, answer, workers=workers or cores(), instances=instances, seed=seed, dialect=dialect)

    async def models(_: "Request") -> "Response":
        entries = [{"id": m, "object": "model", "created": 0, "owned_by": "judge serve"} for m in desk.models()]
        return JSONResponse({"object": "list", "data": entries})

    async def completions(request: "Request") -> "Response":
        try:
            body = check(json.loads(await read_body(request, LONGEST_BODY)))
        except TooLong as error:
            return error_response(413, str(error), "request_too_large")
        except UserError as error:
            return error_response(400, str(error), "invalid_request_error")
        except (ValueError, RecursionError):
            return error_response(400, "the body is not JSON", "invalid_request_error")
        told, refused = limits.spend(await asyncio.to_thread(count_request, body) if tpm else 0)
        if refused:
            return error_response(429, refused, "rate_limit_exceeded", told)
        fault = trouble.of_request(request_hash(body, None)) if trouble.of_requests else ""
        await asyncio.sleep(latency / 1000 + (slow if fault == "slow" else 0))
        if fault in ("429", "429-bare", "500"):
            return _refusal(fault, told)
        if fault in ("cut", "malformed"):
            half = {"id": "chatcmpl-0", "object": "chat.completion", "choices": [{"index": 0, "message": {}}]}
            return cut_response(half) if fault == "cut" else malformed_response(half)
        try:
            return JSONResponse(await desk.completion(body, talkative=fault == "prose"), headers=told)
        except UserError as error:
            return error_response(400, str(error), "invalid_request_error", told)

    app = Starlette(
        routes=[
            Route("/v1/models", models),
            Route("/v1/chat/completions", completions, methods=["POST"]),
            *Batches(desk, trouble, latency=latency / 1000, most_tokens=batch_tokens).routes(),
        ]
    )
    app.state.close = desk.close
    return app


class TooLong(ValueError):
    """A body that is larger than allowed."""


async def read_body(request: "Request", longest: int) -> bytes:
    """The body; raises TooLong as soon as it is too long, so that no more of it is held."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > longest:
            raise TooLong(f"the request is larger than {longest} bytes")
    return bytes(raw)


def error_body(status: int, message: str, code: str) -> dict[str, Any]:
    kind = code if code.endswith("_error") else "requests" if status == 429 else "invalid_request_error"
    return {"error": {"message": message, "type": kind, "param": None, "code": code}}


def error_response(status: int, message: str, code: str, headers: dict[str, str] | None = None) -> "Response":
    from starlette.responses import JSONResponse

    return JSONResponse(error_body(status, message, code), status, headers)


def _refusal(fault: str, told: dict[str, str]) -> "Response":
    if fault == "500":
        return error_response(500, "the server had an error (a fault made on purpose)", "server_error", told)
    if fault == "429-bare":
        return error_response(429, "rate limit reached", "rate_limit_exceeded")
    # No x-ratelimit-limit of its own: a client would keep to it ever after.
    told = {"x-ratelimit-remaining-requests": "0", "x-ratelimit-reset-requests": "1s"} | told | {"retry-after": "1"}
    return error_response(429, "rate limit reached, try again in 1 s", "rate_limit_exceeded", told)


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

    quiet_about_cuts()
    listener.listen(256)  # before the address is told, so that whoever reads it can connect at once
    print(f"listening on {address(listener)}", flush=True)
    uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off")).run(sockets=[listener])


@contextmanager
def running_server(app: Any = None, *, host: str = "127.0.0.1", port: int = 0, **options: Any) -> Iterator[str]:
    """A server in a thread for the length of a `with`; gives its base URL, `http://127.0.0.1:PORT/v1`.

    `options` are `make_app`'s, unless an `app` of your own is given.
    """
    import uvicorn

    quiet_about_cuts()
    app = app or make_app(**options)
    listener = bind(host, port)
    listener.listen(256)
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", lifespan="off"))
    thread = threading.Thread(target=functools.partial(server.run, sockets=[listener]), daemon=True)
    thread.start()
    try:
        yield address(listener)
    finally:
        server.should_exit = True
        thread.join(timeout=10)
        listener.close()
        getattr(getattr(app, "state", None), "close", lambda: None)()
