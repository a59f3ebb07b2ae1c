"""A judge model's endpoint on loopback that does as it is told, request by request; real HTTP, real sockets."""

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from math import inf
from pathlib import Path
from typing import Any

import judge

CUT, HANG = "cut", "hang"


def completion(content: str = '{"resolve_yn": "yes", "reason": "same"}', **more: Any) -> dict[str, Any]:
    choice = {"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}
    return {"id": "c1", "object": "chat.completion", "model": "fake-judge", "choices": [choice]} | more


class FakeJudge:
    """`script[prompt]` lists what the request with that prompt gets, call by call; then and else a completion.

    An entry is CUT, HANG, or (status, body, headers); `calls` lists (prompt, time) as they came in. After
    `hold_after` calls the next ones are held until `release` is set.
    """

    def __init__(self, script: dict[str, list[Any]] | None = None, delay: float = 0, hold_after: float = inf) -> None:
        self.script, self.delay, self.hold_after = script or {}, delay, hold_after
        self.release = threading.Event()
        self.calls: list[tuple[str, float]] = []
        self.headers: list[Message] = []
        self.bodies: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.url = ""
        self.most_at_once = self._now = 0
        self._lock = threading.Lock()

    def prompts(self) -> list[str]:
        return [prompt for prompt, _ in self.calls]

    def next_step(self, prompt: str, headers: Message) -> Any:
        with self._lock:
            self.calls.append((prompt, time.monotonic()))
            self.headers.append(headers)
            held = len(self.calls) > self.hold_after
            steps = self.script.get(prompt) or self.script.get("*") or []
            step = steps.pop(0) if steps else (200, completion(), {})
        if held:
            self.release.wait(60)
        return step

    def at_once(self, change: int) -> None:
        with self._lock:
            self._now += change
            self.most_at_once = max(self.most_at_once, self._now)


@contextmanager
def fake_judge(script: dict[str, list[Any]] | None = None, **options: float) -> Iterator[FakeJudge]:
    fake = FakeJudge(script, **options)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            prompt = body["messages"][-1]["content"] if "messages" in body else body["input"]
            fake.bodies.append(body)
            fake.paths.append(self.path)
            step = fake.next_step(prompt, self.headers)
            fake.at_once(1)
            try:
                self._answer(step)
            finally:
                fake.at_once(-1)

        def _answer(self, step: Any) -> None:
            time.sleep(fake.delay)
            if step in (CUT, HANG):
                time.sleep(4 if step == HANG else 0)
                self.close_connection = True
                return
            status, body, headers = step
            data = body.encode() if isinstance(body, str) else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"content-type": "application/json", **headers}.items():
                self.send_header(name, value)
            self.send_header("content-length", str(len(data)))
            self.end_headers()
            self.wfile.write(data)

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients that hang up are expected
    threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
    fake.url = f"http://127.0.0.1:{server.server_address[1]}/v1"
    try:
        yield fake
    finally:
        fake.release.set()
        server.shutdown()
        server.server_close()


@contextmanager
def answering(reply: bytes) -> Iterator[int]:
    """A port where each connection gets these bytes and is closed."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.recv(65536)
                    connection.sendall(reply)

        threading.Thread(target=serve, daemon=True).start()
        yield listener.getsockname()[1]


def command(*arguments: object) -> dict[str, Any]:
    """What `subprocess` needs to run the `judge` that is being tested, with no key or address from outside."""
    ours = ("OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL")
    clean = {name: value for name, value in os.environ.items() if name not in ours}
    source = str(Path(judge.__file__).parents[1])
    return {
        "args": [sys.executable, "-m", "judge", *map(str, arguments)],
        "env": clean | {"PYTHONPATH": source, "PYTHONIOENCODING": "utf-8"},
        "stdout": subprocess.PIPE,
        "stderr": subprocess.PIPE,
        "text": True,
    }


@contextmanager
def started(**given: Any) -> Iterator[subprocess.Popen]:
    """A process for the length of a `with`; afterwards neither it nor what it started is left."""
    process = subprocess.Popen(**given, start_new_session=True)
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def write_requests(path: Path, prompts: list[str], **more: Any) -> Path:
    """A request a prompt, whose id is the prompt."""
    lines = [
        {"model": "m", "messages": [{"role": "user", "content": p}], "metadata": {"id": p}} | more for p in prompts
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), "utf-8")
    return path


def lines_of(path: Path) -> list[Any]:
    return [json.loads(line) for line in path.read_text("utf-8").splitlines()]
