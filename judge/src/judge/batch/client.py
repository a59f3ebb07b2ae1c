"""One provider's Batch API through the `openai` client: a part sent, looked for, asked after, its files loaded."""

import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from judge.processor.endpoint import (
    CHAT,
    NO_KEY,
    check_address,
    endpoint_name,
    http_library,
    is_loopback,
    public_url,
    resolve_url,
)  # fmt: skip
from judge.text import UserError

if TYPE_CHECKING:
    from openai import OpenAI

Part = dict[str, Any]
CREATE_ATTEMPTS = 4
SKEW = 86_400  # seconds by which the provider's clock may be behind ours


class Unreachable(UserError):
    """The endpoint gave no answer, or none that is final."""


def connect(base_url: str | None, begun_at: str | None = None) -> "OpenAI":
    """The client for an endpoint, or for the one that a run was begun at. Raises UserError.

    The key comes from OPENAI_API_KEY; a loopback address needs none.
    """
    from openai import DefaultHttpxClient, OpenAI

    if begun_at and not base_url:
        # The environment's address may carry a password, which the state file never does.
        around = resolve_url(None).removesuffix(CHAT)
        base_url = around if endpoint_name(around) == endpoint_name(begun_at) else begun_at
    url = resolve_url(base_url).removesuffix(CHAT)
    if begun_at and endpoint_name(url) != endpoint_name(begun_at):
        raise UserError(f"the batches are at {begun_at}, not at {public_url(url)}; leave out --base-url")
    check_address(url)
    key = os.environ.get("OPENAI_API_KEY", "").strip() or (NO_KEY if is_loopback(url) else "")
    if not key:
        raise UserError(f"no key for {public_url(url)}: set OPENAI_API_KEY")
    # A proxy set for the outside world must not get what is meant for this machine.
    http = DefaultHttpxClient(trust_env=not is_loopback(url))
    return OpenAI(api_key=key, base_url=url, max_retries=3, http_client=http)


def send_part(client: "OpenAI", part: Part, path: Path, began: float, save: Callable[[], None]) -> None:
    """Upload a part's file and create its batch, unless an earlier start that was cut short has done either already.

    `save` is called after each step, so that a later start knows of it. began: time of the run's first state. One that
    was found may have ended long ago; `refresh_part` tells.
    """
    if not part.get("begun"):
        part["begun"] = True
        save()
    elif batch := _created_before(client, part, began):
        part.update(batch=batch.id, status="submitted")
        return save()
    else:
        part["file"] = part.get("file") or _uploaded_before(client, part)
    if not part.get("file"):
        with told(client), open(path, "rb") as file:
            made = client.files.create(file=(f"{part['name']}.jsonl", file, "application/jsonl"), purpose="batch")
        part["file"] = made.id
        save()
    batch = _create(client, part, began)
    part.update(batch=batch.id, status="submitted")
    return save()


def _create(client: "OpenAI", part: Part, began: float) -> Any:
    """Create the batch. An attempt that got no clear answer may have succeeded, so it is looked for before the next."""
    import openai

    for attempt in range(1, CREATE_ATTEMPTS + 1):
        with told(client):
            try:
                return client.with_options(max_retries=0).batches.create(
                    input_file_id=part["file"], endpoint=part["url"], completion_window="24h",
                    metadata={"judge_part": part["name"]},
                )  # fmt: skip
            except (openai.APIConnectionError, openai.InternalServerError, openai.RateLimitError):
                if attempt == CREATE_ATTEMPTS:
                    raise
        time.sleep(0.5 * 2**attempt)
        if batch := _created_before(client, part, began):
            return batch
    raise AssertionError("the last attempt returns or raises")


def _uploaded_before(client: "OpenAI", part: Part) -> str | None:
    """The id of the part's file at the provider. One uploaded twice would only lie there, so not finding is no harm."""
    import openai

    with told(client):
        try:
            for file in client.files.list(purpose="batch"):
                if file.filename == f"{part['name']}.jsonl":
                    return file.id
        except (openai.NotFoundError, openai.BadRequestError):
            pass
    return None


def _created_before(client: "OpenAI", part: Part, began: float) -> Any:
    """The part's batch at the provider, found by name or file, or None. One submitted twice would be paid twice."""
    refused = part.get("refused", [])
    with told(client):
        for batch in client.batches.list(limit=100):  # newest first
            if batch.created_at < began - SKEW:
                return None
            named = (batch.metadata or {}).get("judge_part") == part["name"]
            if (named or batch.input_file_id == part.get("file")) and batch.id not in refused:
                return batch
    return None


def refresh_part(client: "OpenAI", part: Part) -> list[Any]:
    """Bring a part up to date; gives the provider's errors about the batch as a whole."""
    with told(client):
        batch = client.batches.retrieve(part["batch"])
    counts = batch.request_counts
    part["status"] = batch.status
    part["counts"] = {"completed": counts.completed, "failed": counts.failed} if counts else {}
    part["output"], part["error"] = batch.output_file_id, batch.error_file_id
    errors = (batch.errors and batch.errors.data) or []
    part["problem"] = "; ".join(f"{error.code}: {error.message}" for error in errors[:3]) or None
    part["wrong_lines"] = {str(error.line): f"{error.code}: {error.message}" for error in errors if error.line}
    return errors


def download(client: "OpenAI", file_id: str | None, path: Path) -> None:
    """Load a file of the provider's to `path`, where it appears once it is whole; nothing if it is there already."""
    if not file_id or path.exists():
        return
    aside = path.with_name(f".{path.name}.part")
    path.parent.mkdir(parents=True, exist_ok=True)
    with told(client), client.files.with_streaming_response.content(file_id) as reply:
        try:
            with open(aside, "wb") as file:
                for chunk in reply.iter_bytes():
                    file.write(chunk)
        except OSError as error:
            raise UserError(f"cannot write {aside}: {error.strerror}") from None
    os.replace(aside, path)


def redactor(client: "OpenAI") -> Callable[[str], str]:
    """A function that takes the key, or the like, out of a text: servers quote what they refuse."""
    key = client.api_key
    secret = len(key) >= 8 and key != NO_KEY
    return lambda text: re.sub(r"\bsk-[A-Za-z0-9_*-]{4,}", "[key]", text.replace(key, "[key]") if secret else text)


@contextmanager
def told(client: "OpenAI") -> Iterator[None]:
    """What the endpoint refuses, as a UserError of one line without the key."""
    import openai

    where = public_url(str(client.base_url)).rstrip("/")
    try:
        yield
    except openai.AuthenticationError:
        raise UserError(f"{where} refused the key in OPENAI_API_KEY") from None
    except openai.APIStatusError as error:
        said = redactor(client)(" ".join(str(error.message).split()))[:300]
        if error.status_code in (404, 405, 501):
            raise UserError(f"{where}: not found, or it has no Batch API, then take `judge run`: {said}") from None
        kind = Unreachable if error.status_code >= 500 or error.status_code == 429 else UserError
        raise kind(f"{where}: status {error.status_code}: {said}; nothing is lost, run it again") from None
    except http_library(openai).HTTPError as error:  # in the midst of a download, where the SDK lets it through
        said = redactor(client)(str(error) or type(error).__name__)
        raise Unreachable(f"{where}: cut off: {said}; nothing is lost, run it again") from None
    except openai.APIConnectionError as error:
        said = redactor(client)(str(error.__cause__ or error))
        raise Unreachable(f"no answer from {where}: {said}; nothing is lost, run it again") from None
