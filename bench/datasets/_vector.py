"""Vectors in memory, as they are."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS, Splits, parts_of
from bench.protocols import Batch, DataSpec


class VectorSplit:
    """``rows``: ``(n, D)`` float32; ``labels``: ``(n,)`` int64, or None."""

    def __init__(self, rows: np.ndarray, labels: np.ndarray | None) -> None:
        self.rows = torch.from_numpy(np.ascontiguousarray(rows, dtype=np.float32))
        self.labels = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.rows)

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.rows[index], None if self.labels is None else self.labels[index])


class VectorDataset:
    """Three splits of vectors ``(n, D)`` of any scale, with labels ``(n,)`` in 0..classes-1 or without."""

    def __init__(self, name: str, splits: Splits, classes: int | None) -> None:
        self.name = name
        self.spec = DataSpec("vector", (splits["train"][0].shape[1],), "continuous", classes=classes)
        self.fingerprint = fingerprint("vector/1", *parts_of(splits))
        self.train, self.valid, self.test = (VectorSplit(*splits[s]) for s in SPLITS)
