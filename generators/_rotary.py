"""A transformer's layer with rotary positions and a gated perceptron (equations: ``generators/llama.py``)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators._attention import Cache, attend


class Block(nn.Module):
    """Attention, then a gated perceptron, each normalised before and added after."""

    def __init__(
        self, place: int, width: int, heads: int, groups: int, hidden: int, dropout: float, *, causal: bool = True
    ) -> None:
        super().__init__()
        self.place, self.heads, self.groups, self.causal = place, heads, groups, causal
        size = width // heads
        self.norm1, self.norm2 = nn.RMSNorm(width, eps=1e-5), nn.RMSNorm(width, eps=1e-5)
        self.qkv = nn.Linear(width, (heads + 2 * groups) * size, bias=False)
        self.out = nn.Linear(width, width, bias=False)
        self.gate_up = nn.Linear(width, 2 * hidden, bias=False)
        self.down = nn.Linear(hidden, width, bias=False)
        self.dropout = nn.Dropout(dropout)

    def forward(
        self, x: Tensor, turns: tuple[Tensor, Tensor], cache: Cache | None = None, sees: Tensor | None = None
    ) -> Tensor:
        """x: ``(batch, steps, width)``. turns: of ``rotations``, of its steps. cache: as of ``_transformer.Block``.

        sees: of one that is not causal, which steps each sees, ``(..., steps, steps)`` bool; all where left out.
        """
        heads, unknown = [self.heads, self.groups, self.groups], None
        q, k, v = self.qkv(self.norm1(x)).unflatten(2, (sum(heads), -1)).transpose(1, 2).split(heads, dim=1)
        q, k = rotated(q, turns), rotated(k, turns)
        if cache is not None:
            k, v, unknown = cache.keep(self.place, k, v)
        rate = self.dropout.p if self.training else 0.0
        y = attend(q, k, v, causal=self.causal, sees=sees, unknown=unknown, dropout=rate)
        x = x + self.dropout(self.out(y.transpose(1, 2).flatten(2)))
        gate, up = self.gate_up(self.norm2(x)).chunk(2, -1)
        x = x + self.dropout(self.down(F.silu(gate) * up))
        return x


def rotations(first: int, steps: int, size: int, base: float, device: torch.device) -> tuple[Tensor, Tensor]:
    """Cosines and sines of places from ``first`` on, ``(steps, size)``; in float64, as places have no end."""
    rates = base ** (-torch.arange(0, size, 2, dtype=torch.float64, device=device) / size)
    angles = torch.arange(first, first + steps, dtype=torch.float64, device=device)[:, None] * rates
    angles = torch.cat([angles, angles], dim=1)
    return angles.cos().float(), angles.sin().float()


def rotated(x: Tensor, turns: tuple[Tensor, Tensor]) -> Tensor:
    """Of each head ``(batch, heads, steps, size)`` the pairs (j, j + size / 2) turned by their places' angles."""
    cos, sin = turns
    left, right = x.chunk(2, -1)
    return (x * cos + torch.cat([-right, left], dim=-1) * sin).to(x.dtype)
