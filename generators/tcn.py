"""Temporal convolutional network (Bai et al. 2018, arXiv:1803.01271, section 3).

Layer i is a residual block of two causal convolutions whose taps lie 2^i steps apart, so that what a step sees grows as
2^layers. Weights are normalised (Salimans & Kingma 2016), channels are dropped whole.

    y = relu(x' + drop(relu(conv(drop(relu(conv(x))))))),    x' = x, or a 1x1 convolution of it where the width changes
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn
from torch.nn.utils.parametrizations import weight_norm

from bench import DataSpec, Presets, generator
from generators._autoregressive import SEQUENCES, Net, Sequence
from generators._drawing import SAMPLING

PRESETS: Presets = {
    "test": {"width": 16, "embedding": 8, "layers": 2, "kernel": 2, "lr": 5e-3},
    "tiny": {"width": 128, "embedding": 64, "layers": 4, "kernel": 3, "lr": 2e-3},
    "paper": {"width": 450, "embedding": 100, "layers": 3, "kernel": 3, "dropout": 0.1},  # characters of PTB, table 3
}


@generator("tcn", modalities=SEQUENCES, paper="arXiv:1803.01271", presets=PRESETS, sampling=SAMPLING)
class TCN(Sequence):
    """Dilated causal convolutions in residual blocks.

    layers: blocks, with this dropout inside; width: channels. embedding: of the vector of a step. kernel: taps of a
    convolution. truncate: see Autoregressive.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 128,
        embedding: PositiveInt = 64,
        layers: PositiveInt = 4,
        kernel: PositiveInt = 3,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        truncate: NonNegativeInt = 0,
        **rest: Any,
    ) -> None:
        super().__init__(spec, Blocks(embedding, width, layers, kernel, dropout), truncate, **rest)


class Blocks(Net):
    """Residual blocks. The state is what each convolution has yet to look back on, ``(batch, channels, steps)``."""

    def __init__(self, inside: int, width: int, layers: int, kernel: int, dropout: float) -> None:
        super().__init__()
        self.inside, self.outside = inside, width
        self.blocks = nn.ModuleList(Block(width if i else inside, width, kernel, 2**i, dropout) for i in range(layers))

    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        x, after = x.transpose(1, 2), []
        for i, block in enumerate(self.blocks):
            x, kept = block(x, None if state is None else state[2 * i : 2 * i + 2])
            after += kept
        return x.transpose(1, 2), after


class Block(nn.Module):
    """Two convolutions whose taps lie ``dilation`` steps apart, and what goes around them."""

    def __init__(self, inside: int, width: int, kernel: int, dilation: int, dropout: float) -> None:
        super().__init__()
        self.reach = dilation * (kernel - 1)
        self.convs = nn.ModuleList(
            weight_norm(nn.Conv1d(channels, width, kernel, dilation=dilation)) for channels in (inside, width)
        )
        self.skip = nn.Conv1d(inside, width, 1) if inside != width else nn.Identity()
        self.dropout = nn.Dropout1d(dropout)

    def forward(self, x: Tensor, state: list[Tensor] | None) -> tuple[Tensor, list[Tensor]]:
        """x: ``(batch, channels, steps)``."""
        y, after = x, []
        for i, conv in enumerate(self.convs):
            past = y.new_zeros(len(y), y.shape[1], self.reach) if state is None else state[i].to(y)
            seen = torch.cat([past, y], dim=2)
            after.append(seen[:, :, seen.shape[2] - self.reach :])
            y = self.dropout(F.relu(conv(seen)))
        return F.relu(self.skip(x) + y), after
