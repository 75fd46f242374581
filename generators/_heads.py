"""What a sequence model says of the next step, by the kind of data: the last layer's numbers as a distribution.

    Tokens       one of ``vocab``            softmax
    Frames       ``keys`` that are on or off   a mixture of independent Bernoulli variables (one, if not told otherwise)
    Continuous   ``values`` real numbers     a mixture of logistics (Bishop 1994; arXiv:1701.05517)

A head learns nothing and holds no weights: it reads ``out`` ``(batch, steps, size)`` of the net before it. It draws by
inversion of uniform numbers that it is handed, so that a sequence depends on its own and not on its neighbours'.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from bench import Batch, DataSpec, GenbenchError, Unsupported

SELDOM = -3.0  # logit of a key before anything is learned: of 88 four sound


def draw_one(logits: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
    """Of k things one each, int64 ``(...)``, by logits ``(..., k)`` and ``u`` in [0, 1), ``(...)``: by inversion."""
    scaled = logits if temperature == 1 else logits.double() / temperature
    # In float64 the last is 1 but for 1e-13, which is less than what lies between 1 and the greatest float32 below it.
    cumulative = scaled.softmax(-1, dtype=torch.float64).cumsum(-1)
    u = u.to(cumulative).unsqueeze(-1).contiguous()
    return torch.searchsorted(cumulative, u, right=True).squeeze(-1).clamp_(max=logits.shape[-1] - 1)


class Head(ABC):
    """The distribution of a step."""

    log_prob_of: Literal["mass", "density"] = "mass"

    @property
    @abstractmethod
    def size(self) -> int:
        """How many numbers of the net it reads."""

    @property
    def draws(self) -> tuple[int, ...]:
        """Shape of the uniform numbers that drawing a step takes."""
        return ()

    @abstractmethod
    def nats(self, out: Tensor, x: Tensor) -> Tensor:
        """-log p of each step of ``x`` ``(batch, steps, ...)``, ``(batch, steps)``."""

    @abstractmethod
    def draw(self, out: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        """A step ``(batch, ...)`` from ``out`` ``(batch, size)`` by ``u`` in [0, 1), ``(batch, *draws)``."""

    @abstractmethod
    def start(self, n: int, device: torch.device) -> Tensor:
        """What stands before the first step, ``(n, ...)``."""

    @property
    @abstractmethod
    def steps(self) -> str:
        """In words what a step may be."""

    @abstractmethod
    def holds(self, x: Tensor) -> Tensor:
        """Which steps of ``x`` ``(batch, steps, ...)`` are of those that the distribution is over, bool."""

    def prepare(self, write: nn.Linear) -> None:  # noqa: B027 (most leave it)
        """Set the layer that the head reads to what it is best to begin with, if that is not torch's own."""

    def check(self, batch: Batch) -> None:
        """Raises GenbenchError where a step is none of those that the distribution is over."""
        wrong = (~self.holds(batch.data) & batch.mask).nonzero()
        if len(wrong):
            row, step = wrong[0].tolist()
            raise GenbenchError(f"step {step} of example {row} is not {self.steps}")

    def loss(self, out: Tensor, batch: Batch) -> Tensor:
        """Mean nats a step, padding left out."""
        nats = self.nats(out, batch.data)
        return nats.mean() if batch.lengths is None else nats[batch.mask].mean()

    def log_prob(self, out: Tensor, batch: Batch) -> Tensor:
        """log p of each step in nats, ``(batch, steps)`` float64, to be added up without loss; 0 of padding."""
        log_p = -self.nats(out.float(), batch.data).double()
        return log_p if batch.lengths is None else log_p.where(batch.mask, 0)

    def shifted(self, x: Tensor, start: Tensor | None = None) -> Tensor:
        """``x`` one place to the right, behind the start, or a start of each: what each prediction may see."""
        start = self.start(len(x), x.device) if start is None else start
        return torch.cat([start[:, None], x[:, :-1]], dim=1)


