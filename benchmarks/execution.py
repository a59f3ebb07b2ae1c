"""Execution accuracy: verdicts a minute by kind of row, mutants killed, rewrites judged wrong, self-tests.

    python benchmarks/execution.py                     # the 112 test rows of recipes/ko_text2sql
    python benchmarks/execution.py --rows rows.jsonl   # id, context, answer a line

Every row gets at least twenty instances, and its mutants are killed too, as in `judge execution`. The plain loop judges
the same rows one at a time in one process and forgets everything from row to row. CPU seconds are those of the
workers and of this process together; on a busy machine they and the ratio say more than the clock.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import sys
import time
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "judge" / "tests")]

from judge.execution import bench, execution_verdicts, sandbox  # noqa: E402
from judge.execution.mutants import mutants  # noqa: E402
from judge.execution.rowjudge import judge_row  # noqa: E402
from judge.execution.workers import close_idle, cores  # noqa: E402
from judge.sql.queries import parse_query  # noqa: E402
from judge.sql.schema import parse_schema  # noqa: E402
from rewriting import rewritten  # noqa: E402


def main() -> None:
    """Print one table a question."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--rows", type=Path, help="jsonl with id, context, answer; default the course's test rows")
    options.add_argument("--workers", type=int, default=cores(), help="processes; default one a core")
    options.add_argument("--rewrites", type=int, default=300, help="how many rewrites are judged")
    given = options.parse_args()
    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    rows = read(given.rows)
    print(f"{len(rows)} rows, {given.workers} workers")
    speed(rows, given.workers)
    verdicts = correctness(rows, given.workers)
    strength(rows, verdicts)
    rewrites(rows, given.workers, given.rewrites)


def read(path: Path | None) -> list[dict]:
    if path:
        return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    from recipes.ko_text2sql.rows import make

    return [dict(row) for row in make(seed=42, train_rows=1)["test"]]


def kinds(rows: list[dict]) -> dict[str, list[dict]]:
    """The rows with predictions: gold itself, a rewrite of it, a mutant of it, another row's SQL, none that runs."""
    made: dict[str, list[dict]] = {name: [] for name in ("gold itself", "rewrite", "mutant", "other row's", "no SQL")}
    for at, row in enumerate(rows):
        rewrites = [sql for name, sql in rewritten(row["context"], row["answer"])]
        schema = parse_schema(row["context"])
        # Of the mutants one that is MySQL too: no call of a function that only the transpiled query knows.
        wrong = [sql for sql, functions in mutants(parse_query(row["answer"]), schema) if not functions]
        texts = (
            row["answer"], rewrites[at % len(rewrites)], wrong[at % len(wrong)] if wrong else None,
            rows[(at + 1) % len(rows)]["answer"], "SELECT nosuch FROM nowhere",
        )  # fmt: skip
        for name, text in zip(made, texts, strict=True):
            if text is not None:
                made[name].append({**row, "gen_sql": text})
    return made


def speed(rows: list[dict], workers: int) -> None:
    print(
        f"\n{'prediction':<14}{'verdicts/min':>14}{'plain loop':>12}{'ratio':>7}{'CPU ms each':>14}{'plain loop':>12}"
    )
    tables = kinds(rows)
    # The workers' start, a second or two, counts in each line; the last one shows it spread over more rows.
    together = [row | {"id": f"{row['id']} {name}"} for name, asked in tables.items() for row in asked]
    for name, asked in (tables | {"all of them": together}).items():
        close_idle()  # so that no table gains from what an earlier one has started and remembered
        start, cpu = time.perf_counter(), cpu_seconds()
        execution_verdicts(asked, workers=workers)
        close_idle()
        rate, each = 60 * len(asked) / (time.perf_counter() - start), 1000 * (cpu_seconds() - cpu) / len(asked)
        some = asked[::4]
        start, cpu = time.perf_counter(), time.process_time()
        plain_loop(some)
        plain = 60 * len(some) / (time.perf_counter() - start)
        plain_each = 1000 * (time.process_time() - cpu) / len(some)
        print(f"{name:<14}{rate:>14,.0f}{plain:>12,.0f}{rate / plain:>7.2f}{each:>14.1f}{plain_each:>12.1f}")


def cpu_seconds() -> float:
    """Of this process and of its children that have ended."""
    return sum(os.times()[:4])


def plain_loop(rows: list[dict]) -> None:
    for row in rows:
        judge_row(
            row["context"],
            row["answer"],
            row["gen_sql"],
            instances=20,
            seed=0,
            dialect="mysql",
            timeout=5,
            mutants=True,
        )
        bench._benches.clear()
        sandbox._free.clear()
        parse_schema.cache_clear()


def correctness(rows: list[dict], workers: int) -> list[dict]:
    """Gold against gold is always right, gold shuffled among the rows hardly ever."""
    same = execution_verdicts([{**row, "gen_sql": row["answer"]} for row in rows], workers=workers)
    moved = [{**row, "gen_sql": rows[at - 7]["answer"]} for at, row in enumerate(rows)]
    shuffled = execution_verdicts(moved, workers=workers, mutants=False)
    print("\ngold against gold:", dict(Counter(verdict["execution"] for verdict in same)))
    print("gold of another row:", dict(Counter(verdict["execution"] for verdict in shuffled)))
    return same


def strength(rows: list[dict], verdicts: list[dict]) -> None:
    shares = [verdict["mutants_killed"] for verdict in verdicts if verdict["mutants_killed"] is not None]
    print(
        f"\nmutants killed: {100 * sum(shares) / len(shares):.2f} % on average over {len(shares)} of {len(rows)} golds"
    )
    print("golds empty on all instances:", sum(verdict["outcome"] == "gold_always_empty" for verdict in verdicts))
    for row, verdict in zip(rows, verdicts, strict=True):
        if (verdict["mutants_killed"] or 0) < 1:
            print(f"  {verdict['mutants_killed']}  {row['answer']}")


def rewrites(rows: list[dict], workers: int, most: int) -> None:
    asked = []
    for row in rows:
        for name, sql in rewritten(row["context"], row["answer"]):
            asked.append({**row, "id": f"{row['id']} {name}", "gen_sql": sql, "rule": name})
    asked = asked[:: max(1, len(asked) // most)]
    verdicts = execution_verdicts(asked, workers=workers, mutants=False)
    wrong = [(row, verdict) for row, verdict in zip(asked, verdicts, strict=True) if verdict["execution"] != "yes"]
    print(f"\nrewrites that keep the meaning: {len(asked)} by {len({row['rule'] for row in asked})} rules")
    print(
        f"judged 'no': {sum(v['execution'] == 'no' for _, v in wrong)}; unscored: {sum(v['execution'] == 'unscored' for _, v in wrong)}"
    )
    for row, verdict in wrong:
        print(f"  {row['rule']}: {verdict['reason']}\n    {row['answer']}\n    {row['gen_sql'][:300]}")


if __name__ == "__main__":
    main()
