"""What a net is told of a label by its words, so that a caption it never saw says something to it.

    e(caption) = W mean over words of (v[word] + mean over its n-grams of v[n-gram])

Bojanowski et al. 2017 (arXiv:1607.04606, section 3.2): a word is itself and the strings of 3 to 5 characters in it, "<"
and ">" at its ends, each with a vector in a table that they share by a hash. Words of one stem are so alike before
anything is learned, and captions of a few hundred pictures are enough to learn from, where an order of words is not yet
worth its price.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn

ROWS = 4096  # of the table
LENGTHS = range(3, 6)  # characters of an n-gram


class Captions(nn.Module):
    """Of labels ``(batch,)`` int64 in 0..len(captions) a vector each, ``(batch, size)``; the last stands for none."""

    def __init__(self, captions: Sequence[str], size: int) -> None:
        super().__init__()
        parts = [list(pieces(caption)) for caption in captions]
        self.table = nn.Embedding(ROWS, size)
        self.none = nn.Parameter(torch.randn(size))
        self.read = nn.Linear(size, size)
        shares = torch.zeros(len(captions), ROWS)  # of each row of the table in each caption
        for caption, found in enumerate(parts):
            for row, share in found:
                shares[caption, row] += share
        self.register_buffer("shares", shares, persistent=False)
        # Means of many vectors are short; what a table of labels says has a variance of 1.
        self.table.weight.data /= shares.square().sum(1).mean().sqrt().clamp(min=1e-6)

    shares: Tensor

    def forward(self, label: Tensor) -> Tensor:
        every = torch.cat([self.read(self.shares @ self.table.weight), self.none[None]])
        return every[label]


def pieces(caption: str) -> Iterator[tuple[int, float]]:
    """Rows of the table with their shares: of each word its own, and those of its n-grams together as much."""
    words = caption.lower().split()
    for word in words:
        yield _row(f"word {word}"), 0.5 / len(words)
        whole = f"<{word}>"
        grams = [whole[i : i + n] for n in LENGTHS for i in range(len(whole) - n + 1)] or [whole]
        for gram in grams:
            yield _row(gram), 0.5 / (len(words) * len(grams))


def _row(text: str) -> int:
    return zlib.crc32(text.encode()) % ROWS
