"""One step of a synthesis: what to ask a model, and what its replies give.

Replies are anybody's text. They are read by the recipe's function, cut to what was asked for, freed of what no file
should hold, and counted where they fall; none is ever a template.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from random import Random

from scripts.prompts import PLACE, fill
from scripts.recipe import Recipe, load_function, read_text, shown

UNPRINTABLE = re.compile(r"[\x00-\x08\x0b-\x1f\x7f\ud800-\udfff]")
LONGEST = 30_000  # characters of a reply that are read
EXAMPLES = 3  # of each rule that replies fall to


class Asking:
    """A step of the recipe's `synthesize`, ready to ask; UserError where its prompt or a function can't be had."""

    def __init__(self, recipe: Recipe, number: int):
        self.number, self.settings, self.step = number, recipe.synthesize, recipe.synthesize.steps[number]
        path, key = recipe.file(self.step.prompt), f"synthesize.steps.{number}"
        self.name, self.template = shown(path), read_text(path).strip()
        self.reader = load_function(recipe, f"{key}.read", self.step.read)
        self.filler = load_function(recipe, f"{key}.fill", self.step.fill) if self.step.fill else None

    @property
    def places(self) -> set[str]:
        return set(PLACE.findall(self.template))

    def requests(self, rows: list[dict], wanted: int) -> Iterator[dict]:
        """Chat-completions requests for `wanted` values at most, as many of each row as the step's count."""
        for row in rows:
            count = min(self.step.count, wanted)
            if count == 0:
                return
            wanted -= count
            # By the id alone, so that a longer or a resumed run asks the very same.
            dice = Random(f"{self.settings.seed}:{self.step.column}:{row['id']}")
            places = {**row, "count": count, **(self.filler(dice, {**row, "count": count}) if self.filler else {})}
            yield {
                "model": self.settings.model,
                "messages": [{"role": "user", "content": fill(self.template, places, self.name)}],
                self.settings.limit: self.step.max_tokens,
                **self.settings.request,
                "metadata": {"id": row["id"], "count": count},
            }

    def rows(self, row: dict, count: int, response: object, fallen: Fallen) -> list[dict]:
        """The row with the step's column, once for each value of the reply; what is missing of `count` has fallen."""
        text, reason = text_of(response)
        if reason:
            fallen.add(reason, count, row["id"], text)
            return []
        try:
            values = list(self.reader(text, row))[:count]
        except (ValueError, RecursionError) as error:
            fallen.add("unreadable", count, row["id"], f"{error}: {text}")
            return []
        made = []
        for nth, value in enumerate(values, 1):
            if isinstance(value, ValueError):
                fallen.add("unreadable", 1, row["id"], str(value))
                continue
            value = value if isinstance(value, dict) else {self.step.column: value}
            id = row["id"] if self.step.count == 1 else f"{row['id']}-{nth}"
            made.append({**row, **{name: printable(item) for name, item in value.items()}, "id": id})
        if len(values) < count:
            fallen.add("not given", count - len(values), row["id"], text)
        return made


def text_of(response: object) -> tuple[str, str]:
    """(a chat completion's text, why it can't be used or "")."""
    try:
        choice = response["choices"][0]
        text, ended = choice["message"]["content"], choice.get("finish_reason")
    except (TypeError, KeyError, IndexError, AttributeError):
        return "", "no answer"
    if not isinstance(text, str) or not text.strip():
        return "", "no answer"
    text = printable(text[:LONGEST])
    return (text, "cut off") if ended == "length" else (text, "")


def printable(value: object) -> object:
    """Text without control characters and halves of characters, which files and terminals would stumble over."""
    return UNPRINTABLE.sub("", value) if isinstance(value, str) else value


class Fallen:
    """How many values fell to which rule, with examples."""

    def __init__(self) -> None:
        self.rules: dict[str, dict] = {}

    def add(self, rule: str, count: int, id: str, text: str) -> None:
        about = self.rules.setdefault(rule, {"values": 0, "examples": []})
        about["values"] += count
        if len(about["examples"]) < EXAMPLES:
            about["examples"].append({"id": id, "text": text[:600]})

    def counts(self) -> dict[str, int]:
        return {rule: about["values"] for rule, about in self.rules.items()}
