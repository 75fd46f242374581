"""Piano rolls: pieces of unequal length, ``(steps, keys)`` of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS
from bench.errors import DataError
from bench.protocols import Batch, DataSpec, SplitName

if TYPE_CHECKING:
    from bench.datasets._findings import Preparation

Rolls = Mapping[SplitName, Sequence[np.ndarray]]
KEYS, LOWEST = 88, 21  # of a piano: MIDI's number of the first


class RollSplit:
    """Pieces side by side, silence behind each up to the longest of all splits.

    even: whether all pieces of all splits are of one length, so that there is none.
    """

    def __init__(self, pieces: Sequence[np.ndarray], longest: int, even: bool = False) -> None:
        self.rolls = torch.zeros(len(pieces), longest, pieces[0].shape[1], dtype=torch.uint8)
        self.lengths = torch.tensor([len(piece) for piece in pieces])
        self.even = even
        for roll, piece in zip(self.rolls, pieces, strict=True):
            roll[: len(piece)] = torch.from_numpy(piece)

    def __len__(self) -> int:
        return len(self.rolls)

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.rolls[index].float(), lengths=None if self.even else self.lengths[index])


class RollDataset:
    """Pieces of music in three splits, each piece in one. Raises DataError for a split that is empty.

    rate: frames a second, by which they are played.   prepared: of pieces that were cleaned, what was found and done.
    """

    def __init__(self, name: str, pieces: Rolls, rate: float | None = None) -> None:
        longest = longest_of(name, pieces)
        keys = pieces["train"][0].shape[1]
        self.name = name
        self.spec = DataSpec("music", (longest, keys), "binary", rate=rate)
        self.fingerprint = fingerprint("rolls/1", *(part for s in SPLITS for part in (s, *pieces[s])))
        even = all(len(piece) == longest for split in SPLITS for piece in pieces[split])
        self.train, self.valid, self.test = (RollSplit(pieces[s], longest, even) for s in SPLITS)
        self.prepared: Preparation | None = None


def longest_of(name: str, pieces: Rolls) -> int:
    """Steps of the longest piece. Raises DataError for a split that is empty."""
    for split in SPLITS:
        if not pieces[split]:
            raise DataError(f"{name}, {split}: there is no piece of music")
    return max(len(piece) for split in SPLITS for piece in pieces[split])
