"""Send a file of requests to an OpenAI-compatible endpoint: many at a time, within its limits.

    python -m judge.parallel --requests_filepath requests.jsonl --save_filepath results.jsonl \\
        --request_url https://api.openai.com/v1/chat/completions --max_requests_per_minute 3000

takes the flags of the OpenAI cookbook's well-known parallel processor script, whose file format this is.
"""

import argparse
import asyncio
import logging
import random
import signal
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from judge.endpoint import CHAT, OPENAI_URL, Endpoint, Failure, endpoint_name, public_url, resolve_url
from judge.gate import Gate, Stopping, TooLarge
from judge.journal import Journal, request_hash
from judge.text import UserError, id_key, read_jsonl, write_jsonl
from judge.tokens import count_request, load_encoding

LONGEST_PAUSE = 60.0
log = logging.getLogger("judge.parallel")


@dataclass
class Job:
    """One request on its way to its one final line."""

    request: dict[str, Any]
    metadata: dict[str, Any] | None
    key: str
    response: Any = None
    errors: list[dict[str, Any]] = field(default_factory=list)
    failed: bool = False
    cost: int | None = None

    def tokens(self, encoding: str) -> int:
        if self.cost is None:
            self.cost = count_request(self.request, encoding)
        return self.cost


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `stopped` is the reason that ended it early, `signal` the one that
    interrupted it.
    """

    total: int
    answered: int
    reused: int
    failed: int
    stopped: str | None
    signal: int | None
    notes: list[str]


def load_jobs(path: str | Path) -> list[Job]:
    """The requests of a file, metadata taken off. Raises UserError, for a repeated metadata id among
    others.
    """
    jobs, seen = [], {}
    for number, request in read_jsonl(path):
        where = f"{path} line {number}"
        if not isinstance(request, dict):
            raise UserError(f"{where}: a request is an object, found {type(request).__name__}")
        metadata = request.pop("metadata", None)
        if not isinstance(metadata, dict | None):
            raise UserError(f"{where}: metadata is an object, found {type(metadata).__name__}")
        if metadata and "id" in metadata:
            id = id_key(metadata["id"], where)
            if id in seen:
                raise UserError(f"{where}: metadata id {id!r} is already on line {seen[id]}; each needs its own")
            seen[id] = number
        jobs.append(Job(request, metadata, request_hash(request, metadata)))
    return jobs


def failed_path(out: str | Path) -> Path:
    """results.jsonl -> results.failed.jsonl"""
    out = Path(out)
    return out.with_name(f"{out.stem}.failed{out.suffix}")


def run_requests(
    requests_path: str | Path,
    out: str | Path,
    *,
    base_url: str | None = None,
    url: str | None = None,
    api_key: str | None = None,
    rpm: float | None = None,
    tpm: float | None = None,
    max_attempts: int = 5,
    concurrency: int = 16,
    timeout: float = 120,
    fresh: bool = False,
    encoding: str = "o200k_base",
    progress: bool = False,
    first_pause: float = 1.0,
) -> Outcome:
    """Send every request of `requests_path` that `out`'s journal does not answer yet; write `out`.

    `out` gets a line [request, response, metadata] for each answered request, in the order of the
    requests, and the file `failed_path(out)` a line [request, [errors…], metadata] for each other. A run
    that is interrupted touches neither; its answers are in the journal. `timeout` is the seconds for one
    attempt; the pauses between attempts start around `first_pause` seconds and double. `url` is a whole
    address, instead of `base_url`. Raises UserError for a bad request file, address or key. May be called
    where an event loop already runs.
    """
    out, requests_path = Path(out), Path(requests_path)
    if out.resolve() == requests_path.resolve():
        raise UserError(f"{out}: the results would overwrite the requests; choose another --out")
    if tpm:
        load_encoding(encoding)  # a wrong name is said now, not after the first request
    gate = Gate(rpm=rpm, tpm=tpm, concurrency=concurrency)
    endpoint = Endpoint(url or resolve_url(base_url), key=api_key, timeout=timeout, refused=gate.refused)
    jobs = load_jobs(requests_path)
    journal = Journal(out.with_name(out.name + ".journal"), endpoint_name(endpoint.url), fresh=fresh)
    run = _Run(jobs, gate, endpoint, journal, max_attempts, encoding, first_pause)
    try:
        for job in jobs:
            job.response = journal.take(job.key)
        reused = sum(job.response is not None for job in jobs)
        if reused < len(jobs):
            _where_no_loop_runs(lambda: asyncio.run(run.go(progress)))
    finally:
        journal.close()
    others = journal.unclaimed() + journal.ignored
    notes = [f"{others} answers in {journal.path} are to other requests or from elsewhere: not used"] if others else []
    answered = [job for job in jobs if job.response is not None]
    failed = [job for job in jobs if job.failed]
    interrupted = run.signal if len(answered) + len(failed) < len(jobs) else None
    if not interrupted:
        write_jsonl(out, [[job.request, job.response, job.metadata or {}] for job in answered])
        if failed:
            write_jsonl(failed_path(out), [[job.request, job.errors, job.metadata or {}] for job in failed])
        else:
            failed_path(out).unlink(missing_ok=True)
    return Outcome(len(jobs), len(answered), reused, len(failed), run.stopped, interrupted, notes)


def _where_no_loop_runs(work: Callable[[], None]) -> None:
    """Run `work` here, or in a thread where a notebook's event loop already runs here."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    caught: list[BaseException] = []

    def guarded() -> None:
        try:
            work()
        except BaseException as error:  # raised again below, in the caller's thread
            caught.append(error)

    thread = threading.Thread(target=guarded)
    thread.start()
    thread.join()
    if caught:
        raise caught[0]


