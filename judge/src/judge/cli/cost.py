"""The command line's `judge cost`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from judge.cli import app, example


@app.command(epilog=example("judge cost requests.jsonl", "judge cost requests.jsonl --results results.jsonl"))
def cost(
    requests: Annotated[Path, typer.Argument(metavar="REQUESTS.jsonl", help="One request a line.")],
    results: Annotated[
        Path | None, typer.Option(help="The --out of `judge run`: what it has answered is not counted again.")
    ] = None,
    base_url: Annotated[
        str | None, typer.Option(help="Endpoint; default JUDGE_BASE_URL, OPENAI_BASE_URL, then OpenAI's.")
    ] = None,
    price: Annotated[
        str | None, typer.Option(metavar="IN,OUT", help="US dollars a million tokens; default the list price.")
    ] = None,
    out: Annotated[Path | None, typer.Option("--out", help="JSON file to write the figures to as well.")] = None,
) -> None:
    """Say what sending the requests would cost; nothing is sent.

    The cost is the most that it can be, every reply as long as its request allows (max_tokens); where a request sets
    no limit, only what the prompts cost is known."""
    from judge.processor.cost import estimate
    from judge.processor.prices import parse_price
    from judge.text import finished_file

    found = estimate(
        requests, results, base_url=base_url, price=parse_price(price) if price is not None else None
    )  # fmt: skip
    if out:
        with finished_file(out) as file:
            file.write(json.dumps(found, indent=2) + "\n")
    tokens = f"{found['prompt_tokens']:,} tokens in"
    if found["unlimited"]:
        tokens += f", and out whatever the model writes: {found['unlimited']} set no max_tokens"
    else:
        tokens += f" and at most {found['most_reply_tokens']:,} out"
    money = ", no known price"
    if found["prompt_cost"] is not None:
        source = found["price"]["source"]
        alone = f"; ${found['prompt_cost']:.4f} for the prompts alone by {source}"
        money = alone if found["most_cost"] is None else f", at most ${found['most_cost']:.4f} by {source}"
    typer.echo(f"{found['waiting']} of {found['requests']} requests to send: {tokens}{money}")
