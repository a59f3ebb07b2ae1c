"""The trainer's parts: what is learnt is the answer with its end token, and nothing before it."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch

from scripts.models import CONVERSION, load_tokenizer, models_folder
from scripts.prompts import prompt_maker
from scripts.recipe import ROOT, load_recipe
from scripts.trainer_parts import AnswerCollator, LengthBuckets, split_point, tokenize_rows

RECIPE = ROOT / "recipes/ko_text2sql/smollm2-135m-cpu.yaml"


@pytest.fixture(scope="module")
def tokenizer():
    from scripts.models import base_model

    return load_tokenizer(base_model(load_recipe(RECIPE)))


@pytest.fixture(scope="module")
def test_rows() -> list[dict]:
    from recipes.ko_text2sql.rows import make

    return make(seed=42)["test"]


def test_the_prompts_tokens_are_the_beginning_of_the_texts_tokens(tokenizer, test_rows) -> None:
    maker = prompt_maker(load_recipe(RECIPE))
    for row in test_rows:
        prompt, text = tokenizer(maker.prompt(row))["input_ids"], tokenizer(maker.text(row))["input_ids"]
        assert text[: len(prompt)] == prompt, row["id"]


def test_the_answer_and_its_end_token_are_what_is_learnt(tokenizer, test_rows) -> None:
    maker = prompt_maker(load_recipe(RECIPE))
    made = tokenize_rows([maker.text(row) for row in test_rows], tokenizer, maker.answer_after, 1024)
    for row, ids, answer in zip(test_rows, made["input_ids"], made["answer_tokens"], strict=True):
        assert tokenizer.decode(ids[-answer:]) == maker.prepare(row)["answer"] + tokenizer.eos_token
        assert ids[-1] == tokenizer.eos_token_id


def test_a_question_that_holds_the_marker_does_not_move_the_answer() -> None:
    text = "question with \nSQL:\n inside\nSQL:\nSELECT 1"
    assert text[split_point(text, "\nSQL:\n") :] == "SELECT 1"


def test_a_row_too_long_is_refused_and_not_cut(tokenizer) -> None:
    with pytest.raises(ValueError, match="block_size is 4"):
        tokenize_rows(["a b c d e f g\nSQL:\nSELECT 1"], tokenizer, "\nSQL:\n", 4)


def test_padding_is_never_learnt_even_where_it_is_the_end_token() -> None:
    rows = [{"input_ids": [5, 6, 7, 2], "answer_tokens": 2}, {"input_ids": [8, 9, 2], "answer_tokens": 1}]
    for keep in (True, False):
        batch = AnswerCollator(pad_id=2, keep_logits=keep)(rows)
        assert batch["input_ids"].tolist() == [[5, 6, 7, 2], [2, 8, 9, 2]]
        assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [0, 1, 1, 1]]
        assert [row[row != -100].tolist() for row in batch["labels"]] == [[7, 2], [2]]


def test_logits_for_the_last_tokens_give_the_same_loss_as_all_of_them() -> None:
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(0)
    size = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=64, num_key_value_heads=2, **size)).eval()
    rows = [{"input_ids": [5, 6, 7, 9, 2], "answer_tokens": 3}, {"input_ids": [8, 9, 2], "answer_tokens": 1}]
    losses = [model(**AnswerCollator(2, keep)(rows)).loss.item() for keep in (True, False)]
    assert losses[0] == pytest.approx(losses[1], abs=1e-6)


def test_the_embedded_model_is_kept_without_the_file_it_was_made_from(tokenizer) -> None:
    assert not list((models_folder() / f"smollm2-135m-instruct-{CONVERSION}").glob("tokenizer.model"))
    assert tokenizer.eos_token == "<|im_end|>"
    assert tokenizer("SELECT 1")["input_ids"][0] != tokenizer.bos_token_id


def test_batches_are_of_like_length_and_come_in_random_order() -> None:
    lengths = [(row * 37) % 200 + 20 for row in range(803)]
    order = list(LengthBuckets(lengths, 8, seed=1))
    assert sorted(order) == list(range(803))
    batches = [[lengths[row] for row in order[at : at + 8]] for at in range(0, 800, 8)]
    assert sum(max(batch) - min(batch) for batch in batches) / len(batches) < 15
    means = [sum(batch) / 8 for batch in batches]
    # Sorted batches would go up (or down) nearly always.
    assert 0.3 < sum(one < other for one, other in pairwise(means)) / len(means) < 0.7
    assert list(LengthBuckets(lengths, 8, seed=1)) == order != list(LengthBuckets(lengths, 8, seed=2))
