"""Piano rolls: pieces of unequal length, ``(steps, keys)`` of 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS
from bench.errors import DataError
from bench.protocols import Batch, DataSpec, SplitName


class RollSplit:
    """Pieces side by side, silence behind each up to the longest of all splits."""

    def __init__(self, pieces: Sequence[np.ndarray], longest: int) -> None:
        self.rolls = torch.zeros(len(pieces), longest, pieces[0].shape[1], dtype=torch.uint8)
        self.lengths = torch.tensor([len(piece) for piece in pieces])
        for roll, piece in zip(self.rolls, pieces, strict=True):
            roll[: len(piece)] = torch.from_numpy(piece)

    def __len__(self) -> int:
        return len(self.rolls)

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.rolls[index].float(), lengths=self.lengths[index])


class RollDataset:
    """Pieces of music in three splits, each piece in one. Raises DataError for a split that is empty."""

    def __init__(self, name: str, pieces: Mapping[SplitName, Sequence[np.ndarray]]) -> None:
        for split in SPLITS:
            if not pieces[split]:
                raise DataError(f"{name}, {split}: there is no piece of music")
        longest = max(len(piece) for split in SPLITS for piece in pieces[split])
        keys = pieces["train"][0].shape[1]
        self.name = name
        self.spec = DataSpec("music", (longest, keys), "binary")
        self.fingerprint = fingerprint("rolls/1", *(part for s in SPLITS for part in (s, *pieces[s])))
        self.train, self.valid, self.test = (RollSplit(pieces[s], longest) for s in SPLITS)
