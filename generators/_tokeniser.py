"""Images as a few integers each: an encoder, a quantiser, a decoder, and how they are trained before a prior over
codes.

An encoder gives a vector z_e at each place of a coarse grid, 4x4 say; a quantiser puts one of K code vectors in its
place, and a decoder makes the image of those. Families that are a prior over such codes share this, and both come
within one budget: the first ``tokeniser_share`` of the training is the autoencoder's, the rest the prior's.

``quantiser = "ema"`` (van den Oord et al. 2017, arXiv:1711.00937) learns the code vectors e_1 .. e_K:

    k = argmin_j |z_e(x) - e_j|,    z_q = e_k                                                         (Eqs. 1, 2)
    loss = -log p(x|z_q) + beta |z_e - sg(e_k)|^2               here both by the image's values       (Eq. 3)
    N_i <- gamma N_i + (1 - gamma) n_i,    m_i <- gamma m_i + (1 - gamma) sum_j z_ij,    e_i = m_i / N_i   (Eqs. 6-8)

Where there are N vectors z_e, section 3.2 takes the mean of their last terms; here it is their sum, so that beta does
not weigh less on a larger grid. sg stops the gradient, and that of the decoder goes straight through from z_q to z_e.
The moving averages of appendix A.1 stand in for the middle term of Eq. 3 (n_i vectors z_ij of the batch chose the code
i). A code that almost none chooses any more is put where a vector of the batch lies (Dhariwal et al. 2020,
arXiv:2005.00341, section 3.1), as all are before the first step.

``quantiser = "fsq"`` (Mentzer et al. 2023, arXiv:2309.15505, section 3.1) has no codes to learn: z_e is of few numbers,
each of which is bounded and rounded to one of L_i levels. K is L_1 L_2 ..., and the loss is -log p(x|z_q) alone.

    z_q = round(f(z)),    f(z) = (L - 1)/2 tanh(z + shift) - offset,    offset = 1/2 for even L, else 0

The half step lets an even L have L levels, -L/2 .. L/2 - 1, and the shift keeps f(0) = 0, as the paper's listing means
to (there it is a tan, which does so only nearly; here the inverse of tanh).

Either way z_e is normalised over the batch, number by number, which is in neither paper. Without it the first steps, in
which a decoder learns the mean image and no more, drive all z_e to one side, where f is flat and one code is nearest to
all: on small digits the codes in use after sixty steps are worth 2 of 240 (FSQ) or 4 of 256, and 140 or 26 with it.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise
from typing import Annotated, Any, Literal

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Lt, MinLen
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Rows
from generators._nets import Sides
from generators._pixels import Law, pixels_of
from generators._schedule import descend, set_rate

Quantiser = Literal["ema", "fsq"]


class Tokenised(nn.Module, ABC):
    """A tokeniser of images, and the frame of a prior over its codes.

    quantiser: "ema", of ``codes`` vectors of ``code_size`` numbers with the weight ``commitment`` (beta); or "fsq", of
    ``levels`` a number. side: images are halved until the grid of codes has no side above it. width: channels after
    the first halving, then twice as many; blocks: residual ones on the grid of codes, on both sides.
    decoder: see ``generators/_pixels.py``. tokeniser_share: of the training, before the prior's. lr: of the tokeniser.
    layers, heads, prior_width, dropout, prior_lr: of the prior, a transformer, which a family makes of ``prior_size``
    with its ``prior_optimiser``, last in its constructor. temperature: of sampling, 1 = the model itself.
    Raises GenbenchError for a width that is no multiple of heads.
    """

    conditional = False
    prior_optimiser: torch.optim.Optimizer

    def __init__(
        self,
        spec: DataSpec,
        *,
        quantiser: Quantiser = "ema",
        levels: Annotated[tuple[Annotated[int, Ge(3)], ...], MinLen(1)] = (8, 6, 5),
        codes: PositiveInt = 256,
        code_size: PositiveInt = 64,
        commitment: PositiveFloat = 0.25,
        side: PositiveInt = 4,
        width: PositiveInt = 64,
        blocks: NonNegativeInt = 2,
        decoder: Law = "bernoulli",
        tokeniser_share: Annotated[float, Gt(0), Lt(1)] = 0.4,
        lr: PositiveFloat = 2e-3,
        layers: PositiveInt = 4,
        heads: PositiveInt = 4,
        prior_width: PositiveInt = 128,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        prior_lr: PositiveFloat = 2e-3,
        temperature: PositiveFloat = 1.0,
    ) -> None:
        if prior_width % heads:
            raise GenbenchError(f"prior_width = {prior_width} must be a multiple of heads = {heads}")
        super().__init__()
        self.pixels = pixels_of(spec, decoder)
        sides = halvings(spec.shape, side)
        self.quantiser: FSQ | Codebook = FSQ(levels) if quantiser == "fsq" else Codebook(codes, code_size)
        self.encoder = encoder_of(spec.shape[0], self.quantiser.size, sides, width, blocks)
        self.decoder = decoder_of(self.quantiser.size, self.pixels.maps, sides, width, blocks)
        self.to(memory_format=torch.channels_last)  # a step is an eighth shorter on a CPU
        self.norm = nn.BatchNorm2d(self.quantiser.size, affine=False)
        self.grid, self.places = sides[-1], math.prod(sides[-1])
        self.usage: Tensor
        self.register_buffer("usage", torch.zeros(self.quantiser.codes))
        self.commitment, self.tokeniser_share, self.parts = commitment, tokeniser_share, ["tokeniser", "prior"]
        tokeniser = [*self.encoder.parameters(), *self.decoder.parameters(), *self.pixels.parameters()]
        self.optimiser = torch.optim.Adam(tokeniser, lr=lr, fused=True)
        self.prior_size: dict[str, Any] = {"layers": layers, "heads": heads, "width": prior_width, "dropout": dropout}
        self.prior_lr, self.temperature = prior_lr, temperature

    @abstractmethod
    def learn_codes(self, codes: Tensor, label: Tensor | None, rng: torch.Generator) -> float:
        """One update of the prior by codes ``(batch, places)``. Returns its loss."""

    @abstractmethod
    def draw_codes(self, rows: Rows, n: int, condition: Tensor | None) -> Tensor:
        """Codes of n images, ``(n, places)`` int64."""

    def pace(self, share: float) -> None:
        """First the tokeniser is trained and then the prior, each with a rate that falls to nothing."""
        if share < self.tokeniser_share:
            self.parts = ["tokeniser"]
            set_rate(self.optimiser, share / self.tokeniser_share)
        else:
            self.parts = ["prior"]
            set_rate(self.prior_optimiser, (share - self.tokeniser_share) / (1 - self.tokeniser_share))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        """The loss is that of what is trained: nats a value of the image, and what the prior lowers."""
        losses: dict[str, float] = {}
        x = self.pixels.spread(batch.data, rng)
        if "tokeniser" in self.parts:
            codes, losses = self.train_tokeniser(x, rng)
        else:
            codes = self.encode(x)
        if "prior" in self.parts:
            losses["prior"] = self.learn_codes(codes, batch.condition, rng)
        self.usage.lerp_(shares(codes, self.quantiser.codes), 0.01)  # of about the last hundred batches
        return {"loss": sum(losses.values()), **losses, "codebook_perplexity": perplexity(self.usage).item()}

    def train_tokeniser(self, x: Tensor, rng: torch.Generator) -> tuple[Tensor, dict[str, float]]:
        """One step of encoder, decoder and code vectors; codes ``(batch, places)``, and its losses, each a mean."""
        z = self.vectors(x, learning=True)
        if isinstance(self.quantiser, Codebook):
            self.quantiser.revive(z.detach(), rng)
        q, codes = self.quantiser(z)
        losses = {"reconstruction": -self.pixels.log_prob(x, self.decode(q)).mean() / x[0].numel()}
        if isinstance(self.quantiser, Codebook):
            losses["commitment"] = self.commitment * (z - q.detach()).square().sum() / x.numel()
            self.quantiser.learn(z.detach(), codes)
        descend(self.optimiser, torch.stack([*losses.values()]).sum())
        return codes, {name: loss.item() for name, loss in losses.items()}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """Means of p(x|codes), of binary pixels the likelier values; codes from the prior."""
        codes = self.draw_codes(Rows(rng, n), n, condition)
        return self.pixels.mean(self.decode(self.quantiser.vectors(codes)))

    @torch.no_grad()
    def reconstruct(self, batch: Batch) -> Tensor:
        """Mean of p(x|codes) at the image's own codes."""
        return self.pixels.mean(self.decode(self.quantiser.vectors(self.encode(batch.data))))

    @torch.no_grad()
    def encode(self, x: Tensor) -> Tensor:
        """The codes of images, row by row, ``(batch, places)`` int64."""
        codes: Tensor = self.quantiser(self.vectors(x))[1]
        return codes

    def vectors(self, x: Tensor, *, learning: bool = False) -> Tensor:
        """z_e, ``(batch, places, size)``, normalised by the moments of the batch when it learns, by theirs lately else.

        In float32: numbers of less cannot be told which level they are next to.
        """
        z, (mean, var) = self.encoder(x).float(), (self.norm.running_mean, self.norm.running_var)
        return F.batch_norm(z, mean, var, training=learning).flatten(2).transpose(1, 2)

    def decode(self, q: Tensor) -> Tensor:
        """What the decoder says of pixels, given code vectors ``(batch, places, size)``."""
        out: Tensor = self.decoder(q.transpose(1, 2).unflatten(2, self.grid))
        return out.float()


