"""The command line's `judge batch`: submit, status, fetch."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from judge.cli import Out, app, example

batch = typer.Typer(no_args_is_help=True, help="Requests by way of a provider's Batch API: cheaper, within a day.")
app.add_typer(batch, name="batch")

Results = Annotated[Path, typer.Argument(metavar="RESULTS.jsonl", help="The --out of `judge batch submit`.")]
Url = Annotated[str | None, typer.Option("--base-url", help="Endpoint; default the one it was submitted to.")]


@batch.command(epilog=example("judge batch submit requests.jsonl --out results.jsonl"))
def submit(
    requests: Annotated[Path, typer.Argument(metavar="REQUESTS.jsonl", help="One request a line.")],
    out: Out,
    base_url: Annotated[
        str | None, typer.Option(help="Endpoint; default JUDGE_BASE_URL, OPENAI_BASE_URL, then OpenAI's.")
    ] = None,
    max_requests: Annotated[int, typer.Option(min=1, help="Requests of one batch.")] = 50_000,
    max_bytes: Annotated[int, typer.Option(min=1000, help="Bytes of one batch's file.")] = 200_000_000,
    fresh: Annotated[bool, typer.Option("--fresh", help="Forget what was submitted before and begin anew.")] = False,
) -> None:
    """Cut a request file into batches and submit them.

    Run it again after a kill or an error: what was submitted is not submitted twice. What is known stands in
    results.batch.json beside --out. The key comes from OPENAI_API_KEY."""
    from judge import batch as work

    made = work.submit(requests, out, base_url=base_url, most_requests=max_requests, most_bytes=max_bytes, fresh=fresh)
    for note in made.notes:
        typer.echo(f"judge: {note}", err=True)
    typer.echo(f"{made.total} requests in {len(made.parts)} batches -> {work.state_path(out)}")


@batch.command(epilog=example("judge batch status results.jsonl"))
def status(results: Results, base_url: Url = None) -> None:
    """Ask how far the batches are: a line each, and their sum."""
    from judge import batch as work

    progress = work.status(results, base_url=base_url)
    for part in progress.parts:
        counts = part.get("counts") or {}
        line = f"{part['name']}  {part.get('batch') or '-'}  {part.get('status') or 'not submitted'}  "
        line += f"{counts.get('completed') or 0} answered, {counts.get('failed') or 0} failed of {part['requests']}"
        typer.echo(line + (f"  ({part['problem']})" if part.get("problem") else ""))
    typer.echo(work.summary(progress))


@batch.command(epilog=example("judge batch fetch results.jsonl --wait"))
def fetch(
    results: Results,
    wait: Annotated[bool, typer.Option("--wait", help="Stay until all is there.")] = False,
    retries: Annotated[int, typer.Option(min=0, help="Times that failed requests are submitted again.")] = 2,
    poll: Annotated[float, typer.Option(min=0.01, help="Seconds between two looks, with --wait.")] = 30,
    base_url: Url = None,
) -> None:
    """Gather the answers into RESULTS.jsonl, as `judge run` writes it.

    Once all batches have ended, what failed and may yet succeed is submitted again. Exit code 3: batches still
    run, come back later; 1: done, but some requests failed and stand in RESULTS.failed.jsonl."""
    from judge import batch as work

    progress = work.fetch(
        results, base_url=base_url, retries=retries, wait=wait, poll=poll, say=lambda text: print(text, file=sys.stderr)
    )
    raise typer.Exit(work.report(progress, results))
