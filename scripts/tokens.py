"""Counting tokens without a network: tiktoken's encodings from the files that the judge package ships."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

from scripts.recipe import ROOT

if TYPE_CHECKING:
    from tiktoken import Encoding

ENCODINGS = ROOT / "judge" / "src" / "judge" / "encodings"


@cache
def offline_encoding(name: str = "o200k_base") -> Encoding:
    """o200k_base or cl100k_base; tiktoken checks the files' hashes itself."""
    import tiktoken

    before = os.environ.get("TIKTOKEN_CACHE_DIR")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(ENCODINGS)
    try:
        return tiktoken.get_encoding(name)
    finally:
        if before is None:
            del os.environ["TIKTOKEN_CACHE_DIR"]
        else:
            os.environ["TIKTOKEN_CACHE_DIR"] = before


def count_tokens(text: str, encoding: str = "o200k_base") -> int:
    """What looks like a special token is counted as the plain text it is."""
    return len(offline_encoding(encoding).encode_ordinary(text))
