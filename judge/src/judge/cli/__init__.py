"""The command line: judge requests, run, csv, execution, exact, serve."""

import os
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer

from judge.text import UserError, read_rows, texts_digest, write_jsonl

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, rich_markup_mode=None,
    help="Verdicts on generated SQL: exact match, execution accuracy, and a judge model asked in parallel.",
)  # fmt: skip


def known_dialect(name: str | None) -> str | None:
    """sqlglot's name of a dialect, by whichever name it is usually called. Raises UserError where there is none."""
    name = name and name.strip().lower()
    name = {"postgresql": "postgres", "mariadb": "mysql", "sqlite3": "sqlite"}.get(name, name)
    if name in (None, "mysql", "postgres", "sqlite"):
        return name
    from sqlglot import Dialect  # late, so that a command which needs no parser starts at once
    from sqlglot.dialects import DIALECT_MODULE_NAMES

    if not name or not Dialect.get(name):
        names = ", ".join(sorted(DIALECT_MODULE_NAMES))
        raise UserError(f"--dialect {name}: sqlglot does not know it; it knows {names}")
    return name


Rows = Annotated[Path, typer.Argument(metavar="ROWS.jsonl", help="Rows: id, context, question, answer, gen_sql.")]
Out = Annotated[Path, typer.Option("--out", help="File to write; it appears once it is whole.")]
Id = Annotated[str, typer.Option("--id", help="Column of the id.")]
Context = Annotated[str, typer.Option("--context", help="Column of the schema (DDL).")]
Question = Annotated[str, typer.Option("--question", help="Column of the question.")]
Answer = Annotated[str, typer.Option("--answer", help="Column of the reference SQL.")]
Gold = Annotated[str, typer.Option("--gold", "--answer", help="Column of the reference SQL.")]
Prediction = Annotated[str, typer.Option("--prediction", help="Column of the generated SQL.")]
Dialect = Annotated[
    str, typer.Option(callback=known_dialect, help="Dialect of the SQL and the DDL, by sqlglot's name.")
]
Instances = Annotated[int, typer.Option(min=1, help="Small databases made for each row.")]
Seed = Annotated[int, typer.Option(help="Seed of the databases' contents.")]


def example(*lines: str) -> str:
    return "\b\nExample:\n" + "\n".join("  " + line for line in lines)


@app.callback()
def every_command(
    with_parent: Annotated[
        bool,
        typer.Option(
            "--with-parent", help="End at once when standard input closes: for a program that starts this one."
        ),
    ] = False,
) -> None:
    if with_parent:
        threading.Thread(target=_end_with_input, daemon=True).start()


def _end_with_input() -> None:
    """However the program that holds the other end of the pipe ends, by SIGKILL too, the system closes it."""
    while os.read(0, 4096):
        pass
    os._exit(1)  # as by a kill, which every command must bear; a worker ends when its own input closes


