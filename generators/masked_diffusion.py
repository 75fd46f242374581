"""Masked diffusion of tokens (Sahoo et al. 2024, arXiv:2406.07524; Shi et al. 2024, arXiv:2406.04329).

Forward, each token of x is masked by time t with probability t (the log-linear schedule), and stays so. Backward, from
t to s < t, a masked token is shown with probability (t - s) / t, and is then drawn from what the net says of it; one
that is shown stays. The net is trained on

    integral over t of 1/t E[ sum over masked tokens of -log p(x_j | z_t) ]        (Eq. 10)

gives a mask no probability, copies what is shown (SUBS), and is not told t, which the masks show.

A sampler of S steps shows each token at a step r_j of its own, each as likely as any other, those of one step together.
So its evidence bound, Eq. 8 summed the other way round, counts each token once:

    -log p(x)  <=  E_r[ sum_j -log p(x_j | the x_k with r_k > r_j) ]

It falls with S to the integral above. What ``log_prob`` gives is the mean over a few draws of r, with S named.
"""

from __future__ import annotations

import math
import zlib
from typing import Annotated

import torch
import torch.nn.functional as F
from annotated_types import Ge, Gt, Le, Lt
from pydantic import NonNegativeInt, PositiveFloat, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Presets, Unsupported, generator, uniform
from generators._attention import Cache
from generators._drawing import Drawing
from generators._heads import Tokens
from generators._rotary import Block, rotations
from generators._schedule import adamw, descend, set_rate

PRESETS: Presets = {
    "test": {"layers": 2, "heads": 2, "width": 16, "lr": 5e-3, "bound_steps": 4, "bound_draws": 20, "steps": 4},
    "tiny": {"layers": 2, "heads": 4, "width": 96, "lr": 5e-3},
    "paper": {"layers": 12, "heads": 12, "width": 768, "dropout": 0.1, "lr": 3e-4, "bound_steps": 1000, "steps": 1000},
}


SAMPLING = {"steps", "temperature", "top_k", "top_p", "min_p"}


