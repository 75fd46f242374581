"""Block diffusion (Arriola et al. 2025, arXiv:2503.09573): block after block, and masked diffusion within each.

    p(x) = prod_b p(x_b | x_<b),    each factor bounded as in ``masked_diffusion``

With blocks of one token it is an autoregressive model, with one block masked diffusion. In training and for the bound
all blocks are taken at once: the net reads the masked text and the whole one behind it, and each block of the first
looks at itself there and at the blocks before it here (section 3.3, figure 3).
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import PositiveInt
from torch import Tensor

from bench import Batch, DataSpec, GenbenchError, Presets, generator, uniform
from generators._attention import Cache
from generators._heads import Tokens
from generators.masked_diffusion import SAMPLING, MaskedDiffusion, shown, times

PRESETS: Presets = {
    "test": {
        "layers": 2, "heads": 2, "width": 16, "block": 2, "lr": 5e-3, "bound_steps": 4, "bound_draws": 20, "steps": 2,
    },
    "tiny": {"layers": 2, "heads": 4, "width": 96, "lr": 5e-3},
    "paper": {
        "layers": 12, "heads": 12, "width": 768, "block": 4, "dropout": 0.1, "lr": 3e-4,
        "bound_steps": 1000, "steps": 4,
    },
}  # fmt: skip


@generator(
    "block_diffusion", modalities={"text", "music"}, paper="arXiv:2503.09573", presets=PRESETS, sampling=SAMPLING
)
class BlockDiffusion(MaskedDiffusion):
    """Blocks of tokens in order, the tokens of each in any.

    block: tokens of one, a divisor of the window. steps: of sampling a block. The rest as of masked_diffusion.
    """

    def __init__(self, spec: DataSpec, *, block: PositiveInt = 4, steps: PositiveInt = 4, **rest: Any) -> None:
        super().__init__(spec, steps=steps, **rest)
        if self.window % block:
            raise GenbenchError(f"block = {block} must divide the window of {self.window} tokens")
        self.block = block

    @property
    def nfe(self) -> int:
        """Evaluations of the net a sample, each over one block: ``steps`` that draw it, and one that reads it."""
        return (self.steps + 1) * self.window // self.block - 1

    def times(self, x: Tensor, rng: torch.Generator) -> Tensor:
        """Each block of an example has a time of its own."""
        blocks = math.ceil(x.shape[1] / self.block)
        t = times(len(x) * blocks, self.least, rng)
        order = torch.randperm(len(t), generator=rng, device=rng.device)
        return t[order].view(-1, blocks).repeat_interleave(self.block, dim=1)[:, : x.shape[1]]

    def logits(self, x: Tensor, clean: Tensor, real: Tensor | None = None) -> Tensor:
        """What is said of each place of ``x`` ``(batch, tokens)``, whose blocks look at those before in ``clean``.

        real: ``(batch, tokens)`` bool, where there is data; everywhere where left out.
        """
        places = torch.arange(x.shape[1], device=x.device)
        block = places // self.block
        own = block[:, None] == block
        before, known = block[:, None] > block, block[:, None] >= block
        sees = torch.cat([torch.cat([own, before], 1), torch.cat([torch.zeros_like(own), known], 1)])
        if real is not None:
            # What is padding looks at itself, or it would look at nothing.
            sees = sees & real.repeat(1, 2)[:, None, None] | torch.eye(len(sees), dtype=torch.bool, device=x.device)
        out: Tensor = self.net(torch.cat([x, clean], dim=1), sees, places.repeat(2))
        return out[:, : x.shape[1]]

    def hidden_logits(self, batch: Batch, hidden: Tensor) -> Tensor:
        x = batch.data.masked_fill(~batch.mask, self.mask)
        return self.logits(x.masked_fill(hidden, self.mask), x, None if batch.lengths is None else batch.mask)

    def log_prob(self, batch: Batch) -> Tensor:
        """As of masked_diffusion; a last block that is not full is filled up with padding."""
        more = -batch.data.shape[1] % self.block
        if more:
            ends = torch.full((len(batch.data),), batch.data.shape[1], device=batch.data.device)
            lengths = ends if batch.lengths is None else batch.lengths
            batch = batch._replace(data=F.pad(batch.data, (0, more)), lengths=lengths)
        return super().log_prob(batch)

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        device = next(self.parameters()).device
        u = uniform(rng, n, self.window // self.block, self.steps, 2, self.block).to(device)
        x, cache = torch.empty(n, 0, dtype=torch.int64, device=device), Cache(self.window)
        for each in u.unbind(1):
            x = torch.cat([x, self._next(x, each, cache)], dim=1)
        return x

    def stream(self, prompt: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue ``prompt`` ``(tokens,)``, which may be empty, without end: a block is drawn, its tokens handed out.

        Blocks are counted from where the prompt begins; the first that is drawn holds what of it fills no block. Where
        the window is full, the newer half of its blocks is read again as if it came first.
        Raises GenbenchError for tokens that the data has not.
        """
        return (tokens[0] for tokens in self.stream_batch(prompt[None], rng))

    @torch.no_grad()
    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """The same of several side by side, ``(n, tokens)`` to ``(n,)`` at a time."""
        Tokens(self.vocab).check(Batch(prompts))
        x, cache = prompts.to(next(self.parameters()).device, torch.int64), Cache(self.window)
        half = self.window // self.block // 2 * self.block
        while True:
            given = x.shape[1] % self.block
            if x.shape[1] - given >= self.window:
                x, cache = x[:, x.shape[1] - given - half :], Cache(self.window)
            u = torch.rand(len(x), self.steps, 2, self.block, generator=rng).to(x.device)
            new = self._next(x, u, cache)[:, given:]
            x = torch.cat([x, new], dim=1)
            yield from new.unbind(1)

    def _next(self, x: Tensor, u: Tensor, cache: Cache) -> Tensor:
        """The block that ``x`` ``(n, tokens)`` ends in, or that comes behind it, ``(n, block)``.

        u: ``(n, steps, 2, block)`` in [0, 1). cache: of the whole blocks of x, of which it is shown those it lacks.
        """
        while cache.length + self.block <= x.shape[1]:
            block = x[:, cache.length : cache.length + self.block]
            self.net(block, cache=cache)
            cache.note(block)
        new = F.pad(x[:, cache.length :], (0, cache.length + self.block - x.shape[1]), value=self.mask)
        for i in range(self.steps, 0, -1):
            new = shown(new, self.net(new, cache=cache), u[:, self.steps - i], i, self.mask, self.drawing)
        return new
