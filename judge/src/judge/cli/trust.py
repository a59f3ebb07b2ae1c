"""The commands that say how far a judge can be trusted: judge agree, probe, probe-report.

`judge.cli` imports this module last, which adds them to its app.
"""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from judge.cli import Answer, Context, Dialect, Id, Out, Prediction, Question, app, example
from judge.text import finished_file, read_rows, write_jsonl

if TYPE_CHECKING:
    from rich.console import Console

Verdicts = Annotated[Path, typer.Argument(metavar="VERDICTS.csv", help="What `judge csv` wrote.")]
Json = Annotated[Path | None, typer.Option("--json", help="File for the same as JSON.")]


def _console() -> "Console":
    from rich.console import Console

    return Console() if sys.stdout.isatty() else Console(width=160)  # a file or a pipe has no width of its own


def _write_json(path: Path | None, value: Any) -> None:
    if path:
        with finished_file(path) as file:
            file.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
        typer.echo(f"the same as JSON -> {path}")


@app.command(
    epilog=example(
        "judge agree verdicts.csv",
        "judge agree tuned.csv --other base.csv --json agreement.json",
    )
)
def agree(
    verdicts: Verdicts,
    other: Annotated[Path | None, typer.Option(help="Another model's verdicts on the same rows.")] = None,
    json_out: Json = None,
    most: Annotated[int, typer.Option(min=0, help="Rows shown of each kind of mistake; JSON has all.")] = 10,
    seed: Annotated[int, typer.Option(help="Seed of the bootstrap.")] = 0,
    id: Id = "id",
    context: Context = "context",
    question: Question = "question",
    answer: Answer = "answer",
    prediction: Prediction = "gen_sql",
) -> None:
    """Compare judge model and exact match with execution, and two models with each other.

    Unscored rows are a class of their own: in the table, counted, and in no ratio. Intervals are 95 %:
    Wilson's for accuracy, the seeded bootstrap's for kappa. --other adds McNemar's exact test, joined by id."""
    from judge.results import read_verdicts
    from judge.trust.agreement import agreement, judges_note, pairing, show_agreement, show_pairing

    columns = {"id": id, "context": context, "question": question, "answer": answer, "gen_sql": prediction}
    rows = read_verdicts(verdicts)
    found: dict[str, Any] = {"verdicts": str(verdicts), "agreement": agreement(rows, columns=columns, seed=seed)}
    if other:
        others = read_verdicts(other)
        found |= {"other": str(other), "agreement_of_other": agreement(others, columns=columns, seed=seed)}
        found["pairing"] = pairing(rows, others, columns=columns)
    console = _console()
    show_agreement(console, found["agreement"], most=most)
    if other:
        show_pairing(console, found["pairing"], str(verdicts), str(other))
    if note := judges_note(rows):
        typer.echo(note)
    _write_json(json_out, found)


@app.command(
    epilog=example(
        "judge probe rows.jsonl --out probe.jsonl",
        "judge requests probe.jsonl --out requests.jsonl --model gpt-4o",
        "judge run requests.jsonl --out results.jsonl",
        "judge csv probe.jsonl results.jsonl --out probe.csv",
        "judge probe-report probe.csv",
    )
)
def probe(
    rows: Annotated[Path, typer.Argument(metavar="ROWS.jsonl", help="Rows: id, context, question, answer.")],
    out: Out,
    size: Annotated[int, typer.Option(min=2, help="Predictions, half of them right.")] = 200,
    seed: Annotated[int, typer.Option(help="Seed of the choice and of the databases.")] = 0,
    id: Id = "id",
    context: Context = "context",
    question: Question = "question",
    answer: Answer = "answer",
    dialect: Dialect = "mysql",
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at once; default one a core.")] = None,
) -> None:
    """Make predictions whose verdicts are known, to measure a judge before it is trusted.

    Right are the reference and rewrites of it; wrong are nothing, prose, another question's SQL, small
    mutants, and mutants with an order to the judge. Execution has borne out each one."""
    from collections import Counter

    table = read_rows(rows, id_column=id, needs=[context, question, answer])
    from judge.trust.probe import make_probe

    columns = {"id": id, "context": context, "question": question, "answer": answer}
    made = make_probe(table, size=size, seed=seed, dialect=dialect, columns=columns, workers=workers)
    write_jsonl(out, made)
    for name, number in sorted(Counter(row["probe_class"] for row in made).items(), reverse=True):
        typer.echo(f"{number:5d} {name}")
    short = f", {size} were asked for: these rows give no more" if len(made) < size else ""
    typer.echo(f"{len(made)} predictions with known verdicts{short} -> {out}")


@app.command(name="probe-report", epilog=example("judge probe-report probe.csv --good 0.9 --json report.json"))
def probe_report_(
    verdicts: Verdicts,
    good: Annotated[float, typer.Option(min=0, max=1, help="Share of the right ones to be accepted.")] = 0.95,
    bad: Annotated[float, typer.Option(min=0, max=1, help="Share of each wrong class to be refused.")] = 0.95,
    kappa: Annotated[float, typer.Option(min=-1, max=1, help="Agreement with the known verdicts.")] = 0.8,
    json_out: Json = None,
) -> None:
    """Say whether a judge is fit, by its verdicts on a probe; exit code 0 fit, 1 unfit.

    An unscored row counts as not right: a judge has to answer."""
    from judge.results import read_verdicts
    from judge.trust.fitness import probe_report, show_report

    report = probe_report(read_verdicts(verdicts), good=good, bad=bad, kappa=kappa)
    show_report(_console(), report)
    _write_json(json_out, report)
    raise typer.Exit(0 if report["verdict"] == "fit" else 1)
