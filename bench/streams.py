"""Named random streams. A stream is found from (seed, name, index) alone, so a new one never moves an old one."""

from __future__ import annotations

import hashlib
import random

import numpy as np
import torch
from torch import Tensor


def stream_seed(seed: int, name: str, index: int = 0) -> int:
    """63 bits of SHA-256 over the three."""
    digest = hashlib.sha256(f"{seed}/{name}/{index}".encode()).digest()
    return int.from_bytes(digest[:8], "big") >> 1


def stream(seed: int, name: str, index: int = 0, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator at the start of the stream."""
    return torch.Generator(device).manual_seed(stream_seed(seed, name, index))


def seed_globals(seed: int) -> None:
    """Put the global generators of torch, numpy and Python at the start of this seed, for whoever draws from them."""
    torch.manual_seed(seed)
    np.random.seed(seed % 2**32)
    random.seed(seed)


def normal(rng: torch.Generator, n: int, *shape: int) -> Tensor:
    """``(n, *shape)`` standard normal draws. Row i depends on the i-th seed taken from ``rng`` and on nothing else,

    so that sample 17 is the same whatever the batch size. ``rng`` must live on the CPU.
    """
    return _rows(rng, n, shape, normal=True)


def uniform(rng: torch.Generator, n: int, *shape: int) -> Tensor:
    """``(n, *shape)`` draws from [0, 1), row by row as in ``normal``."""
    return _rows(rng, n, shape, normal=False)


def _rows(rng: torch.Generator, n: int, shape: tuple[int, ...], *, normal: bool) -> Tensor:
    out = torch.empty(n, *shape)
    seeds = torch.randint(2**63 - 1, (n,), generator=rng).tolist()
    row_rng = torch.Generator()
    for row, seed in zip(out, seeds, strict=True):
        row_rng.manual_seed(seed)
        row.normal_(generator=row_rng) if normal else row.uniform_(generator=row_rng)
    return out
