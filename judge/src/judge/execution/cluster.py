"""The rows of `judge execution` on a Ray cluster: set RAY_ADDRESS, and everything else stays as it is.

    RAY_ADDRESS=10.0.0.5:6379 judge execution rows.jsonl --out execution.jsonl

A Ray task takes a few rows and hands them to the same sandboxed worker process (`judge.execution.workers`) that works without a
cluster; one stays up in each of Ray's processes. A verdict does not depend on where a row was judged. Every node needs
this package in the same version and, with `--databases`, the folder under the same path. A node that dies costs the
rows it held, which are given to another.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Callable
from typing import Any

from judge.text import UserError

CHUNK = 8  # rows a task: more spare overhead, fewer spread the slow ones
_RETRIES = 3  # of a task whose node died
_AHEAD = 4  # tasks that wait for each one that runs; memory stays flat however many rows there are


def ask_cluster(jobs: list[dict], workers: int | None, done: Callable[[], None]) -> list[dict]:
    """As judge.execution.workers.ask_many, on the cluster at RAY_ADDRESS; `workers` bounds the tasks at once.

    Raises UserError where Ray is not installed, no cluster answers, or a node lacks this package.
    """
    ray, started = _connect()
    try:
        return _ask(ray, jobs, workers, done)
    except ray.exceptions.RaySystemError as error:
        raise UserError(f"RAY_ADDRESS: the cluster failed: {_line(error)}") from None
    finally:
        if started:
            ray.shutdown()  # ends this job's tasks, on Ctrl-C too; the cluster stays up


def _ask(ray: Any, jobs: list[dict], workers: int | None, done: Callable[[], None]) -> list[dict]:
    slots = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
    chunk = max(1, min(CHUNK, len(jobs) // slots))
    task = ray.remote(num_cpus=1, max_retries=_RETRIES)(_judge)
    starts = iter(range(0, len(jobs), chunk))
    answers: list[dict | None] = [None] * len(jobs)
    running: dict[Any, int] = {}
    most = slots if workers else slots * _AHEAD
    while True:
        while len(running) < most and (at := next(starts, None)) is not None:
            running[task.remote(jobs[at : at + chunk])] = at
        if not running:
            return answers
        ready, _ = ray.wait(list(running), timeout=0.5)  # short, so that Ctrl-C is heard
        for one in ready:
            at = running.pop(one)
            for n, answer in enumerate(_get(ray, one)):
                answers[at + n] = answer
                done()


def _get(ray: Any, one: Any) -> list[dict]:
    try:
        return ray.get(one)
    except ray.exceptions.RayTaskError as error:
        missing = re.search(r"ModuleNotFoundError: (No module named \S+)", str(error))
        if missing is None:
            raise
        raise UserError(f"RAY_ADDRESS: a node lacks this package ({missing[1]}); install it on every node") from None


def _judge(jobs: list[dict]) -> list[dict]:
    """Runs on a node."""
    from judge.execution.workers import ask_one

    return [ask_one(job) for job in jobs]


def _connect() -> tuple[Any, bool]:
    address = os.environ["RAY_ADDRESS"]
    try:
        import ray
    except ImportError:
        raise UserError(
            "RAY_ADDRESS is set, but Ray is not installed: pip install './judge[ray]', or unset RAY_ADDRESS"
        ) from None
    if ray.is_initialized():
        return ray, False
    try:
        _knock(address)
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", configure_logging=False)
    except (ValueError, RuntimeError, OSError) as error:
        raise UserError(
            f"RAY_ADDRESS={address}: no Ray cluster can be used there ({_line(error)}); "
            "start one with `ray start --head`, or unset RAY_ADDRESS"
        ) from None
    return ray, True


def _knock(address: str) -> None:
    """Raises OSError where nobody listens: Ray itself tries for many minutes."""
    found = re.fullmatch(r"(?:ray://)?\[?([^/\]]+?)\]?:(\d+)", address)
    if found:
        socket.create_connection((found[1], int(found[2])), timeout=10).close()


def _line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
