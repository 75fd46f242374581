"""Diffusion transformer (Peebles & Xie 2023, arXiv:2212.09748): an image as a sequence of patches.

What the net is told, times and a label, moves every block by adaptive layer normalisation (section 3.2, "adaLN-Zero"):
six vectors a block, from one linear layer that begins at zero, scale and shift what is normalised and gate what is
added. So each block begins as the identity, and the net as zero.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import product

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import GenbenchError
from generators._nets import Attention, Conditioning


class DiT(nn.Module):
    """Image to image, ``(batch, channels, height, breadth)``, with ``outside`` channels; sides: multiples of ``patch``.

    width: of a token, a multiple of 4, of which each 64 are a head; depth: blocks. times, classes,
    time_scale, captions: as of Conditioning.
    Raises GenbenchError for another width.
    """

    def __init__(
        self,
        shape: tuple[int, ...],
        outside: int,
        *,
        width: int = 192,
        depth: int = 6,
        patch: int = 4,
        dropout: float = 0.0,
        times: int = 1,
        classes: int | None = None,
        time_scale: float = 1000.0,
        captions: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        if width % 4:
            raise GenbenchError(f"the width of a transformer over patches must be a multiple of 4, and not {width}")
        channels, self.patch = shape[0], patch
        places = [side // patch for side in shape[1:]]
        self.told = Conditioning(width, times, classes, time_scale, captions)
        self.inward = nn.Conv2d(channels, width, patch, stride=patch)
        self.register_buffer("positions", sines(places, width), persistent=False)
        heads = 1 if width % 64 else width // 64
        self.blocks = nn.ModuleList(Block(width, heads, dropout) for _ in range(depth))
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.moved = _zero(nn.Linear(width, 2 * width))
        self.outward = _zero(nn.Linear(width, outside * patch**2))
        self.places = places

    positions: Tensor

    def forward(self, x: Tensor, t: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        told = F.silu(self.told(x, t, label))
        h = self.inward(x).flatten(2).transpose(1, 2) + self.positions  # (batch, places, width)
        for block in self.blocks:
            h = block(h, told)
        shift, scale = self.moved(told)[:, None].chunk(2, dim=2)
        out = self.outward(self.norm(h) * (1 + scale) + shift).transpose(1, 2).unflatten(2, self.places)
        return F.pixel_shuffle(out, self.patch)


class Block(nn.Module):
    """Self-attention and a perceptron, each shifted, scaled and gated by what the net is told."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.attention = Attention(width, heads, dropout)
        self.mlp = nn.Sequential(
            nn.Linear(width, 4 * width), nn.GELU("tanh"), nn.Dropout(dropout), nn.Linear(4 * width, width)
        )
        self.moved = _zero(nn.Linear(width, 6 * width))

    def forward(self, h: Tensor, told: Tensor) -> Tensor:
        """h: ``(batch, places, width)``, told: ``(batch, width)``."""
        shift1, scale1, gate1, shift2, scale2, gate2 = self.moved(told)[:, None].chunk(6, dim=2)
        h = h + gate1 * self.attention(self.norm(h) * (1 + scale1) + shift1)
        out: Tensor = h + gate2 * self.mlp(self.norm(h) * (1 + scale2) + shift2)
        return out


def sines(places: list[int], width: int) -> Tensor:
    """Fixed positions of a grid, ``(height * breadth, width)``: half of the numbers tell the row, half the column."""
    grid = torch.tensor(list(product(*map(range, places))), dtype=torch.float32)  # (places, 2)
    rates = 10_000 ** -(torch.arange(width // 4) / (width // 4))
    angles = grid[:, :, None] * rates  # (places, 2, width / 4)
    return torch.cat([angles.sin(), angles.cos()], dim=2).flatten(1)


def _zero(layer: nn.Linear) -> nn.Linear:
    nn.init.zeros_(layer.weight)
    nn.init.zeros_(layer.bias)
    return layer
