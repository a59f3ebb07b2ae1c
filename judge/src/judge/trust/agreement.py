"""How far a judge agrees with execution, and whether two models differ: the content of `judge agree`."""

from __future__ import annotations

import unicodedata
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from judge.stats import cohen_kappa, kappa_interval, mcnemar, wilson
from judge.text import UserError, name_some

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

VERDICTS = ("yes", "no", "unscored")
REFERENCE = "execution"
STAND_IN = "local-execution"  # the model name under which `judge serve` answers from execution
RATERS = ("resolve_yn", "exact")
MEASURES = (REFERENCE, *RATERS)
NAMES = {name: name for name in ("id", "context", "question", "answer", "gen_sql")}
TEXTS = ("context", "question", "answer")  # what two models must share for a paired test

Row = Mapping[str, Any]


class Disagreement(TypedDict):
    """A row on which a rater and execution say different things."""

    id: str
    question: str
    gold: str
    prediction: str
    reason: str  # the rater's
    execution_reason: str


class Agreement(TypedDict):
    """One rater against execution. Ratios and intervals are fractions of 1 over the `n` rows that both scored."""

    table: dict[str, dict[str, int]]  # table[rater's verdict][execution's verdict]: rows, 'unscored' a class of its own
    rows: int
    n: int
    left_out: int  # rows that the rater or execution left unscored; in no ratio
    accuracy: float | None  # None where n is 0
    accuracy_ci95: tuple[float, float]  # Wilson
    kappa: float | None  # None where it is undefined, see stats.cohen_kappa
    kappa_ci95: tuple[float, float] | None  # bootstrap over rows, seeded
    false_accepts: list[Disagreement]  # the rater says yes, execution no
    false_rejects: list[Disagreement]  # the rater says no, execution yes


class Pairing(TypedDict):
    """Two models by one measure, over the rows where both are scored."""

    n: int
    left_out: int
    both: int
    only_first: int
    only_second: int
    neither: int
    p: float  # McNemar's exact test


def agreement(rows: Iterable[Row], *, columns: Mapping[str, str] | None = None, seed: int = 0) -> dict[str, Agreement]:
    """Each rater (`resolve_yn`, `exact`) that the rows have, against `execution`.

    `rows` are as `read_verdicts` gives them; `columns` maps id, question, answer, gen_sql to the names the rows use,
    where they differ. Empty verdicts count as unscored, a rater that is empty throughout is left out. Raises UserError
    where there is nothing to compare or a verdict is none of yes, no, unscored.
    """
    rows = list(rows)
    names = NAMES | dict(columns or {})
    _check(rows)
    raters = [name for name in RATERS if any(row.get(name) for row in rows)]
    if not raters or not any(row.get(REFERENCE) for row in rows):
        missing = REFERENCE if raters else "resolve_yn"
        raise UserError(f"no row has a verdict in {missing!r}; `judge csv` with --execution writes what is compared")
    return {rater: _agreement(rows, rater, names, seed) for rater in raters}


def _agreement(rows: list[Row], rater: str, names: Mapping[str, str], seed: int) -> Agreement:
    pairs = [(row.get(rater) or "unscored", row.get(REFERENCE) or "unscored") for row in rows]
    count = Counter(pairs)
    scored = [pair for pair in pairs if "unscored" not in pair]
    said, true = [pair[0] for pair in scored], [pair[1] for pair in scored]
    right = sum(a == b for a, b in scored)

    def those(pair: tuple[str, str]) -> list[Disagreement]:
        found = (row for row, given in zip(rows, pairs, strict=True) if given == pair)
        return [_disagreement(row, rater, names) for row in found]

    return {
        "table": {a: {b: count[a, b] for b in VERDICTS} for a in VERDICTS},
        "rows": len(rows),
        "n": len(scored),
        "left_out": len(rows) - len(scored),
        "accuracy": right / len(scored) if scored else None,
        "accuracy_ci95": wilson(right, len(scored)),
        "kappa": cohen_kappa(said, true),
        "kappa_ci95": kappa_interval(said, true, seed=seed),
        "false_accepts": those(("yes", "no")),
        "false_rejects": those(("no", "yes")),
    }


def _disagreement(row: Row, rater: str, names: Mapping[str, str]) -> Disagreement:
    reason = rater.removesuffix("_yn") + "_reason"
    return {
        "id": str(row.get(names["id"], "")),
        "question": str(row.get(names["question"], "")),
        "gold": str(row.get(names["answer"], "")),
        "prediction": str(row.get(names["gen_sql"], "")),
        "reason": str(row.get(reason, "")),
        "execution_reason": str(row.get("execution_reason", "")),
    }


def _check(rows: list[Row], what: str = "the verdicts") -> None:
    if not rows:
        raise UserError(f"{what}: no rows")
    for number, row in enumerate(rows, 1):
        for measure in MEASURES:
            if row.get(measure) and row[measure] not in VERDICTS:
                raise UserError(f"{what}: row {number}: {measure} is {row[measure]!r}, not yes, no or unscored")


