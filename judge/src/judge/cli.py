"""The command line: judge requests, run, csv, execution, exact, serve."""

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from judge.text import UserError, read_rows, write_jsonl

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Verdicts on generated SQL: exact match, execution accuracy, and a judge model asked in parallel.",
)  # fmt: skip

Rows = Annotated[Path, typer.Argument(metavar="ROWS.jsonl", help="Rows: id, context, question, answer, gen_sql.")]
Out = Annotated[Path, typer.Option("--out", help="File to write; it appears once it is whole.")]
Id = Annotated[str, typer.Option("--id", help="Column of the id.")]
Context = Annotated[str, typer.Option("--context", help="Column of the schema (DDL).")]
Question = Annotated[str, typer.Option("--question", help="Column of the question.")]
Answer = Annotated[str, typer.Option("--answer", help="Column of the reference SQL.")]
Gold = Annotated[str, typer.Option("--gold", "--answer", help="Column of the reference SQL.")]
Prediction = Annotated[str, typer.Option("--prediction", help="Column of the generated SQL.")]
Dialect = Annotated[str, typer.Option(help="Dialect of the SQL and the DDL, by sqlglot's name.")]
Instances = Annotated[int, typer.Option(min=1, help="Small databases made for each row.")]
Seed = Annotated[int, typer.Option(help="Seed of the databases' contents.")]


def example(*lines: str) -> str:
    return "\b\nExample:\n" + "\n".join("  " + line for line in lines)


@app.command(epilog=example("judge requests rows.jsonl --out requests.jsonl --model gpt-4o"))
def requests(
    rows: Rows,
    out: Out,
    model: Annotated[str, typer.Option(help="The judge model's name at its endpoint.")],
    rubric: Annotated[
        Path | None, typer.Option(help="Text with places {context} {question} {answer} {gen_sql}.")
    ] = None,
    id: Id = "id",
    context: Context = "context",
    question: Question = "question",
    answer: Answer = "answer",
    prediction: Prediction = "gen_sql",
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=JSON", help="Add to each request; null takes out."),
    ] = None,
) -> None:
    """Write one chat-completions request for each row."""
    from judge.evaluation import PLACE, load_rubric, requests_for_rows

    columns = {"id": id, "context": context, "question": question, "answer": answer, "gen_sql": prediction}
    used = set(PLACE.findall(load_rubric(rubric)))
    needs = [columns[name] for name in ("context", "question", "answer") if name in used]
    table = read_rows(rows, id_column=id, needs=needs, prediction=prediction)
    made = requests_for_rows(
        table, model=model, rubric=rubric, columns=columns, options=_options(set_ or []), where=str(rows)
    )
    write_jsonl(out, made)
    typer.echo(f"{len(made)} requests for {model} -> {out}")


@app.command(epilog=example("judge run requests.jsonl --out results.jsonl --rpm 500 --tpm 30000"))
def run(
    requests: Annotated[Path, typer.Argument(metavar="REQUESTS.jsonl", help="One request a line.")],
    out: Out,
    base_url: Annotated[
        str | None, typer.Option(help="Endpoint; default JUDGE_BASE_URL, OPENAI_BASE_URL, then OpenAI's.")
    ] = None,
    rpm: Annotated[float | None, typer.Option(min=0.01, help="Requests a minute; default no limit.")] = None,
    tpm: Annotated[float | None, typer.Option(min=1, help="Tokens a minute; default no limit.")] = None,
    max_attempts: Annotated[int, typer.Option(min=1, help="Attempts a request gets.")] = 5,
    concurrency: Annotated[int, typer.Option(min=1, help="Requests in flight at once.")] = 16,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds for one attempt.")] = 120,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget answers of earlier runs and ask again.")] = False,
) -> None:
    """Send the requests in parallel, within limits.

    Run it again to send what is missing. The key comes from OPENAI_API_KEY; an endpoint on this machine
    needs none.
    """
    from judge.parallel import report, run_requests

    outcome = run_requests(
        requests, out, base_url=base_url, rpm=rpm, tpm=tpm, max_attempts=max_attempts,
        concurrency=concurrency, timeout=timeout, fresh=fresh, progress=True,
    )  # fmt: skip
    raise typer.Exit(report(outcome, out))


@app.command(
    name="csv",
    epilog=example(
        "judge csv rows.jsonl results.jsonl --out verdicts.csv \\",
        "    --execution execution.jsonl --exact exact.jsonl",
    ),
)
def csv_(
    rows: Rows,
    results: Annotated[Path, typer.Argument(metavar="RESULTS.jsonl", help="What `judge run` wrote.")],
    out: Out,
    execution: Annotated[Path | None, typer.Option(help="What `judge execution` wrote.")] = None,
    exact: Annotated[Path | None, typer.Option(help="What `judge exact` wrote.")] = None,
    id: Id = "id",
    context: Context = "context",
    question: Question = "question",
    answer: Answer = "answer",
    prediction: Prediction = "gen_sql",
) -> None:
    """Join rows and verdicts by id into one CSV table."""
    from judge.results import make_verdicts

    columns = {"id": id, "context": context, "question": question, "answer": answer, "gen_sql": prediction}
    verdicts = make_verdicts(rows, results, out, execution=execution, exact=exact, columns=columns)
    models = ", ".join(sorted({row["judge_model"] for row in verdicts} - {""})) or "no model"
    typer.echo(summary(f"resolve_yn by {models}", [row["resolve_yn"] for row in verdicts]) + f" -> {out}")


