"""Attention on a CPU for models whose query heads share keys and values, without copying these for each head.

transformers repeats keys and values for all query heads at every token that is written; with a mask, as left-padded batches
have one, that copy takes a quarter of the time. Here the heads of a group stand where further positions would: the same
numbers. Imported for generation only: it needs torch.
"""

from __future__ import annotations

from typing import Any

import torch
from transformers import AttentionInterface
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import AttentionMaskInterface, sdpa_mask

GROUPED = "grouped_sdpa"  # for `attn_implementation`


def grouped_sdpa(
    module: torch.nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float | None = None,
    **options: Any,
) -> tuple[torch.Tensor, None]:
    """query (rows, heads, 1, size), key and value (rows, key heads, tokens, size) -> (rows, 1, heads, size).

    Anything but one position, as in reading the prompt, goes to transformers' own.
    """
    groups = getattr(module, "num_key_value_groups", 1)
    rows, heads, positions, size = query.shape
    if positions != 1 or groups == 1:
        return sdpa_attention_forward(module, query, key, value, attention_mask, scaling=scaling, **options)
    mask = None if attention_mask is None else attention_mask[..., : key.shape[2]]
    found = torch.nn.functional.scaled_dot_product_attention(
        query.view(rows, heads // groups, groups, size), key, value, attn_mask=mask, scale=scaling
    )
    return found.reshape(rows, 1, heads, size), None


AttentionInterface.register(GROUPED, grouped_sdpa)
AttentionMaskInterface.register(GROUPED, sdpa_mask)
