"""Images in memory: uint8 arrays, handed to models as float32 in [-1, 1]."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.errors import DataError
from bench.protocols import Batch, DataSpec, SplitName

Splits = Mapping[SplitName, tuple[np.ndarray, np.ndarray]]
SPLITS: tuple[SplitName, ...] = ("train", "valid", "test")


class ImageSplit:
    """``pixels``: ``(n, C, H, W)`` uint8; ``labels``: ``(n,)`` int64."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray) -> None:
        self.pixels = torch.from_numpy(np.ascontiguousarray(pixels))
        self.labels = torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.pixels)

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.pixels[index].float() / 127.5 - 1, self.labels[index])


class ImageDataset:
    """Three splits of images with labels.

    splits: by name, pixels ``(n, C, H, W)`` uint8 0..255 and labels ``(n,)`` in 0..classes-1.
    Raises DataError for arrays of other shapes or types, or an empty split.
    """

    def __init__(self, name: str, splits: Splits, classes: int) -> None:
        for split, (pixels, labels) in splits.items():
            if pixels.dtype != np.uint8 or pixels.ndim != 4 or len(pixels) != len(labels) or not len(pixels):
                raise DataError(f"{name}, {split}: images must be (n, C, H, W) uint8, one label each, and not empty")
        shape = tuple(int(size) for size in splits["train"][0].shape[1:])
        self.name = name
        self.spec = DataSpec("image", shape, "continuous", classes=classes)
        self.fingerprint = fingerprint("image/1", *(part for s in SPLITS for part in (s, *splits[s])))
        self.train, self.valid, self.test = (ImageSplit(*splits[s]) for s in SPLITS)


def carve(
    pixels: np.ndarray, labels: np.ndarray, sizes: Mapping[SplitName, int], seed: int = 0
) -> dict[SplitName, tuple[np.ndarray, np.ndarray]]:
    """Cut one set into splits of these sizes, shuffled by a fixed seed, the same for every reader."""
    order = np.random.default_rng(seed).permutation(len(pixels))
    ends = np.cumsum(list(sizes.values()))
    parts = np.split(order[: ends[-1]], ends[:-1])
    return {name: (pixels[part], labels[part]) for name, part in zip(sizes, parts, strict=True)}
