"""What a run has used and spent so far, and the line on the screen that shows it."""

import sys
import time
from typing import Any

from judge.processor.prices import Price, price_of, token_counts

SHOW_EVERY = 0.5  # seconds


class Meter:
    """Counts tokens and dollars by the answers' own `usage`.

    `price` is the user's and wins; else the list price of the model that answered or, where its name is not
    in the table, of the one that was asked for, unless `free` (an endpoint on this machine). Where an answer
    has no known price `spent` stays None: part of a sum would look like the sum.
    """

    def __init__(self, *, price: Price | None, free: bool, total: int, done: int, show: bool) -> None:
        from tqdm import tqdm

        self.price, self.free = price, free
        self.tokens = self.answers = 0
        self.spent: float | None = None
        self.unpriced = 0
        self.sources: set[str] = set()
        self.left = total - done
        self._shown = 0.0
        self._bar = tqdm(
            total=total,
            initial=done,
            unit="req",
            disable=not show,
            mininterval=0.2 if sys.stderr.isatty() else 10,  # a log file gets a line now and then
        )

    def price_for(self, asked: Any, answered: Any = None) -> Price | None:
        return self.price or price_of(answered) or (None if self.free else price_of(asked))

    def answered(self, request: dict[str, Any], response: dict[str, Any]) -> None:
        usage = response.get("usage")
        self.tokens += sum(token_counts(usage))
        self.answers += 1
        price = self.price_for(request.get("model"), response.get("model"))
        if price and usage:
            self.sources.add(price.source)
            self.spent = (self.spent or 0.0) + price.of(usage)
        else:
            self.unpriced += 1
        self.done()

    def done(self) -> None:
        """One request more has its final line."""
        self.left -= 1
        self._bar.update()
        now = time.monotonic()
        if not self._bar.disable and now - self._shown > SHOW_EVERY:
            self._shown = now
            self._bar.set_postfix_str(self.line(), refresh=False)

    def mean(self) -> float:
        """Dollars an answer has cost."""
        return (self.spent or 0.0) / max(1, self.answers - self.unpriced)

    def line(self) -> str:
        """`1,234,567 tokens, $1.20 of about $4.80`, without the money where the price is not known."""
        tokens = f"{self.tokens:,} tokens"
        if self.spent is None or self.unpriced:
            return tokens
        return f"{tokens}, ${self.spent:.2f} of about ${self.spent + self.mean() * self.left:.2f}"

    def say(self, text: str) -> None:
        self._bar.set_postfix_str(text[:60], refresh=False)

    def close(self) -> None:
        if not self._bar.disable:
            self._bar.set_postfix_str(self.line(), refresh=False)
        self._bar.close()
