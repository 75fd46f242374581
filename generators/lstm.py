"""Long short-term memory (Hochreiter & Schmidhuber 1997; with Gers' forget gate, 2000; Graves 2013, arXiv:1308.0850).

    i_t = sigmoid(W_i x_t + U_i h_{t-1} + b_i)     what of the candidate is written
    f_t = sigmoid(W_f x_t + U_f h_{t-1} + b_f)     what of the cell is kept
    g_t = tanh(W_g x_t + U_g h_{t-1} + b_g)        candidate
    o_t = sigmoid(W_o x_t + U_o h_{t-1} + b_o)     what of the cell is shown
    c_t = f_t c_{t-1} + i_t g_t                    cell: nothing but a gate stands between one step and the next
    h_t = o_t tanh(c_t)

Torch holds each b as a sum of two.
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
    "tiny": {"width": 192, "embedding": 64, "layers": 1, "lr": 6e-3},
    "paper": {"width": 700, "embedding": 256, "layers": 3, "dropout": 0.2},  # of the size of Graves' text networks
}


@generator("lstm", modalities=SEQUENCES, paper="arXiv:1308.0850", presets=PRESETS, sampling=SAMPLING)
class LSTM(Recurrent):
    """Recurrent network with a cell beside its hidden state and three gates."""

    layer = nn.LSTM

    @staticmethod
    def cell(x: Tensor, state: State, *weights: Tensor) -> State:
        return torch.lstm_cell(x, state, *weights)
