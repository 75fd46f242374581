"""Minimal gated recurrent unit (Feng et al. 2024, "Were RNNs all we needed?", arXiv:2410.01201, section 3.1).

    z_t = sigmoid(W_z x_t),    n_t = W_n x_t,    h_t = (1 - z_t) h_{t-1} + z_t n_t

Neither gate nor candidate looks at h_{t-1}, so that the recurrence is linear and all steps are found at once, by
doubling (``_scan``; the paper's scan of logarithms is slower here and loses digits). What a layer cannot do so, the
next does: each is followed by a perceptron, and for language the paper puts a causal convolution of each channel before
it; all are normalised before and added after.
"""

from __future__ import annotations

from typing import Annotated, Any

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, Presets, generator
from generators._autoregressive import SEQUENCES, Net, Sequence
from generators._drawing import SAMPLING
from generators._scan import scan

PRESETS: Presets = {
    "test": {"width": 16, "layers": 2, "taps": 2, "lr": 5e-3},
    "tiny": {"width": 128, "layers": 2, "lr": 4e-3},
    "paper": {"width": 384, "layers": 3, "taps": 4, "dropout": 0.2},  # that of language modelling
}

State = list[tuple[Tensor, Tensor | None]]


@generator("min_gru", modalities=SEQUENCES, paper="arXiv:2410.01201", presets=PRESETS, sampling=SAMPLING)
class MinGRU(Sequence):
    """Gated recurrence that is linear in its state, and so trained in parallel.

    layers: of units, with dropout of what goes back into the stream; width: of the residual stream and of each state.
    taps: steps that a convolution before each unit sees, itself the last; 0 = none.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 256,
        layers: PositiveInt = 3,
        taps: NonNegativeInt = 0,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        truncate: NonNegativeInt = 0,
        **rest: Any,
    ) -> None:
        super().__init__(spec, Stack(width, layers, taps, dropout), truncate, **rest)


class Stack(Net):
    """Layers of gated units, a perceptron behind each, and where there are taps a convolution before it.

    The state is of each layer h, ``(batch, width)``, and what the convolution has yet to look back on.
    """

    def __init__(self, width: int, layers: int, taps: int, dropout: float) -> None:
        super().__init__()
        self.inside = self.outside = width
        self.convs = nn.ModuleList(Convolution(width, taps) for _ in range(layers if taps else 0))
        self.units = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width)) for _ in range(layers)
        )
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(layers)
        )
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        after: State = []
        for i, (unit, mlp) in enumerate(zip(self.units, self.mlps, strict=True)):
            before, past = (None, None) if state is None else state[i]
            if self.convs:
                y, past = self.convs[i](x, past)
                x = x + self.dropout(y)
            gate, candidate = unit(x).float().chunk(2, -1)  # rounding would add up over the steps
            z = gate.sigmoid()
            h = scan(1 - z, z * candidate, before)
            after.append((h[:, -1], past))
            x = x + self.dropout(h)
            x = x + self.dropout(mlp(x))
        return self.norm(x), after


class Convolution(nn.Module):
    """Of each channel over the last ``taps`` steps, normalised before."""

    def __init__(self, width: int, taps: int) -> None:
        super().__init__()
        self.back = taps - 1
        self.norm, self.conv = nn.LayerNorm(width), nn.Conv1d(width, width, taps, groups=width)

    def forward(self, x: Tensor, past: Tensor | None) -> tuple[Tensor, Tensor]:
        """x: ``(batch, steps, width)``. past: the steps before, ``(batch, width, taps - 1)``; 0 if left out."""
        y = self.norm(x).transpose(1, 2)
        seen = torch.cat([y.new_zeros(*y.shape[:2], self.back) if past is None else past.to(y), y], dim=2)
        return self.conv(seen).transpose(1, 2), seen[:, :, seen.shape[2] - self.back :]
