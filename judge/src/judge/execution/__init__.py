"""Execution accuracy: does the prediction give gold's result on every one of some made databases?

No database is needed: small seeded ones are made from the DDL in the row's context, with values on and beside the
constants of both queries (after Zhong et al. 2020, arXiv 2010.02840). Each row is judged in a worker process with
limits; see `judge.sql.dialect` for MySQL's semantics on SQLite, `judge.execution.compare` for what 'the same result' means.

Limits: a 'yes' says that no instance told the two queries apart, not that none could. Two queries that differ only on
data which the DDL forbids are equal, as they should be; a NULL is allowed wherever the DDL does not forbid it.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field

from judge.execution.workers import ask_many, ask_one

# Outcome classes, by verdict.
OUTCOMES = {
    "yes": ("equal",),
    "no": (
        "different_result", "different_order", "different_columns", "missing_prediction", "no_sql", "sql_error",
        "transpile_error", "timeout", "too_large", "killed",
    ),
    "unscored": ("gold_error", "gold_always_empty", "judge_error"),
}  # fmt: skip


@dataclass
class Verdict:
    """One row's verdict. `unscored` rows are left out of the share for every model: the fault is gold's or ours."""

    execution: str  # 'yes' | 'no' | 'unscored'
    reason: str
    outcome: str  # one of OUTCOMES[execution]
    tie_at_limit: bool = False  # gold's LIMIT cuts through equal sort keys on some instance
    counter_example: str = ""  # first rows of both on the first instance that differs
    contains_gold: bool = False  # lenient: gold's columns are among the prediction's; never for the headline
    set_equal: bool = False  # BIRD's rule: rows as sets, columns in order; hides DISTINCT and join mistakes
    gold_non_empty: int = 0  # instances on which gold gives something
    instances: int = 0  # instances that were used
    mutants_killed: float | None = None  # share of small wrong versions of gold that the instances tell from it


@dataclass
class GoldRun:
    """What running gold alone shows; `error` is None where it ran on all instances."""

    error: str | None
    non_empty: int
    instances: int
    depends_on_storage: int = 0  # instances left out: gold's result changes with the order in which rows are stored
    tie_at_limit: int = 0  # instances on which LIMIT cuts through equal sort keys
    sample: list[list] = field(default_factory=list)  # first rows on the first instance that gives something


def execution_verdict(
    context: str, gold: str, prediction: str | None, *, instances: int = 20, seed: int = 0, dialect: str = "mysql",
    timeout: float = 5.0, mutants: bool = True,
) -> Verdict:  # fmt: skip
    """Judge one row. `context` is the DDL, `prediction` the model's text as it came (fences and prose allowed).

    timeout: CPU seconds for all runs of one query together; the worker is killed soon after. mutants: also say which
    share of small wrong versions of gold the instances tell from it, and look for instances that tell the survivors.
    instances: made at first; a prediction that gives gold's result on all is tried on half as many larger ones.
    """
    job = _job("verdict", context, gold, instances, seed, dialect, timeout) | {
        "prediction": prediction,
        "mutants": mutants,
    }
    return _verdict(ask_one(job))


def execution_verdicts(
    rows: list[dict], *, gold: str = "answer", prediction: str = "gen_sql", context: str = "context", id: str = "id",
    instances: int = 20, seed: int = 0, dialect: str = "mysql", timeout: float = 5.0, mutants: bool = True,
    workers: int | None = None, progress: bool = False,
) -> list[dict]:  # fmt: skip
    """Judge many rows in parallel: dicts of `id` and the fields of Verdict, in the rows' order.

    gold, prediction, context and id name the rows' columns. The verdicts don't depend on `workers`. Raises ValueError
    where an id is repeated, or where a row has no id, gold or context, naming the row.
    """
    check_rows(rows, id, (gold, context))
    jobs = [
        _job("verdict", row[context], row[gold], instances, seed, dialect, timeout)
        | {"prediction": row.get(prediction), "mutants": mutants}
        for row in rows
    ]
    return verdicts_of(rows, id, jobs, workers, progress)


def verdicts_of(
    rows: list[dict], id: str, jobs: list[dict], workers: int | None, progress: bool, here: bool = False
) -> list[dict]:  # fmt: skip
    """Have the workers do a job for each row: dicts of `id` and the fields of Verdict. `here`: see ask_many."""
    answers = _ask(jobs, workers, progress, here)
    return [{id: row[id], **asdict(_verdict(answer))} for row, answer in zip(rows, answers, strict=True)]


def run_gold(
    context: str, gold: str, *, instances: int = 20, seed: int = 0, dialect: str = "mysql", timeout: float = 5.0
) -> GoldRun:  # fmt: skip
    """Run one gold query on the instances made for it: proves that a data row works and can be told from others."""
    return _gold_run(ask_one(_job("gold", context, gold, instances, seed, dialect, timeout)))


def run_golds(
    rows: list[dict], *, gold: str = "answer", context: str = "context", instances: int = 20, seed: int = 0,
    dialect: str = "mysql", timeout: float = 5.0, workers: int | None = None, progress: bool = False,
) -> list[GoldRun]:  # fmt: skip
    """`run_gold` for many rows in parallel, in the rows' order."""
    jobs = [_job("gold", row[context], row[gold], instances, seed, dialect, timeout) for row in rows]
    return [_gold_run(answer) for answer in _ask(jobs, workers, progress)]


def _job(task: str, context: str, gold: str, instances: int, seed: int, dialect: str, timeout: float) -> dict:
    if instances < 1:
        raise ValueError(f"instances={instances}: at least one is needed, twenty are usual")
    return {
        "task": task, "context": context, "gold": gold, "instances": instances, "seed": seed,
        "dialect": dialect, "timeout": timeout,
    }  # fmt: skip


def check_rows(rows: list[dict], id: str, needed: tuple[str, ...]) -> None:
    """Raises ValueError for the first row without an id of its own, or without a text in a needed column."""
    seen = set()
    for number, row in enumerate(rows, 1):
        if row.get(id) is None:
            raise ValueError(f"row {number} has no {id!r}")
        if row[id] in seen:
            raise ValueError(f"repeated {id}: {row[id]!r}")
        seen.add(row[id])
        for column in needed:
            if not isinstance(row.get(column), str):
                raise ValueError(f"row {row[id]!r} has no {column!r}")


def _ask(jobs: list[dict], workers: int | None, progress: bool, here: bool = False) -> list[dict]:
    if not progress:
        return ask_many(jobs, workers, here=here)
    from tqdm import tqdm

    with tqdm(total=len(jobs), desc="execution", unit="row") as bar:
        return ask_many(jobs, workers, bar.update, here=here)


def _verdict(answer: dict) -> Verdict:
    if "fault" in answer:
        return Verdict("unscored", f"judge: {answer['fault']}", "judge_error")
    if "killed" in answer:
        if answer["killed"] == "gold":
            return Verdict("unscored", f"gold: {answer['why']}", "gold_error")
        return Verdict("no", f"killed: {answer['why']}", "killed")
    return Verdict(**answer)


def _gold_run(answer: dict) -> GoldRun:
    problem = answer.get("fault") or answer.get("why")
    return GoldRun(problem, 0, 0) if problem else GoldRun(**answer)
