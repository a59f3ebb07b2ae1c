"""What `judge serve` lets through in a minute, and what its headers say about it."""

import math
import time
from collections import deque
from collections.abc import Callable

from judge.processor.limits import Bucket
from judge.text import UserError

MODES = ("bucket", "window")


class Window:
    """`per_minute` units in any stretch of 60 seconds, wherever it begins. Has `Bucket`'s `wait` and `spend`."""

    def __init__(self, per_minute: float, *, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.burst, self.clock = per_minute, per_minute, clock
        self._spent: deque[tuple[float, float]] = deque()  # (when, how much), oldest first
        self._sum = 0.0

    def _forget(self) -> None:
        now = self.clock()
        while self._spent and self._spent[0][0] <= now - 60:
            self._sum -= self._spent.popleft()[1]

    @property
    def level(self) -> float:
        self._forget()
        return self.per_minute - self._sum

    def wait(self, cost: float) -> float:
        """Seconds until `cost` fits; 0 if now."""
        missing = min(cost, self.per_minute) - self.level
        if cost >= self.per_minute:  # all of it must have gone: the newest tells, without a walk through a minute
            return max(0.0, self._spent[-1][0] + 60 - self.clock()) if self._spent else 0.0
        until = 0.0
        for when, spent in self._spent:
            if missing <= 1e-9:
                break
            missing -= spent
            until = when + 60 - self.clock()
        return max(0.0, until)

    def spend(self, cost: float) -> None:
        self._forget()
        self._spent.append((self.clock(), cost))
        self._sum += cost


class Limits:
    """Requests and tokens a minute; 0 is no limit.

    mode: 'bucket' lets a whole minute's worth pass at once and then what flows in; 'window' counts any 60 seconds.
    headers: whether answers carry x-ratelimit-… and refusals Retry-After, as OpenAI's do and many servers' do not.
    """

    def __init__(self, rpm: float = 0, tpm: float = 0, *, mode: str = "bucket", headers: bool = True) -> None:
        if mode not in MODES:
            raise UserError(f"--limit-mode {mode}: there are {' and '.join(MODES)}")
        make = Window if mode == "window" else lambda limit: Bucket(limit, burst=limit)
        self.limits = {kind: make(limit) for kind, limit in (("requests", rpm), ("tokens", tpm)) if limit}
        self.headers = headers

    def spend(self, tokens: int) -> tuple[dict[str, str], str]:
        """Pay for one request if it may pass: the headers to send, and why it may not ('' if it may)."""
        costs = {"requests": 1, "tokens": tokens}
        for kind, limit in self.limits.items():
            if costs[kind] > limit.per_minute:
                return (
                    self._told(),
                    f"request too large: {costs[kind]} {kind}, the limit is {limit.per_minute:g} a minute",
                )
        wait = max([limit.wait(costs[kind]) for kind, limit in self.limits.items()], default=0.0)
        if not wait:
            for kind, limit in self.limits.items():
                limit.spend(costs[kind])
            return self._told(), ""
        told = self._told()
        if self.headers:
            told["retry-after"] = str(math.ceil(wait))
        return told, f"rate limit reached, try again in {wait:.1f} s" if self.headers else "rate limit reached"

    def _told(self) -> dict[str, str]:
        told = {}
        for kind, limit in self.limits.items() if self.headers else ():
            told[f"x-ratelimit-limit-{kind}"] = f"{limit.per_minute:g}"
            # a bucket's wait brings its level up to now
            told[f"x-ratelimit-reset-{kind}"] = f"{limit.wait(limit.burst):.3f}s"
            told[f"x-ratelimit-remaining-{kind}"] = str(max(0, int(limit.level)))
        return told
