"""One OpenAI-compatible endpoint: its address, and one attempt to get an answer from it."""

import json
import os
import re
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from importlib import import_module
from typing import Any
from urllib.parse import urlsplit, urlunsplit

from judge.processor.formats import Formats
from judge.processor.gate import retry_after
from judge.processor.limits import duration
from judge.text import UserError, to_json

OPENAI_URL = "https://api.openai.com/v1"
CHAT = "/chat/completions"
NO_KEY = "not-needed"
# Statuses worth another attempt, besides every 5xx; any other 4xx would come again the same. 200 stands for
# an error that was told in the body.
RETRIED = {200, 408, 409, 425}
RATE_CODES = {"rate_limit_exceeded", "rate_limit_error", "RESOURCE_EXHAUSTED"}
HOPELESS_CODES = {"insufficient_quota", "billing_hard_limit_reached", "invalid_api_key"}


class Failure(Exception):
    """One attempt that gave no answer; its text holds no key.

    `then` is what to do: 'retry', 'give up' on this request, or 'stop' the run, since every other would
    fail alike. `refused` says that it was refused for rate, `overloaded` that the endpoint couldn't keep up,
    `wait` the seconds the server asked for, `reached` whether it said anything at all.
    """

    def __init__(
        self,
        text: str,
        then: str,
        *,
        status: int | None = None,
        wait: float = 0,
        reached: bool = True,
        refused: bool = False,
        overloaded: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(text)
        self.then, self.status, self.wait, self.reached = then, status, wait, reached
        self.refused, self.overloaded, self.headers = refused, overloaded, headers or {}


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer: its JSON as one line of text, the same parsed, and the headers it came with."""

    text: str
    response: dict[str, Any]
    headers: Mapping[str, str]


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
    """The chat-completions address under a base URL; without one the environment's, else OpenAI's.

    A query, as in Azure's `…/openai/deployments/NAME?api-version=…`, stays at the end.
    """
    base = base_url or os.environ.get("JUDGE_BASE_URL") or os.environ.get("OPENAI_BASE_URL") or OPENAI_URL
    path, mark, query = base.partition("?")
    return path.rstrip("/").removesuffix(CHAT) + CHAT + mark + query


def check_address(url: str) -> None:
    """UserError for what is no http address."""
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and parts.hostname and (parts.port or True)
    except ValueError:
        good = False
    if not good:
        shown = "(with a password)" if "@" in url else url
        raise UserError(f"not an http address: {shown}")


def is_azure(url: str) -> bool:
    """Whether the key goes into the header `api-key`, as Azure wants it, and not into Authorization."""
    return "/deployments/" in url or (urlsplit(url).hostname or "").endswith(".azure.com")


class Endpoint:
    """An address with its key, used as `async with Endpoint(...) as endpoint`. No attempt is repeated here,
    but for one whose `response_format` the server doesn't know.

    The key comes from OPENAI_API_KEY; a loopback address needs none. `timeout` is the seconds for one
    attempt, `connect_timeout` for its connection. Raises UserError for a bad address or a missing key.
    """

    def __init__(
        self, url: str, *, key: str | None, timeout: float, connect_timeout: float = 10, connections: int = 1000
    ) -> None:
        check_address(url)
        self.url, self.timeout, self.connections = url, timeout, connections
        self.connect_timeout = min(connect_timeout, timeout)
        self.key = key or os.environ.get("OPENAI_API_KEY", "").strip() or (NO_KEY if is_loopback(url) else "")
        if not self.key:
            raise UserError(f"no key for {public_url(url)}: set OPENAI_API_KEY")
        self.formats = Formats()

    async def __aenter__(self) -> "Endpoint":
        import openai

        try:
            http = openai.DefaultAioHttpClient(
                timeout=openai.Timeout(self.timeout, connect=self.connect_timeout),
                # A proxy set for the outside world must not get what is meant for this machine.
                trust_env=not is_loopback(self.url),
                limits=http_library(openai).Limits(
                    max_connections=self.connections, max_keepalive_connections=self.connections, keepalive_expiry=30
                ),
            )
        except RuntimeError:
            raise UserError("judge run needs aiohttp: pip install 'openai[aiohttp]'") from None
        self._client = openai.AsyncOpenAI(api_key=self.key, base_url=self.url, max_retries=0, http_client=http)
        own = self._client.default_headers
        headers = {name: str(own[name]) for name in ("Accept", "Content-Type", "User-Agent")}
        headers |= {"api-key": self.key} if is_azure(self.url) else {"Authorization": f"Bearer {self.key}"}
        self._use_session(http, http_library(openai).URL(self.url), headers)
        return self

    def _use_session(self, http: Any, url: Any, headers: dict[str, str]) -> None:
        """Send on the aiohttp session beneath the SDK's client: its connections, TLS, limits and proxy.

        A request and a response object of the SDK for each attempt cost more than the attempt itself: without
        them one core sends more than twice as many.
        """
        import aiohttp
        import yarl

        transport = http._transport_for_url(url)
        transport.client = self._session = transport.get_client()
        self._address = yarl.URL(str(url.copy_with(userinfo=b"")), encoded=True)
        if url.userinfo:  # a gateway's own password, which leaves no room for a key
            headers["Authorization"] = "Basic " + b64encode(f"{url.username}:{url.password}".encode()).decode()
        self._options: dict[str, Any] = {
            "headers": headers,
            "timeout": aiohttp.ClientTimeout(total=self.timeout, sock_connect=self.connect_timeout),
        }
        if proxy := transport.proxy:
            name, password = proxy.auth or (None, None)
            self._options["proxy"] = yarl.URL(str(proxy.url)).with_user(name).with_password(password)
            self._options["proxy_headers"] = dict(proxy.headers)

    async def __aexit__(self, *_: object) -> None:
        await self._client.close()

    async def ask(self, request: dict[str, Any]) -> Reply:
        """The JSON that answers one request, or a Failure."""
        async with self.formats.turn(request):
            while True:
                fitted, kind = self.formats.fit(request)
                try:
                    reply = await self._attempt(fitted)
                except Failure as failure:
                    if not self.formats.refused(request, kind, failure.status, str(failure)):
                        raise
                else:
                    self.formats.taken(request)
                    return reply

    async def _attempt(self, request: dict[str, Any]) -> Reply:
        import aiohttp

        try:
            body = json.dumps(request, allow_nan=False).encode()
            async with self._session.post(self._address, data=body, **self._options) as answer:
                content = await answer.read()
        except TimeoutError as error:
            raise self._too_late(connecting=isinstance(error, aiohttp.ConnectionTimeoutError)) from None
        except aiohttp.ClientResponseError as error:  # of a proxy; its own text holds the proxy's address and password
            said = self.redact(f"status {error.status} {error.message}")
            raise Failure(f"the proxy refused the connection: {said}", "retry", reached=False) from None
        except aiohttp.ClientError as error:
            raise Failure(f"connection failed: {self.redact(_cause(error))}", "retry", reached=False) from None
        except (TypeError, ValueError, RecursionError) as error:
            raise Failure(f"the request cannot be sent: {self.redact(str(error))}", "give up") from None
        text = content.decode("utf-8", "replace")
        if answer.status >= 300:
            raise self._refusal(answer.status, _json(text), answer.headers, text)
        return self._read(text, answer.headers, chat="messages" in request)

    def _too_late(self, *, connecting: bool = False) -> Failure:
        what, seconds = ("connection", self.connect_timeout) if connecting else ("answer", self.timeout)
        return Failure(f"no {what} within {seconds:g} s", "retry", reached=False, overloaded=True)

    def _read(self, text: str, headers: Mapping[str, str], *, chat: bool) -> Reply:
        if self._secret():  # a server may echo what it was sent
            text = text.replace(self.key, "[key]")
        response = _json(text)
        if isinstance(response, dict) and response.get("error"):
            raise self._refusal(200, response["error"], headers, text)
        choices = response.get("choices") if isinstance(response, dict) else None
        whole = isinstance(choices, list) and choices and isinstance(choices[0], dict)
        if not isinstance(response, dict) or (chat and not whole):
            said = self.redact(text[:80])
            raise Failure(f"malformed reply, no JSON with choices: {said!r}", "retry", status=200, headers=headers)
        one_line = text if text.isprintable() else to_json(response)  # many servers indent their JSON
        return Reply(one_line, response, headers)

    def _refusal(self, status: int, body: object, headers: Mapping[str, str], message: str) -> Failure:
        body = body[0] if isinstance(body, list) and body else body  # Gemini puts its error into a list
        detail = body.get("error", body) if isinstance(body, dict) else None
        detail = detail if isinstance(detail, dict) else {}
        codes = {str(detail.get(name)) for name in ("code", "type", "status")}
        text = f"status {status}: {self.redact(str(detail.get('message') or message))}"
        wait = retry_after(headers) or _told_delay(detail)
        if status == 401 or codes & HOPELESS_CODES:
            return Failure(text, "stop", status=status)
        if status == 429 or codes & RATE_CODES:
            return Failure(text, "retry", status=status, wait=wait, refused=True, headers=headers)
        if status in RETRIED or status >= 500:
            overloaded = status in (503, 529)
            return Failure(text, "retry", status=status, wait=wait, overloaded=overloaded, headers=headers)
        return Failure(text, "give up", status=status, headers=headers)

    def _secret(self) -> bool:
        return len(self.key) >= 8 and self.key != NO_KEY

    def redact(self, text: str) -> str:
        """`text`, cut to 1000 characters, without the key or the like: servers quote what they refuse."""
        text = text.replace(self.key, "[key]") if self._secret() else text
        text = re.sub(r"(?<=://)[^/\s@]+@", "", text)  # an address's user and password
        return re.sub(r"\bsk-[A-Za-z0-9_*-]{4,}", "[key]", text)[:1000]


def http_library(openai: Any) -> Any:
    """httpx or, since openai 3, httpx2: what its client is built on."""
    home = next(kind for kind in openai.DefaultAioHttpClient.__mro__ if kind.__name__ == "AsyncClient")
    return import_module(home.__module__.partition(".")[0])


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _told_delay(detail: dict[str, Any]) -> float:
    """Seconds of the RetryInfo that Gemini puts into an error's details, as "retryDelay": "34s"."""
    details = detail.get("details")
    told = (
        [entry.get("retryDelay") for entry in details if isinstance(entry, dict)] if isinstance(details, list) else []
    )
    return max((duration(delay) for delay in told if isinstance(delay, str)), default=0.0)


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