class FSQ(nn.Module):
    """Finite scalar quantisation; a code is the number whose digits, the first the lowest, are the levels."""

    levels: Tensor
    bases: Tensor

    def __init__(self, levels: Sequence[int]) -> None:
        super().__init__()
        self.size, self.codes = len(levels), math.prod(levels)
        bases = [math.prod(levels[:place]) for place in range(len(levels))]
        self.register_buffer("levels", torch.tensor(levels), persistent=False)
        self.register_buffer("bases", torch.tensor(bases), persistent=False)

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Code vectors in the places of ``z`` ``(..., size)``, and their codes ``(...)`` int64."""
        bounded = self.bounded(z)
        rounded = bounded.detach().round()
        codes = ((rounded.long() + self.levels // 2) * self.bases).sum(-1)
        codes = codes.clamp(0, self.codes - 1)  # NaN, of a training that diverged, is no code, and its loss tells
        return (bounded + (rounded - bounded).detach()) / (self.levels // 2), codes

    def bounded(self, z: Tensor) -> Tensor:
        """f(z), of which every level is a whole number; a thousandth less wide, so that none lies on an edge."""
        half = (self.levels - 1) * (1 - 1e-3) / 2
        offset = 0.5 * (self.levels % 2 == 0)
        return (z + (offset / half).atanh()).tanh() * half - offset

    def vectors(self, codes: Tensor) -> Tensor:
        """Of codes ``(...)`` their vectors ``(..., size)``, within [-1, 1]."""
        digits = codes[..., None] // self.bases % self.levels
        return (digits / (self.levels // 2) - 1).float()


class Codebook(nn.Module):
    """``codes`` vectors, each the moving mean of what is nearest to it; before the first step dead, all of them."""

    book: Tensor  # (codes, size): e
    counts: Tensor  # (codes,): N
    sums: Tensor  # (codes, size): m

    def __init__(self, codes: int, size: int, decay: float = 0.99) -> None:
        super().__init__()
        self.size, self.codes, self.decay = size, codes, decay
        self.register_buffer("book", torch.randn(codes, size))
        self.register_buffer("counts", torch.zeros(codes))
        self.register_buffer("sums", torch.zeros(codes, size))

    def forward(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Code vectors in the places of ``z`` ``(..., size)``, and their codes ``(...)`` int64."""
        with _in_full(z):
            distance = self.book.square().sum(1) - 2 * z.detach().flatten(0, -2) @ self.book.T  # less |z|^2
        codes = distance.argmin(1).view(z.shape[:-1])
        return z + (self.book[codes] - z).detach(), codes

    def vectors(self, codes: Tensor) -> Tensor:
        """Of codes ``(...)`` their vectors ``(..., size)``."""
        found: Tensor = self.book[codes]
        return found

    @torch.no_grad()
    def learn(self, z: Tensor, codes: Tensor) -> None:
        """Eqs. 6 to 8, for vectors ``(..., size)`` and the codes that they chose."""
        chosen = F.one_hot(codes.flatten(), self.codes).to(z)  # (vectors, codes)
        with _in_full(z):
            total = chosen.T @ z.flatten(0, -2)
        self.counts.lerp_(chosen.sum(0), 1 - self.decay)
        self.sums.lerp_(total, 1 - self.decay)
        self.book.copy_(self.sums / self.counts[:, None])

    @torch.no_grad()
    def revive(self, z: Tensor, rng: torch.Generator) -> None:
        """Put dead codes where vectors of the batch are, ``(..., size)``, with a count of 1.

        A code is dead when its count falls below a quarter of the mean count, or below 0.9 if that is less: one that
        was restarted lives ten steps at least.
        """
        near = z.flatten(0, -2)
        dead = self.counts < min(0.9, len(near) / self.codes / 4)
        order = torch.randperm(len(near), generator=rng, device=near.device)
        fresh = near[order[torch.arange(self.codes, device=near.device) % len(near)]]
        self.sums.copy_(torch.where(dead[:, None], fresh, self.sums))
        self.counts.masked_fill_(dead, 1)
        self.book.copy_(torch.where(dead[:, None], fresh, self.book))


