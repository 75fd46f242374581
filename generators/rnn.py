"""Elman's recurrent network (Elman 1990, "Finding structure in time", Cognitive Science 14).

    h_t = tanh(W x_t + b + U h_{t-1} + d)

No gates: what is kept is written over at every step, and a gradient through many of them fades or grows (Bengio et al.
1994). It is here to be compared with those that mend this.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from bench import Presets, generator
from generators._autoregressive import SEQUENCES
from generators._drawing import SAMPLING
from generators._recurrent import Recurrent, State

PRESETS: Presets = {
    "test": {"width": 16, "embedding": 8, "layers": 2, "lr": 5e-3},
    "tiny": {"width": 256, "embedding": 64, "lr": 2e-3},
    "paper": {"width": 150, "embedding": 150, "layers": 1},  # one layer; of the papers that compare it
}


@generator("rnn", modalities=SEQUENCES, paper="10.1207/s15516709cog1402_1", presets=PRESETS, sampling=SAMPLING)
class RNN(Recurrent):
    """Recurrent network without gates."""

    layer = nn.RNN

    @staticmethod
    def cell(x: Tensor, state: State, *weights: Tensor) -> State:
        return (torch.rnn_tanh_cell(x, state[0], *weights),)
