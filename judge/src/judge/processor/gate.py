"""When the next request may leave: places in flight, the two budgets, and what the server asked for."""

import asyncio
import email.utils
import math
import time
from collections.abc import Callable, Mapping
from contextlib import suppress

from judge.processor.limits import Budget, Clock, number
from judge.processor.window import Window

ALONE = 5.0  # seconds that the first request is given to be answered before others leave
LONGEST_HOLD = 60.0


class Stopping(Exception):
    """No further request leaves: the user stopped the run, or it cannot succeed."""


class TooLarge(Exception):
    """The request alone costs more than a minute's tokens, so waiting would never help."""


class Gate:
    """Lets requests leave one after another, in the order they asked.

    `rpm` and `tpm` None: no limit until the server's headers name one. `concurrency` is the most in flight,
    of which `Window` makes what the endpoint bears. `afford` says whether one request more can be paid for besides
    those in flight; each is asked about as it leaves, since many answers may be counted between two that leave.
    `first_alone`: nothing else leaves until an answer has come, which tells what one costs.
    """

    def __init__(
        self, *, rpm: float | None, tpm: float | None, concurrency: int, first_alone: bool = False,
        clock: Clock = time.monotonic,
    ) -> None:  # fmt: skip
        self.clock = clock
        self.window, self.in_flight = Window(concurrency, clock), 0
        self.requests, self.tokens = Budget("requests", rpm, clock), Budget("tokens", tpm, clock)
        self.first_alone = first_alone
        if (rpm or tpm) and not first_alone:
            self.window.open()  # the budgets start slowly by themselves
        self.resume_at = self.first_sent = -math.inf
        self._stopped, self._changed = asyncio.Event(), asyncio.Event()
        self._turn = asyncio.Lock()
        self.afford: Callable[[], bool] = lambda: True

    async def enter(self, tokens: Callable[[], int]) -> None:
        """Return once the request may leave, its cost paid. `tokens` is asked only where they are limited."""
        if self._turn.locked() or self._wait(tokens):
            async with self._turn:
                while wait := self._wait(tokens):
                    self._changed.clear()
                    with suppress(TimeoutError):
                        async with asyncio.timeout(None if wait == math.inf else wait):
                            await self._changed.wait()
        self.requests.spend(1)
        if self.tokens.limit:
            self.tokens.spend(tokens())
        self.in_flight += 1
        if self.first_sent == -math.inf:
            self.first_sent = self.clock()

    def _wait(self, tokens: Callable[[], int]) -> float:
        """Seconds until the request may leave, or until it is worth asking again; 0 if now."""
        if self._stopped.is_set():
            raise Stopping
        limit = self.tokens.limit
        if limit and tokens() > limit:
            raise TooLarge(f"the request needs {tokens()} tokens, more than the {limit:.0f} a minute allowed")
        if self.window.full(self.in_flight):
            alone = self.first_sent + ALONE - self.clock()
            if self.window.size >= 2 or alone <= -ALONE or self.first_alone:
                return math.inf
            if alone > 0:
                return alone
            self.window.open()
            return 0.0 if not self.window.full(self.in_flight) else math.inf
        if not self.afford():
            self.stop()
            raise Stopping
        costs = self.requests.wait(1), self.tokens.wait(tokens()) if limit else 0.0
        return max(0.0, self.resume_at - self.clock(), *costs)

    def learn(self, headers: Mapping[str, str]) -> None:
        """What any answer says of the limits."""
        self.requests.learn(headers)
        self.tokens.learn(headers)

    def answered(self) -> None:
        self.window.answered(self.in_flight)
        self._leave()

    def failed(self, sent_at: float, *, overloaded: bool) -> None:
        if overloaded:
            self.window.overloaded(sent_at)
        self._leave()

    def refused(self, sent_at: float, wait: float) -> None:
        """A refusal for rate of a request that left at `sent_at`: go slower.

        Only where most are refused is nothing sent for the seconds that the server asked for; a single
        request that is refused waits by itself.
        """
        self.window.refused(sent_at)
        if self.window.share > 0.5 or self.window.size < 2:
            self.resume_at = max(self.resume_at, self.clock() + min(wait, LONGEST_HOLD))
        self._leave()

    def _leave(self) -> None:
        self.in_flight -= 1
        self._changed.set()

    def stop(self) -> None:
        self._stopped.set()
        self._changed.set()

    async def pause(self, seconds: float) -> None:
        """Sleep, but no longer than the run goes on."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._stopped.wait(), seconds)


def retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of a Retry-After header (a number or a date), or of retry-after-ms; 0 where there is none."""
    if milliseconds := number(headers.get("retry-after-ms")):
        return milliseconds / 1000
    value = headers.get("retry-after")
    if value is None:
        return 0.0
    if seconds := number(value):
        return seconds
    try:
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    except (TypeError, ValueError, OverflowError):
        return 0.0
