"""What sending a request file would cost, and what of it has been paid for already."""

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from judge.processor.endpoint import endpoint_name, is_loopback, public_url, resolve_url
from judge.processor.journal import Journal
from judge.processor.meter import Meter
from judge.processor.prices import Price
from judge.processor.requestfile import RequestFile
from judge.tokens import count_request


def estimate(
    requests_path: str | Path, results: str | Path | None = None, *, base_url: str | None = None,
    price: Price | None = None,
) -> dict[str, Any]:  # fmt: skip
    """Tokens and dollars of the requests that `judge run requests --out results` would still send.

    Gives the `endpoint`'s public address, `requests`, `answered` (in the journal of `results`), `waiting`; of the
    waiting ones `prompt_tokens`, `prompt_cost`, `unlimited` (how many set no max_tokens), `most_reply_tokens` (the sum
    of what they may be answered with, those without a limit left out) and `most_cost` (None where any has no limit);
    of the answered ones `spent_tokens` and `spent`; `price`, that of the first request's model. Dollars are None
    where a model has no known price or the endpoint is on this machine. Tokens of other makers' models are estimates
    (see `count_request`). Raises UserError for a bad file or address.
    """
    url = resolve_url(base_url)
    with ExitStack() as stack:
        requests = RequestFile(requests_path)
        stack.callback(requests.close)
        meter = Meter(price=price, free=is_loopback(url), total=requests.total, done=0, show=False)
        stack.callback(meter.close)
        answered = 0
        # Only read where there is one: opening a journal makes it.
        if results and (path := Path(f"{results}.journal")).exists():
            journal = Journal(path, endpoint_name(url))
            stack.callback(journal.close)
            for key, place in journal.answers():
                answered += requests.claim(key, place)
            for request, _, response, _ in requests.results(journal.response_at, None):
                if response is not None:
                    meter.answered(request, json.loads(response))
        asked = most = unlimited = 0
        priced, cost, replies, first = True, 0.0, 0.0, None
        for chunk in requests.waiting():
            for job in chunk:
                whole = count_request(job.request)
                prompt = count_request({**job.request, "max_tokens": 0, "max_completion_tokens": 0})
                asked, most = asked + prompt, most + whole - prompt
                unlimited += whole == prompt
                one = meter.price_for(job.request.get("model"))
                first = first or one
                priced = priced and one is not None
                cost += prompt * one.input / 1e6 if one else 0
                replies += (whole - prompt) * one.output / 1e6 if one else 0
        known = priced and first is not None
        return {
            "endpoint": public_url(url), "requests": requests.total, "answered": answered, "waiting": requests.total - answered,
            "prompt_tokens": asked, "most_reply_tokens": most, "unlimited": unlimited,
            "price": {"input": first.input, "output": first.output, "source": first.source} if first else None,
            "prompt_cost": cost if known else None, "most_cost": cost + replies if known and not unlimited else None,
            "spent_tokens": meter.tokens, "spent": None if meter.unpriced else meter.spent,
        }  # fmt: skip
