"""How a step is drawn from what a sequence model says of it: the usual limits on tokens, in one place.

In this order, as is usual: tokens that stand in the text already are made less likely (``repetition``, Keskar et al.
2019, arXiv:1909.05858), all are sharpened or flattened (``temperature``), and the unlikely are left out: all but the k
likeliest (``top_k``, Fan et al. 2018, arXiv:1805.04833), those outside the smallest set that holds so much of the
probability (``top_p``, Holtzman et al. 2020, arXiv:1904.09751), those below a share of the likeliest one's (``min_p``,
Nguyen et al. 2024, arXiv:2407.01082). Frames of notes or numbers know the temperature alone.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor

from bench import GenbenchError, Unsupported
from generators._heads import Head, Tokens

SAMPLING = {"temperature", "top_k", "top_p", "min_p", "repetition", "stop"}  # hyperparameters that change no weight


@dataclass(frozen=True)
class Drawing:
    """What a step is drawn by. The defaults draw from the model as it is.

    top_k: 0 for all. top_p: in (0, 1]. min_p: in [0, 1). repetition: by how much logits of what was seen are divided,
    or multiplied where they are below 0; 1 for none. stop: tokens that end a text, and stay in it.
    Raises Unsupported where what is for tokens is asked of other heads, GenbenchError for a stop that is no token.
    """

    head: Head
    temperature: float = 1.0
    top_k: int = 0
    top_p: float = 1.0
    min_p: float = 0.0
    repetition: float = 1.0
    stop: Sequence[int] = field(default=())

    def __post_init__(self) -> None:
        if not isinstance(self.head, Tokens) and (self.limits or self.stop):
            raise Unsupported("top_k, top_p, min_p, repetition and stop are of tokens, and this data has none")
        if isinstance(self.head, Tokens) and any(token >= self.head.vocab for token in self.stop):
            raise GenbenchError(f"stop = {list(self.stop)}: tokens of this data lie in 0..{self.head.vocab - 1}")

    @cached_property
    def limits(self) -> bool:
        """Whether any token is made less likely than a temperature makes it."""
        return (self.top_k, self.top_p, self.min_p, self.repetition) != (0, 1, 0, 1)

    def nothing_seen(self, n: int, device: torch.device) -> Tensor | None:
        """What stands in each of n texts, ``(n, vocab)`` bool, before the first token; None where nobody asks."""
        if self.repetition == 1 or not isinstance(self.head, Tokens):
            return None
        return torch.zeros(n, self.head.vocab, dtype=torch.bool, device=device)

    def draw(self, out: Tensor, u: Tensor, seen: Tensor | None = None) -> Tensor:
        """A step of each, ``(batch, ...)``, from ``out`` ``(batch, size)`` by ``u`` in [0, 1); ``seen`` learns it."""
        if not self.limits:
            return self.head.draw(out, u, self.temperature)
        step = self.head.draw(self.limited(out.float(), seen), u)
        if seen is not None:
            seen.scatter_(1, step[:, None], value=True)
        return step

    def limited(self, logits: Tensor, seen: Tensor | None = None) -> Tensor:
        """Logits ``(batch, vocab)`` with what is left out at -inf."""
        if seen is not None:
            logits = torch.where(
                seen, torch.where(logits > 0, logits / self.repetition, logits * self.repetition), logits
            )
        if self.temperature != 1:
            logits = logits / self.temperature
        if 0 < self.top_k < logits.shape[1]:
            least = logits.topk(self.top_k).values[:, -1:]
            logits = logits.masked_fill(logits < least, -torch.inf)
        if self.top_p < 1:
            ordered, order = logits.sort(descending=True)
            p = ordered.softmax(1)
            left_out = p.cumsum(1) - p >= self.top_p
            logits = logits.masked_fill(left_out.scatter(1, order, left_out), -torch.inf)
        if self.min_p > 0:
            p = logits.softmax(1)
            logits = logits.masked_fill(p < self.min_p * p.amax(1, keepdim=True), -torch.inf)
        return logits

    def ends(self, step: Tensor) -> Tensor:
        """Which of the steps ``(batch,)`` end a text, bool."""
        return torch.isin(step, torch.tensor(self.stop, device=step.device, dtype=step.dtype))
