"""Requests a second without limits: the peer script, `judge run`'s loop, and a bare client, side by side.

    python benchmarks/throughput.py --peer api_request_parallel_processor.py --requests 4000 --rounds 3

The peer is the OpenAI cookbook's examples/api_request_parallel_processor.py, to be fetched by whoever measures. All three
ask the same endpoint on loopback (a process of its own, 50 ms latency) in turns, so what else the machine does
hits them alike: read the ratios, not the rates. Each is timed from its first file read to its last file written,
without the start of Python.
"""

import argparse
import asyncio
import importlib.util
import json
import logging
import statistics
import subprocess
import sys
import tempfile
import time
import types
from pathlib import Path

from loopback import ask, running

PROMPT = "Schema: CREATE TABLE players (id INT, level INT); is this right? SELECT count(*) FROM players. "


def write_requests(path: Path, count: int, words: int) -> Path:
    prompt = (PROMPT * (words // len(PROMPT.split()) + 1)).strip()
    with open(path, "w", encoding="utf-8") as file:
        for number in range(count):
            message = {"role": "user", "content": f"{number} {prompt}"}
            file.write(json.dumps({"model": "m", "messages": [message], "metadata": {"id": number}}) + "\n")
    return path


def load_peer(path: str) -> types.ModuleType:
    spec = importlib.util.spec_from_file_location("peer", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.api_endpoint_from_url = lambda _: "chat/completions"  # the original takes https addresses only
    from judge.tokens import load_encoding

    # The same encoding, from files that need no network, and loaded before the clock starts.
    module.tiktoken = types.SimpleNamespace(get_encoding=load_encoding)
    load_encoding("cl100k_base").encode("ready")
    return module


def run_peer(peer: str, requests: Path, out: Path, url: str) -> None:
    module = load_peer(peer)
    logging.disable(logging.INFO)
    began = time.perf_counter()
    asyncio.run(
        module.process_api_requests_from_file(
            str(requests), str(out), f"{url}/chat/completions", "key", 1e9, 1e12, "cl100k_base", 5, logging.WARNING
        )
    )
    print(time.perf_counter() - began)


def run_ours(requests: Path, out: Path, url: str) -> None:
    # The start of Python is not measured; the peer has imported aiohttp by now too.
    import aiohttp  # noqa: F401
    import openai  # noqa: F401
    from judge.parallel import run_requests

    began = time.perf_counter()
    outcome = run_requests(requests, out, base_url=url, progress=False)
    print(time.perf_counter() - began)
    assert outcome.answered == outcome.total, outcome


def run_bare(requests: Path, url: str, at_once: int = 128) -> None:
    """The openai client with its aiohttp transport and raw responses; keeps nothing."""
    import openai

    async def send_all() -> float:
        http = openai.DefaultAioHttpClient(trust_env=False)
        client = openai.AsyncOpenAI(api_key="key", base_url=url, max_retries=0, http_client=http)
        bodies = [json.loads(line) for line in requests.read_text().splitlines()]
        waiting = iter(bodies)

        async def worker() -> None:
            for body in waiting:
                body.pop("metadata")
                (await client.chat.completions.with_raw_response.create(**body)).content  # noqa: B018

        began = time.perf_counter()
        await asyncio.gather(*[worker() for _ in range(at_once)])
        seconds = time.perf_counter() - began
        await client.close()
        return seconds

    print(asyncio.run(send_all()))


def measure(who: str, given: argparse.Namespace, requests: Path, folder: Path, url: str) -> float:
    """Requests a second of one round, in a process of its own."""
    ask(url, "reset")
    out = folder / f"{who}-{time.time_ns()}.jsonl"
    command = [sys.executable, __file__, "--only", who, "--requests-file", requests, "--out", out, "--url", url]
    done = subprocess.run([*map(str, command), "--peer", given.peer or ""], capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{who} failed:\n{done.stderr[-2000:]}")
    answered = ask(url, "counts")["counts"]["answered"]
    assert answered == given.requests, f"{who}: {answered} answered of {given.requests}"
    return given.requests / float(done.stdout.split()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--peer", help="path of the peer script; without it only the other two run")
    parser.add_argument("--requests", type=int, default=4000)
    parser.add_argument("--words", type=int, default=150, help="of each prompt")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--only", choices=("peer", "ours", "bare"), help=argparse.SUPPRESS)
    parser.add_argument("--requests-file", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--out", type=Path, help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.only == "peer":
        return run_peer(given.peer, given.requests_file, given.out, given.url)
    if given.only == "ours":
        return run_ours(given.requests_file, given.out, given.url)
    if given.only == "bare":
        return run_bare(given.requests_file, given.url)
    names = ["peer", "ours", "bare"] if given.peer else ["ours", "bare"]
    rates: dict[str, list[float]] = {name: [] for name in names}
    with tempfile.TemporaryDirectory() as folder, running("--latency", given.latency) as url:
        requests = write_requests(Path(folder) / "requests.jsonl", given.requests, given.words)
        for number in range(given.rounds):
            for name in names:
                rates[name].append(measure(name, given, requests, Path(folder), url))
            print(f"round {number + 1}: " + ", ".join(f"{name} {rates[name][-1]:.0f}/s" for name in names), flush=True)
    for name in names:
        print(f"{name}: median {statistics.median(rates[name]):.0f} requests a second")
    for other in [name for name in names if name != "ours"]:
        ratios = [ours / theirs for ours, theirs in zip(rates["ours"], rates[other], strict=True)]
        print(f"ours / {other}: median {statistics.median(ratios):.2f} ({min(ratios):.2f} to {max(ratios):.2f})")


if __name__ == "__main__":
    main()
