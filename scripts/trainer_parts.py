"""What the training worker puts into AutoTrain's trainer: loss on the answer alone, and a history of the loss.

Imported by the worker only: it needs torch and transformers.
"""

from __future__ import annotations

import inspect
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from datasets import Dataset
from transformers import TrainerCallback


class Silent(TrainerCallback):
    """Stands where a callback of AutoTrain's would do harm."""


class Progress(TrainerCallback):
    """Appends one JSON line a logged step: step, steps in all, loss, learning rate, seconds since the last line."""

    def __init__(self, history: Path):
        self.history = history
        self.last = time.monotonic()

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.last = time.monotonic()

    def on_log(self, args: Any, state: Any, control: Any, logs: dict | None = None, **kwargs: Any) -> None:
        if not state.is_world_process_zero or not logs or "loss" not in logs:
            return
        now = time.monotonic()
        line = {"step": state.global_step, "steps": state.max_steps, "loss": logs["loss"]}
        line |= {"lr": logs.get("learning_rate"), "seconds": round(now - self.last, 2)}
        self.last = now
        with self.history.open("a", encoding="utf-8") as file:
            file.write(json.dumps(line) + "\n")


def split_point(text: str, answer_after: str) -> int:
    """Where the answer begins: behind the last `answer_after` in `text`."""
    at = text.rfind(answer_after)
    if at < 0:
        raise ValueError(f"a training text has no {answer_after!r} before its answer: {text[:60]!r}…")
    return at + len(answer_after)


def tokenize_rows(texts: list[str], tokenizer: Any, answer_after: str, longest: int) -> dict[str, list]:
    """Token ids of each text and how many of them, at the end, are its answer.

    Raises ValueError where a text is longer than `longest` tokens: cutting it would cut off the end token, and a
    model that never saw an end never stops.
    """
    encoded = tokenizer(texts, return_offsets_mapping=True)
    rows: dict[str, list] = {"input_ids": [], "answer_tokens": [], "length": []}
    for text, ids, offsets in zip(texts, encoded["input_ids"], encoded["offset_mapping"], strict=True):
        if len(ids) > longest:
            raise ValueError(f"a training text has {len(ids)} tokens, block_size is {longest}: {text[:60]!r}…")
        start = split_point(text, answer_after)
        rows["input_ids"].append(ids)
        rows["answer_tokens"].append(sum(first >= start for first, _ in offsets))
        rows["length"].append(len(ids))
    return rows


class AnswerCollator:
    """A batch padded on the left, with labels for the last tokens only.

    All answers end at the batch's right edge, so the model needs to compute logits (a fifth of a small model's work)
    for the last few positions alone. Shapes: `input_ids`, `attention_mask` (rows, tokens); `labels` (rows, kept).
    """

    def __init__(self, pad_id: int, keep_logits: bool):
        self.pad_id, self.keep_logits = pad_id, keep_logits

    def __call__(self, rows: list[dict]) -> dict[str, Any]:
        width = max(len(row["input_ids"]) for row in rows)
        # One position more than the longest answer: its first token is predicted from the prompt's last.
        kept = max(row["answer_tokens"] for row in rows) + 1 if self.keep_logits else width
        ids = torch.full((len(rows), width), self.pad_id)
        mask = torch.zeros((len(rows), width), dtype=torch.long)
        labels = torch.full((len(rows), kept), -100)
        for at, row in enumerate(rows):
            tokens = torch.tensor(row["input_ids"])
            ids[at, width - len(tokens) :] = tokens
            mask[at, width - len(tokens) :] = 1
            answer = row["answer_tokens"]
            labels[at, kept - answer :] = tokens[len(tokens) - answer :]
        batch: dict[str, Any] = {"input_ids": ids, "attention_mask": mask, "labels": labels}
        if self.keep_logits:
            batch["logits_to_keep"] = kept
        return batch


class LengthBuckets(torch.utils.data.Sampler):
    """Batches of rows of like length, which saves padding, in random order.

    transformers' own grouping runs from long to short rows again and again: a model that has just seen fifty short
    answers gives short ones, and the last thing it ever sees are the shortest.
    """

    def __init__(self, lengths: list[int], batch_size: int, seed: int):
        self.lengths, self.batch_size, self.seed = list(lengths), batch_size, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.lengths)

    def __iter__(self) -> Iterator[int]:
        dice = torch.Generator().manual_seed(self.seed + self.epoch)
        order = torch.randperm(len(self.lengths), generator=dice).tolist()
        # Sorted within pieces of some batches, not over all rows, so that a batch's company changes with the epoch.
        piece = self.batch_size * 40
        batches = []
        for start in range(0, len(order), piece):
            rows = sorted(order[start : start + piece], key=lambda row: self.lengths[row])
            batches += [rows[at : at + self.batch_size] for at in range(0, len(rows), self.batch_size)]
        full = [batch for batch in batches if len(batch) == self.batch_size]
        rest = [row for batch in batches if len(batch) < self.batch_size for row in batch]
        for at in torch.randperm(len(full), generator=dice).tolist():
            yield from full[at]
        yield from rest


def completion_only(trainer: type) -> type:
    """`trainer` (TRL's SFTTrainer), learning the answers alone, one row a sequence instead of packed blocks."""

    class CompletionOnly(trainer):
        answer_after: str

        def __init__(self, *args: Any, **kwargs: Any):
            settings, model = kwargs["args"], kwargs["model"]
            # AutoTrain hard-codes packing; packed blocks would be learnt whole.
            settings.packing = False
            keep = "logits_to_keep" in inspect.signature(model.forward).parameters
            tokenizer = kwargs["processing_class"]
            kwargs["data_collator"] = AnswerCollator(tokenizer.pad_token_id, keep)
            super().__init__(*args, **kwargs)

        def _prepare_dataset(self, dataset: Dataset, tokenizer: Any, *args: Any, **kwargs: Any) -> Dataset:
            field, longest = args[1], args[2]
            rows = tokenize_rows(list(dataset[field]), tokenizer, self.answer_after, longest)
            return Dataset.from_dict(rows)

        def _get_train_sampler(self, train_dataset: Dataset | None = None) -> LengthBuckets:
            rows = self.train_dataset if train_dataset is None else train_dataset
            return LengthBuckets(rows["length"], self.args.per_device_train_batch_size, self.args.data_seed)

    return CompletionOnly
