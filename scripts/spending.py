"""What a synthesis costs: told before it starts, agreed to by someone, and counted as it goes."""

from __future__ import annotations

import json
import sys
from math import ceil, prod
from pathlib import Path

from scripts.asking import Asking
from scripts.recipe import UserError
from scripts.tokens import count_tokens

MARGIN = 2  # a round asks for so many times what is missing at most


class Spending:
    """Asked once a run, before the first request without an answer; then what the answers' own `usage` says."""

    def __init__(self, steps: list[Asking], agreed: bool):
        self.steps, self.agreed = steps, agreed
        self.tokens, self.dollars = 0, 0.0
        self.priced = True
        self.offered = False

    def ask(self, text: str) -> None:
        """Show what it will cost; UserError where nobody agrees or nobody can be asked."""
        self.offered = True
        print(text, flush=True)
        if self.agreed:
            return
        if not sys.stdin.isatty():
            raise UserError("nothing was sent: no terminal to ask on; YES=1 (with make) or --yes agrees to that cost")
        try:
            answer = input("go on? [y/N] ")
        except EOFError:
            answer = ""
        if answer.strip().lower() not in ("y", "yes"):
            raise UserError("nothing was sent")

    def offer(self, cost: dict, number: int, round: int, rows: int) -> str:
        """What is to come from step `number` of this round on, given what `judge cost` says of that step's requests;
        `rows` is how many the round asks for.

        'About' takes replies of the usual length and one round; 'at most' the longest replies, and every row falling in
        every round that is left.
        """
        settings = self.steps[0].settings
        waiting, asked = cost["waiting"], cost["prompt_tokens"]
        usual = added(self.tokens_of(rows, number + 1, False), (asked, waiting * self.steps[number].step.usual_tokens))
        most = added(self.tokens_of(rows, number + 1, True), (asked, cost["most_reply_tokens"]))
        # If every row falls, each later round asks for the margin too.
        whole = self.tokens_of(MARGIN * min(rows, settings.rows), 0, True)
        most = added(most, tuple((settings.rounds - round) * tokens for tokens in whole))
        price = cost["price"]
        lines = [
            f"{rows} rows by {settings.model} at {cost['endpoint']}: "
            f"about {usual[0]:,} tokens in and {usual[1]:,} out{dollars(usual, price)}",
            f"at most {most[0]:,} in and {most[1]:,} out{dollars(most, price)}, "
            f"if every row of {settings.rounds - round + 1} rounds fell",
        ]
        if price:
            source = "synthesize.price" if settings.price else price["source"]
            lines.append(f"in dollars by {source}")
        else:
            lines.append("in dollars: not known; free on this machine, else name synthesize.price: [IN, OUT]")
        if settings.max_cost is not None:
            lines.append(f"it stops before it has cost more than ${settings.max_cost:g} (synthesize.max_cost)")
        return "\n".join(lines)

    def tokens_of(self, rows: int, first: int, longest: bool) -> tuple[int, int]:
        """Tokens in and out of one round's steps from `first` on, as if no row fell."""
        sizes = [one.step.max_tokens if longest else one.step.usual_tokens for one in self.steps]
        asked = told = 0
        for one in self.steps[first:]:
            requests = ceil(rows / prod(later.step.count for later in self.steps[one.number :]))
            earlier = [prior for prior in self.steps[: one.number] if prior.step.column in one.places]
            filled = sum(ceil(sizes[prior.number] / prior.step.count) for prior in earlier)
            asked += requests * (count_tokens(one.template) + filled)
            told += requests * sizes[one.number]
        return asked, told

    def count(self, response: object, price: dict | None) -> None:
        usage = response.get("usage") if isinstance(response, dict) else None
        usage = usage if isinstance(usage, dict) else {}
        asked, told = (tokens(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
        self.tokens += asked + told
        self.priced = self.priced and price is not None
        if price:
            self.dollars += (asked * price["input"] + told * price["output"]) / 1e6

    def left(self, paid: float | None) -> float | None:
        """Dollars that synthesize.max_cost still allows; None for any number. UserError where none is left.

        paid: for answers of the step in hand, which an earlier run got and `count` has not seen yet.
        """
        most, spent = self.steps[0].settings.max_cost, self.dollars + (paid or 0)
        if most is not None and spent >= most:
            raise UserError(f"stopped: it has cost ${spent:.4f}, synthesize.max_cost is ${most:g}; raise it to go on")
        return None if most is None else most - spent

    def summary(self) -> str:
        return f"{self.tokens:,} tokens" + (f", ${self.dollars:.4f}" if self.priced and self.dollars else "")


def price_in(path: Path) -> dict | None:
    """The price that `judge cost` wrote."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))["price"]
    except (FileNotFoundError, ValueError, KeyError):
        return None


def added(first: tuple, second: tuple) -> tuple[int, int]:
    return first[0] + second[0], first[1] + second[1]


def dollars(tokens: tuple[int, int], price: dict | None) -> str:
    return f", ${(tokens[0] * price['input'] + tokens[1] * price['output']) / 1e6:.4f}" if price else ""


def tokens(value: object) -> int:
    return value if isinstance(value, int) and value > 0 else 0
