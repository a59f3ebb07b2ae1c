"""Worker processes that judge rows: each with limits of the operating system, replaced when one dies or hangs.

Parent and worker speak JSON lines over pipes, so nothing that a query makes is ever unpickled or run by the parent.
The worker's environment holds no secrets: only what Python needs to start, and where a server is judged on, by which
settings the parent reached that server.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib
import json
import os
import queue
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

# A query's time limit is CPU time, so that a busy machine changes no verdict. Work that no handler can interrupt
# ends by the kernel's CPU limit GRACE seconds later. The parent's clock is the last resort, PATIENCE times as long:
# nothing in SQLite sleeps, and on a crowded machine a worker may get a twentieth of a core.
GRACE = 2.0
PATIENCE = 20
START = 300.0
_MEMORY = 1_500_000_000
TASKS = {
    "verdict": "judge.execution.rowjudge:judge_row",
    "gold": "judge.execution.rowjudge:run_gold_row",
    "file": "judge.databases:judge_on_file",
    "server": "judge.databases.server:judge_on_server",
}
_A_START = 8  # jobs; so many are done while a worker starts
_KEPT = (
    "PATH",
    "PYTHONPATH",
    "PYTHONHOME",
    "VIRTUAL_ENV",
    "LD_LIBRARY_PATH",
    "DYLD_LIBRARY_PATH",
    "TMPDIR",
    "SYSTEMROOT",
)


def _for_server(name: str) -> bool:
    """Does libpq read this variable, itself (PGHOST, PGSSLMODE) or to find its files (~/.pgpass, ~/.postgresql)?

    Without them a worker could reach another server than the one whose role was checked, or reach it without TLS. A
    password is none of them: it travels in the job's URL.
    """
    return name == "HOME" or (name.startswith("PG") and "PASSWORD" not in name)


class Worker:
    """One process. `ask` gives its answer or {'killed': stage, 'why': ...}; after a kill the next ask starts anew."""

    def __init__(self) -> None:
        self.process: subprocess.Popen | None = None
        self.for_server = False  # the environment that the process was given
        self.buffer = b""

    def _start(self) -> None:
        environment = {name: os.environ[name] for name in _KEPT if name in os.environ}
        if self.for_server:
            environment |= {name: value for name, value in os.environ.items() if _for_server(name)}
        source = str(Path(__file__).resolve().parents[2])
        environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environment.get("PYTHONPATH", "")]))
        # Text hashing is fixed as a precaution: verdicts must not depend on the order of a set.
        environment["PYTHONHASHSEED"] = "0"
        environment["PYTHONIOENCODING"] = "utf-8"
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "judge.execution"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment,
        )
        self.buffer = b""
        if self._line(time.monotonic() + START) != {"ready": True}:
            self.close()
            raise RuntimeError("a judge worker did not start; `python -m judge.execution </dev/null` shows why")

    def ask(self, job: dict) -> dict:
        for_server = job["task"] == "server"
        if self.process is None or self.process.poll() is not None or self.for_server != for_server:
            self.close()
            self.for_server = for_server
            self._start()
        limit = job.get("patience") or PATIENCE * (job["timeout"] + GRACE)
        stage = "gold"
        try:
            self.process.stdin.write(json.dumps(job).encode() + b"\n")
            self.process.stdin.flush()
        except OSError:
            self.close()
            return {"killed": stage, "why": "the process died"}
        until = time.monotonic() + limit
        while True:
            answer = self._line(until)
            if answer is None:
                late = time.monotonic() >= until
                code = self.close()
                return {"killed": stage, "why": f"no answer within {limit:g} s" if late else _why(code)}
            if "stage" not in answer:
                return answer
            stage, until = answer["stage"], time.monotonic() + limit

    def _line(self, until: float) -> dict | None:
        """The next message, or None where the time is over or the process is gone."""
        pipe = self.process.stdout.fileno()
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            while b"\n" not in self.buffer:
                left = until - time.monotonic()
                if left <= 0 or not selector.select(left):
                    return None
                part = os.read(pipe, 65536)
                if not part or len(self.buffer) > 10_000_000:
                    return None
                self.buffer += part
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def close(self) -> int | None:
        """End the process and give its exit code; one that is about to end by itself is given a moment."""
        process, self.process = self.process, None
        if process is None:
            return None
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(OSError):
                pipe.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            return process.wait(0.2)
        process.kill()
        process.wait()
        return None


def _why(code: int | None) -> str:
    if code is not None and -code == getattr(signal, "SIGXCPU", None):
        return "stopped at the CPU limit"
    return f"the process died (exit code {code})"


_idle: list[Worker] = []  # started, and kept for the next call: a start costs as much as several jobs
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_idle.clear)  # two processes must not speak through one pipe


@contextlib.contextmanager
def _borrowed() -> Iterator[Worker]:
    """A worker that no other thread has; kept afterwards, unless the job went wrong or it holds a server's settings."""
    try:
        worker = _idle.pop()
    except IndexError:
        worker = Worker()
    try:
        yield worker
    except BaseException:
        worker.close()
        raise
    if worker.for_server or len(_idle) >= cores():
        worker.close()
    else:
        _idle.append(worker)