@app.command(epilog=example("judge execution rows.jsonl --out execution.jsonl"))
def execution(
    rows: Rows,
    out: Out,
    gold: Gold = "answer",
    prediction: Prediction = "gen_sql",
    context: Context = "context",
    id: Id = "id",
    dialect: Dialect = "mysql",
    instances: Instances = 20,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at once; default one a core.")] = None,
) -> None:
    """Compare what reference and generated SQL return."""
    table = read_rows(rows, id_column=id, needs=[context, gold], prediction=prediction)
    from judge.execution import execution_verdicts

    verdicts = execution_verdicts(
        table, gold=gold, prediction=prediction, context=context, id=id, instances=instances, seed=seed,
        dialect=dialect, workers=workers, progress=sys.stderr.isatty(),
    )  # fmt: skip
    write_jsonl(out, [{"id": verdict.pop(id), **verdict} for verdict in verdicts])
    typer.echo(summary("execution", [verdict["execution"] for verdict in verdicts]) + f" -> {out}")


@app.command(epilog=example("judge exact rows.jsonl --out exact.jsonl"))
def exact(
    rows: Rows,
    out: Out,
    gold: Gold = "answer",
    prediction: Prediction = "gen_sql",
    id: Id = "id",
    dialect: Dialect = "mysql",
) -> None:
    """Compare the two queries' normalised syntax trees."""
    table = read_rows(rows, id_column=id, needs=[gold], prediction=prediction)
    from judge.exact import exact_match
    from judge.extract import extract_sql

    verdicts = []
    for row in table:
        found = extract_sql(row[prediction] or "")
        verdict = exact_match(row[gold], found.sql, dialect) if found.sql else ("no", "no SQL in the prediction")
        verdicts.append({"id": row[id], "exact": verdict[0], "reason": verdict[1]})
    write_jsonl(out, verdicts)
    typer.echo(summary("exact", [verdict["exact"] for verdict in verdicts]) + f" -> {out}")


def summary(measure: str, verdicts: list[str]) -> str:
    """`execution: 62 of 110 (56.4 %, 95 % interval 47.0 to 65.3), 2 unscored`"""
    from judge.stats import wilson

    n, right = sum(verdict != "unscored" for verdict in verdicts), verdicts.count("yes")
    low, high = wilson(right, n)
    share = f"{100 * right / n:.1f} %, 95 % interval {100 * low:.1f} to {100 * high:.1f}" if n else "nothing scored"
    return f"{measure}: {right} of {n} ({share}), {len(verdicts) - n} unscored"


@app.command(
    epilog=example(
        "judge serve --port 8080",
        "judge run requests.jsonl --out results.jsonl \\",
        "    --base-url http://127.0.0.1:8080/v1",
    )
)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    answers: Annotated[str, typer.Option(help="Where answers come from; only 'execution'.")] = "execution",
    rpm: Annotated[float, typer.Option(min=0, help="Requests a minute before 429; 0 is no limit.")] = 0,
    tpm: Annotated[float, typer.Option(min=0, help="Tokens a minute before 429; 0 is no limit.")] = 0,
    instances: Instances = 20,
    seed: Seed = 0,
    dialect: Dialect = "mysql",
    workers: Annotated[int | None, typer.Option(min=1, help="Answers worked out at once.")] = None,
) -> None:
    """Serve a local stand-in for a judge model.

    It is OpenAI-compatible and answers from execution; its replies name the model local-execution."""
    if answers != "execution":
        raise UserError(f"--answers {answers}: only 'execution' is known")
    import functools

    from judge import serve as server

    try:
        listener = server.bind(host, port)
    except UserError as error:
        typer.echo(f"judge: {error}", err=True)
        raise typer.Exit(1) from None
    answer = functools.partial(server.answer_from_execution, instances=instances, seed=seed, dialect=dialect)
    server.serve(server.make_app(answer, rpm=rpm, tpm=tpm, workers=workers), listener)


def _options(pairs: list[str]) -> dict[str, Any]:
    import json

    options = {}
    for pair in pairs:
        key, equals, value = pair.partition("=")
        try:
            options[key] = json.loads(value)
        except ValueError:
            options[key] = value
        if not key or not equals:
            raise UserError(f"--set {pair}: expected KEY=VALUE, as in --set max_tokens=300")
    return options


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit: a user's mistake is one line and code 2, a bug keeps its traceback."""
    try:
        app(arguments, prog_name="judge")
    except UserError as error:
        print(f"judge: {error}", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        sys.exit(130)
