"""Send a file of requests to an OpenAI-compatible endpoint: many at a time, within its limits.

    python -m judge.parallel --requests_filepath requests.jsonl --save_filepath results.jsonl \\
        --request_url https://api.openai.com/v1/chat/completions --max_requests_per_minute 3000

takes the flags of the OpenAI cookbook's well-known parallel processor script, whose file format this is.
"""

import argparse
import asyncio
import gc
import logging
import sys
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor, wait
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from judge.processor.cache import MODES, Cache
from judge.processor.endpoint import CHAT, OPENAI_URL, Endpoint, endpoint_name, is_loopback, resolve_url
from judge.processor.gate import Gate
from judge.processor.journal import Journal, set_aside
from judge.processor.meter import Meter
from judge.processor.prices import Price
from judge.processor.requestfile import RequestFile
from judge.processor.sending import Sender
from judge.text import UserError, finished_file, to_json
from judge.tokens import load_encoding

CONCURRENCY = 512  # the most in flight; how many of them are used is found out, see judge.processor.window


@dataclass(frozen=True)
class Outcome:
    """What a run came to. `reused` were answered in earlier runs, `cached` came from the response cache.

    `stopped` is the reason that ended it early, `limited` the one of --max-cost, `signal` the one that
    interrupted it. `cost` is in US dollars, None where a price is not known.
    """

    total: int
    answered: int
    reused: int
    failed: int
    stopped: str | None
    signal: int | None
    notes: list[str]
    limited: str | None = None
    cached: int = 0
    tokens: int = 0
    cost: float | None = None
    price: str = ""

    @property
    def complete(self) -> bool:
        """Whether every request has its final line, so that the files were written."""
        return self.answered + self.failed == self.total


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
    concurrency: int = CONCURRENCY,
    timeout: float = 120,
    connect_timeout: float = 10,
    fresh: bool = False,
    encoding: str | None = None,
    cache: str = "off",
    cache_dir: str | Path | None = None,
    price: Price | None = None,
    max_cost: float | None = None,
    progress: bool = False,
    first_pause: float = 1.0,
) -> Outcome:
    """Send every request of `requests_path` that `out`'s journal does not answer yet; write `out`.

    `out` gets a line [request, response, metadata] for each answered request, in the order of the
    requests, and the file `failed_path(out)` a line [request, [errors…], metadata] for each other. A run
    that is interrupted touches neither; its answers are in the journal. `timeout` is the seconds for one
    attempt; the pauses between attempts start around `first_pause` seconds and double. `url` is a whole
    address, instead of `base_url`; `encoding` counts tokens by another than the model's own. `max_cost` is in
    US dollars for this run. Raises UserError for a bad request file, address or key. May be called where an
    event loop already runs.
    """
    out, requests_path = Path(out), Path(requests_path)
    if out.resolve() == requests_path.resolve():
        raise UserError(f"{out}: the results would overwrite the requests; choose another --out")
    if cache not in MODES:
        raise UserError(f"--cache {cache}: expected {', '.join(MODES)}")
    for name, limit in (("requests", rpm), ("tokens", tpm)):
        if limit is not None and not limit > 0:
            raise UserError(f"{limit:g} {name} a minute: expected more than 0; leave it out for no limit")
    if tpm and encoding:
        load_encoding(encoding)  # a wrong name is said now, not after the first request
    endpoint = Endpoint(
        url or resolve_url(base_url), key=api_key, timeout=timeout, connect_timeout=connect_timeout,
        connections=concurrency,
    )  # fmt: skip
    with ExitStack() as stack:
        requests = RequestFile(requests_path, twins=cache != "off")
        stack.callback(requests.close)
        store = Cache(cache_dir, write=cache == "read-write") if cache != "off" else None
        if store:
            stack.callback(store.close)
        journal, notes = _journal(out, endpoint_name(endpoint.url), fresh)
        stack.callback(journal.close)
        claimed = [requests.claim(key, place) for key, place in journal.answers()]
        reused = sum(claimed)
        if others := len(claimed) - reused:
            notes.append(
                f"{requests_path} has changed since: of {len(claimed)} answers in {journal.path}, {others} are to"
                " requests it no longer holds and are not used"
            )
        if journal.ignored:
            notes.append(f"{journal.ignored} lines of {journal.path} are damaged or another endpoint's: not used")
        meter = Meter(price=price, free=is_loopback(endpoint.url), total=requests.total, done=reused, show=progress)
        stack.callback(meter.close)
        _check_price(requests, meter, max_cost)
        gate = Gate(rpm=rpm, tpm=tpm, concurrency=concurrency, first_alone=max_cost is not None)
        sender = Sender(requests, gate, endpoint, journal, meter, store, max_attempts, encoding, first_pause, max_cost)
        if reused < requests.total:
            _where_no_loop_runs(lambda: _run(sender.go()), sender.interrupt)
        answered, failed = requests.count()
        if sender.stopped:
            failed = requests.total - answered
        if answered + failed == requests.total:
            _write(requests, journal, out, failed, sender.stopped)
        notes += endpoint.formats.notes.values()
        return Outcome(
            requests.total, answered, reused, failed, sender.stopped,
            None if answered + failed == requests.total else sender.signal, notes, limited=sender.limited,
            cached=sender.cached, tokens=meter.tokens, cost=None if meter.unpriced else meter.spent,
            price=", ".join(sorted(meter.sources)),
        )  # fmt: skip


