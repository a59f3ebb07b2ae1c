"""Is a judge fit for use? Its verdicts on a probe set, class by class, against thresholds: `judge probe-report`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any, TypedDict

from judge.stats import cohen_kappa, kappa_interval, wilson
from judge.text import UserError
from judge.trust.agreement import VERDICTS, add_row, make_table

if TYPE_CHECKING:
    from rich.console import Console

# A judge that errs on one row in twenty moves a score by up to five points, about what separates neighbouring models.
GOOD, BAD, KAPPA = 0.95, 0.95, 0.8


class Score(TypedDict):
    """How many rows of one kind the judge got right. An unscored row is not right: a judge has to answer."""

    expected: str  # yes | no
    n: int
    right: int
    unscored: int
    share: float  # right / n
    ci95: tuple[float, float]  # Wilson


class Report(TypedDict):
    verdict: str  # fit | unfit
    reasons: list[str]  # each threshold that was missed; empty where fit
    thresholds: dict[str, float]
    good: Score  # all right predictions together
    classes: dict[str, Score]
    kappa: float | None  # resolve_yn against what is known, over the scored rows
    kappa_ci95: tuple[float, float] | None
    unscored: int


def probe_report(
    rows: Iterable[Mapping[str, Any]], *, good: float = GOOD, bad: float = BAD, kappa: float = KAPPA, seed: int = 0
) -> Report:
    """'fit' where the judge accepts `good` of the right predictions, refuses `bad` of each wrong class, and reaches
    `kappa`; shares are fractions of 1.

    `rows` are verdicts.csv's (see `read_verdicts`) on what `make_probe` made. Raises UserError where they are not, or
    where right or wrong predictions are lacking.
    """
    rows = list(rows)
    for number, row in enumerate(rows, 1):
        for name, allowed in (("expected", ("yes", "no")), ("resolve_yn", VERDICTS)):
            if name not in row:
                raise UserError(f"no column {name!r}: `judge probe` makes the rows, `judge csv` joins the verdicts")
            if row[name] not in allowed:
                raise UserError(f"row {number}: {name} is {row[name]!r}, not {', '.join(allowed)}")
        if not row.get("probe_class"):
            raise UserError(f"row {number}: no 'probe_class'; `judge probe` writes it")
    by_class: dict[str, list[Mapping[str, Any]]] = {}
    for row in sorted(rows, key=lambda row: (row["expected"] == "no", row["probe_class"])):
        by_class.setdefault(row["probe_class"], []).append(row)
    right_ones = [row for row in rows if row["expected"] == "yes"]
    if not right_ones or len(right_ones) == len(rows):
        raise UserError("a probe needs right and wrong predictions; one kind is missing here")
    if mixed := [name for name, of in by_class.items() if len({row["expected"] for row in of}) > 1]:
        raise UserError(f"class {mixed[0]!r} holds both right and wrong predictions")
    scored = [row for row in rows if row["resolve_yn"] != "unscored"]
    said, known = [row["resolve_yn"] for row in scored], [row["expected"] for row in scored]
    report: Report = {
        "verdict": "fit",
        "reasons": [],
        "thresholds": {"good": good, "bad": bad, "kappa": kappa},
        "good": _score(right_ones),
        "classes": {name: _score(of) for name, of in by_class.items()},
        "kappa": cohen_kappa(said, known),
        "kappa_ci95": kappa_interval(said, known, seed=seed),
        "unscored": len(rows) - len(scored),
    }
    report["reasons"] = list(_missed(report))
    report["verdict"] = "unfit" if report["reasons"] else "fit"
    return report


def _score(rows: list[Mapping[str, Any]]) -> Score:
    right = sum(row["resolve_yn"] == row["expected"] for row in rows)
    return {
        "expected": rows[0]["expected"], "n": len(rows), "right": right,
        "unscored": sum(row["resolve_yn"] == "unscored" for row in rows),
        "share": right / len(rows), "ci95": wilson(right, len(rows)),
    }  # fmt: skip


def _missed(report: Report) -> Iterable[str]:
    limits, good, kappa = report["thresholds"], report["good"], report["kappa"]
    if good["share"] < limits["good"]:
        yield f"accepts {_share(good)} of the right predictions, {limits['good']:.1%} are asked for"
    for name, score in report["classes"].items():
        if score["expected"] == "no" and score["share"] < limits["bad"]:
            yield f"refuses {_share(score)} of {name}, {limits['bad']:.1%} are asked for"
    if kappa is None or kappa < limits["kappa"]:
        yield f"kappa is {'undefined' if kappa is None else f'{kappa:.3f}'}, {limits['kappa']:g} is asked for"


def _share(score: Score) -> str:
    return f"{score['share']:.1%} ({score['right']} of {score['n']})"


def show_report(console: Console, report: Report) -> None:
    """A table of the classes, then the verdict with the thresholds and what was missed."""
    limits = report["thresholds"]
    table = make_table(
        "known verdicts", "class", "right answer", "right", "of", "unscored", "share", "95 % interval", "asked for"
    )
    for name, score in [*report["classes"].items(), ("all good", report["good"])]:
        asked = "" if name.startswith("good") else f"{limits['good' if name == 'all good' else 'bad']:.1%}"
        low, high = score["ci95"]
        cells = (name, score["expected"], score["right"], score["n"], score["unscored"], f"{score['share']:.1%}")
        add_row(table, *cells, f"{low:.1%} to {high:.1%}", asked)
    console.print(table)
    kappa = "undefined" if report["kappa"] is None else f"{report['kappa']:.3f}"
    if report["kappa_ci95"]:
        kappa += " ({:.3f} to {:.3f})".format(*report["kappa_ci95"])
    lines = [f"kappa {kappa}, {limits['kappa']:g} asked for; {report['unscored']} unscored", *report["reasons"]]
    for line in [*lines, report["verdict"]]:
        console.print(line, highlight=False, markup=False, soft_wrap=True)
