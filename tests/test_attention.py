"""Grouped attention gives the numbers of transformers' own, with a mask and without."""

import pytest
import torch
from transformers.integrations.sdpa_attention import sdpa_attention_forward

from scripts.attention import grouped_sdpa


class Layer(torch.nn.Module):
    is_causal = True

    def __init__(self, groups):
        super().__init__()
        self.num_key_value_groups = groups


@pytest.mark.parametrize("groups", [1, 3])
@pytest.mark.parametrize("positions", [1, 5])
@pytest.mark.parametrize("masked", [True, False])
def test_the_same_numbers_as_with_repeated_keys(groups, positions, masked):
    torch.manual_seed(groups)
    query = torch.randn(2, 2 * groups, positions, 8)
    key, value = torch.randn(2, 2, 11, 8), torch.randn(2, 2, 11, 8)
    mask = None
    if masked:
        mask = torch.ones(2, 1, positions, 11, dtype=torch.bool)
        mask[0, :, :, :4] = False
    layer = Layer(groups)
    expected, _ = sdpa_attention_forward(layer, query, key, value, mask, scaling=0.5)
    found, _ = grouped_sdpa(layer, query, key, value, mask, scaling=0.5)
    assert found.shape == (2, positions, 2 * groups, 8)
    torch.testing.assert_close(found, expected)
    other, _ = grouped_sdpa(layer, query, value, value, mask, scaling=0.5)
    assert not torch.allclose(other, expected)