def shares(codes: Tensor, many: int) -> Tensor:
    """How much of ``codes`` is of each kind, ``(many,)``."""
    return torch.bincount(codes.flatten(), minlength=many) / codes.numel()


def perplexity(weights: Tensor) -> Tensor:
    """exp of the entropy of weights, brought to a sum of 1: how many codes, used alike, would be as various."""
    entropy: Tensor = torch.special.entr(weights / weights.sum()).sum()
    return entropy.exp()


def halvings(shape: tuple[int, ...], side: int) -> list[Sides]:
    """Sides of an image and of its halves, odd ones rounded up, down to at most ``side``, and at least one."""
    sides = [(shape[1], shape[2]), (-(-shape[1] // 2), -(-shape[2] // 2))]
    while max(sides[-1]) > side:
        sides.append((-(-sides[-1][0] // 2), -(-sides[-1][1] // 2)))
    return sides


def encoder_of(channels: int, size: int, sides: list[Sides], width: int, blocks: int) -> nn.Sequential:
    """Images to ``size`` numbers at each place of the last of ``sides``."""
    widths = _widths(channels, sides, width)
    strided = [
        nn.Sequential(nn.Conv2d(a, b, _window(fine), stride=2, padding=1), nn.ReLU())
        for (a, b), fine in zip(pairwise(widths), sides[:-1], strict=True)
    ]
    return nn.Sequential(*strided, *(Block(widths[-1]) for _ in range(blocks)), nn.Conv2d(widths[-1], size, 1))


def decoder_of(size: int, maps: int, sides: list[Sides], width: int, blocks: int) -> nn.Sequential:
    """The way back, to ``maps`` numbers at each pixel."""
    widths = _widths(maps, sides, width)[::-1]
    strided = [
        nn.Sequential(nn.ReLU(), nn.ConvTranspose2d(a, b, _window(fine), stride=2, padding=1))
        for (a, b), fine in zip(pairwise(widths), sides[-2::-1], strict=True)
    ]
    inward = nn.Conv2d(size, widths[0], 3, padding=1)
    return nn.Sequential(inward, *(Block(widths[0]) for _ in range(blocks)), *strided)


class Block(nn.Module):
    """A residual block: ReLU, convolution of 3x3, ReLU, of 1x1 (section 4.1)."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.ReLU(), nn.Conv2d(width, width, 3, padding=1), nn.ReLU(), nn.Conv2d(width, width, 1)
        )

    def forward(self, x: Tensor) -> Tensor:
        out: Tensor = x + self.body(x)
        return out


def _in_full(z: Tensor) -> torch.autocast:
    """In float32 where the rest is trained in less: which code is nearest, and the averages, rest on small numbers."""
    return torch.autocast(z.device.type, enabled=False)


def _widths(outside: int, sides: list[Sides], width: int) -> list[int]:
    """Channels of the image and of each of its halves."""
    return [outside, width, *[2 * width] * (len(sides) - 2)]


def _window(sides: Sides) -> Sides:
    """Of the convolution that halves such sides, and of the transposed one that brings them back: 4, for odd ones 3."""
    return 4 - sides[0] % 2, 4 - sides[1] % 2
