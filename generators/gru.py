"""Gated recurrent unit (Cho et al. 2014, arXiv:1406.1078; with the reset gate behind U, as in Chung et al.'s code).

    r_t = sigmoid(W_r x_t + U_r h_{t-1} + b_r)            reset: what of the past the candidate sees
    z_t = sigmoid(W_z x_t + U_z h_{t-1} + b_z)            update: what of the past is kept
    n_t = tanh(W_n x_t + b_n + r_t (U_n h_{t-1} + d_n))   candidate
    h_t = (1 - z_t) n_t + z_t h_{t-1}

Torch holds b_r and b_z, too, as sums of two.
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
    "tiny": {"width": 192, "embedding": 64, "lr": 4e-3},
    "paper": {"width": 1000, "embedding": 100, "layers": 1},  # arXiv:1406.1078, section 3.1
}


@generator("gru", modalities=SEQUENCES, paper="arXiv:1406.1078", presets=PRESETS, sampling=SAMPLING)
class GRU(Recurrent):
    """Recurrent network of gated units: one state, two gates."""

    layer = nn.GRU

    @staticmethod
    def cell(x: Tensor, state: State, *weights: Tensor) -> State:
        return (torch.gru_cell(x, state[0], *weights),)
