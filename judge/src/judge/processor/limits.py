"""Requests and tokens a minute: a bucket for the side that serves, a budget for the side that sends."""

import math
import re
import time
from collections import deque
from collections.abc import Callable, Mapping

Clock = Callable[[], float]
# No stretch of this many seconds is to hold more than a minute's limit: half a second more than a minute, since
# requests don't take equally long on their way and may arrive closer together than they left.
WINDOW = 60.5
# Share of the limit at which requests are spaced, so that neither a server's window nor its bucket runs out.
PACE = 0.99
CATCH_UP = 0.1  # seconds that a late wake-up may be made up for
GRAIN = 0.05  # seconds within which what was sent is remembered as one
DURATION = re.compile(r"(\d+(?:\.\d+)?)(ms|h|m|s)")
SECONDS = {"ms": 0.001, "s": 1, "m": 60, "h": 3600}


class Bucket:
    """`per_minute` units that flow in evenly; at most `burst` of them wait to be spent.

    A spender asks `wait` and, when it says 0, calls `spend`. What costs more than the burst goes once the
    bucket is full and leaves it in debt, so the average holds.
    """

    def __init__(self, per_minute: float, *, burst: float, clock: Clock = time.monotonic) -> None:
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


class Budget:
    """What may be sent a minute, so that a server with the same limit never refuses.

    Two rules at once. What is sent flows evenly at `PACE` of the limit, without a first burst, which holds
    for a server whose bucket is small. And no `WINDOW` seconds hold more than the limit, which holds for
    one that counts a sliding minute, however unequal the costs. `learn` adds what the server's headers say:
    a lower limit, and what others (or an earlier run) have spent of it.
    """

    def __init__(self, kind: str, limit: float | None, clock: Clock = time.monotonic) -> None:
        self.kind, self.given, self.limit, self.clock = kind, limit, limit, clock
        self.told = math.inf  # the server's own limit, of which others may use a part
        self.next_at = -math.inf
        self._sent: deque[list[float]] = deque()  # [when, cost]
        self._total = 0.0
        self._others, self._others_from, self._others_until = 0.0, 0.0, 0.0

    def wait(self, cost: float) -> float:
        """Seconds until `cost` may be spent, or until it is worth asking again; 0 if now."""
        if self.limit is None:
            return 0.0
        now = self.clock()
        own, others = self._own(now), self._spent_by_others(now)
        # What costs more than a whole limit goes when nothing else is counted.
        over = own + cost - max(self.limit, cost)
        wait = self._until_own_freed(over, now) if over > 1e-9 else 0.0
        over = own + others + cost - max(self.told, cost)
        return max(0.0, self.next_at - now, wait, self._until_freed(over, now) if over > 1e-9 else 0.0)

    def spend(self, cost: float) -> None:
        now = self.clock()
        if self._sent and now - self._sent[-1][0] < GRAIN:
            self._sent[-1][1] += cost
        else:
            self._sent.append([now, cost])
        self._total += cost
        if self.limit:
            self.next_at = max(self.next_at, now - CATCH_UP) + cost * 60 / (PACE * self.limit)

    def _own(self, now: float) -> float:
        # An entry holds what was sent up to GRAIN seconds after its time, so it is kept that much longer.
        while self._sent and self._sent[0][0] <= now - WINDOW - GRAIN:
            self._total -= self._sent.popleft()[1]
        return self._total

    def _spent_by_others(self, now: float) -> float:
        """It is taken to leave the server's minute evenly, as it does where the server's is a bucket."""
        if now >= self._others_until:
            return 0.0
        return self._others * (self._others_until - now) / (self._others_until - self._others_from)

    def _until_freed(self, amount: float, now: float) -> float:
        own = self._until_own_freed(amount, now)
        if self._spent_by_others(now) >= amount:
            return min(own, amount * (self._others_until - self._others_from) / self._others)
        return own

    def _until_own_freed(self, amount: float, now: float) -> float:
        for when, cost in self._sent:
            amount -= cost
            if amount <= 1e-9:
                return when + WINDOW + GRAIN - now
        return 1.0

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take in x-ratelimit-{limit,remaining,reset}-KIND of any answer, refusals among them."""
        limit = number(headers.get(f"x-ratelimit-limit-{self.kind}"))
        if not limit:
            return
        now = self.clock()
        self.told = limit
        self.limit = min(self.given or math.inf, limit)
        remaining = number(headers.get(f"x-ratelimit-remaining-{self.kind}"), or_else=math.nan)
        unknown = limit - remaining - self._own(now) - self._spent_by_others(now)
        if unknown > max(1.0, limit / 100):  # servers round; and NaN, for a header that is not there, is not more
            reset = duration(headers.get(f"x-ratelimit-reset-{self.kind}")) or 60.0
            self._others = self._spent_by_others(now) + unknown
            self._others_from, self._others_until = now, now + min(60.0, reset)


def number(text: str | None, or_else: float = 0.0) -> float:
    """A header's number where it is finite and not below zero."""
    try:
        value = float(text or "")
    except ValueError:
        return or_else
    return value if math.isfinite(value) and value >= 0 else or_else


def duration(text: str | None) -> float:
    """Seconds of '6m0s', '120ms', '2m59.56s' or '1.5'; 0 where it is none of these."""
    if found := DURATION.findall(text or ""):
        return sum(float(value) * SECONDS[unit] for value, unit in found)
    return number(text)
