"""What gold and prediction return on one small made database: the first rows, as text for a judge model to read.

The queries run in a process of their own with the limits of `judge.execution.workers`, as for a verdict.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from judge.text import UserError, read_rows, texts_digest

# Outcomes of `judge execution` after which both queries can be run again: they ran to their end before.
RAN = ("equal", "different_result", "different_order", "different_columns")
FAILED = ("sql_error", "transpile_error", "timeout", "too_large", "killed")
ROWS = 5
INSTANCES = 20
READY = b"ready"
SECONDS = 5.0  # of processor time for one row
LONGEST_VALUE, MOST_COLUMNS = 60, 12

Heads = tuple[str, str]


def result_heads(
    context: str, gold: str, prediction: str, seed: int = 0, rows: int = ROWS, *, dialect: str = "mysql"
) -> Heads | None:
    """(gold's result, the prediction's result) on one made database, the first `rows` rows of each as text.

    It is the first database on which the two differ, else the first on which gold gives something: what a reader who
    looks for a mistake would like to see. Rows are sorted where gold asks for no order. None where there is no such
    database or a query fails.
    """
    return _run([_job(context, gold, prediction, seed, rows, dialect)])[0]


def heads_for_rows(
    table: Iterable[Mapping[str, Any]], execution: str | Path, *, columns: Mapping[str, str], dialect: str = "mysql"
) -> dict[str, Heads]:
    """Results by id for the rows where `execution`, a file of `judge execution`, says that there are any.

    A prediction that failed has the reason in place of its result. Raises UserError where the file lacks a row, or
    judged other texts than the row now holds.
    """
    answer, prediction = columns["answer"], columns["gen_sql"]
    known = {str(entry["id"]): entry for entry in read_rows(execution, needs=["execution"])}
    found: dict[str, Heads] = {}
    jobs: dict[str, dict] = {}
    for row in table:
        key = str(row[columns["id"]])
        if key not in known:
            raise UserError(f"{execution}: nothing for id {key}; `judge execution` on these rows makes it anew")
        judged = known[key].get("texts")
        if judged and answer in row and judged != texts_digest(row[answer], row.get(prediction)):
            raise UserError(
                f"{execution}: id {key!r} was judged with another {answer} or {prediction}; run judge execution again"
            )
        outcome = known[key].get("outcome")
        texts = [row.get(columns[name]) for name in ("context", "answer", "gen_sql")]
        if not all(isinstance(text, str) for text in texts):
            continue
        if outcome in FAILED:
            found[key] = ("not run", f"the query fails: {known[key].get('reason') or outcome}")
        elif outcome in RAN:
            jobs[key] = _job(*texts, 0, ROWS, dialect)
    for key, heads in zip(jobs, _run(list(jobs.values())), strict=True):
        if heads:
            found[key] = heads
    return found


def _job(context: str, gold: str, prediction: str, seed: int, rows: int, dialect: str) -> dict[str, Any]:
    return {
        "context": context, "gold": gold, "prediction": prediction, "seed": seed, "rows": rows, "dialect": dialect
    }  # fmt: skip


def _run(jobs: list[dict[str, Any]]) -> list[Heads | None]:
    """The jobs' answers, in order, from one process; a job that ends the process has none, and the next starts anew."""
    from judge.execution.workers import _KEPT, GRACE, PATIENCE

    source = str(Path(__file__).resolve().parents[2])
    environment = {name: os.environ[name] for name in _KEPT if name in os.environ}  # no secrets
    environment |= {"PYTHONHASHSEED": "0", "PYTHONIOENCODING": "utf-8"}
    environment["PYTHONPATH"] = os.pathsep.join(filter(None, [source, environment.get("PYTHONPATH", "")]))
    answers: list[Heads | None] = []
    while len(answers) < len(jobs):
        rest = jobs[len(answers) :]
        lines = "".join(json.dumps(job) + "\n" for job in rest).encode()
        try:
            said = subprocess.run(
                [sys.executable, "-P", "-m", "judge.execution.heads"], input=lines, env=environment, check=False,
                stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, timeout=len(rest) * PATIENCE * (SECONDS + GRACE),
            ).stdout  # fmt: skip
        except subprocess.TimeoutExpired as late:
            said = late.stdout or b""
        ready, *whole = said.split(b"\n")[:-1] or [b""]
        if ready != READY:
            raise RuntimeError(
                "the process for results did not start; `python -m judge.execution.heads </dev/null` shows why"
            )
        answers += [_heads_of(line) for line in whole[: len(rest)]]
        if len(whole) < len(rest):
            answers.append(None)
    return answers