@app.command(
    epilog=example(
        "judge requests rows.jsonl --out requests.jsonl --model gpt-4o",
        "judge requests rows.jsonl --out requests.jsonl --model gpt-4o --model o4-mini \\",
        "    --samples 3 --execution execution.jsonl",
    )
)
def requests(
    rows: Rows,
    out: Out,
    model: Annotated[
        list[str], typer.Option(help="The judge model's name at its endpoint; given several times, a panel.")
    ],
    rubric: Annotated[
        Path | None, typer.Option(help="Text with places {context} {question} {answer} {gen_sql}.")
    ] = None,
    samples: Annotated[int, typer.Option(min=1, help="Times that each model is asked about each row.")] = 1,
    execution: Annotated[
        Path | None, typer.Option(help="What `judge execution` wrote: show the first rows of both results too.")
    ] = None,
    dialect: Dialect = "mysql",
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
    """Write one chat-completions request for each row.

    With several samples or models there are so many requests a row; `judge csv` takes the majority."""
    from judge.evaluation import PLACE, load_rubric, requests_for_rows

    columns = {"id": id, "context": context, "question": question, "answer": answer, "gen_sql": prediction}
    used = set(PLACE.findall(load_rubric(rubric)))
    needs = [columns[name] for name in ("context", "question", "answer") if name in used]
    table = read_rows(rows, id_column=id, needs=needs, prediction=prediction)
    results = None
    if execution:
        from judge.execution.heads import heads_for_rows

        results = heads_for_rows(table, execution, columns=columns, dialect=dialect)
        typer.echo(f"results of both queries for {len(results)} of {len(table)} rows")
    made = requests_for_rows(
        table, model=model, samples=samples, rubric=rubric, columns=columns, results=results,
        options=_options(set_ or []), where=str(rows),
    )  # fmt: skip
    write_jsonl(out, made)
    typer.echo(f"{len(made)} requests for {', '.join(model)} -> {out}")


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
    concurrency: Annotated[int, typer.Option(min=1, help="Most requests in flight; it finds how many pay.")] = 512,
    timeout: Annotated[float, typer.Option(min=0.01, help="Seconds for one attempt.")] = 120,
    connect_timeout: Annotated[float, typer.Option(min=0.01, help="Seconds for its connection.")] = 10,
    cache: Annotated[str, typer.Option(help="Answers of other files: off, read or read-write.")] = "off",
    cache_dir: Annotated[Path | None, typer.Option(help="Where they are kept; default ~/.cache/sllm-judge.")] = None,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="US dollars a million tokens; default the list price.")
    ] = None,
    max_cost: Annotated[float | None, typer.Option(min=0, help="Stop before this run costs more dollars.")] = None,
    fresh: Annotated[bool, typer.Option("--fresh", help="Ask again; keep earlier answers as .bak1, .bak2 …")] = False,
) -> None:
    """Send the requests in parallel, within limits.

    Run it again to send what is missing. The key comes from OPENAI_API_KEY; an endpoint on this machine
    needs none.
    """
    from judge.parallel import report, run_requests
    from judge.processor.prices import parse_price

    outcome = run_requests(
        requests, out, base_url=base_url, rpm=rpm, tpm=tpm, max_attempts=max_attempts,
        concurrency=concurrency, timeout=timeout, connect_timeout=connect_timeout, cache=cache, cache_dir=cache_dir,
        price=parse_price(price) if price is not None else None, max_cost=max_cost, fresh=fresh, progress=True,
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


@app.command(
    epilog=example(
        "judge execution rows.jsonl --out execution.jsonl",
        "judge execution dev.jsonl --out execution.jsonl --databases spider/database",
        "JUDGE_DATABASE_URL=postgresql://judge:PASSWORD@127.0.0.1/shop \\",
        "    judge execution rows.jsonl --out execution.jsonl",
    )
)
def execution(
    ctx: typer.Context,
    rows: Rows,
    out: Out,
    gold: Gold = "answer",
    prediction: Prediction = "gen_sql",
    context: Context = "context",
    id: Id = "id",
    dialect: Annotated[
        str | None,
        typer.Option(
            callback=known_dialect,
            help="Dialect of the SQL, by sqlglot's name; default mysql, with --databases sqlite.",
        ),
    ] = None,
    instances: Instances = 20,
    seed: Seed = 0,
    workers: Annotated[int | None, typer.Option(min=1, help="Processes at once; default one a core.")] = None,
    timeout: Annotated[
        float | None, typer.Option(min=0.1, help="Seconds a query gets; default 5, on a database 30.")
    ] = None,
    databases: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Judge on the data set's SQLite files, found by db_id.")
    ] = None,
    db_id: Annotated[str, typer.Option("--db-id", help="Column of the database's name, for --databases.")] = "db_id",
    database: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            envvar="JUDGE_DATABASE_URL",
            show_envvar=True,
            help="Judge on this database, read-only; a URL with a password goes into the variable.",
        ),
    ] = None,
) -> None:  # fmt: skip
    """Compare what reference and generated SQL return.

    It does so on small databases made from each row's schema, on the data set's own (--databases), or on yours
    (--database). With RAY_ADDRESS set the work runs on that Ray cluster, --database apart."""
    from judge.execution.places import judge_file, refuse_on_command_line

    source = ctx.get_parameter_source("database")
    if database and source and source.name == "COMMANDLINE":
        refuse_on_command_line(database, databases)
    verdicts, place = judge_file(
        rows, id=id, gold=gold, prediction=prediction, context=context, db_id=db_id, dialect=dialect, timeout=timeout,
        databases=databases, database=database, made={"instances": instances, "seed": seed}, workers=workers,
        progress=sys.stderr.isatty(), warn=lambda text: typer.echo(f"judge: {text}", err=True),
    )  # fmt: skip
    write_jsonl(out, [{"id": verdict.pop(id), **verdict} for verdict in verdicts])
    typer.echo(summary(f"execution{place}", [verdict["execution"] for verdict in verdicts]) + f" -> {out}")


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
    from judge.exact import exact_match, string_match
    from judge.extract import extract_sql

    verdicts = []
    for row in table:
        found = extract_sql(row[prediction] or "")
        verdict = exact_match(row[gold], found.sql, dialect) if found.sql else ("no", "no SQL in the prediction")
        same_text = string_match(row[gold], found.sql)
        texts = texts_digest(row[gold], row[prediction])
        verdicts.append({"id": row[id], "exact": verdict[0], "reason": verdict[1], "string": same_text, "texts": texts})
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
        "judge serve --answers noisy:0.1 --rpm 60 --limit-mode window \\",
        "    --fault 429-bare:0.05 --fault cut:0.01 --latency 50",
    )
)
def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port; 0 takes a free one.")] = 8080,
    answers: Annotated[str, typer.Option(help="Who answers: execution, heuristic, noisy:P, naive.")] = "execution",
    rpm: Annotated[float, typer.Option(min=0, help="Requests a minute before 429; 0 is no limit.")] = 0,
    tpm: Annotated[float, typer.Option(min=0, help="Tokens a minute before 429; 0 is no limit.")] = 0,
    limit_mode: Annotated[
        str, typer.Option(help="bucket: a minute's worth at once, then what flows in; window: any 60 seconds.")
    ] = "bucket",
    headers: Annotated[
        bool, typer.Option("--headers/--no-headers", help="Send x-ratelimit-... and Retry-After.")
    ] = True,
    fault: Annotated[
        list[str] | None,
        typer.Option(
            metavar="KIND:SHARE",
            help="Share of attempts that fail so: 429, 429-bare, 500, slow, cut, malformed, prose; "
            "of batches: expired. May be given several times.",
        ),
    ] = None,
    slow: Annotated[float, typer.Option(min=0, help="Seconds that a slow answer takes.")] = 5,
    latency: Annotated[float, typer.Option(min=0, help="Milliseconds before every answer.")] = 0,
    batch_tokens: Annotated[int, typer.Option(min=0, help="Tokens that may wait in batches; 0 is no limit.")] = 0,
    instances: Instances = 20,
    seed: Annotated[int, typer.Option(help="Seed of the databases' contents, the faults and the noise.")] = 0,
    dialect: Dialect = "mysql",
    workers: Annotated[int | None, typer.Option(min=1, help="Answers worked out at once; default one a core.")] = None,
) -> None:
    """Serve a local stand-in for a judge model.

    It is OpenAI-compatible, with files and batches. Its replies name the model after who answered:
    local-execution, local-heuristic, local-noisy-0.1, local-naive. A request for a model of such a name gets
    that one, any other name gets --answers."""
    from judge import serve as server

    made = server.make_app(
        answers=answers, rpm=rpm, tpm=tpm, limit_mode=limit_mode, headers=headers, faults=fault or [], slow=slow,
        latency=latency, seed=seed, instances=instances, dialect=dialect, workers=workers,
        batch_tokens=batch_tokens,
    )  # fmt: skip
    try:
        listener = server.bind(host, port)
    except UserError as error:
        typer.echo(f"judge: {error}", err=True)
        raise typer.Exit(1) from None
    server.serve(made, listener)


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


# Last, because it takes `app` and the options from here.
from judge.cli import batch as cli_batch  # noqa: E402, F401
from judge.cli import cost as cli_cost  # noqa: E402, F401
from judge.cli import trust as cli_trust  # noqa: E402, F401