def pairing(
    first: Iterable[Row], second: Iterable[Row], *, columns: Mapping[str, str] | None = None
) -> dict[str, Pairing]:
    """Two models' verdicts on the same rows, joined by id: who is right where, and McNemar's p, by measure.

    A measure that either side lacks is left out. Raises UserError where the ids are not the same, come twice, or
    stand for other questions.
    """
    names = NAMES | dict(columns or {})
    tables = [
        _by_id(rows, names["id"], which) for rows, which in ((first, "the first file"), (second, "the other file"))
    ]
    one, two = tables
    for table, other, where in ((one, two, "first"), (two, one, "other")):
        if odd := [key for key in table if key not in other]:
            raise UserError(f"id {name_some(odd)} is only in the {where} file; both models must answer the same rows")
    for key, row in one.items():
        for text in (names[name] for name in TEXTS):
            if text in row and text in two[key] and row[text] != two[key][text]:
                raise UserError(f"id {key!r} has another {text} in the other file: these are not the same rows")
    found: dict[str, Pairing] = {}
    for measure in MEASURES:
        if all(any(row.get(measure) for row in table.values()) for table in tables):
            pairs = [(row.get(measure) or "unscored", two[key].get(measure) or "unscored") for key, row in one.items()]
            scored = [(a == "yes", b == "yes") for a, b in pairs if "unscored" not in (a, b)]
            count = Counter(scored)
            found[measure] = {
                "n": len(scored), "left_out": len(pairs) - len(scored),
                "both": count[True, True], "only_first": count[True, False],
                "only_second": count[False, True], "neither": count[False, False],
                "p": mcnemar([a for a, _ in scored], [b for _, b in scored]),
            }  # fmt: skip
    if not found:
        raise UserError("the two files have no measure in common, so there is nothing to compare")
    return found


def _by_id(rows: Iterable[Row], id: str, what: str) -> dict[str, Row]:
    rows = list(rows)
    _check(rows, what)
    table: dict[str, Row] = {}
    for number, row in enumerate(rows, 1):
        key = str(row.get(id, ""))
        if not key:
            raise UserError(f"{what}: row {number}: no {id!r}, so it can be joined to nothing")
        if key in table:
            raise UserError(f"{what}: id {key!r} comes twice")
        table[key] = row
    return table


def visible(text: str, limit: int = 300) -> str:
    """Text as a terminal should get it: control, direction and zero-width marks as escapes, one line, cut at `limit`.

    Model-made text could otherwise move the cursor, colour the screen or hide a part of itself.
    """
    text = text.replace("\n", " ").replace("\t", " ")
    cut = text[:limit] + (f"… ({len(text) - limit} more)" if len(text) > limit else "")
    return "".join(f"\\u{ord(c):04x}" if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Zl", "Zp") else c for c in cut)


def judges_note(rows: Iterable[Row]) -> str:
    """Who gave `resolve_yn`, and a warning where that was execution itself."""
    models = sorted({str(row.get("judge_model") or "") for row in rows} - {""})
    note = f"resolve_yn was given by {', '.join(visible(name) for name in models)}" if models else ""
    if STAND_IN in models:
        note += "; local-execution answers from execution, so it agrees by construction and is no second opinion"
    return note


def show_agreement(console: Console, found: Mapping[str, Agreement], *, most: int = 10) -> None:
    """Tables for people: the confusion tables, the ratios, and the first `most` rows of each kind of mistake."""
    for rater, one in found.items():
        console.print(_confusion(rater, one))
        console.print(f"  {_ratios(one)}\n", highlight=False, markup=False, soft_wrap=True)
        for kind, rows in (("false accepts", one["false_accepts"]), ("false rejects", one["false_rejects"])):
            if rows:
                console.print(_mistakes(f"{kind} by {rater}", rows, most))


def make_table(title: str, *headings: str) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE, title=Text(title, style="bold"), title_justify="left")
    for heading in headings:
        table.add_column(Text(heading), overflow="fold")
    return table


def add_row(table: Table, *cells: object) -> None:
    from rich.text import Text

    # Text objects: square brackets in SQL are not rich's markup.
    table.add_row(*(Text(str(cell)) for cell in cells))


def _confusion(rater: str, one: Agreement) -> Table:
    table = make_table(f"{rater} against execution ({one['rows']} rows)", rater, *(f"execution {v}" for v in VERDICTS))
    for said in VERDICTS:
        add_row(table, said, *(one["table"][said][true] for true in VERDICTS))
    return table


def _ratios(one: Agreement) -> str:
    if not one["n"]:
        return f"nothing scored by both; {one['left_out']} unscored, left out"
    low, high = one["accuracy_ci95"]
    kappa = "undefined (one side gave a single verdict throughout)" if one["kappa"] is None else f"{one['kappa']:.3f}"
    if one["kappa_ci95"]:
        kappa += " ({:.3f} to {:.3f})".format(*one["kappa_ci95"])
    return (
        f"accuracy {100 * (one['accuracy'] or 0):.1f} % ({100 * low:.1f} to {100 * high:.1f}), kappa {kappa}, "
        f"{len(one['false_accepts'])} false accepts, {len(one['false_rejects'])} false rejects, n {one['n']}, "
        f"{one['left_out']} unscored, left out"
    )


def _mistakes(title: str, rows: list[Disagreement], most: int) -> Table:
    shown = f"{title}: {len(rows)}" + (f", the first {most}" if len(rows) > most else "")
    table = make_table(shown, "id", "question", "gold", "prediction", "reason")
    for row in rows[:most]:
        add_row(table, *(visible(row[name]) for name in ("id", "question", "gold", "prediction", "reason")))
    return table


def show_pairing(console: Console, found: Mapping[str, Pairing], first: str, second: str) -> None:
    """One line a measure: the four counts and McNemar's p."""
    headings = ("measure", "both right", "only first", "only second", "neither", "n", "left out", "McNemar's p")
    table = make_table(f"right by row: first {visible(first)}, second {visible(second)}", *headings)
    for measure, one in found.items():
        counts = (one["both"], one["only_first"], one["only_second"], one["neither"], one["n"], one["left_out"])
        add_row(table, measure, *counts, f"{one['p']:.3g}")
    console.print(table)
