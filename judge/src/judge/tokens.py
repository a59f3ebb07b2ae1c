"""Counting tokens without network, with the encoding files that this package ships."""

import os
from functools import cache
from pathlib import Path
from typing import Any

from judge.text import UserError

ENCODINGS = Path(__file__).parent / "encodings"
SHIPPED = ("o200k_base", "cl100k_base")


@cache
def load_encoding(name: str) -> Any:
    """A tiktoken encoding. tiktoken itself checks the shipped files' hashes, so they cannot drift unseen."""
    import tiktoken

    if name not in tiktoken.list_encoding_names():
        raise UserError(f"no token encoding {name!r}; shipped are {', '.join(SHIPPED)}")
    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    if name in SHIPPED:  # any other is left to tiktoken, which fetches it
        os.environ["TIKTOKEN_CACHE_DIR"] = str(ENCODINGS)
    try:
        return tiktoken.get_encoding(name)
    except Exception as error:
        raise UserError(f"cannot load token encoding {name!r}: {type(error).__name__}") from None
    finally:
        if before is None:
            os.environ.pop("TIKTOKEN_CACHE_DIR", None)
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


@cache
def encoding_of(model: str) -> str:
    """The shipped encoding of an OpenAI model; for any other model o200k_base, whose counts are an estimate."""
    from tiktoken.model import encoding_name_for_model

    try:
        name = encoding_name_for_model(model.rpartition("/")[2])
    except KeyError:
        return "o200k_base"
    # gpt-oss's o200k_harmony splits text as o200k_base does; the oldest models' are close to cl100k_base.
    return name if name in SHIPPED else "o200k_base" if name.startswith("o200k") else "cl100k_base"


def count_text(text: str, encoding: str = "o200k_base") -> int:
    """Tokens of `text`; what looks like a special token is counted as the plain text it is."""
    return len(load_encoding(encoding).encode_ordinary(text))


def count_request(request: dict[str, Any], encoding: str | None = None) -> int:
    """Tokens that a request can cost: its prompt plus the most it may answer (n × max_tokens, 0 if unstated).

    Without an `encoding` the request's model chooses it. Chat messages cost four tokens each besides their text,
    and the reply's opening three, as OpenAI counts them; for other makers' models this is an estimate. Also takes
    completions (`prompt`) and embeddings (`input`).
    """
    encoding = encoding or encoding_of(str(request.get("model") or ""))
    answers = request.get("n") or 1
    longest = request.get("max_completion_tokens") or request.get("max_tokens") or 0
    budget = answers * longest if isinstance(answers, int) and isinstance(longest, int) else 0
    messages = request.get("messages")
    if isinstance(messages, list):
        return budget + 3 + sum(4 + _texts(message, encoding) for message in messages)
    return budget + _texts([request.get("prompt"), request.get("input")], encoding)


def _texts(value: Any, encoding: str) -> int:
    """Tokens of all strings in `value`; a list of numbers is a text already encoded."""
    if isinstance(value, str):
        return count_text(value, encoding)
    if isinstance(value, dict):
        return sum(_texts(part, encoding) for key, part in value.items() if key not in ("type", "image_url"))
    if isinstance(value, list):
        return sum(1 if isinstance(part, int) else _texts(part, encoding) for part in value)
    return 0
