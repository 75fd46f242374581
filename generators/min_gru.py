"""Minimal gated recurrent unit (Feng et al. 2024, "Were RNNs all we needed?", arXiv:2410.01201, section 3.1).

    z_t = sigmoid(W_z x_t),    n_t = W_n x_t,    h_t = (1 - z_t) h_{t-1} + z_t n_t

Neither gate nor candidate looks at h_{t-1}, so that the recurrence is linear and all steps are found at once, by
doubling (``_scan``; the paper's scan of logarithms is slower here and loses digits). What a layer cannot do so, the
next does: each is followed by a perceptron, both normalised before and added after.
"""

from __future__ import annotations

from typing import Annotated, Any

from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, Presets, generator
from generators._autoregressive import SEQUENCES, Net, Sequence
from generators._drawing import SAMPLING
from generators._scan import scan

PRESETS: Presets = {
    "test": {"width": 16, "layers": 2, "lr": 5e-3},
    "tiny": {"width": 128, "layers": 2, "lr": 4e-3},
    "paper": {"width": 384, "layers": 3, "dropout": 0.2},  # arXiv:2410.01201, appendix D, language modelling
}


@generator("min_gru", modalities=SEQUENCES, paper="arXiv:2410.01201", presets=PRESETS, sampling=SAMPLING)
class MinGRU(Sequence):
    """Gated recurrence that is linear in its state, and so trained in parallel.

    width: of the residual stream and of each state.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 256,
        layers: PositiveInt = 3,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        truncate: NonNegativeInt = 0,
        **rest: Any,
    ) -> None:
        super().__init__(spec, Stack(width, layers, dropout), truncate, **rest)


class Stack(Net):
    """Layers of gated units, a perceptron behind each."""

    def __init__(self, width: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.inside = self.outside = width
        self.units = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 2 * width)) for _ in range(layers)
        )
        self.mlps = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
            for _ in range(layers)
        )
        self.norm, self.dropout = nn.LayerNorm(width), nn.Dropout(dropout)

    def forward(self, x: Tensor, state: list[Tensor] | None = None) -> tuple[Tensor, list[Tensor]]:
        after = []
        for i, (unit, mlp) in enumerate(zip(self.units, self.mlps, strict=True)):
            gate, candidate = unit(x).float().chunk(2, -1)  # rounding would add up over the steps
            z = gate.sigmoid()
            h = scan(1 - z, z * candidate, None if state is None else state[i])
            after.append(h[:, -1])
            x = x + self.dropout(h)
            x = x + self.dropout(mlp(x))
        return self.norm(x), after
