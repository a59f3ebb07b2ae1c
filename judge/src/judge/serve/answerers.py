"""Who answers at `judge serve`: execution, the text alone, a noisy judge, or one that believes what it reads.

An answerer takes a whole chat-completions request and gives (yes | no | unscored, reason). It raises UserError
for a request that it cannot read. Its model name, `local-…`, says in every reply which one it was.
"""

import functools
import queue
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from judge.evaluation import last_user_message, read_data_blocks
from judge.processor.journal import request_hash
from judge.serve.credulous import believes
from judge.serve.faults import draw
from judge.text import UserError

NEEDED = ("context", "answer", "gen_sql")
KNOWN = "execution, heuristic, noisy:P (P from 0 to 1), naive"
# Above this share of common tokens the heuristic calls two different trees the same.
ALIKE = 0.85
LONGEST_SQL = 20_000
Verdict = tuple[str, str]
Answer = Callable[[dict[str, str]], Verdict]
_STATEMENT = re.compile(
    r"\b(?:SELECT\s|WITH\s+\w+\s+AS\s*\().*?(?=;|```|\n\s*\n|\n[^\n]*:\s*(?:\n|SELECT\b)|\Z)", re.I | re.S
)


@dataclass(frozen=True)
class Answerer:
    """`answer` takes the request and the number of the choice, from 0, where several (`n`) are asked for."""

    model: str
    answer: Callable[[dict[str, Any], int], Verdict]


def make_answerer(name: str, by_execution: Answer, *, dialect: str = "mysql", seed: int = 0) -> Answerer:
    """The answerer of that name (see KNOWN). Raises UserError for any other.

    `by_execution` is what `execution` says of a row; `noisy` and `naive` lean on it.
    """
    kind, colon, share = name.partition(":")
    if kind == "execution" and not colon:
        return Answerer("local-execution", lambda request, _: by_execution(row_of(request)))
    if kind == "heuristic" and not colon:
        return Answerer("local-heuristic", lambda request, _: by_heuristic(row_of(request), dialect))
    if kind == "naive" and not colon:
        return Answerer("local-naive", functools.partial(_naive, by_execution, dialect))
    if kind == "noisy" and (chance := _share(share)) is not None:
        return Answerer(f"local-noisy-{chance:g}", functools.partial(_noisy, by_execution, chance, seed))
    raise UserError(f"--answers {name}: no such answerer; there are {KNOWN}")


def answerer_for_model(model: object) -> str | None:
    """`local-noisy-0.1` -> `noisy:0.1`: what a request that names one of our models asks for."""
    found = re.fullmatch(r"local-(execution|heuristic|naive|noisy-[\d.]+)", str(model))
    return found.group(1).replace("-", ":") if found else None


def _share(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if 0 <= value <= 1 else None


def row_of(request: dict[str, Any]) -> dict[str, str]:
    """The row in the data blocks of the last user message. Raises UserError where a block is missing."""
    data = read_data_blocks(last_user_message(request))
    missing = [name for name in NEEDED if name not in data]
    if missing:
        raise UserError(
            f'the user message has no block <data name="{missing[0]}">; '
            f"make the requests with `judge requests` and a rubric that names {{{missing[0]}}}"
        )
    return data


class Execution:
    """What execution says, worked out by `workers` processes at once; call it from as many threads."""

    def __init__(self, *, workers: int, instances: int = 20, seed: int = 0, dialect: str = "mysql") -> None:
        from judge.execution.workers import Worker

        self.instances, self.seed, self.dialect = instances, seed, dialect
        self._workers = [Worker() for _ in range(workers)]  # each starts its process at its first job
        self._idle: queue.SimpleQueue = queue.SimpleQueue()
        for worker in self._workers:
            self._idle.put(worker)

    def __call__(self, data: dict[str, str]) -> Verdict:
        from judge.execution import _job, _verdict

        job = _job("verdict", data["context"], data["answer"], self.instances, self.seed, self.dialect, 5.0)
        worker = self._idle.get()
        try:
            said = _verdict(worker.ask(job | {"prediction": data["gen_sql"], "mutants": False}))
        finally:
            self._idle.put(worker)
        return said.execution, said.reason

    def close(self) -> None:
        for worker in self._workers:
            worker.close()


def by_heuristic(data: dict[str, str], dialect: str = "mysql") -> Verdict:
    """Yes where the syntax trees are equal or at least 85 % of the two queries' tokens are the same; nothing is run.

    So `>` for `>=` passes and a join written as a subquery does not: both errors of a judge that reads but never runs.
    """
    from judge.exact import exact_match
    from judge.extract import extract_sql

    given = extract_sql(data["gen_sql"]).sql
    if not given:
        return "no", "no SQL in the prediction"
    if max(len(given), len(data["answer"])) > LONGEST_SQL:
        return "no", f"a query of more than {LONGEST_SQL} characters"
    verdict, why = exact_match(data["answer"], given, dialect)
    if verdict != "no":
        return verdict, why
    alike = _tokens_in_common(data["answer"], given, dialect)
    return ("yes" if alike >= ALIKE else "no"), f"{why}; {alike:.0%} of the tokens in common"


def _tokens_in_common(first: str, second: str, dialect: str) -> float:
    """Twice the tokens that both have, over all tokens of both (Dice), from 0 to 1; order does not count."""
    from collections import Counter

    from sqlglot.errors import SqlglotError
    from sqlglot.tokens import Tokenizer

    try:
        a, b = (Counter(t.text.lower() for t in Tokenizer(dialect=dialect).tokenize(sql)) for sql in (first, second))
    except SqlglotError:
        return 0.0
    return 2 * (a & b).total() / max(1, a.total() + b.total())


def _noisy(by_execution: Answer, chance: float, seed: int, request: dict[str, Any], choice: int) -> Verdict:
    """Execution's verdict, turned round with that chance; the same request is always answered alike."""
    verdict, why = by_execution(row_of(request))
    if verdict in ("yes", "no") and draw(seed, "noise", request_hash(request, None), choice) < chance:
        return ("no" if verdict == "yes" else "yes"), f"turned round by noise; execution says {verdict}: {why}"
    return verdict, why


def _naive(by_execution: Answer, dialect: str, request: dict[str, Any], _: int) -> Verdict:
    """Yes where the prompt talks it into that; else execution's verdict, or the heuristic's where SQL is pasted in."""
    if told := believes(request):
        return "yes", f"the prompt says so: {told}"
    message = last_user_message(request)
    data: dict[str, str] = {}
    with suppress(UserError):  # to it a damaged block is text like any other
        data = read_data_blocks(message)
    if all(name in data for name in NEEDED):
        return by_execution(data)
    statements = [found.group().strip() for found in _STATEMENT.finditer(message[:LONGEST_SQL])]
    if len(statements) < 2:
        return "no", "no two queries to compare"
    verdict, why = by_heuristic({"answer": statements[-2], "gen_sql": statements[-1]}, dialect)
    return verdict, f"by the last two queries of the prompt: {why}"
