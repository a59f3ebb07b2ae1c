"""What cleaning did, counted as it goes: `clean_report.json` and a page, with examples of each rule."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TextIO

from scripts.recipe import Clean, Recipe

EXAMPLES = 5  # of each rule
CLOSEST = 10  # pairs of questions nearest to each other
LONGEST = 600  # characters of an example's text
STEPS = [0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0]


class Report:
    def __init__(self, recipe: Recipe, settings: Clean):
        self.recipe, self.settings = recipe, settings
        self.read, self.rules, self.tests, self.test_rules = 0, {}, 0, {}
        self.overlaps = {name: {_bucket(at): 0 for at in [0, *STEPS]} for name in ("question", "schema")}
        self.closest: list[dict] = []
        self.questions: dict[str, str] = {}

    def test(self, place: str, row: dict, found: dict) -> None:
        self.tests += 1
        self.questions[str(row.get("id"))] = str(row.get("question"))
        _count(self.test_rules, place, row, found["faults"])

    def train(self, place: str, row: dict, found: dict) -> None:
        self.read += 1
        _count(self.rules, place, row, found["faults"])
        if "overlap" in found:
            overlap = found["overlap"]
            for name, buckets in self.overlaps.items():
                buckets[_bucket(overlap[name])] += 1
            if overlap["nearest"]:
                self._closer(row, overlap)

    def _closer(self, row: dict, overlap: dict) -> None:
        pair = {
            "share": round(overlap["question"], 3), "id": str(row.get("id")), "question": row["question"][:LONGEST],
            "test_id": overlap["nearest"], "test_question": self.questions[overlap["nearest"]][:LONGEST],
        }  # fmt: skip
        self.closest = sorted([*self.closest, pair], key=lambda pair: -pair["share"])[:CLOSEST]

    def content(self) -> dict:
        dropped = sum(rule["rows"] for rule in self.rules.values())
        return {
            "recipe": self.recipe.shown,
            "settings": self.settings.model_dump(exclude={"workers"}),
            "train": {"read": self.read, "kept": self.read - dropped, "dropped": dropped},
            "rules": self.rules,
            "overlap_with_test": self.overlaps,
            "closest_questions": self.closest,
            "test": {"read": self.tests, "faulty": sum(rule["rows"] for rule in self.test_rules.values())},
            "test_rules": self.test_rules,
        }

    def in_short(self) -> str:
        """One line for the terminal."""
        train, test = self.content()["train"], self.content()["test"]
        rules = ", ".join(f"{name} {about['rows']}" for name, about in self.rules.items() if about["rows"])
        faulty = f"; {test['faulty']} test rows have faults too" if test["faulty"] else ""
        return f"clean: {train['kept']} of {train['read']} training rows kept ({rules or 'no rule broken'}){faulty}"

    def write(self, as_json: TextIO, as_html: TextIO) -> None:
        from jinja2 import Environment, FileSystemLoader

        content = self.content()
        json.dump(content, as_json, ensure_ascii=False, indent=2)
        as_json.write("\n")
        # Every text from a row is data, and may hold HTML: it goes through autoescape.
        pages = Environment(loader=FileSystemLoader(Path(__file__).parent), autoescape=True, trim_blocks=True)
        as_html.write(pages.get_template("clean_report.html.jinja").render(**content))


def _count(rules: dict[str, dict], place: str, row: dict, faults: list[tuple[str, str]]) -> None:
    """Count a row for the first rule that it breaks, and note it for the others."""
    for nth, (rule, reason) in enumerate(faults):
        about = rules.setdefault(rule, {"rows": 0, "broken_besides": 0, "examples": []})
        about["rows" if nth == 0 else "broken_besides"] += 1
        if nth == 0 and len(about["examples"]) < EXAMPLES:
            texts = {name: str(row.get(name) or "")[:LONGEST] for name in ("question", "answer")}
            about["examples"].append({"id": str(row.get("id")), "place": place, "reason": reason[:LONGEST], **texts})


def _bucket(share: float) -> str:
    reached = [step for step in STEPS if share >= step]
    if not reached:
        return f"below {STEPS[0]}"
    return "1.0" if reached[-1] == 1 else f"{reached[-1]} to {STEPS[len(reached)]}"
