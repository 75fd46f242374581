"""A causal transformer with learned positions, as of GPT (equations: ``generators/gpt.py``)."""

from __future__ import annotations

import math

import torch.nn.functional as F
from torch import Tensor, nn

from generators._attention import Cache, attend
from generators._autoregressive import Net


class Blocks(Net):
    """All layers, between embeddings and head. band: of every second layer, as of ``attend``; 0 = none."""

    endless, tied = False, True

    def __init__(self, window: int, layers: int, heads: int, width: int, band: int, dropout: float) -> None:
        super().__init__()
        self.inside = self.outside = width
        self.window, self.dropout = window, nn.Dropout(dropout)
        self.positions = nn.Embedding(window, width)
        self.blocks = nn.ModuleList(Block(i, width, heads, band * (i % 2), dropout) for i in range(layers))
        self.norm = nn.LayerNorm(width)
        initialise(self, layers)

    def begin(self) -> Cache:
        return Cache(self.window, inputs=True)

    def forward(self, x: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache | None]:
        """x: ``(batch, steps, width)``, to features of that shape. cache: of the steps before, which notes these."""
        if cache is not None and cache.length + x.shape[1] > self.window:
            # There is no position for what comes now: the newer half of the window is read as if it came first.
            x, cache = cache.newer_half(x), self.begin()
        before = cache.length if cache else 0
        h = self.dropout(x + self.positions.weight[before : before + x.shape[1]])
        for block in self.blocks:
            h = block(h, cache)
        if cache is not None:
            cache.note(x)
        return self.norm(h), cache


class Block(nn.Module):
    """Attention, then a perceptron of two layers, each normalised before and added after."""

    def __init__(self, place: int, width: int, heads: int, band: int, dropout: float) -> None:
        super().__init__()
        self.place, self.heads, self.band, self.dropout = place, heads, band, nn.Dropout(dropout)
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.up, self.down = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)

    def forward(self, x: Tensor, cache: Cache | None) -> Tensor:
        """x: ``(batch, steps, width)``. cache: of the steps before, which whoever calls tells to ``note`` these."""
        q, k, v = self.qkv(self.norm1(x)).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        unknown, rate = None, self.dropout.p if self.training else 0.0
        if cache is not None:
            k, v, unknown = cache.keep(self.place, k, v, band=self.band)
        y = attend(q, k, v, band=self.band, unknown=unknown, dropout=rate)
        x = x + self.dropout(self.out(y.transpose(1, 2).reshape(x.shape)))
        x = x + self.dropout(self.down(F.gelu(self.up(self.norm2(x)), approximate="tanh")))
        return x


def initialise(transformer: nn.Module, layers: int) -> None:
    """N(0, 0.02), biases 0; projections into the residual stream N(0, 0.02 / sqrt(2 layers)) (GPT-2, section 2.3)."""
    for name, parameter in transformer.named_parameters():
        if name.endswith("bias"):
            nn.init.zeros_(parameter)
        elif "norm" not in name:
            residual = name.endswith(("out.weight", "down.weight"))
            nn.init.normal_(parameter, std=0.02 / math.sqrt(2 * layers) if residual else 0.02)
