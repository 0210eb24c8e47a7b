"""Layers side by side: each is what it would be alone, and learns from its own rows only."""

import torch

from pm_utils.learning.stacked import StackedLinear

K, B, D, H = 3, 7, 4, 5


def test_each_layer_is_what_it_would_be_alone():
    draw = torch.Generator().manual_seed(0)
    weight, bias = torch.randn(K, D, H, generator=draw), torch.randn(K, 1, H, generator=draw)
    x = torch.randn(K, B, D, generator=draw)
    out = StackedLinear(weight, bias)(x)
    assert out.shape == (K, B, H)
    for k in range(K):
        torch.testing.assert_close(out[k], x[k] @ weight[k] + bias[k])


def test_a_layer_learns_from_its_own_rows_and_biases_start_at_zero():
    layers = StackedLinear(torch.ones(K, D, H))
    assert not layers.bias.any()
    layers(torch.ones(K, B, D))[1].sum().backward()
    assert layers.weight.grad.abs().sum((1, 2)).tolist() == [0, B * D * H, 0]
    assert layers.bias.grad.abs().sum((1, 2)).tolist() == [0, B * H, 0]
