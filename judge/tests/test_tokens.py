"""Token counts without network."""

import os

import pytest
from judge.text import UserError
from judge.tokens import ENCODINGS, count_request, count_text, load_encoding


def test_both_encodings_are_shipped_and_load_without_network(monkeypatch):
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", "/nowhere")
    load_encoding.cache_clear()
    assert [load_encoding(name).name for name in ("o200k_base", "cl100k_base")] == [
        "o200k_base",
        "cl100k_base",
    ]
    assert os.environ["TIKTOKEN_CACHE_DIR"] == "/nowhere"
    assert len([path for path in ENCODINGS.iterdir() if path.name != "LICENSE"]) == 2


@pytest.mark.parametrize(
    ("text", "o200k", "cl100k"),
    [("", 0, 0), ("hello world", 2, 2), ("<|endoftext|>", 7, 7), ("플레이어는 몇 명인가요?", 9, 16)],
)
def test_a_text_costs_its_tokens_and_special_ones_are_plain_text(text, o200k, cl100k):
    assert (count_text(text), count_text(text, "cl100k_base")) == (o200k, cl100k)


@pytest.mark.parametrize(
    ("request_", "tokens"),
    [
        ({"messages": [{"role": "user", "content": "hello world"}]}, 3 + 4 + 1 + 2),
        ({"messages": [{"role": "user", "content": "hello world"}], "max_tokens": 50, "n": 2}, 10 + 100),
        ({"messages": [{"role": "user", "content": "hello world"}], "max_completion_tokens": 7}, 10 + 7),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "hello world"}]}]}, 10),
        ({"prompt": "hello world"}, 2),
        ({"prompt": [1, 2, 3]}, 3),
        ({"input": ["hello", "world"]}, 2),
        ({"messages": None}, 0),
        ({}, 0),
    ],
)
def test_a_request_costs_its_prompt_and_the_most_it_may_answer(request_, tokens):
    assert count_request(request_) == tokens


def test_an_unknown_encoding_names_the_known_ones():
    with pytest.raises(UserError, match="no token encoding 'gpt-9'; shipped are o200k_base, cl100k_base"):
        count_text("x", "gpt-9")
