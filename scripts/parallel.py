"""One function over many rows, on all cores or on a Ray cluster; results come in the rows' order.

    for found in mapped(check, rows): ...

The rows may come one by one and never end: a few chunks are under way at a time, so memory stays flat. What comes out
does not depend on the number of workers or on where a row was worked on. With RAY_ADDRESS set the work goes to that
cluster; every node needs this repository and its packages under the same path. A node that dies costs the chunks that it
held, which are given to another.
"""

from __future__ import annotations

import os
import re
import signal
import socket
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ProcessPoolExecutor
from itertools import chain, islice
from multiprocessing import get_context
from typing import Any

from scripts.recipe import UserError

CHUNK = 128  # rows a task: more spare overhead, fewer spread the slow ones
_AHEAD = 2  # chunks that wait for each one that runs
_RETRIES = 3  # of a task whose node died

_task: Callable | None = None  # a worker process's own copy, sent once and not with each chunk


def mapped(task: Callable[[Any], Any], rows: Iterable[Any], workers: int | None = None, chunk: int = CHUNK) -> Iterator:
    """task(row) for each row, in order. Two chunks or fewer take no other process, and so does workers=1.

    `task` has to be known by its module and name, or be a functools.partial of such a one. What it raises is raised here.
    """
    rows = iter(rows)
    chunks = iter(lambda: list(islice(rows, chunk)), [])
    first = list(islice(chunks, 3))
    if len(first) == 3 and workers != 1 and os.environ.get("RAY_ADDRESS"):
        yield from _on_cluster(task, chain(first, chunks), workers)
    elif len(first) == 3 and (workers or cores()) > 1:
        yield from _on_cores(task, chain(first, chunks), workers or cores())
    else:
        yield from map(task, chain.from_iterable(chain(first, chunks)))


def cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _on_cores(task: Callable, chunks: Iterator[list], workers: int) -> Iterator:
    # Spawned: a forked copy of a process with threads (the readers of Parquet and the Hub have some) can hang.
    with ProcessPoolExecutor(workers, get_context("spawn"), initializer=_start, initargs=(task,)) as pool:
        waiting: deque = deque()
        try:
            for chunk in chunks:
                waiting.append(pool.submit(_apply, chunk))
                if len(waiting) > _AHEAD * workers:
                    yield from waiting.popleft().result()
            while waiting:
                yield from waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()


def _start(task: Callable) -> None:
    global _task
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the main process's to handle
    _task = task


def _apply(rows: list) -> list:
    return list(map(_task, rows))


# --- a cluster -------------------------------------------------------------------------------------------------------
def _on_cluster(task: Callable, chunks: Iterator[list], workers: int | None) -> Iterator:
    ray, started = _connect()
    try:
        slots = workers or max(1, int(ray.cluster_resources().get("CPU", 1)))
        shared = ray.put(task)
        remote = ray.remote(num_cpus=1, max_retries=_RETRIES)(_apply_there)
        waiting: deque = deque()
        for chunk in chunks:
            waiting.append(remote.remote(shared, chunk))
            if len(waiting) > _AHEAD * slots:
                yield from _got(ray, waiting.popleft())
        while waiting:
            yield from _got(ray, waiting.popleft())
    except ray.exceptions.RaySystemError as error:
        raise UserError(f"RAY_ADDRESS: the cluster failed: {_line(error)}") from None
    finally:
        if started:
            ray.shutdown()  # ends this program's tasks, on Ctrl-C too; the cluster stays up


def _apply_there(task: Callable, rows: list) -> list:
    """Runs on a node."""
    return list(map(task, rows))


def _got(ray: Any, reference: Any) -> list:
    while not ray.wait([reference], timeout=0.5)[0]:  # short, so that Ctrl-C is heard
        pass
    try:
        return ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        missing = re.search(r"ModuleNotFoundError: (No module named \S+)", str(error))
        if missing is None:
            raise
        raise UserError(
            f"RAY_ADDRESS: a node lacks this repository or its packages ({missing[1]}); set it up on every node, "
            "under the same path"
        ) from None


def _connect() -> tuple[Any, bool]:
    address = os.environ["RAY_ADDRESS"]
    try:
        import ray
    except ImportError:
        raise UserError("RAY_ADDRESS is set, but Ray is not installed: install it, or unset RAY_ADDRESS") from None
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
