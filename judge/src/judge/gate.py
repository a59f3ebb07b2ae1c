"""When the next request may leave: places in flight, tokens a minute, and what the server asked for."""

import asyncio
import email.utils
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from judge.limits import Bucket, sending_bucket


class Stopping(Exception):
    """No further request leaves: the user stopped the run, or it cannot succeed."""


class TooLarge(Exception):
    """The request alone costs more than a minute's tokens, so waiting would never help."""


class Gate:
    """Lets requests leave one after another, in the order they asked.

    At most `window` are in flight. It starts at `concurrency`, is halved by each refusal for rate and
    grows by one with each window's worth of answers, as TCP does, since many servers refuse without saying
    what they allow.
    """

    def __init__(self, *, rpm: float | None, tpm: float | None, concurrency: int) -> None:
        self.concurrency, self.window, self.in_flight = concurrency, float(concurrency), 0
        self.requests = sending_bucket(rpm) if rpm else None
        self.tokens = sending_bucket(tpm) if tpm else None
        self.token_limit = tpm
        self.resume_at = 0.0
        self._stopped = asyncio.Event()
        self._turn = asyncio.Lock()
        self._changed = asyncio.Event()

    async def enter(self, tokens: Callable[[], int]) -> None:
        """Return once the request may leave, its cost paid. `tokens` is asked only where they are limited."""
        self._check(tokens)
        async with self._turn:
            while True:
                self._check(tokens)
                wait = self._wait(tokens)
                if wait == 0:
                    break
                self._changed.clear()
                with suppress(TimeoutError):
                    await asyncio.wait_for(self._changed.wait(), None if wait == math.inf else wait)
            for bucket, cost in self._costs(tokens):
                bucket.spend(cost)
            self.in_flight += 1

    def _check(self, tokens: Callable[[], int]) -> None:
        if self._stopped.is_set():
            raise Stopping
        if self.token_limit and tokens() > self.token_limit:
            raise TooLarge(
                f"the request needs {tokens()} tokens, more than the {self.token_limit:.0f} a minute allowed"
            )

    def _costs(self, tokens: Callable[[], int]) -> list[tuple[Bucket, int]]:
        costs = [(self.requests, 1)] if self.requests else []
        return [*costs, (self.tokens, tokens())] if self.tokens else costs

    def _wait(self, tokens: Callable[[], int]) -> float:
        if self.in_flight >= max(1, int(self.window)):
            return math.inf
        waits = [bucket.wait(cost) for bucket, cost in self._costs(tokens)]
        return max(0.0, self.resume_at - time.monotonic(), *waits)

    def leave(self, *, answered: bool) -> None:
        self.in_flight -= 1
        if answered:
            self.window = min(self.concurrency, self.window + 1 / self.window)
        self._changed.set()

    def refused(self, headers: Mapping[str, str]) -> float:
        """A refusal for rate: go slower. Gives the seconds the server asked to wait, 0 if it did not say.

        A Retry-After holds everybody, since the limit is the account's. Where no limit was set here, one
        that the server announces is kept to from now on.
        """
        self.window = max(1.0, self.window / 2)
        asked = retry_after(headers)
        self.resume_at = max(self.resume_at, time.monotonic() + asked)
        if self.requests is None and (limit := _number(headers.get("x-ratelimit-limit-requests"))):
            self.requests = sending_bucket(limit)
        if self.tokens is None and (limit := _number(headers.get("x-ratelimit-limit-tokens"))):
            self.tokens, self.token_limit = sending_bucket(limit), limit
        return asked

    def stop(self) -> None:
        self._stopped.set()
        self._changed.set()

    async def pause(self, seconds: float) -> None:
        """Sleep, but no longer than the run goes on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After header (a number or a date), or of retry-after-ms; 0 where there is none."""
    if milliseconds := _number(headers.get("retry-after-ms")):
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return 0.0
    if seconds := _number(value):
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0


def _number(text: str | None) -> float:
    try:
        value = float(text or "")
    except ValueError:
        return 0.0
    return value if math.isfinite(value) and value > 0 else 0.0
