"""Faults that `judge serve` makes on purpose: which request gets which, and what it looks like on the wire.

Whether a request meets a fault hangs on the seed, the request and how often it came before, and on nothing else:
the same run meets the same faults again, and a request that is sent again has a new chance.
"""

import hashlib
import json
import logging
from collections import Counter
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from judge.text import UserError

if TYPE_CHECKING:
    from starlette.responses import Response

KINDS = {
    "429": "refused for rate, with Retry-After and x-ratelimit headers",
    "429-bare": "refused for rate, no header says for how long",
    "500": "a server error",
    "slow": "answered after --slow seconds",
    "cut": "the connection ends in the middle of the answer",
    "malformed": "status 200 with half a JSON body",
    "prose": "the verdict stands between sentences and in a fence",
    "expired": "a batch runs out of time with half of its requests answered",
}
BATCH_KINDS = ("expired",)


def parse_faults(given: Iterable[str]) -> dict[str, float]:
    """`429:0.05` -> {"429": 0.05}: the share of attempts that meet each fault. Raises UserError."""
    shares: dict[str, float] = {}
    for text in given:
        kind, _, number = text.rpartition(":")
        try:
            share = float(number)
        except ValueError:
            share = -1.0
        if kind not in KINDS or not 0 <= share <= 1:
            raise UserError(f"--fault {text}: expected KIND:SHARE as in 429:0.05; kinds are {', '.join(KINDS)}")
        shares[kind] = share
    of_requests = sum(share for kind, share in shares.items() if kind not in BATCH_KINDS)
    if of_requests > 1 + 1e-9:
        raise UserError(f"--fault: the shares add up to {of_requests:g}, more than every request")
    return shares


def draw(*parts: object) -> float:
    """A number from 0 up to 1 that hangs on `parts` alone."""
    digest = hashlib.sha256("\0".join(map(str, parts)).encode()).digest()
    return int.from_bytes(digest[:8], "big") / 2**64


class Faults:
    """Tells for each attempt the kind of its fault, or ''."""

    def __init__(self, shares: dict[str, float], seed: int = 0) -> None:
        self.seed = seed
        self.of_requests = {kind: share for kind, share in shares.items() if kind not in BATCH_KINDS}
        self.of_batches = {kind: share for kind, share in shares.items() if kind in BATCH_KINDS}
        self._came: Counter[bytes] = Counter()

    def of_request(self, key: str) -> str:
        """`key` is the request's hash; each call is one more attempt."""
        return self._next(self.of_requests, "request", key)

    def of_batch(self, key: str) -> str:
        return self._next(self.of_batches, "batch", key)

    def _next(self, shares: dict[str, float], what: str, key: str) -> str:
        if not any(shares.values()):
            return ""
        name = hashlib.sha256(f"{what} {key}".encode()).digest()[:12]
        self._came[name] += 1
        at = draw(self.seed, what, key, self._came[name])
        for kind, share in shares.items():
            if at < share:
                return kind
            at -= share
        return ""


def prose(content: str) -> str:
    """The reply as a talkative model gives it."""
    return f"Let me look at both queries.\n\n```json\n{content}\n```\n\nI hope this helps!"


def cut_response(body: dict[str, Any]) -> "Response":
    """Announces a whole body, sends half of it and lets the connection go."""
    from starlette.responses import Response

    class Cut(Response):
        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
            await send({"type": "http.response.body", "body": self.body[: len(self.body) // 2], "more_body": True})

    return Cut(json.dumps(body).encode(), media_type="application/json")


def malformed_response(body: dict[str, Any]) -> "Response":
    from starlette.responses import Response

    text = json.dumps(body).encode()
    return Response(text[: len(text) // 2], media_type="application/json")


def quiet_about_cuts() -> None:
    """uvicorn logs an error for each answer that ends early; ours are meant to."""
    log = logging.getLogger("uvicorn.error")
    if not any(getattr(known, "__name__", "") == "_not_a_cut" for known in log.filters):
        log.addFilter(_not_a_cut)


def _not_a_cut(record: logging.LogRecord) -> bool:
    return "returned without completing response" not in str(record.msg)
