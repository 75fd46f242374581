"""Images in memory: uint8 arrays, handed to models as float32 in [-1, 1]."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.errors import DataError
from bench.modalities._pixels import seen
from bench.protocols import Batch, DataSpec, SplitName

if TYPE_CHECKING:
    from bench.datasets._findings import Preparation

Splits = Mapping[SplitName, tuple[np.ndarray, np.ndarray | None]]
SPLITS: tuple[SplitName, ...] = ("train", "valid", "test")


class ImageSplit:
    """``pixels``: ``(n, C, H, W)`` uint8; ``labels``: ``(n,)`` int64, or None. binary: they are 0 and 255."""

    def __init__(self, pixels: np.ndarray, labels: np.ndarray | None, binary: bool = False) -> None:
        self.binary = binary
        self.pixels = torch.from_numpy(np.ascontiguousarray(pixels))
        self.condition = None if labels is None else torch.from_numpy(np.ascontiguousarray(labels, dtype=np.int64))

    def __len__(self) -> int:
        return len(self.pixels)

    @property
    def labels(self) -> Tensor:
        """``(n,)`` int64. Raises DataError where there are none."""
        if self.condition is None:
            raise DataError("these images have no labels")
        return self.condition

    @property
    def stored(self) -> Tensor:
        return self.pixels

    def batch(self, index: Tensor) -> Batch:
        return Batch(seen(self.pixels[index], self.binary), None if self.condition is None else self.condition[index])


class ImageDataset:
    """Three splits of images, with labels or without.

    splits: by name, pixels ``(n, C, H, W)`` uint8 0..255 and labels ``(n,)`` in 0..classes-1, or None.
    classes: how many there are, or what each is called, which are the captions.
    binary: images are binarised once, with a fixed seed: a pixel is 255 with the probability level / 255
    (Salakhutdinov & Murray 2008, section 5.1), and models see 0 and 1. It is not the split of Larochelle & Murray
    (2011) that many papers take: nats differ slightly.
    known: their fingerprint, where it is known already, so that arrays that are mapped need not be read.
    prepared: of pictures that went through the stages, what was found and done.   found: ``(pairs, 2, C, H, W)``, of
    what stood twice the first ones, each beside the one that stayed.
    Raises DataError for arrays of other shapes or types, or an empty split.
    """

    def __init__(
        self,
        name: str,
        splits: Splits,
        classes: int | Sequence[str] | None,
        binary: bool = False,
        known: str | None = None,
    ) -> None:
        for split, (pixels, labels) in splits.items():
            labelled = labels is None or len(labels) == len(pixels)
            if pixels.dtype != np.uint8 or pixels.ndim != 4 or not labelled or not len(pixels):
                raise DataError(f"{name}, {split}: images must be (n, C, H, W) uint8, one label each, and not empty")
        shape = tuple(int(size) for size in splits["train"][0].shape[1:])
        splits = _binarised(splits) if binary else splits
        self.name = name
        count, captions = counted_and_named(classes)
        self.spec = DataSpec("image", shape, "binary" if binary else "continuous", classes=count, captions=captions)
        self.fingerprint = known or fingerprint("image/1", *parts_of(splits))
        self.prepared: Preparation | None = None
        self.found: np.ndarray | None = None
        self.train, self.valid, self.test = (ImageSplit(*splits[s], binary) for s in SPLITS)


def _binarised(splits: Splits) -> Splits:
    found: dict[SplitName, tuple[np.ndarray, np.ndarray | None]] = {}
    for number, split in enumerate(SPLITS):
        pixels, labels = splits[split]
        draws = np.random.default_rng([2008, number]).random(pixels.shape, np.float32)
        found[split] = np.where(255 * draws < pixels, np.uint8(255), np.uint8(0)), labels
    return found


DIGITS = ("a zero", "a one", "a two", "a three", "a four", "a five", "a six", "a seven", "an eight", "a nine")


def counted_and_named(classes: int | Sequence[str] | None) -> tuple[int | None, tuple[str, ...] | None]:
    """How many classes there are, and the captions, which are their names."""
    if classes is None or isinstance(classes, int):
        return classes, None
    return len(classes), tuple(classes)


def parts_of(splits: Splits) -> Iterator[str | np.ndarray]:
    """What a fingerprint is taken of: each split's name, examples and labels."""
    for split in SPLITS:
        yield split
        yield from (part for part in splits[split] if part is not None)


def carve(
    pixels: np.ndarray, labels: np.ndarray, sizes: Mapping[SplitName, int], seed: int = 0
) -> dict[SplitName, tuple[np.ndarray, np.ndarray]]:
    """Cut one set into splits of these sizes, shuffled by a fixed seed, the same for every reader."""
    order = np.random.default_rng(seed).permutation(len(pixels))
    ends = np.cumsum(list(sizes.values()))
    parts = np.split(order[: ends[-1]], ends[:-1])
    return {name: (pixels[part], labels[part]) for name, part in zip(sizes, parts, strict=True)}
