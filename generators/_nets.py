"""Nets that families share: a layer of attention to all, a U-Net for images of 8 to 64 pixels, a perceptron."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from generators._captions import Captions

Sides = tuple[int, int]


class Attention(nn.Module):
    """Self-attention over heads, ``(batch, tokens, width)``, in which all see all (arXiv:1706.03762, Eq. 1).

    grid: of tokens that lie in rows and columns, how many of each. Then how much each place looks at each is learned,
    besides by what is there, and begins with a place beside it, in another direction for each head, as a convolution
    does (as in d'Ascoli et al. 2021, arXiv:2103.10697).
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, grid: Sides | None = None) -> None:
        super().__init__()
        self.heads, self.dropout = heads, dropout
        self.bias = None if grid is None else nn.Parameter(_beside(grid, heads))
        self.qkv = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        q, k, v = self.qkv(x).view(*x.shape[:2], 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        bias = None if self.bias is None else self.bias.to(q.dtype)[None]
        y = F.scaled_dot_product_attention(q, k, v, bias, dropout_p=self.dropout if self.training else 0.0)
        out: Tensor = self.out(y.transpose(1, 2).reshape(x.shape))
        return out


def _beside(grid: Sides, heads: int) -> Tensor:
    """Logits ``(heads, places, places)``, the greater the nearer the second is to one step away from the first."""
    rows, columns = (torch.arange(side, dtype=torch.float32) for side in grid)
    places = torch.cartesian_prod(rows, columns)
    angle = 2 * math.pi * torch.arange(heads) / heads
    step = torch.stack([angle.sin(), angle.cos()], dim=1)
    off = places[None, None] - places[None, :, None] - step[:, None, None]
    return -3 * off.square().sum(3)


class Block(nn.Module):
    """Attention, then a two-layer perceptron, each normalised before and added after, ``(batch, tokens, width)``.

    grid: as of Attention.
    """

    def __init__(self, width: int, heads: int, dropout: float = 0.0, *, grid: Sides | None = None) -> None:
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, heads, dropout, grid=grid)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        x = x + self.dropout(self.attention(self.norm1(x)))
        out: Tensor = x + self.dropout(self.mlp(self.norm2(x)))
        return out


class Conditioning(nn.Module):
    """What a denoiser is told besides its input: ``times`` numbers and a label, as a vector ``(batch, size)``.

    time_scale: the fastest wave has so many radians for a change of 1. The label ``classes`` stands for none, as
    classifier-free guidance needs it. captions: of the labels, which are read in place of a table of labels. Where
    there is nothing to tell, the vector is learned.
    """

    def __init__(
        self,
        size: int,
        times: int = 1,
        classes: int | None = None,
        time_scale: float = 1000.0,
        captions: Sequence[str] | None = None,
    ) -> None:
        super().__init__()
        self.times, self.size, self.none, self.time_scale = times, size, classes or 0, time_scale
        self.constant = None if times or classes else nn.Parameter(torch.randn(size))
        self.time = nn.Sequential(nn.Linear(times * size, size), nn.SiLU(), nn.Linear(size, size)) if times else None
        self.label: nn.Module | None = None
        if classes:
            self.label = Captions(captions, size) if captions else nn.Embedding(classes + 1, size)

    def forward(self, x: Tensor, t: Tensor | None, label: Tensor | None) -> Tensor:
        """t: ``(batch,)``, or ``(batch, times)``. label: ``(batch,)`` int64 in 0..classes, or None."""
        if self.constant is not None:
            return self.constant.expand(len(x), -1)
        total = x.new_zeros(len(x), self.size)
        if self.time is not None and t is not None:
            total = total + self.time(waves(self.time_scale * t.view(len(x), self.times), self.size).flatten(1))
        if self.label is not None:
            total = total + self.label(torch.full((len(x),), self.none, device=x.device) if label is None else label)
        return total


