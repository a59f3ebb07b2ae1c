"""Structured output where an endpoint has it: json_schema, else json_object, else plain text."""

import asyncio
import re
from contextlib import AbstractAsyncContextManager, nullcontext
from typing import Any

KINDS = ("json_schema", "json_object", "plain text")
PLAIN = KINDS.index("plain text")
ABOUT_FORMAT = re.compile(r"response.?format|json.?schema|json.?object|structured.?output|guided", re.IGNORECASE)


class Formats:
    """What each model of an endpoint takes as `response_format`, learned from its refusals.

    The first request of a model goes before the others, so that a format it doesn't take costs one refusal.
    """

    def __init__(self) -> None:
        self.notes: dict[str, str] = {}  # by model, what was taken back and what the server said
        self._known: dict[str, int] = {}
        self._settled: set[str] = set()
        self._first = asyncio.Lock()

    def turn(self, request: dict[str, Any]) -> AbstractAsyncContextManager[Any]:
        model = str(request.get("model"))
        return nullcontext() if _kind(request) == PLAIN or model in self._settled else self._first

    def fit(self, request: dict[str, Any]) -> tuple[dict[str, Any], int]:
        """The request as the model takes it, and its kind: an index of `KINDS`."""
        asked = _kind(request)
        kind = max(asked, self._known.get(str(request.get("model")), 0))
        if kind == asked:
            return request, kind
        fitted = {key: value for key, value in request.items() if key != "response_format"}
        return (fitted if kind == PLAIN else fitted | {"response_format": {"type": "json_object"}}), kind

    def taken(self, request: dict[str, Any]) -> None:
        self._settled.add(str(request.get("model")))

    def refused(self, request: dict[str, Any], kind: int, status: int | None, said: str) -> bool:
        """Whether a refusal of `kind` was about the format, so that the next kind is worth sending."""
        if kind == PLAIN or status not in (400, 422) or not ABOUT_FORMAT.search(said):
            return False
        model = str(request.get("model"))
        if kind >= self._known.get(model, 0):
            self._known[model] = kind + 1
            asked = KINDS[_kind(request)]
            self.notes[model] = f"{model} was asked for {KINDS[kind + 1]} instead of {asked}: {said[:200]}"
        return True


def _kind(request: dict[str, Any]) -> int:
    wanted = request.get("response_format")
    kind = wanted.get("type") if isinstance(wanted, dict) else None
    return KINDS.index(kind) if kind in KINDS else PLAIN
