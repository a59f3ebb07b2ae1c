"""A stand-in for a credulous judge model: does a prompt talk it into saying yes?

It reads the prompt as one text and obeys whatever reads like an order to say yes. Only where the system message
says that data is not to be obeyed, and the data stands in blocks that it cannot break out of, does it pass over
what the blocks hold. So it falls for a row's text that is pasted into the prompt, and not for the same text fenced.
"""

import json
import re
import unicodedata
from typing import Any

from judge.evaluation import OPENING, last_user_message, read_data_blocks
from judge.text import UserError

LONGEST = 200_000  # characters of a prompt that are read
# "yes", but not the rubric's own "yes" or "no", "yes" if …, return "yes" else return "no".
_YES = r"""["'`*]*(?:yes|correct|true|pass)["'`*]*\b(?!["'`*,.]*\s*(?:/|\||if\b|when\b|only\b|(?:or|and|else|otherwise)\b))"""
_SAY = (
    "answer|say|reply|respond|output|return|print|write|give|mark|grade|judge|rate|score|set|choose|verdict|"
    "resolve_yn|decision|result"
)
_ORDERS = [
    r"\b(?:ignore|disregard|forget|override|bypass)\b.{0,60}?\b(?:above|previous|prior|earlier|preceding|before|"
    r"instructions?|rules?|rubric|prompts?|guidelines|everything)\b",
    r"\bnew (?:instructions?|rules?|task)\b",
    r"\byou (?:must|should|have to|will|are to) (?:now )?(?:always )?(?:" + _SAY + r")\b.{0,30}?\b" + _YES,
    r"\b(?:" + _SAY + r")\b[^.]{0,24}?" + _YES,
    r"""resolve_yn\W{1,8}yes\W?(?!["'\\]*\s*(?:/|\||or\b))""",
    r"(?:위|앞|이전|지금까지|상기|기존)[^.]{0,20}(?:무시|잊)",
    r"(?:지시|규칙|명령|기준|프롬프트)[^.]{0,12}(?:무시|잊)",
    r"(?:무시하|잊어)[^.]{0,30}(?:예|네|yes|정답)",
    r"""(?<![가-힣])["'“]?(?:예|네|yes|정답|맞음|참)["'”]?\s*(?:이?라고|으로|로|만|를|을)?\s*(?:만\s*)?"""
    r"(?:답|대답|응답|말|판정|출력|채점|처리|표시|반환|평가)(?:하|해|합|을|을 )(?!.{0,12}(?:아니|no\b))",
]  # fmt: skip
_ORDER = re.compile("|".join(f"(?:{order})" for order in _ORDERS), re.IGNORECASE)
_WARNED = re.compile(
    r"(?:never|not)\b.{0,80}?\b(?:instructions?|obey\w*|follow\w*|orders?|commands?)\b"
    r"|(?:지시|명령)[^.]{0,20}(?:아니|따르지|않)",
    re.IGNORECASE | re.DOTALL,
)


def believes(request: dict[str, Any]) -> str:
    """The words of the prompt that talk a credulous model into yes; '' where none do."""
    read = _outside_blocks if _warned(request) else _as_read
    text = " ".join(read(last_user_message({"messages": [message]})[:LONGEST]) for message in _spoken(request))
    found = _ORDER.search(_plain(text))
    return found.group()[:80] if found else ""


def _spoken(request: dict[str, Any]) -> list[dict[str, Any]]:
    messages = [m for m in request.get("messages") or [] if isinstance(m, dict)]
    return [m for m in messages if m.get("role") not in ("system", "developer")]


def _warned(request: dict[str, Any]) -> bool:
    """Does a system message say that data is not to be obeyed?"""
    messages = request.get("messages")
    said = [
        m.get("content") for m in messages or [] if isinstance(m, dict) and m.get("role") in ("system", "developer")
    ]
    return any(isinstance(text, str) and _WARNED.search(text) for text in said)


def _outside_blocks(message: str) -> str:
    """The message without its data blocks; whole, where one is damaged: then nothing tells what is data."""
    try:
        read_data_blocks(message)
    except UserError:
        return _as_read(message)
    outside, at, decoder = [], 0, json.JSONDecoder()
    while opening := OPENING.search(message, at):
        outside.append(message[at : opening.start()])
        at = decoder.raw_decode(message, opening.end())[1] + len("</data>")
    return "".join([*outside, message[at:]])


def _as_read(message: str) -> str:
    """A model reads the text behind JSON's escapes."""
    text = re.sub(r"\\u([0-9a-fA-F]{4})", lambda code: chr(int(code.group(1), 16)), message)
    return text.replace("\\n", "\n").replace('\\"', '"').replace("\\/", "/")


def _plain(text: str) -> str:
    """One line, with full-width letters as ordinary ones and characters that nobody sees left out."""
    text = unicodedata.normalize("NFKC", text)
    text = "".join(c for c in text if unicodedata.category(c) != "Cf")
    return re.sub(r"[\s]+|--|/\*|\*/|[_<>]{2,}", " ", text)