@generator(
    "masked_diffusion", modalities={"text", "music"}, paper="arXiv:2406.07524", presets=PRESETS, sampling=SAMPLING
)
class MaskedDiffusion(nn.Module):
    """Tokens that come out from behind masks in random order.

    layers, heads, width, dropout: of a transformer in which all see all. lr: rises over a share ``warmup`` of the
    training and falls to 0; weight_decay: AdamW's. steps: of sampling; temperature, top_k, top_p, min_p: of a draw (see
    ``Drawing``). bound_steps, bound_draws: S and the draws of r of the bound that ``log_prob`` is. least: the smallest
    share that is masked in training; the bound's weight 1/t of nearly nothing is mostly noise.
    """

    bound = True
    log_prob_of = "mass"

    def __init__(
        self,
        spec: DataSpec,
        *,
        layers: PositiveInt = 4,
        heads: PositiveInt = 4,
        width: PositiveInt = 128,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        lr: PositiveFloat = 1e-3,
        weight_decay: Annotated[float, Ge(0)] = 0.01,
        warmup: Annotated[float, Ge(0), Lt(1)] = 0.05,
        least: Annotated[float, Gt(0), Lt(1)] = 0.05,
        bound_steps: PositiveInt = 32,
        bound_draws: PositiveInt = 1,
        steps: PositiveInt = 32,
        temperature: PositiveFloat = 1.0,
        top_k: NonNegativeInt = 0,
        top_p: Annotated[float, Gt(0), Le(1)] = 1.0,
        min_p: Annotated[float, Ge(0), Lt(1)] = 0.0,
    ) -> None:
        super().__init__()
        if spec.kind != "tokens" or spec.vocab is None or len(spec.shape) != 1:
            raise Unsupported(f"masked diffusion is of tokens, not of {spec.kind} data")
        if width % (2 * heads):
            raise GenbenchError(f"width = {width} must be a multiple of twice heads = {heads}")
        (self.window,), self.vocab, self.mask = spec.shape, spec.vocab, spec.vocab
        self.net = Denoiser(spec.vocab, layers, heads, width, dropout)
        self.least, self.warmup, self.steps = least, warmup, steps
        self.drawing = Drawing(Tokens(spec.vocab), temperature, top_k, top_p, min_p)
        self.bound_steps, self.bound_draws = bound_steps, bound_draws
        self.block = 0  # how many tokens see what was shown of one another; 0 = all
        self.optimiser = adamw(self, lr, weight_decay)

    @property
    def nfe(self) -> int:
        """Evaluations of the net a sample."""
        return self.steps

    def pace(self, share: float) -> None:
        set_rate(self.optimiser, share, hold=self.warmup, rise=self.warmup)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        t = self.times(batch.data, rng)
        hidden = (torch.rand(batch.data.shape, generator=rng, device=rng.device) < t) & batch.mask
        loss = (self.hidden_nats(batch, hidden) / t).sum() / batch.mask.sum().clamp(min=1)
        descend(self.optimiser, loss, max_norm=1.0)
        return {"loss": loss.item()}

    def times(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """The time to which each token of ``x`` ``(batch, tokens)`` is masked, ``(batch, 1)``."""
        return times(len(x), self.least, rng)[:, None]

    def hidden_nats(self, batch: Batch, hidden: Tensor) -> Tensor:
        """-log p of the tokens that are hidden, given the others, ``(batch, tokens)``, 0 of those that are not."""
        logits, tokens = self.hidden_logits(batch, hidden), batch.data.where(hidden, 0)
        nats = F.cross_entropy(logits.flatten(0, 1).float(), tokens.flatten(), reduction="none").view_as(tokens)
        return nats.where(hidden, 0)

    def hidden_logits(self, batch: Batch, hidden: Tensor) -> Tensor:
        """What is said of each place of a batch of which some tokens are hidden, ``(batch, tokens, vocab)``."""
        sees = None if batch.lengths is None else batch.mask[:, None, None]
        out: Tensor = self.net(batch.data.masked_fill(hidden | ~batch.mask, self.mask), sees)
        return out

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """The evidence bound of ``bound_steps`` steps in nats, ``(batch,)``, by masks that the text itself decides.

        Given how long it is. Raises GenbenchError for tokens that the data has not.
        """
        Tokens(self.vocab).check(batch)
        log_p = torch.zeros(len(batch.data), dtype=torch.float64, device=batch.data.device)
        for u in own_draws(batch, self.bound_draws):
            # Steps at which nothing is shown cost nothing; blocks that do not see each other's masks go side by side.
            together = (u * self.bound_steps).long().unflatten(1, (-1, self.block or u.shape[1]))
            turn = in_turn(together, self.bound_steps).flatten(1)
            for i in range(int(turn.max()) + 1):
                nats = self.hidden_nats(batch, (turn <= i) & batch.mask)
                log_p -= nats.where(turn == i, 0).double().sum(1) / self.bound_draws
        return log_p

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        device = next(self.parameters()).device
        u = uniform(rng, n, self.steps, 2, self.window).to(device)
        x = torch.full((n, self.window), self.mask, device=device)
        for i in range(self.steps, 0, -1):
            x = shown(x, self.net(x), u[:, self.steps - i], i, self.mask, self.drawing)
        return x


class Denoiser(nn.Module):
    """Tokens, some of them masks, to logits of what stands at each place; all see all. Blocks as Llama's."""

    def __init__(self, vocab: int, layers: int, heads: int, width: int, dropout: float) -> None:
        super().__init__()
        self.size = width // heads
        self.embedding = nn.Embedding(vocab + 1, width)
        sizes = (width, heads, heads, math.ceil(8 / 3 * width))
        self.blocks = nn.ModuleList(Block(i, *sizes, dropout, causal=False) for i in range(layers))
        self.norm, self.out = nn.RMSNorm(width, eps=1e-5), nn.Linear(width, vocab)
        nn.init.normal_(self.embedding.weight, std=0.02)

    def forward(
        self, x: Tensor, sees: Tensor | None = None, places: Tensor | None = None, cache: Cache | None = None
    ) -> Tensor:
        """x: ``(batch, tokens)``. sees: as of Block. places: of each token, ``(tokens,)``; in order where left out.

        cache: of the tokens before, which is not yet told to count these.
        """
        cos, sin = rotations(cache.length if cache else 0, x.shape[1], self.size, 10_000.0, x.device)
        turns = (cos, sin) if places is None else (cos[places], sin[places])
        h = self.embedding(x)
        for block in self.blocks:
            h = block(h, turns, cache, sees)
        out: Tensor = self.out(self.norm(h))
        return out


def times(n: int, least: float, rng: torch.Generator) -> Tensor:
    """n times in [least, 1), ``(n,)``: evenly spread but for one draw that moves all of them (antithetic)."""
    u = (torch.rand((), generator=rng, device=rng.device) + torch.arange(n, device=rng.device) / n) % 1
    return least + (1 - least) * u


def shown(x: Tensor, logits: Tensor, u: Tensor, i: int, mask: int, drawing: Drawing) -> Tensor:
    """Tokens at step i - 1 from those at step i: of the masked, each with probability 1/i becomes what is drawn.

    u: ``(n, 2, tokens)`` in [0, 1).
    """
    drawn = drawing.draw(logits.flatten(0, 1), u[:, 0].flatten())
    return torch.where((x == mask) & (u[:, 1] * i < 1), drawn.view_as(x), x)


def in_turn(steps: Tensor, most: int) -> Tensor:
    """Steps ``(..., tokens)`` in 0..most - 1 as their places among those that the same row has."""
    there = steps.new_zeros(*steps.shape[:-1], most).scatter_(-1, steps, 1)
    return there.cumsum(-1).gather(-1, steps) - 1


def own_draws(batch: Batch, n: int) -> Tensor:
    """n sets of draws in [0, 1) for each token, ``(n, batch, tokens)``, found from its text alone, that they repeat."""
    ends = [batch.data.shape[1]] * len(batch.data) if batch.lengths is None else batch.lengths.tolist()
    rng, drawn = torch.Generator(), []
    for row, end in zip(batch.data.cpu().numpy(), ends, strict=True):
        rng.manual_seed(zlib.crc32(row[:end].tobytes()))
        drawn.append(F.pad(torch.rand(n, end, generator=rng), (0, len(row) - end)))
    return torch.stack(drawn, dim=1).to(batch.data.device)
