"""FLOPs against counts by hand: of a product, a backward pass, a convolution, and of recurrent layers."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench.probes.flops import count_flops

BATCH, TIME, INSIDE, HIDDEN = 3, 5, 8, 16


def test_a_product_is_two_operations_an_entry() -> None:
    net, x = nn.Linear(7, 11, bias=False), torch.zeros(BATCH, 7, requires_grad=True)
    forward = 2 * BATCH * 7 * 11
    assert count_flops(lambda: net(x)) == forward
    assert count_flops(lambda: net(x).sum().backward()) == 3 * forward


def test_a_convolution_is_a_product_at_every_place() -> None:
    net = nn.Conv2d(3, 6, 5, padding=2)
    assert count_flops(lambda: net(torch.zeros(BATCH, 3, 9, 9))) == 2 * BATCH * 9 * 9 * 6 * (3 * 5 * 5)


@pytest.mark.parametrize("causal", [True, False])
def test_attention_is_two_products(causal: bool) -> None:
    """The same on a CPU as on a GPU: scores, and what they weigh; backwards five, one of them the scores anew."""
    heads, width = 4, 8
    q, k, v = (torch.randn(BATCH, heads, TIME, width, requires_grad=True) for _ in range(3))
    product = 2 * BATCH * heads * TIME * TIME * width

    def attend() -> torch.Tensor:
        return nn.functional.scaled_dot_product_attention(q, k, v, is_causal=causal)

    assert count_flops(attend) == 2 * product
    assert count_flops(lambda: attend().sum().backward()) == 7 * product


@pytest.mark.parametrize(("kind", "gates"), [(nn.RNN, 1), (nn.GRU, 3), (nn.LSTM, 4)])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_recurrent_layer_is_its_products_at_every_step(kind: type[nn.RNN], gates: int, layers: int) -> None:
    net, x = kind(INSIDE, HIDDEN, layers, batch_first=True), torch.zeros(BATCH, TIME, INSIDE)
    widths = [INSIDE, *[HIDDEN] * (layers - 1)]
    forward = sum(2 * BATCH * TIME * gates * HIDDEN * (inside + HIDDEN) for inside in widths)
    with torch.no_grad():
        assert count_flops(lambda: net(x)) == forward
    counted = count_flops(lambda: net(x)[0].sum().backward())
    assert 2.5 * forward < counted <= 3 * forward  # less what nobody needs: gradients of the input, of the first state