@dataclass(frozen=True)
class Tokens(Head):
    """One of ``vocab`` tokens, int64. The start is one outside the vocabulary, so that the first is predicted too."""

    vocab: int

    @property
    def size(self) -> int:
        return self.vocab

    @property
    def steps(self) -> str:
        return f"one of the {self.vocab} tokens, 0..{self.vocab - 1}"

    def holds(self, x: Tensor) -> Tensor:
        return (x >= 0) & (x < self.vocab)

    def nats(self, out: Tensor, x: Tensor) -> Tensor:
        return F.cross_entropy(out.flatten(0, 1), x.flatten(), reduction="none").view_as(x)

    def loss(self, out: Tensor, batch: Batch) -> Tensor:
        x = batch.data if batch.lengths is None else batch.data.where(batch.mask, -100)  # which is ignored
        return F.cross_entropy(out.flatten(0, 1), x.flatten())  # the same mean in one pass

    def draw(self, out: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        return draw_one(out, u, temperature)

    def start(self, n: int, device: torch.device) -> Tensor:
        return torch.full((n,), self.vocab, device=device)


@dataclass(frozen=True)
class Frames(Head):
    """``keys`` that are each 0 or 1, float32: a mixture of ``components``, in each of which they are independent.

    One alone knows of no chords: given the past, each note sounds whether or not another does. Silence stands before.
    A temperature sharpens the weights, and the keys in each.
    """

    keys: int
    components: int = 1

    @property
    def size(self) -> int:
        return self.keys if self.components == 1 else self.components * (1 + self.keys)

    @property
    def draws(self) -> tuple[int, ...]:
        return (self.keys,) if self.components == 1 else (1 + self.keys,)

    @property
    def steps(self) -> str:
        return f"{self.keys} keys that are each 0 or 1"

    def holds(self, x: Tensor) -> Tensor:
        return ((x == 0) | (x == 1)).all(-1)

    def prepare(self, write: nn.Linear) -> None:
        """Components begin nearly alike, with keys that sound as seldom as in a chorale.

        From torch's own start, where half of the keys sound, the first component that falls silent explains all frames
        best and takes them all: gpt came to 8.4 nats a frame of JSB chorales in place of 6.5.
        """
        if self.components > 1:
            nn.init.normal_(write.weight, std=0.02)
            nn.init.zeros_(write.bias[: self.components])
            nn.init.constant_(write.bias[self.components :], SELDOM)

    def nats(self, out: Tensor, x: Tensor) -> Tensor:
        if self.components == 1:
            return F.binary_cross_entropy_with_logits(out, x, reduction="none").sum(-1)
        weights, logits = self._parts(out)
        # Not a product of matrices, which autocast would round.
        log_p = (logits * x[..., None, :] - F.softplus(logits)).sum(-1)  # (batch, steps, components)
        return -(F.log_softmax(weights, dim=-1) + log_p).logsumexp(-1)

    def draw(self, out: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        if self.components > 1:
            weights, logits = self._parts(out)
            chosen = draw_one(weights, u[:, 0], temperature)
            out, u = logits[torch.arange(len(out), device=out.device), chosen], u[:, 1:]
        return (u.to(out.device) < (out / temperature).sigmoid()).float()

    def start(self, n: int, device: torch.device) -> Tensor:
        return torch.zeros(n, self.keys, device=device)

    def _parts(self, out: Tensor) -> tuple[Tensor, Tensor]:
        """Logits of the weights, ``(..., components)``, and of the keys in each, ``(..., components, keys)``."""
        weights, logits = out.split([self.components, self.components * self.keys], dim=-1)
        return weights, logits.reshape(*out.shape[:-1], self.components, self.keys)


@dataclass(frozen=True)
class Continuous(Head):
    """``values`` real numbers: a mixture of ``components``, in each of which they are independent. Zeros stand before.

    A temperature sharpens the weights and narrows each component by its root (Ha & Eck 2017, arXiv:1704.03477).
    """

    values: int = 1
    components: int = 10
    log_prob_of = "density"

    @property
    def size(self) -> int:
        return self.components * (1 + 2 * self.values)

    @property
    def draws(self) -> tuple[int, ...]:
        return (1 + self.values,)

    @property
    def steps(self) -> str:
        return f"{self.values} finite numbers"

    def holds(self, x: Tensor) -> Tensor:
        return x.isfinite().all(-1)

    def nats(self, out: Tensor, x: Tensor) -> Tensor:
        weights, mean, log_scale = self._parts(out)
        z = (x[..., None, :] - mean) * (-log_scale).exp()  # (batch, steps, components, values)
        log_p = -z - log_scale - 2 * F.softplus(-z)
        return -(F.log_softmax(weights, dim=-1) + log_p.sum(-1)).logsumexp(-1)

    def draw(self, out: Tensor, u: Tensor, temperature: float = 1.0) -> Tensor:
        weights, mean, log_scale = self._parts(out)
        chosen = draw_one(weights, u[:, 0], temperature)
        rows = torch.arange(len(out), device=out.device)
        u = u[:, 1:].to(out.device, torch.float64) + 2.0**-26  # of the 24 bits of a float none is 0 or 1 then
        return mean[rows, chosen] + math.sqrt(temperature) * log_scale[rows, chosen].exp() * u.logit().to(out.dtype)

    def start(self, n: int, device: torch.device) -> Tensor:
        return torch.zeros(n, self.values, device=device)

    def _parts(self, out: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Logits of the weights ``(..., components)``; means and logarithms of scales ``(..., components, values)``."""
        k, d = self.components, self.values
        weights, mean, log_scale = out.split([k, k * d, k * d], dim=-1)
        shape = (*out.shape[:-1], k, d)
        # One component on one point would have a density without bound.
        return weights, mean.reshape(shape), log_scale.reshape(shape).clamp(min=-7)


def head_of(spec: DataSpec, components: int = 0) -> Head:
    """The head for sequences ``(steps,)`` or ``(steps, values)`` of this kind.

    components: of the mixture that a frame is of; 0 = 1 for keys, 10 for real numbers. Raises Unsupported for other
    shapes, and for components of tokens.
    """
    if spec.kind == "tokens" and len(spec.shape) == 1:
        if components:
            raise Unsupported("a token is of no mixture: leave out components, which are of frames")
        return Tokens(spec.vocab or 0)
    if len(spec.shape) == 2 and spec.kind != "tokens":
        binary, values = spec.kind == "binary", spec.shape[1]
        return Frames(values, components or 1) if binary else Continuous(values, components or 10)
    raise Unsupported(f"no sequence of steps: {spec.kind} data of shape {spec.shape}")