def waves(t: Tensor, size: int) -> Tensor:
    """Sines and cosines of t, ``(..., size)``, of wavelengths from 2 pi up (arXiv:1706.03762, section 3.5)."""
    rates = torch.exp(-math.log(10000) * torch.arange(-(-size // 2), device=t.device) / (size // 2))
    angles = t[..., None] * rates
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[..., :size]


class ResidualMLP(nn.Module):
    """A perceptron for vectors ``(batch, inside)``: ``depth`` residual layers (He et al. 2016, arXiv:1512.03385).

    times, classes, time_scale, captions: as of Conditioning, which each layer is told. One that is told starts at zero:
    hundreds of numbers that nothing can be said of yet drove it where no gradient is. through: whether the time also
    says how much of each number of x goes into the output as it is. Of noise and data that are both normal that is all
    there is to say, and layers that add up learn no product; where preconditioning says it (arXiv:2206.00364, section
    5), it would be said twice. outside: with ``through`` a multiple of ``inside``.
    """

    def __init__(
        self,
        inside: int,
        outside: int,
        *,
        width: int = 256,
        depth: int = 4,
        times: int = 0,
        classes: int | None = None,
        time_scale: float = 1000.0,
        captions: Sequence[str] | None = None,
        through: bool = True,
    ) -> None:
        super().__init__()
        self.told = Conditioning(width, times, classes, time_scale, captions) if times or classes else None
        self.inward, self.outward = nn.Linear(inside, width), nn.Linear(width, outside)
        self.through = nn.Linear(width, outside) if self.told and through else None
        for layer in filter(None, (self.outward, self.through)) if self.told else ():
            nn.init.zeros_(layer.weight)
            nn.init.zeros_(layer.bias)
        self.layers = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width))
            for _ in range(depth)
        )

    def forward(self, x: Tensor, t: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        h = self.inward(x)
        told = h.new_zeros(()) if self.told is None else self.told(x, t, label)
        for layer in self.layers:
            h = h + layer(h + told)
        out: Tensor = self.outward(F.silu(h))
        if self.through is not None:
            out = out + self.through(F.silu(told)) * x.repeat(1, out.shape[1] // x.shape[1])
        return out


class UNet(nn.Module):
    """Image to image at every size from 8 to 64 (Ronneberger et al. 2015, arXiv:1505.04597, as in Ho et al. 2020).

    width: channels at full size, times ``multiples`` at each halving; attention at the smallest. times, classes,
    time_scale, captions: as of Conditioning. patch: squares of so many pixels a side are taken for one, which makes it
    that much faster. outside: channels of the output, as many as of the input where it is not said. It starts at zero.
    """

    def __init__(
        self,
        channels: int,
        outside: int | None = None,
        *,
        width: int = 32,
        multiples: Sequence[int] = (1, 2, 2),
        times: int = 1,
        classes: int | None = None,
        time_scale: float = 1000.0,
        captions: Sequence[str] | None = None,
        dropout: float = 0.0,
        patch: int = 1,
    ) -> None:
        super().__init__()
        self.patch, size = patch, 4 * width
        self.told = Conditioning(size, times, classes, time_scale, captions)
        widths = [width * multiple for multiple in multiples]
        self.inward = nn.Conv2d(channels * patch**2, width, 3, padding=1)
        self.down, self.up = nn.ModuleList(), nn.ModuleList()
        for before, here, after in zip([width, *widths[:-1]], widths, [*widths[1:], widths[-1]], strict=True):
            self.down.append(Residual(before, here, size, dropout))
            self.up.insert(0, Residual(after + here, here, size, dropout))
        self.before, self.after = (Residual(widths[-1], widths[-1], size, dropout) for _ in range(2))
        self.norm, self.attention = _norm(widths[-1]), Attention(widths[-1], 1)
        last = nn.Conv2d(widths[0], (outside or channels) * patch**2, 3, padding=1)
        self.outward = nn.Sequential(_norm(widths[0]), nn.SiLU(), last)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)  # type: ignore[arg-type]
        self.to(memory_format=torch.channels_last)  # a step is a sixth shorter on a CPU

    def forward(self, x: Tensor, t: Tensor | None = None, label: Tensor | None = None) -> Tensor:
        """x: ``(batch, channels, height, breadth)``, sides multiples of ``patch``; the output is of its shape."""
        told = F.silu(self.told(x, t, label))
        h, skips = self.inward(F.pixel_unshuffle(x, self.patch)), []
        for i, layer in enumerate(self.down):
            h = layer(F.avg_pool2d(h, 2, ceil_mode=True) if i else h, told)
            skips.append(h)
        h = self.before(h, told)
        tokens = self.attention(self.norm(h).flatten(2).transpose(1, 2))  # (batch, places, channels)
        h = self.after(h + tokens.transpose(1, 2).view_as(h), told)
        for layer, skip in zip(self.up, reversed(skips), strict=True):
            h = layer(torch.cat([F.interpolate(h, size=skip.shape[-2:]), skip], dim=1), told)
        return F.pixel_shuffle(self.outward(h), self.patch)


class Residual(nn.Module):
    """Two convolutions around what the net is told, added to their input."""

    def __init__(self, inside: int, outside: int, told: int, dropout: float) -> None:
        super().__init__()
        self.first = nn.Sequential(_norm(inside), nn.SiLU(), nn.Conv2d(inside, outside, 3, padding=1))
        self.told = nn.Linear(told, outside)
        self.second = nn.Sequential(
            _norm(outside), nn.SiLU(), nn.Dropout(dropout), nn.Conv2d(outside, outside, 3, padding=1)
        )
        self.skip = nn.Conv2d(inside, outside, 1) if inside != outside else nn.Identity()

    def forward(self, x: Tensor, told: Tensor) -> Tensor:
        h = self.first(x) + self.told(told)[:, :, None, None]
        out: Tensor = self.skip(x) + self.second(h)
        return out


def _norm(channels: int) -> nn.GroupNorm:
    """Eight groups, but of no fewer than four channels: in a picture of one pixel a group of one would be 0."""
    return nn.GroupNorm(math.gcd(min(8, max(1, channels // 4)), channels), channels)
