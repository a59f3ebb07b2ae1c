"""Constrained decoding: at each step a model may only choose tokens that keep its answer inside a grammar.

The grammar is Lark text, a task's function makes one for each row, and llguidance (Microsoft, MIT licence; also behind vLLM's
and llama.cpp's structured output) says which tokens fit. Imported for generation only: it needs torch.
"""

from __future__ import annotations

import llguidance
import llguidance.hf
import llguidance.numpy
import numpy
import torch
from transformers import LogitsProcessor, PreTrainedTokenizerBase


class GrammarProcessor(LogitsProcessor):
    """Masks the scores of one batch.

    grammars: one Lark text a row, "" for a row that is not bound; beams: sequences a row, which stand side by side. Beam
    search shuffles a row's sequences, so each is known by its tokens and not by its place. Raises ValueError where a
    grammar can't be read.
    """

    def __init__(self, tokenizer: PreTrainedTokenizerBase, grammars: list[str], beams: int = 1):
        reader = llguidance.hf.from_tokenizer(tokenizer)
        self.starts = [matcher(reader, grammar) if grammar else None for grammar in grammars]
        self.beams, self.width = beams, 0
        self.mask = llguidance.numpy.allocate_token_bitmask(len(grammars) * beams, reader.vocab_size)
        self.states: dict[tuple[int, tuple[int, ...]], llguidance.LLMatcher] = {}

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        """scores (sequences, vocabulary), with minus infinity where a token would leave its row's grammar."""
        self.width = self.width or input_ids.shape[1]
        states = {}
        for place, tokens in enumerate(input_ids[:, self.width :].tolist()):
            key = (place // self.beams, tuple(tokens))
            if key not in states:
                states[key] = self._state(*key)
            if states[key] is None:
                self.mask[place] = -1
            else:
                llguidance.numpy.fill_next_token_bitmask(states[key], self.mask, place)
        self.states = states
        bits = numpy.unpackbits(self.mask.view(numpy.uint8), axis=1, bitorder="little")
        allowed = torch.zeros(scores.shape, dtype=torch.bool)
        width = min(scores.shape[1], bits.shape[1])
        allowed[:, :width] = torch.from_numpy(bits[:, :width]).bool()
        return scores.masked_fill(~allowed.to(scores.device), float("-inf"))

    def keep(self, rows: list[int]) -> None:
        """Go on with these rows of the batch alone, in this order."""
        self.states = {
            (new, tokens): state
            for new, old in enumerate(rows)
            for (row, tokens), state in self.states.items()
            if row == old
        }
        self.starts = [self.starts[row] for row in rows]
        self.mask = self.mask[: len(rows) * self.beams]

    def _state(self, row: int, tokens: tuple[int, ...]) -> llguidance.LLMatcher | None:
        """Where a row's grammar stands after these tokens; None where it binds no more.

        A sequence that has ended goes on with padding, and a search that has fewer ways on than beams fills up with
        tokens that were refused, at a score that can't win.
        """
        if self.starts[row] is None:
            return None
        if not tokens:
            return self.starts[row]
        before = self.states.get((row, tokens[:-1]))
        if before is None or before.is_stopped():
            return None
        state = before.deep_copy()
        return state if state.consume_token(tokens[-1]) else None


def matcher(reader: llguidance.LLTokenizer, grammar: str) -> llguidance.LLMatcher:
    made = llguidance.LLMatcher(reader, llguidance.LLMatcher.grammar_from_lark(grammar))
    if made.is_error():
        raise ValueError(f"the grammar can't be read: {made.get_error()}")
    return made