class _Run:
    """The state that the requests of one run share."""

    def __init__(
        self,
        jobs: list[Job],
        gate: Gate,
        endpoint: Endpoint,
        journal: Journal,
        max_attempts: int,
        encoding: str,
        first_pause: float,
    ) -> None:
        self.jobs, self.gate, self.endpoint, self.journal = jobs, gate, endpoint, journal
        self.max_attempts, self.encoding, self.first_pause = max_attempts, encoding, first_pause
        self.stopped: str | None = None
        self.signal: int | None = None
        self.reached = False  # whether the endpoint has said anything yet

    async def go(self, progress: bool) -> None:
        from tqdm import tqdm

        waiting = [job for job in self.jobs if job.response is None]
        self.bar = tqdm(
            total=len(self.jobs),
            initial=len(self.jobs) - len(waiting),
            unit="req",
            disable=not progress,
            mininterval=0.2 if sys.stderr.isatty() else 10,  # a log file gets a line now and then
        )
        self._watch_signals()
        try:
            async with self.endpoint:
                await self._send_all(waiting)
        finally:
            self.bar.close()
        if self.stopped:
            for job in waiting:
                if job.response is None and not job.failed:
                    job.errors.append({"status": None, "error": f"not sent: {self.stopped}"})
                    job.failed = True

    async def _send_all(self, waiting: list[Job]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for job in waiting:
                    try:
                        await self.gate.enter(lambda job=job: job.tokens(self.encoding))
                    except Stopping:
                        break
                    except TooLarge as error:
                        self._fail(job, Failure(str(error), "give up"))
                    else:
                        group.create_task(self._answer(job))
        except* UserError as errors:
            raise errors.exceptions[0] from None

    async def _answer(self, job: Job) -> None:
        """Ask until there is an answer or no hope of one. The gate has been entered for the first attempt."""
        try:
            for attempt in range(1, self.max_attempts + 1):
                try:
                    job.response = await self.endpoint.ask(job.request)
                except Failure as failure:
                    self.gate.leave(answered=False)
                    self.reached = self.reached or failure.reached
                    if failure.then != "retry" or attempt == self.max_attempts:
                        return self._fail(job, failure)
                    self._note(job, failure)
                    pause = min(LONGEST_PAUSE, self.first_pause * 2 ** (attempt - 1)) * random.uniform(0.5, 1)
                    await self.gate.pause(max(failure.wait, pause))
                    await self.gate.enter(lambda: job.tokens(self.encoding))
                else:
                    self.reached = True
                    self.gate.leave(answered=True)
                    self.journal.add(job.key, (job.metadata or {}).get("id"), job.response)
                    self.bar.update()
                    return None
        except TooLarge as error:  # for a limit that the server announced meanwhile
            self._fail(job, Failure(str(error), "give up"))
        except Stopping:
            pass
        return None

    def _note(self, job: Job, failure: Failure) -> None:
        job.errors.append({"status": failure.status, "error": str(failure)})
        self.bar.set_postfix_str(str(failure)[:60], refresh=False)
        log.info("id %s, attempt %d: %s", (job.metadata or {}).get("id"), len(job.errors), failure)

    def _fail(self, job: Job, failure: Failure) -> None:
        self._note(job, failure)
        job.failed = True
        self.bar.update()
        where = public_url(self.endpoint.url)
        if failure.then == "stop":
            self._stop(f"{where} refused the key or the account: {failure}")
        elif not self.reached and not failure.reached:
            self._stop(f"no answer from {where} in {len(job.errors)} attempts: {failure}")

    def _stop(self, reason: str) -> None:
        self.stopped = self.stopped or reason
        self.gate.stop()

    def _watch_signals(self) -> None:
        """The first Ctrl-C, or a scheduler's SIGTERM, lets what is in flight finish; a second ends it."""
        loop = asyncio.get_running_loop()

        def caught(number: int) -> None:
            self.signal = number
            self.gate.stop()
            loop.remove_signal_handler(number)
            print("\nstopping: what is in flight may finish; once more to end at once", file=sys.stderr)

        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                loop.add_signal_handler(number, caught, number)
            except (ValueError, RuntimeError, NotImplementedError):  # not the main thread, or Windows
                return


def report(outcome: Outcome, out: str | Path) -> int:
    """Print what a run came to. Its exit code: 0, 1 where requests failed, 128 + an interrupting signal."""
    for line in [*outcome.notes, *([outcome.stopped] if outcome.stopped else [])]:
        print(f"judge: {line}", file=sys.stderr)
    counts = f"{outcome.answered} of {outcome.total} requests answered"
    if outcome.reused:
        counts += f", {outcome.reused} of them in earlier runs"
    if outcome.signal:
        print(f"judge: interrupted: {counts}; the same command goes on from here", file=sys.stderr)
        return 128 + outcome.signal
    print(f"{counts} -> {out}")
    if outcome.failed:
        print(
            f"judge: {outcome.failed} failed, see {failed_path(out)}; the same command sends them again",
            file=sys.stderr,
        )
        return 1
    return 0


def main(arguments: list[str] | None = None) -> int:
    """The cookbook script's command line."""
    parser = argparse.ArgumentParser(prog="python -m judge.parallel", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--requests_filepath", required=True)
    parser.add_argument("--save_filepath", help="default: the requests' name with _results")
    parser.add_argument("--request_url", default=OPENAI_URL + CHAT)
    parser.add_argument("--api_key", help="for compatibility; better OPENAI_API_KEY, since `ps` shows a flag to all")
    parser.add_argument("--max_requests_per_minute", type=float, default=1500)
    parser.add_argument("--max_tokens_per_minute", type=float, default=125_000)
    parser.add_argument("--token_encoding_name", default="cl100k_base")
    parser.add_argument("--max_attempts", type=int, default=5)
    parser.add_argument("--logging_level", type=int, default=logging.INFO)
    given = parser.parse_args(arguments)
    logging.basicConfig(level=given.logging_level)
    logging.getLogger("httpx").setLevel(logging.WARNING)
    requests = Path(given.requests_filepath)
    out = given.save_filepath or requests.with_name(f"{requests.stem}_results.jsonl")
    try:
        outcome = run_requests(
            requests,
            out,
            url=given.request_url,
            api_key=given.api_key,
            rpm=given.max_requests_per_minute,
            tpm=given.max_tokens_per_minute,
            max_attempts=given.max_attempts,
            concurrency=100,
            encoding=given.token_encoding_name,
            progress=given.logging_level <= logging.INFO,
        )
    except UserError as error:
        print(f"judge: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        return 130
    return report(outcome, out)


if __name__ == "__main__":
    sys.exit(main())
