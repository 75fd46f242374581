"""Llama: a decoder-only transformer with rotary positions (Touvron et al. 2023, arXiv:2302.13971).

    norm(x) = g x / sqrt(mean x^2 + eps)                          RMSNorm (Zhang & Sennrich 2019, arXiv:1910.07467)
    mlp(x) = W_2 (silu(W_1 x) * W_3 x)                            SwiGLU (Shazeer 2020, arXiv:2002.05202)
    q_m . k_n = Re sum_j q_j conj(k_j) exp(i (m - n) rate_j)      rotary positions (Su et al. 2021, arXiv:2104.09864)

No biases, but in the layer that says tokens; several heads of queries may share one of keys and values (grouped
queries, as Llama 2's larger ones). What attention sees of two places is how far apart they are, so that a text may go
on past the window: keys and values of the last ``window`` steps are kept, and the oldest is written over.
"""

from __future__ import annotations

import math
from typing import Annotated, Any, Literal

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, GenbenchError, Presets, generator
from generators._attention import Cache
from generators._autoregressive import SEQUENCES, Net, Sequence
from generators._drawing import SAMPLING
from generators._rotary import Block, rotations
from generators._transformer import initialise

PRESETS: Presets = {
    "test": {"layers": 2, "heads": 2, "groups": 1, "width": 16, "lr": 5e-3},
    "tiny": {"layers": 2, "heads": 4, "width": 96, "lr": 5e-3, "weight_decay": 0.0},
    "paper": {"layers": 32, "heads": 32, "width": 4096, "hidden": 11008, "lr": 3e-4, "weight_decay": 0.1},  # 7B
}


@generator("llama", modalities=SEQUENCES, paper="arXiv:2302.13971", presets=PRESETS, sampling=SAMPLING)
class Llama(Sequence):
    """Decoder-only transformer with rotary positions, RMSNorm, SwiGLU and grouped queries.

    layers, heads: of attention, with this dropout; width: of the residual stream, a multiple of twice the heads.
    groups: heads of keys and values, a divisor of heads; 0 = as many. hidden: width of the perceptrons; 0 = 8/3 of the
    stream's. base: of the rotations' wavelengths. beyond: of what is streamed past the window half is read again behind
    the start (reread), or each token sees the last window of it (slide), which a net may not bear that always saw the
    start (Xiao et al. 2023, arXiv:2309.17453).
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        layers: PositiveInt = 4,
        heads: PositiveInt = 4,
        groups: NonNegativeInt = 0,
        width: PositiveInt = 128,
        hidden: NonNegativeInt = 0,
        base: PositiveFloat = 10_000.0,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        beyond: Literal["slide", "reread"] = "reread",
        **rest: Any,
    ) -> None:
        if width % (2 * heads):
            raise GenbenchError(f"width = {width} must be a multiple of twice heads = {heads}")
        if heads % (groups or heads):
            raise GenbenchError(f"heads = {heads} must be a multiple of groups = {groups}")
        sizes = (width, heads, groups or heads, hidden or math.ceil(8 / 3 * width))
        super().__init__(spec, Blocks(spec.shape[0], layers, sizes, base, dropout, beyond), **rest)
        nn.init.normal_(self.read.weight, std=0.02)


class Blocks(Net):
    """The transformer between embeddings and head."""

    endless = False

    def __init__(
        self, window: int, layers: int, sizes: tuple[int, int, int, int], base: float, dropout: float, beyond: str
    ) -> None:
        super().__init__()
        self.inside = self.outside = width = sizes[0]
        self.window, self.beyond, self.size, self.base = window, beyond, width // sizes[1], base
        self.blocks = nn.ModuleList(Block(i, *sizes, dropout) for i in range(layers))
        self.norm, self.dropout = nn.RMSNorm(width, eps=1e-5), nn.Dropout(dropout)
        initialise(self, layers)

    def begin(self) -> Cache:
        return Cache(self.window, inputs=self.beyond == "reread")

    def forward(self, x: Tensor, cache: Cache | None = None) -> tuple[Tensor, Cache | None]:
        if cache is not None and cache.length + x.shape[1] > self.window:
            if self.beyond == "reread":
                x, cache = cache.newer_half(x), self.begin()
            elif x.shape[1] > 1:  # each must see what the next one writes over
                steps = [self(step, cache)[0] for step in x.split(1, dim=1)]
                return torch.cat(steps, dim=1), cache
        before, h = cache.length if cache else 0, self.dropout(x)
        turns = rotations(before, x.shape[1], self.size, self.base, x.device)
        for block in self.blocks:
            h = block(h, turns, cache)
        if cache is not None:
            cache.note(x)
        return self.norm(h), cache
