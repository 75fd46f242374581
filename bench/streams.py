"""Named random streams. A stream is found from (seed, name, index) alone, so a new one never moves an old one."""

from __future__ import annotations

import functools
import hashlib
import random
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from bench.errors import GenbenchError


def stream_seed(seed: int, name: str, index: int = 0) -> int:
    """63 bits of SHA-256 over the three."""
    digest = hashlib.sha256(f"{seed}/{name}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator at the start of the stream."""
    return torch.Generator(device).manual_seed(stream_seed(seed, name, index))


def seed_globals(seed: int) -> None:
    """Put the global generators of torch, numpy and Python at the start of this seed, for whoever draws from them.

    Without an accelerator torch's own function notes the seed for each that may come, ten times as long as it takes.
    """
    seed_torch = torch.manual_seed if _accelerated() else torch.default_generator.manual_seed
    seed_torch(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


@functools.cache
def _accelerated() -> bool:
    return torch.accelerator.is_available()


class Rows:
    """Draws for n samples. Those of row i come from the i-th seed taken from ``rng`` and depend on nothing else,

    so that sample 17 is the same whatever the batch size. ``rng`` must live on the CPU, and so do the draws.
    A sampler that draws more than once takes all of it from one Rows: each row goes on in its own stream. A library
    that draws by itself is handed ``streams``, a generator for each row.
    """

    def __init__(self, rng: torch.Generator, n: int) -> None:
        seeds = torch.randint(2**63 - 1, (n,), generator=rng).tolist()
        self.streams = [torch.Generator().manual_seed(seed) for seed in seeds]

    def normal(self, *shape: int) -> Tensor:
        """``(n, *shape)`` standard normal draws."""
        return self._fill(torch.Tensor.normal_, shape)

    def uniform(self, *shape: int) -> Tensor:
        """``(n, *shape)`` draws from [0, 1)."""
        return self._fill(torch.Tensor.uniform_, shape)

    def labels(self, classes: int, asked: Tensor | None = None) -> Tensor:
        """The labels asked for, or each class as likely as any other, ``(n,)`` int64 in 0..classes - 1.

        They are drawn in either case, so that asking for what would have been drawn gives the same samples. Raises
        GenbenchError as ``checked_labels``.
        """
        drawn = (self.uniform().double() * classes).long()
        return drawn if asked is None else checked_labels(asked, len(drawn), classes)

    def _fill(self, fill: Callable[..., Tensor], shape: tuple[int, ...]) -> Tensor:
        out = torch.empty(len(self.streams), *shape)
        for row, rng in zip(out, self.streams, strict=True):
            fill(row, generator=rng)
        return out


def checked_labels(labels: Tensor, n: int, classes: int) -> Tensor:
    """These labels of n examples as int64, where they are that. Raises GenbenchError unless they are n integers in
    0..classes - 1."""
    if not isinstance(labels, Tensor):
        found = f"here is a {type(labels).__name__}"
    elif labels.is_floating_point() or labels.is_complex() or labels.dtype == torch.bool:
        found = f"these are {labels.dtype}"
    elif labels.shape != (n,):
        found = f"these are of shape {tuple(labels.shape)}"
    elif n and not 0 <= labels.min() <= labels.max() < classes:
        found = f"these are in {int(labels.min())}..{int(labels.max())}"
    else:
        return labels.long()
    raise GenbenchError(f"labels must be a tensor of {n} integers in 0..{classes - 1}, one an example: {found}")


def normal(rng: torch.Generator, n: int, *shape: int) -> Tensor:
    """``(n, *shape)`` standard normal draws, of a sampler that draws but once; see ``Rows``."""
    return Rows(rng, n).normal(*shape)


def uniform(rng: torch.Generator, n: int, *shape: int) -> Tensor:
    """``(n, *shape)`` draws from [0, 1), of a sampler that draws but once; see ``Rows``."""
    return Rows(rng, n).uniform(*shape)