@atexit.register
def close_idle() -> None:
    """End the processes that wait for another call; they also end by themselves when this one does."""
    while _idle:
        _idle.pop().close()


def ask_one(job: dict) -> dict:
    """One job's answer; calls from several threads go on side by side."""
    with _borrowed() as worker:
        return worker.ask(job)


def ask_many(
    jobs: list[dict], workers: int | None, done: Callable[[], None] = lambda: None, *, here: bool = False
) -> list[dict]:
    """Answers in the jobs' order. `workers` None takes as many as the cores and the number of jobs make worth starting;
    a job's answer does not depend on it.

    With RAY_ADDRESS set the jobs go to that Ray cluster, unless `here`: a job that carries a password stays here.
    """
    if os.environ.get("RAY_ADDRESS") and not here and jobs:
        from judge.execution.cluster import ask_cluster

        return ask_cluster(jobs, workers, done)
    count = max(1, min(workers, len(jobs)) if workers else min(cores(), -(-len(jobs) // _A_START)))
    waiting: queue.SimpleQueue = queue.SimpleQueue()
    for index in range(len(jobs)):
        waiting.put(index)
    answers: list[dict | None] = [None] * len(jobs)
    errors: list[BaseException] = []

    def work() -> None:
        try:
            with _borrowed() as worker:
                while not errors:
                    try:
                        index = waiting.get_nowait()
                    except queue.Empty:
                        return
                    answers[index] = worker.ask(jobs[index])
                    done()
        except BaseException as error:  # handed on to the caller's thread
            errors.append(error)

    threads = [threading.Thread(target=work, daemon=True) for _ in range(count)]
    try:
        for thread in threads:
            thread.start()
        for thread in threads:
            while thread.is_alive():
                thread.join(0.2)  # short, so that Ctrl-C is heard
    except BaseException as error:
        errors.append(error)
        raise
    if errors:
        raise errors[0]
    return answers


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limit_process() -> Callable[[float], None]:
    """Set limits of the operating system where it has them; gives a function that renews the CPU limit for a job."""
    try:
        import resource
    except ImportError:  # Windows: the guard on the connection and the parent's kill remain
        return lambda seconds: None

    def set_limit(which: str, value: int) -> None:
        # macOS refuses some of these; SQLite's own heap limit and the parent's clock hold there.
        with contextlib.suppress(ValueError, OSError, AttributeError):
            kind = getattr(resource, which)
            hard = resource.getrlimit(kind)[1]
            resource.setrlimit(kind, (value if hard == resource.RLIM_INFINITY else min(value, hard), hard))

    set_limit("RLIMIT_AS", _MEMORY)
    set_limit("RLIMIT_CORE", 0)
    set_limit("RLIMIT_FSIZE", 0)
    set_limit("RLIMIT_NOFILE", 64)

    def renew(seconds: float) -> None:
        used = resource.getrusage(resource.RUSAGE_SELF)
        set_limit("RLIMIT_CPU", int(used.ru_utime + used.ru_stime + seconds) + 1)

    return renew


def work_off() -> None:
    """The worker: a job a line in, stages and one answer a line out, until the input ends."""
    import logging

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle; it closes the pipe
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import judge.execution.rowjudge  # noqa: F401  the slow import, before the limits and the first deadline

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    renew = _limit_process()

    def say(message: dict) -> None:
        out.write(json.dumps(message) + "\n")
        out.flush()

    say({"ready": True})
    for line in sys.stdin:
        job = json.loads(line)
        job.pop("patience", None)
        module, function = TASKS[job.pop("task")].split(":")
        task = getattr(importlib.import_module(module), function)

        def stage(name: str, seconds: float = job["timeout"] + GRACE) -> None:
            renew(seconds)
            say({"stage": name})

        try:
            answer = task(**job, stage=stage)
        except Exception as error:  # a fault of ours: the row is told apart, the others go on
            trace = error.__traceback__
            while trace.tb_next is not None:
                trace = trace.tb_next
            where = f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"
            answer = {"fault": f"{type(error).__name__}: {str(error)[:150]} at {where}"}
        say(answer)