def _heads_of(line: bytes) -> Heads | None:
    answer = json.loads(line)
    if isinstance(answer, dict):
        logging.getLogger("judge").warning("no results for a row: %s", answer["fault"])
        return None
    return tuple(answer) if answer else None


def _heads(context: str, gold: str, prediction: str, seed: int, rows: int, dialect: str) -> Heads | None:
    """What `result_heads` gives; runs inside the process."""
    from judge.execution.bench import GoldError, furnish, read_gold
    from judge.execution.compare import find_mapping, plain_rows
    from judge.execution.hints import collect
    from judge.execution.rowjudge import read_prediction
    from judge.execution.sandbox import QueryFailed, run

    key = (context, gold, seed, dialect, SECONDS)
    try:
        bench = read_gold(*key)
        failure, tree, sql, functions = read_prediction(prediction, dialect, bench.schema)
        if failure:
            return None
        trees = [bench.tree, tree]
        bench = furnish(bench, trees, collect(trees, bench.schema), INSTANCES, False, key)
    except GoldError:
        return None
    deadline = time.process_time() + SECONDS
    first = None
    for instance in filter(bench.tells, bench.instances):
        try:
            width, given = run(instance.borrowed.connection, sql, functions, deadline=deadline)
        except QueryFailed:
            return None
        given = plain_rows(given)
        # Rows without an order are sorted, so that a reader can lay the two side by side.
        both = [instance.own, given] if bench.plan.ordered else [sorted(r, key=repr) for r in (instance.own, given)]
        shown = _shown(both[0], rows), _shown(both[1], rows)
        if width != instance.expected.width or find_mapping([instance.expected], [given], width) is None:
            return shown
        first = first or shown
    return first


def _shown(rows: list[tuple], most: int) -> str:
    """`3 rows, the first 2: ["가", 1], [null, 2.5]`"""
    if not rows:
        return "no rows"
    head = [[_short(value) for value in row[:MOST_COLUMNS]] for row in rows[:most]]
    count = f"{len(rows)} row" + ("s" if len(rows) > 1 else "")
    part = f", the first {most}" if len(rows) > most else ""
    wide = f", the first {MOST_COLUMNS} columns" if len(rows[0]) > MOST_COLUMNS else ""
    return f"{count}{part}{wide}: " + ", ".join(json.dumps(row, ensure_ascii=False) for row in head)


def _short(value: Any) -> Any:
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    return value[:LONGEST_VALUE] + "…" if isinstance(value, str) and len(value) > LONGEST_VALUE else value


def _main() -> None:
    """A job a line in, an answer a line out."""
    out = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)
    import judge.execution.rowjudge  # noqa: F401  the slow import, before the limits and the first deadline
    from judge.execution.workers import GRACE, _limit_process

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)
    renew = _limit_process()
    print(READY.decode(), file=out, flush=True)
    for line in sys.stdin:
        renew(3 * (SECONDS + GRACE))  # gold, its rerun on turned rows, the prediction
        try:
            answer = _heads(**json.loads(line))
        except Exception as error:  # a fault of ours costs the judge model a look at this row's results, no more
            answer = {"fault": f"{type(error).__name__}: {str(error)[:150]}"}
        print(json.dumps(answer), file=out, flush=True)


if __name__ == "__main__":
    _main()
