"""How near to a limit a run goes without a refusal: real time, a real server that enforces the same limit.

    python benchmarks/limits.py --minutes 2            # all twelve runs, two at a time: about 14 minutes
    python benchmarks/limits.py --peer api_request_parallel_processor.py --only sliding

The servers count a sliding minute, or have a bucket that holds a minute's or a few requests' worth; each with and
without rate-limit headers, and with the requests or the tokens as the tighter limit; every run starts cold. The rate is
taken from the time of the first admission on, against the tighter of the two limits. Where that is the tokens, requests
are of unequal length, and the server counts each one's tokens as `judge.tokens` does.
"""

import argparse
import json
import random
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from loopback import ask, running
from throughput import PROMPT, write_requests

SERVERS = {
    "sliding": ["--enforce", "sliding"],
    "bucket": ["--enforce", "bucket", "--capacity", 1],
    "small bucket": ["--enforce", "bucket", "--capacity", 1 / 60],
}


def write_unequal(path: Path, tokens: float) -> float:
    """Requests of 40 to 400 tokens or so, as many as come to `tokens`; gives what they come to."""
    from judge.tokens import count_request

    luck, total, number = random.Random(0), 0, 0
    with path.open("w", encoding="utf-8") as file:
        while total < tokens:
            message = {"role": "user", "content": f"{number} {PROMPT * luck.randint(1, 14)}"}
            request = {"model": "m", "messages": [message], "max_tokens": 20}
            request["user_cost"] = count_request(request)
            file.write(json.dumps(request | {"metadata": {"id": number}}) + "\n")
            total, number = total + request["user_cost"], number + 1
    return total


def measure(name: str, tight: str, headers: bool, given: argparse.Namespace) -> bool:
    """Whether a run stayed within the limits without one refusal, at 98 % of the tighter or more."""
    rpm, tpm = (given.rpm, given.rpm * 1000) if tight == "requests" else (given.rpm * 4, given.rpm * 250)
    server = [*SERVERS[name], "--rpm", rpm, "--tpm", tpm, *(["--headers"] if headers else []), "--times"]
    with tempfile.TemporaryDirectory() as folder, running("--latency", given.latency, *server) as url:
        requests = Path(folder) / "requests.jsonl"
        if tight == "requests":
            write_requests(requests, int(rpm * given.minutes), 30)
        else:
            write_unequal(requests, tpm * given.minutes)
        count = len(requests.read_text().splitlines())
        command = [sys.executable, "-m", "judge", "run", requests, "--out", Path(folder) / "out.jsonl"]
        command += ["--base-url", url, "--rpm", rpm, "--tpm", tpm]
        if given.peer:
            command = [sys.executable, __file__, "--as-peer", given.peer, requests, Path(folder) / "out.jsonl"]
            command += [url, rpm, tpm]
        began = time.monotonic()
        subprocess.run([*map(str, command)], capture_output=True, check=False)
        seconds = time.monotonic() - began
        told = ask(url, "counts")
    times, refused = told["times"], told["counts"].get("429", 0)
    limit, spent = (rpm, [1.0] * len(times)) if tight == "requests" else (tpm, told["costs"])
    # The last request is only admitted at the end of the time, it is not paid for within it.
    rate = sum(spent[:-1]) / (times[-1] - times[0]) * 60 if len(times) > 1 else 0.0
    print(
        f"{name}, {tight}, {'with' if headers else 'without'} headers: {len(times)} of {count} in {seconds:.0f} s,"
        f" {rate:.1f} a minute = {100 * rate / limit:.2f} % of {limit:g}, refusals {refused}",
        flush=True,
    )
    return refused == 0 and rate >= 0.98 * limit and len(times) == count


def as_peer(peer: str, requests: str, out: str, url: str, rpm: str, tpm: str) -> None:
    import asyncio
    import logging

    from throughput import load_peer

    asyncio.run(
        load_peer(peer).process_api_requests_from_file(
            requests, out, f"{url}/chat/completions", "key", float(rpm), float(tpm), "cl100k_base", 5, logging.ERROR
        )
    )


def main() -> int:
    if sys.argv[1:2] == ["--as-peer"]:
        as_peer(*sys.argv[2:])
        return 0
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--minutes", type=float, default=2, help="worth of requests")
    parser.add_argument("--rpm", type=float, default=400)
    parser.add_argument("--latency", type=float, default=0.05, help="seconds")
    parser.add_argument("--only", choices=SERVERS, help="one kind of server")
    parser.add_argument("--tight", choices=("requests", "tokens"), help="only with this limit as the tighter")
    parser.add_argument("--peer", help="measure the peer script at this path instead")
    given = parser.parse_args()
    kinds = [given.only] if given.only else list(SERVERS)
    limits = [given.tight] if given.tight else ["requests", "tokens"]
    runs = [(kind, tight, headers) for tight in limits for kind in kinds for headers in (False, True)]
    with ThreadPoolExecutor(2) as pool:
        good = list(pool.map(lambda run: measure(*run, given), runs))
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main())