def _journal(out: Path, endpoint: str, fresh: bool) -> tuple[Journal, list[str]]:
    """The journal of `out`. What is there and would be overwritten is kept aside, and said."""
    path = out.with_name(out.name + ".journal")
    unknown = not path.exists()  # then what stands at `out` is not this journal's, and cannot be made again
    journal = Journal(path, endpoint, fresh=fresh)
    kept = [journal.kept]
    if fresh or unknown:
        kept += [set_aside(out), set_aside(failed_path(out))]
    names = [str(name) for name in kept if name]
    return journal, [f"kept aside what was there: {', '.join(names)}"] if names else []


def _check_price(requests: RequestFile, meter: Meter, max_cost: float | None) -> None:
    if max_cost is None:
        return
    models = {str(job.request.get("model")) for chunk in requests.waiting() for job in chunk} if not meter.price else ()
    for model in sorted(models):
        if not meter.price_for(model):
            raise UserError(f"--max-cost needs a price and there is none for {model}; give it with --price IN,OUT")


def _write(requests: RequestFile, journal: Journal, out: Path, failed: int, not_sent: str | None) -> None:
    """The file of results and, where there are any, the one of failures."""
    with ExitStack() as stack:
        good = stack.enter_context(finished_file(out))
        bad = stack.enter_context(finished_file(failed_path(out))) if failed else None
        for request, metadata, response, errors in requests.results(journal.response_at, not_sent):
            if response is not None:
                good.write(f"[{to_json(request)}, {response}, {to_json(metadata or {})}]\n")
            elif bad:
                bad.write(to_json([request, errors, metadata or {}]) + "\n")
    if not failed:
        failed_path(out).unlink(missing_ok=True)


def _run(work: Coroutine[Any, Any, None]) -> None:
    """asyncio.run, on uvloop where it is installed."""
    try:
        from uvloop import new_event_loop
    except ImportError:  # the extra `fast`, which Windows has not
        new_event_loop = None
    gc.freeze()  # what is there already outlives the run: each look through all of it would stop the loop for long
    before = gc.get_threshold()
    # Hardly anything here is cyclic: looking for it at each 700 new objects costs a tenth.
    gc.set_threshold(20_000, *before[1:])
    try:
        with asyncio.Runner(loop_factory=new_event_loop) as runner:
            runner.run(work)
    finally:
        gc.set_threshold(*before)
        gc.unfreeze()


def _where_no_loop_runs(work: Callable[[], None], interrupt: Callable[[], None]) -> None:
    """Run `work` here, or in a thread where a notebook's event loop already runs here.

    Interrupting the notebook then calls `interrupt` and waits for what is in flight, as Ctrl-C does.
    """
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(work)
        try:
            running.result()
        except KeyboardInterrupt:
            if not running.done():
                interrupt()
                wait([running])
            raise


def report(outcome: Outcome, out: str | Path) -> int:
    """Print what a run came to. Its exit code: 0; 1 where requests failed; 3 at --max-cost; 128 + an
    interrupting signal.
    """
    for line in [*outcome.notes, *([outcome.stopped] if outcome.stopped else [])]:
        print(f"judge: {line}", file=sys.stderr)
    counts = f"{outcome.answered} of {outcome.total} requests answered"
    if outcome.reused:
        counts += f", {outcome.reused} of them in earlier runs"
    if outcome.cached:
        counts += f", {outcome.cached} from the cache at no cost"
    if outcome.cost is not None:
        spent = f"{outcome.tokens:,} tokens, ${outcome.cost:.4f} by {outcome.price}"
        print(f"judge: this run used {spent}", file=sys.stderr)
    if outcome.limited and not outcome.complete:
        print(f"judge: {outcome.limited}: {counts}; the same command goes on from here", file=sys.stderr)
        return 3
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
