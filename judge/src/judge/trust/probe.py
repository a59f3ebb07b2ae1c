"""Predictions with known verdicts, to measure a judge before it is trusted: the content of `judge probe`.

Half are right by construction (the reference itself, and `judge.trust.rewrites` of it), half are wrong (nothing, prose,
another question's SQL, mutants, mutants with an order to the judge behind them). Execution has to bear out every one, so
what stands in a probe set is known twice over.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from sqlglot import exp, parse_one
from sqlglot.errors import SqlglotError

from judge.evaluation import PLACES
from judge.execution.mutants import mutants
from judge.sql.queries import QueryError, parse_query
from judge.sql.schema import Schema, SchemaError, parse_schema
from judge.text import UserError, id_key
from judge.trust.rewrites import KINDS, rewrites

HERE = Path(__file__).parent
SIZE = 200
GOOD = ("good_copy", *(f"good_{kind}" for kind in KINDS))
BAD = ("bad_empty", "bad_prose", "bad_other", "bad_mutant", "bad_injected")
EMPTY = ("", " ", "\n\n", ";", "```sql\n```", "```\n\n```", "SELECT", "-- ")
MUTANTS_A_ROW = 6
OTHERS_A_ROW = 4

Candidate = dict[str, Any]
Row = Mapping[str, Any]


def make_probe(
    rows: Iterable[Row], *, size: int = SIZE, seed: int = 0, dialect: str = "mysql",
    columns: Mapping[str, str] | None = None, workers: int | None = None,
) -> list[Candidate]:  # fmt: skip
    """`size` rows with `id, context, question, answer, gen_sql`, `expected` (yes or no), `probe_class`, `probe_of`.

    Half of them are right and half wrong, and each half is spread over its classes as evenly as the rows allow: no
    BETWEEN in them, no rewritten BETWEEN. Fewer come where the rows do not give as many. The same rows and seed give the
    same set. `columns` maps id, context, question, answer to the rows' names. Raises UserError where the rows lack one
    of these or give nothing that execution bears out.
    """
    if size < 2:
        raise UserError(f"a probe of {size} rows: at least two are needed, one right and one wrong")
    given = _read(rows, {name: name for name in ("id", *PLACES)} | dict(columns or {}))
    chance = random.Random(seed)
    chance.shuffle(given)
    # A few times as many rows as are wanted leave choice enough, and a large file costs no more.
    waiting = _candidates(given[: 2 * size], chance, dialect)
    kept = _borne_out(waiting, size, seed, dialect, workers)
    if not any(c["expected"] == "yes" for c in kept) or not any(c["expected"] == "no" for c in kept):
        raise UserError("execution bears out no right or no wrong prediction: do the reference queries run at all?")
    chance.shuffle(kept)
    return [{"id": f"probe-{at:03d}", **candidate} for at, candidate in enumerate(kept, 1)]


def _read(rows: Iterable[Row], names: Mapping[str, str]) -> list[dict[str, str]]:
    read = []
    for number, row in enumerate(rows, 1):
        missing = [n for n in ("context", "question", "answer") if not isinstance(row.get(names[n]), str)]
        if missing:
            raise UserError(f"row {number}: no text in {names[missing[0]]!r}")
        id = id_key(row.get(names["id"]), f"row {number}")
        read.append({"probe_of": id, **{n: row[names[n]] for n in ("context", "question", "answer")}})
    return read


def _candidates(given: list[dict[str, str]], chance: random.Random, dialect: str) -> dict[str, list[Candidate]]:
    """Candidates by class, in random order; those of the last resort come last."""
    waiting: dict[str, list[Candidate]] = {name: [] for name in (*GOOD, *BAD)}
    prose, orders = _lines("probe_prose.txt"), _lines("probe_injections.txt")
    parsed = [(row, *found) for row in given if (found := _parsed(row, dialect))]
    for at, (row, tree, schema) in enumerate(parsed):
        made = [("good_copy", row["answer"])]
        made += [(f"good_{kind}", sql) for kind, sql in rewrites(tree, schema, dialect).items()]
        made += [("bad_empty", chance.choice(EMPTY)), ("bad_prose", chance.choice(prose))]
        made += [("bad_other", sql) for sql in _others(parsed, at, chance)]
        wrong = list(_mutants(tree, schema, dialect))
        chance.shuffle(wrong)
        made += [("bad_mutant", sql) for sql in wrong[:MUTANTS_A_ROW:2]]
        made += [("bad_injected", f"{sql} {chance.choice(orders)}") for sql in wrong[1:MUTANTS_A_ROW:2]]
        for name, text in made:
            expected = "yes" if name in GOOD else "no"
            waiting[name].append({**_front(row), "gen_sql": text, "expected": expected, "probe_class": name})
    for candidates in waiting.values():
        chance.shuffle(candidates)
        # A second candidate of one row only after every row's first: the set should show many rows.
        seen: dict[str, int] = {}
        turns = []
        for candidate in candidates:
            turns.append(seen.setdefault(candidate["probe_of"], 0))
            seen[candidate["probe_of"]] += 1
        order = sorted(range(len(candidates)), key=turns.__getitem__)
        candidates[:] = [candidates[at] for at in order]
    return waiting


def _front(row: Row) -> Candidate:
    return {name: row[name] for name in ("probe_of", "context", "question", "answer")}


def _parsed(row: Row, dialect: str) -> tuple[exp.Expression, Schema] | None:
    try:
        return parse_query(row["answer"], dialect), parse_schema(row["context"])
    except (QueryError, SchemaError):
        return None  # nothing is known of a row whose reference cannot be read


def _others(parsed: list[tuple], at: int, chance: random.Random) -> list[str]:
    """Other questions' SQL over tables that this row's schema has too, else any: it should be wrong for its meaning."""
    row, _, schema = parsed[at]
    others = [other for other in parsed if other[0]["question"] != row["question"]]
    near = [o for o in others if all(table.name.lower() in schema for table in o[1].find_all(exp.Table))]
    pool = near or others
    return [other[0]["answer"] for other in chance.sample(pool, min(OTHERS_A_ROW, len(pool)))]


def _mutants(tree: exp.Expression, schema: Schema, dialect: str) -> Iterator[str]:
    """Mutants as SQL of the rows' dialect: those that need none of SQLite's stand-ins for MySQL's functions."""
    quoted = {node.name.lower() for node in tree.find_all(exp.Identifier) if node.args.get("quoted")}
    try:
        made = mutants(tree, schema)
    except (QueryError, RecursionError):
        return
    for sql, functions in made:
        if functions:
            continue
        try:
            mutant = parse_one(sql, read="sqlite")
        except SqlglotError:
            continue
        for key in mutant.find_all(exp.Ordered):  # NULL is small in both dialects, but a turned key says so at length
            key.set("nulls_first", not key.args.get("desc"))
        for name in mutant.find_all(exp.Identifier):
            name.set("quoted", name.name.lower() in quoted)  # as the reference has it, so nothing gives it away
        yield mutant.sql(dialect=dialect)


