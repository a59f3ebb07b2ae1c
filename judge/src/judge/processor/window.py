"""How many requests may be in flight: as many as the endpoint answers faster for, and fewer when it refuses."""

import time
from collections.abc import Callable

FIRST = 8  # after the first answer, which is waited for alone
GAIN = 1.1  # more in flight must raise the answers a second by a tenth, or it is more waiting and no more work
CALM = 8  # windows of answers between two tries to grow, once growing has stopped paying
RECENT = 32  # outcomes over which the share of refusals is taken


class Window:
    """Places in flight, at most `most`.

    They double while that raises the rate of answers, then rest and try half as many more now and then. A
    refusal shrinks them by half the share of recent outcomes that were refusals (as data centre TCP does,
    RFC 8257): one stray refusal hardly slows, and where all are refused the window is halved. It does so
    once for all that were in flight together.
    """

    def __init__(self, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.most, self.clock = most, clock
        self.size = 1.0
        self.share = 0.0  # of recent outcomes that were refusals
        self.best_rate, self.best_size = 0.0, 1.0
        self._opened, self._cut_at, self._factor, self._rest = False, float("-inf"), 2.0, 0
        self._count, self._began, self._full = 0, clock(), False

    def full(self, in_flight: int) -> bool:
        return in_flight >= max(1, int(self.size))

    def open(self) -> None:
        """The endpoint has said something, or is taking its time: don't wait for it one by one."""
        if not self._opened:
            self._opened = True
            self._set(min(FIRST, self.most))

    def answered(self, in_flight: int) -> None:
        """One answer came, with `in_flight` on their way when it did."""
        self.open()
        self.share -= self.share / RECENT
        self._full = self._full or in_flight >= int(self.size)
        self._count += 1
        # The first window of answers was sent before the size was what it is, and doesn't tell of it.
        if self._count == int(self.size):
            self._began, self._full = self.clock(), False
        elif self._count >= 2 * int(self.size) + 2:
            self._judge(self._count - int(self.size))

    def _judge(self, answers: int) -> None:
        rate = answers / max(1e-6, self.clock() - self._began)
        if not self._full:  # something else holds the run back, so the rate says nothing of the size
            return self._set(self.size)
        if self._rest:
            self._rest -= 1
            self.best_rate += (rate - self.best_rate) / 4
            return self._set(self.size)
        if rate > GAIN * self.best_rate or self.size <= self.best_size:
            self.best_rate, self.best_size = rate, self.size
            return self._set(self.size * self._factor)
        self._factor, self._rest = 1.5, CALM
        return self._set(self.best_size)

    def refused(self, sent_at: float) -> None:
        self.open()
        self.share += (1 - self.share) / RECENT
        if sent_at > self._cut_at:
            self._cut_at = self.clock()
            self._set(self.size * (1 - self.share / 2))
            self.best_size, self.best_rate = self.size, 0.0

    def overloaded(self, sent_at: float) -> None:
        """No answer in time, or a 503: half as many, once for all that were in flight together."""
        self.open()
        if sent_at > self._cut_at:
            self._cut_at = self.clock()
            self._set(self.size / 2)
            self.best_size, self.best_rate, self._rest = self.size, 0.0, CALM

    def _set(self, size: float) -> None:
        self.size = min(float(self.most), max(1.0, size))
        self._count, self._began, self._full = 0, self.clock(), False
