"""One OpenAI-compatible endpoint: its address, and one attempt to get an answer from it."""

import asyncio
import json
import os
import re
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from judge.gate import retry_after
from judge.text import UserError

OPENAI_URL = "https://api.openai.com/v1"
CHAT = "/chat/completions"
NO_KEY = "not-needed"
# Statuses worth another attempt, besides every 5xx; any other 4xx would come again the same. 200 stands for
# an error that was told in the body.
RETRIED = {200, 408, 409, 425}
RATE_CODES = {"rate_limit_exceeded", "rate_limit_error"}
HOPELESS_CODES = {"insufficient_quota", "billing_hard_limit_reached", "invalid_api_key"}


class Failure(Exception):
    """One attempt that gave no answer; its text holds no key.

    `then` is what to do: 'retry', 'give up' on this request, or 'stop' the run, since every other would
    fail alike. `wait` is the seconds the server asked for, `reached` whether it said anything at all.
    """

    def __init__(self, text: str, then: str, *, status: int | None = None, wait: float = 0, reached: bool = True):
        super().__init__(text)
        self.then, self.status, self.wait, self.reached = then, status, wait, reached


def is_loopback(url: str) -> bool:
    host = urlsplit(url).hostname or ""
    return host in ("localhost", "::1") or host.startswith("127.")


def public_url(url: str) -> str:
    """The address without the user, password and query that it may carry."""
    parts = urlsplit(url)
    return urlunsplit((parts.scheme, parts.netloc.rpartition("@")[2], parts.path, "", ""))


def endpoint_name(url: str) -> str:
    """What answers are kept under: the public address, on this machine without its port.

    A local server takes another port each time; a remote address is another judge.
    """
    return f"loopback{urlsplit(url).path}" if is_loopback(url) else public_url(url)


def resolve_url(base_url: str | None) -> str:
    """The chat-completions address under a base URL; without one the environment's, else OpenAI's."""
    base = base_url or os.environ.get("JUDGE_BASE_URL") or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    return base.rstrip("/").removesuffix(CHAT) + CHAT


class Endpoint:
    """An address with its key, used as `async with Endpoint(...) as endpoint`. No attempt is repeated here.

    The key comes from OPENAI_API_KEY; a loopback address needs none. `refused` is called with the headers
    of each refusal for rate and gives the seconds to wait. Raises UserError for a bad address or a missing
    key.
    """

    def __init__(
        self, url: str, *, key: str | None, timeout: float, refused: Callable[[Mapping[str, str]], float]
    ) -> None:
        try:
            parts = urlsplit(url)
            good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
        except ValueError:
            good = False
        if not good:
            shown = "(with a password)" if "@" in url else url
            raise UserError(f"not an http address: {shown}")
        self.url, self.timeout, self.refused = url, timeout, refused
        self.key = key or os.environ.get("OPENAI_API_KEY", "").strip() or (NO_KEY if is_loopback(url) else "")
        if not self.key:
            raise UserError(f"no key for {public_url(url)}: set OPENAI_API_KEY")

    async def __aenter__(self) -> "Endpoint":
        from openai import AsyncOpenAI, DefaultAsyncHttpxClient, Timeout

        timeout = Timeout(self.timeout, connect=min(10.0, self.timeout))
        self._client = AsyncOpenAI(
            api_key=self.key,
            base_url=OPENAI_URL,  # unused: each request is sent to the whole address
            max_retries=0,
            timeout=timeout,
            # A proxy set for the outside world must not get what is meant for this machine.
            http_client=DefaultAsyncHttpxClient(timeout=timeout, trust_env=not is_loopback(self.url)),
            default_headers={"api-key": self.key} if "/deployments/" in self.url else None,  # Azure's way
        )
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        """The JSON that answers one request, or a Failure."""
        import openai

        try:
            async with asyncio.timeout(self.timeout):
                text = await self._client.post(self.url, cast_to=str, body=request)
        except (openai.APITimeoutError, TimeoutError):
            raise Failure(f"no answer within {self.timeout:g} s", "retry", reached=False) from None
        except openai.APIConnectionError as error:
            said = self.redact(_cause(error))
            raise Failure(f"connection failed: {said}", "retry", reached=False) from None
        except openai.APIStatusError as error:
            raise self._refusal(error.status_code, error.body, error.response.headers, error.message) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise Failure(f"the request cannot be sent: {self.redact(str(error))}", "give up") from None
        return self._read(text, chat="messages" in request)

    def _read(self, text: str, *, chat: bool) -> dict[str, Any]:
        if self._secret():  # a server may echo what it was sent
            text = text.replace(self.key, "[key]")
        try:
            response = json.loads(text)
        except (ValueError, RecursionError):
            response = None
        if isinstance(response, dict) and response.get("error"):
            raise self._refusal(200, response["error"], {}, text)
        choices = response.get("choices") if isinstance(response, dict) else None
        whole = isinstance(choices, list) and choices and isinstance(choices[0], dict)
        if not isinstance(response, dict) or (chat and not whole):
            said = self.redact(text[:80])
            raise Failure(f"malformed reply, no JSON with choices: {said!r}", "retry", status=200)
        return response

    def _refusal(self, status: int, body: object, headers: Mapping[str, str], message: str) -> Failure:
        detail = body.get("error", body) if isinstance(body, dict) else None
        detail = detail if isinstance(detail, dict) else {}
        codes = {str(detail.get(name)) for name in ("code", "type")}
        text = f"status {status}: {self.redact(str(detail.get('message') or message))}"
        if status == 401 or codes & HOPELESS_CODES:
            return Failure(text, "stop", status=status)
        if status == 429 or codes & RATE_CODES:
            return Failure(text, "retry", status=status, wait=self.refused(headers))
        if status in RETRIED or status >= 500:
            return Failure(text, "retry", status=status, wait=retry_after(headers))
        return Failure(text, "give up", status=status)

    def _secret(self) -> bool:
        return len(self.key) >= 8 and self.key != NO_KEY

    def redact(self, text: str) -> str:
        """`text`, cut to 1000 characters, without the key or the like: servers quote what they refuse."""
        text = text.replace(self.key, "[key]") if self._secret() else text
        return re.sub(r"\bsk-[A-Za-z0-9_*-]{4,}", "[key]", text)[:1000]


def _cause(error: BaseException) -> str:
    """What the system said at the bottom of a connection error, as in "Connection refused"."""
    said = str(error.__cause__ or error)
    below: BaseException | None = error
    while below is not None:
        if isinstance(below, OSError) and below.errno:
            # Positive numbers are the system's; a failed look-up of a name has negative ones.
            said = os.strerror(below.errno) if below.errno > 0 else str(below.strerror)
        below = below.__cause__ or below.__context__
    return said