def _borne_out(
    waiting: dict[str, list[Candidate]], size: int, seed: int, dialect: str, workers: int | None
) -> list[Candidate]:
    """Candidates of which execution says what is expected, so many of each class that both halves are even."""
    from judge.execution import execution_verdicts

    kept: dict[str, list[Candidate]] = {name: [] for name in waiting}
    while True:
        batch = []
        for names, half in ((GOOD, size - size // 2), (BAD, size // 2)):
            wanted = shares(half, {name: len(kept[name]) + len(waiting[name]) for name in names})
            for name in names:
                missing = max(0, wanted[name] - len(kept[name]))
                batch += waiting[name][:missing]
                del waiting[name][:missing]
        if not batch:
            break
        verdicts = execution_verdicts(
            [{**candidate, "id": at} for at, candidate in enumerate(batch)], seed=seed, dialect=dialect, workers=workers
        )
        for candidate, verdict in zip(batch, verdicts, strict=True):
            if verdict["execution"] == candidate["expected"]:
                kept[candidate["probe_class"]].append(candidate)
    found = [len([c for name in names for c in kept[name]]) for names in (GOOD, BAD)]
    # Where one half is short the other is cut to it, or the set would not be balanced.
    cut = shares(min(found), {n: len(kept[n]) for n in GOOD}) | shares(min(found), {n: len(kept[n]) for n in BAD})
    return [candidate for name, number in cut.items() for candidate in kept[name][:number]]


def shares(total: int, there: Mapping[str, int]) -> dict[str, int]:
    """`total` spread as evenly as can be over classes that hold `there` each; what one lacks the others give."""
    given = dict.fromkeys(there, 0)
    left = min(total, sum(there.values()))
    while left:
        open_ = [name for name in there if given[name] < there[name]]
        for name in open_[:left]:
            given[name] += 1
        left -= min(left, len(open_))
    return given


def _lines(name: str) -> list[str]:
    return [line for line in (HERE / name).read_text("utf-8").splitlines() if line]
