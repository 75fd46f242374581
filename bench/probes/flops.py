"""Floating point operations, counted by the shapes that the operators are given, with PyTorch's own counter.

A multiplication with its addition counts as two. Products of matrices and convolutions are counted, which are nearly
all of the work; additions, activations and norms are not, as is custom.
"""

from __future__ import annotations

import contextlib
import math
from collections.abc import Callable, Sequence
from typing import Any

import torch

Shape = Sequence[int]


def count_flops(call: Callable[[], object]) -> int:
    """FLOPs of what ``call`` does, backward passes included. While it is counted, it takes longer."""
    from torch.utils.flop_counter import FlopCounterMode  # a fifth of a second to import

    counter = FlopCounterMode(display=False, custom_mapping=_MORE)
    counter.mod_tracker = _Everywhere()  # type: ignore[assignment]
    with counter:
        call()
    return int(counter.get_total_flops())


class _Everywhere(contextlib.nullcontext[None]):
    """In place of the tracker of modules, whose hooks fail where a loss holds a gradient, as a GAN's penalty does."""

    parents = frozenset({"Global"})


def _mkldnn(x: Shape, to_gates: Shape, between: Shape, *_: Any, **__: Any) -> int:
    """x: ``(time, batch, input)``; weights ``(gates, input)`` and ``(gates, hidden)``."""
    return _steps(x, to_gates, between)


def _cudnn(x: Shape, weights: Sequence[Shape], *_: Any, **__: Any) -> int:
    """weights: of all layers; the vectors among them are biases."""
    return _steps(x, *(shape for shape in weights if len(shape) == 2))


def _steps(x: Shape, *weights: Shape) -> int:
    return 2 * x[0] * x[1] * sum(map(math.prod, weights))


def _twice(forward: Callable[..., int]) -> Callable[..., int]:
    """Gradients of inputs and of weights are a product each, as large as the forward one."""
    return lambda *args, **more: 2 * forward(*args, **more)


def _attention(query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    """As PyTorch counts that of GPUs: two products, whether or not a mask hides half of them."""
    from torch.utils.flop_counter import sdpa_flop_count

    return int(sdpa_flop_count(query, key, value))


def _attention_backward(grad: Shape, query: Shape, key: Shape, value: Shape, *_: Any, **__: Any) -> int:
    from torch.utils.flop_counter import sdpa_backward_flop_count

    return int(sdpa_backward_flop_count(grad, query, key, value))


# Whole recurrent layers, and attention on the CPU, for which PyTorch's counter has no formula.
_MORE: dict[Any, Callable[..., int]] = {
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu: _attention,
    torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    torch.ops.aten.mkldnn_rnn_layer: _mkldnn,
    torch.ops.aten.mkldnn_rnn_layer_backward: _twice(_mkldnn),
    torch.ops.aten._cudnn_rnn: _cudnn,
    torch.ops.aten._cudnn_rnn_backward: _twice(_cudnn),
}
