"""What an answer costs, by a small table of list prices (prices.csv) or by the user's own."""

import csv
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from judge.text import UserError

TABLE = Path(__file__).parent / "prices.csv"
SNAPSHOT = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(frozen=True)
class Price:
    """US dollars a million tokens; `source` says whose price it is."""

    input: float
    output: float
    source: str

    def of(self, usage: Any) -> float:
        """Dollars for a response's `usage`, 0 where it names none; cached input counts in full."""
        asked, told = token_counts(usage)
        return (asked * self.input + told * self.output) / 1e6


def token_counts(usage: Any) -> tuple[int, int]:
    """(tokens of the prompt, tokens of the answer) of a response's `usage`; 0 where it doesn't say."""
    usage = usage if isinstance(usage, dict) else {}
    counts = [usage.get("prompt_tokens", usage.get("input_tokens")), usage.get("completion_tokens")]
    asked, told = (count if isinstance(count, int) and count > 0 else 0 for count in counts)
    return asked, told


@cache
def price_table() -> dict[str, Price]:
    """{model: price}, in the order of prices.csv."""
    with open(TABLE, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    return {
        row["model"]: Price(float(row["input"]), float(row["output"]), f"list price of {row['date']}") for row in rows
    }


def price_of(model: Any) -> Price | None:
    """A model's list price, a dated snapshot's being its model's; None for a model that is not in the table."""
    if not isinstance(model, str):
        return None
    name = model.rpartition("/")[2]  # some gateways write openai/gpt-4o
    return price_table().get(name) or price_table().get(SNAPSHOT.sub("", name))


def parse_price(text: str) -> Price:
    """A price that the user gives as IN,OUT, such as 2.5,10."""
    try:
        asked, told = (float(part) for part in text.split(","))
        if not (0 <= asked < 1e6 and 0 <= told < 1e6):
            raise ValueError
    except ValueError:
        raise UserError(
            f"--price {text}: expected IN,OUT in US dollars a million tokens, as in --price 2.5,10"
        ) from None
    return Price(asked, told, "--price")
