"""Requests and tokens a minute as continuous buckets."""

import time
from collections.abc import Callable


class Bucket:
    """`per_minute` units that flow in evenly; at most `burst` of them wait to be spent.

    A spender asks `wait` and, when it says 0, calls `spend`. What costs more than the burst goes once the
    bucket is full and leaves it in debt, so the average holds.
    """

    def __init__(self, per_minute: float, *, burst: float, clock: Callable[[], float] = time.monotonic) -> None:
        self.per_minute, self.burst, self.clock = per_minute, burst, clock
        self.level, self.since = burst, clock()

    def _flow(self) -> None:
        now = self.clock()
        self.level = min(self.burst, self.level + (now - self.since) * self.per_minute / 60)
        self.since = now

    def wait(self, cost: float) -> float:
        """Seconds until `cost` may be spent; 0 if now."""
        self._flow()
        return max(0.0, (min(cost, self.burst) - self.level) * 60 / self.per_minute)

    def spend(self, cost: float) -> None:
        self._flow()
        self.level -= cost


def sending_bucket(per_minute: float, clock: Callable[[], float] = time.monotonic) -> Bucket:
    """A bucket for the side that sends: no stretch of 60 seconds, wherever it begins, holds more than
    `per_minute`.

    A burst of a second's worth, and the rest flowing in over the minute, add up to exactly that. Tokens may
    exceed it by one request, since a request is not sent in parts.
    """
    burst = max(1.0, per_minute / 60)
    return Bucket(per_minute * 59 / 60, burst=burst, clock=clock)
