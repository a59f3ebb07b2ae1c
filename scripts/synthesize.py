"""Rows written by a language model: `synthesize/rows.jsonl`, which a recipe's `data.files` can name.

    OPENAI_API_KEY=… python -m scripts.synthesize recipes/ko_text2sql/smollm2-135m-cpu.yaml

The recipe's section `synthesize` names the steps, such as contexts -> questions -> answers: each fills a prompt file
with what the steps before gave, and a function of the recipe reads the replies. A round goes through all steps, sends
the requests by `judge run` to any OpenAI-compatible endpoint (OPENAI_API_KEY, JUDGE_BASE_URL), and cleans the rows by
the recipe's rules; what is missing then is asked for in the next round. Before anything is sent it says what that will
cost and asks; --yes agrees beforehand. A run that was cut off goes on: no request that has its answer is sent again.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from math import ceil, prod
from pathlib import Path

from scripts.asking import Asking, Fallen
from scripts.cleaning import Cleaner, squeezed
from scripts.data import Splits
from scripts.judge import call, chosen_endpoint
from scripts.recipe import Recipe, UserError, all_recipes, load_recipe, run_main, shown
from scripts.runs import Step, as_jsonl, digest, folder_digest, sha256, write_jsonl, written_last
from scripts.spending import MARGIN, Spending, price_in


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    parser.add_argument("--yes", action="store_true", help="agree to the cost, which is asked for otherwise")
    given = parser.parse_args()
    recipe = load_recipe(given.recipe)
    if recipe.synthesize is None:
        having = [shown(path) for path in all_recipes() if load_recipe(path).synthesize]
        raise UserError(f"{recipe.shown}: synthesize: missing; recipes that have it: {', '.join(having) or 'none'}")
    names = ("rows.jsonl", "report.json", "clean_report.json", "clean_report.html")
    folder = recipe.run / "synthesize"
    step = Step(folder / "manifest.json", made_from(recipe), [folder / name for name in names])
    if step.fresh():
        return step.say_fresh()
    synthesis = Synthesis(recipe, folder, given.yes)
    rows = synthesis.rows()
    with ExitStack() as stack:
        file, report, *cleaning = [stack.enter_context(written_last(path)) for path in step.outputs]
        file.write(as_jsonl(rows))
        report.write(json.dumps(synthesis.report(rows), ensure_ascii=False, indent=2) + "\n")
        synthesis.cleaner.report.write(*cleaning)
    step.finish()


def made_from(recipe: Recipe) -> dict[str, str]:
    settings = recipe.synthesize.model_dump(exclude={"price", "max_cost", "max_attempts"})
    inputs = {"synthesize": digest(settings), "clean": digest(recipe.data.clean and recipe.data.clean.model_dump())}
    inputs |= {step.prompt: sha256(recipe.file(step.prompt)) for step in recipe.synthesize.steps}
    return inputs | {"code": folder_digest(recipe.folder, ["**/*.py", "**/*.tsv", "**/*.txt"])}


class Synthesis:
    """A recipe's rounds. The same replies give the same requests and rows, so a run goes on from an earlier one's files."""

    def __init__(self, recipe: Recipe, folder: Path, agreed: bool):
        self.recipe, self.settings, self.folder = recipe, recipe.synthesize, folder
        self.steps = [Asking(recipe, number) for number in range(len(self.settings.steps))]
        self.spending = Spending(self.steps, agreed)
        own = self.settings.clean is not None
        clean = self.settings.clean if own else recipe.data.clean
        if clean is None:
            raise UserError(f"{recipe.shown}: synthesize.clean: missing (nor is there data.clean): no rules, no rows")
        # Rows that overlap with the test rows fall here already.
        tests = Splits(recipe).rows("test")
        self.cleaner = Cleaner(recipe, clean, tests, "synthesize.clean" if own else "data.clean")
        self.cost = folder / "cost.json"  # what `judge cost` said before the first request
        self.rounds: list[dict] = []
        self.seen: set[str] = set()

    def rows(self) -> list[dict]:
        """As many good rows as the recipe wants, or what its rounds gave; UserError where that is none."""
        kept: list[dict] = []
        for number in range(1, self.settings.rounds + 1):
            missing = self.settings.rows - len(kept)
            if missing == 0:
                break
            asked = with_margin(missing, self.rounds)
            print(f"round {number} of {self.settings.rounds}: {missing} rows wanted, {asked} asked for", flush=True)
            self.rounds.append({"wanted": missing, "asked": asked, "steps": {}})
            made, before = self.made(number, asked), self.fallen()
            good = [row for _, row in self.cleaner.good((f"round {number}, {row['id']}", row) for row in made)]
            fallen = dict(self.fallen() - before)
            self.rounds[-1] |= {"rows": len(made), "kept": len(good), "fallen": fallen}
            print(f"  clean: {len(good)} of {len(made)} rows kept{in_brackets(fallen)}", flush=True)
            kept += good[:missing]
        if not kept:
            raise UserError(f"{self.recipe.shown}: no row was left after {len(self.rounds)} rounds (see above)")
        missing = self.settings.rows - len(kept)
        hint = f"; {missing} are missing: more synthesize.rounds would ask for them" if missing else ""
        print(f"{len(kept)} of {self.settings.rows} rows, {self.spending.summary()}{hint}")
        return kept

    def made(self, number: int, asked: int) -> list[dict]:
        """The rows that the steps of one round give, `asked` at most."""
        counts = [step.count for step in self.settings.steps]
        rows = [{"id": f"r{number}-{n}"} for n in range(1, ceil(asked / prod(counts)) + 1)]
        for step in self.steps:
            requests = list(step.requests(rows, ceil(asked / prod(counts[step.number + 1 :]))))
            if not requests:
                return []
            responses = dict(self.responses(number, step, requests, asked))
            by_id, rows, fallen = {row["id"]: row for row in rows}, [], Fallen()
            for about in (request["metadata"] for request in requests):
                response = responses.get(about["id"])
                found = step.rows(by_id[about["id"]], about["count"], response, fallen)
                rows += [row for row in found if not self.repeated(step, row, fallen)]
            values = sum(request["metadata"]["count"] for request in requests)
            self.rounds[-1]["steps"][step.step.column] = {"asked": values, "given": len(rows), "fallen": fallen.rules}
            print(f"  {step.step.column}: {len(rows)} of {values} given{in_brackets(fallen.counts())}", flush=True)
        return rows

    def repeated(self, step: Asking, row: dict, fallen: Fallen) -> bool:
        """Whether this was there before under the same earlier columns: nothing more is paid for it.

        The last step's values are left to the cleaning, which knows when two are the same.
        """
        if step is self.steps[-1]:
            return False
        mark = digest([step.number, *(squeezed(row[one.step.column]) for one in self.steps[: step.number + 1])])
        if mark in self.seen:
            fallen.add("repeated", 1, row["id"], str(row[step.step.column]))
            return True
        self.seen.add(mark)
        return False

    def responses(self, number: int, step: Asking, requests: list[dict], asked: int) -> Iterator[tuple[str, dict]]:
        """(id, response) of each request that was answered; sends what has no answer yet."""
        folder, column = self.folder / f"round-{number}", step.step.column
        sent, results = folder / f"{column}.requests.jsonl", folder / f"{column}.jsonl"
        write_jsonl(sent, requests)
        done = Step(folder / f"{column}.manifest.json", {"requests": sha256(sent)}, [results])
        if not done.fresh():
            self.send(number, step, sent, results, asked)
            done.finish(say=False)
        price = price_in(self.cost)
        with results.open(encoding="utf-8") as file:
            for line in file:
                _, response, about = json.loads(line)
                self.spending.count(response, price)
                yield about["id"], response

    def send(self, number: int, step: Asking, sent: Path, results: Path, rows: int) -> None:
        settings, url = self.settings, chosen_endpoint()
        if url is None:
            raise UserError(
                "no endpoint: set OPENAI_API_KEY, or JUDGE_BASE_URL to an OpenAI-compatible server's address"
            )
        where = ["--base-url", url] if url else []
        if settings.price:
            where += ["--price", ",".join(map(str, settings.price))]
        paid = None
        if not self.spending.offered:
            call("cost", str(sent), "--results", str(results), "--out", str(self.cost), *where, quiet=True)
            cost = json.loads(self.cost.read_text(encoding="utf-8"))
            paid = cost["spent"]
            if cost["waiting"]:
                self.spending.ask(self.spending.offer(cost, step.number, number, rows))
        limits = ["--rpm", str(settings.requests_per_minute), "--tpm", str(settings.tokens_per_minute)]
        limits += ["--max-attempts", str(settings.max_attempts)]
        left = self.spending.left(paid)
        if left is not None:
            limits += ["--max-cost", f"{left:.6f}"]
        # Code 1: some requests failed. A few are what the next round is for.
        call("run", str(sent), "--out", str(results), *limits, *where, also_fine=(1,))
        asked, answered = (sum(1 for _ in path.open("rb")) for path in (sent, results))
        if 2 * answered < asked:
            why = f"see {shown(results.with_name(f'{step.step.column}.failed.jsonl'))}"
            raise UserError(
                f"{asked - answered} of {asked} requests failed ({why}); the same command goes on from here"
            )

    def fallen(self) -> Counter:
        return Counter({rule: about["rows"] for rule, about in self.cleaner.report.rules.items()})

    def report(self, rows: list[dict]) -> dict:
        spent = {"tokens": self.spending.tokens, "dollars": self.spending.dollars if self.spending.priced else None}
        about = {"recipe": self.recipe.shown, "model": self.settings.model, "wanted": self.settings.rows}
        return about | {"rows": len(rows), "spent": spent, "rounds": self.rounds}


def with_margin(missing: int, rounds: list[dict]) -> int:
    """How many rows to ask for so that `missing` are left of them, by what was left of earlier rounds; twice at most.

    Without it the last few rows would take a round each: a single context that falls takes all its questions along.
    """
    asked = sum(one["asked"] for one in rounds)
    share = sum(one["kept"] for one in rounds) / asked if asked else 1.0
    return ceil(missing / min(1.0, max(share, 1 / MARGIN)))


def in_brackets(counts: dict[str, int]) -> str:
    return f" ({', '.join(f'{rule} {count}' for rule, count in counts.items())})" if counts else ""


if __name__ == "__main__":
    run_main(main)
