"""Moving MNIST (Srivastava, Mansimov & Salakhutdinov 2015, arXiv:1502.04681, section 4.2), generated as its code does.

A clip shows digits that move through a frame of 64x64 and bounce off its edges. Each begins at a uniform place and
moves in a uniform direction, a tenth of the way that it has (the frame less the digit) a frame; where two overlap the
brighter pixel is seen. That all are as fast is of the authors' code: their text has speeds drawn from a range. The test
clips follow the same law as the file that others share, and are not its clips. No clip of one split shows a digit that
another split shows.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
import torch
from annotated_types import Ge
from pydantic import PositiveInt
from torch import Tensor

from bench import dataset
from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS, ImageDataset, ImageSplit
from bench.datasets.mnist import mnist, mnist5k
from bench.modalities._pixels import seen
from bench.protocols import Batch, DataSpec, SplitName

FRAME, DIGIT = 64, 28  # pixels a side, as published
STEP = 0.1  # of the way that a digit has, a frame
RATE = 10.0  # frames a second, as clips of it are usually shown: they have none of their own
PROBE = 16  # clips of each split that are known by their content
VERSION = "moving_mnist/1"


@dataset("moving_mnist", modality="video")
def moving_mnist(
    *,
    size: Literal[64, 32] = 64,
    frames: Annotated[int, Ge(2)] = 20,
    digits: PositiveInt = 2,
    images: Literal["mnist5k", "mnist"] = "mnist5k",
    root: str = "",
    clips: PositiveInt = 10_000,
    held_out: Annotated[int, Ge(2)] = 1000,
) -> MovingDigits:
    """Moving MNIST: digits that bounce in a frame, generated as published; of embedded digits, or of all of MNIST.

    size: pixels a side; 32 halves all lengths. frames: of a clip. digits: in a clip; those of one have its label.
    images: where digits come from; root: of "mnist". clips: for training; held_out: to validate, and as many to test.
    None is kept: a clip is made of its number when it is asked for.
    """
    source = mnist5k() if images == "mnist5k" else mnist(root=root)
    return MovingDigits(source, size, frames, digits, {"train": clips, "valid": held_out, "test": held_out})


class MovingDigits:
    """Three splits of clips ``(n, frames, 1, size, size)`` of the digits of a dataset of images of 28x28."""

    def __init__(self, source: ImageDataset, size: int, frames: int, digits: int, counts: dict[SplitName, int]) -> None:
        self.name = "moving_mnist"
        classes = source.spec.classes if digits == 1 else None
        self.spec = DataSpec("video", (frames, 1, size, size), "continuous", classes=classes, rate=RATE)
        self.train, self.valid, self.test = (
            MovingSplit(getattr(source, split), number, counts[split], size, frames, digits)
            for number, split in enumerate(SPLITS)
        )
        about = f"{VERSION}/{source.fingerprint}/{size}/{frames}/{digits}/{[counts[split] for split in SPLITS]}"
        parts = (self.train, self.valid, self.test)
        # Of a few clips the content too: another version of numpy might draw others.
        self.fingerprint = fingerprint(about, *(part.clips(np.arange(min(PROBE, len(part)))) for part in parts))


class MovingSplit:
    """So many clips. Clip i rests on its number, the split's and the digits alone, and on no clip before it."""

    def __init__(self, source: ImageSplit, number: int, count: int, size: int, frames: int, digits: int) -> None:
        self.number, self.count, self.size, self.frames, self.digits = number, count, size, frames, digits
        pixels = source.pixels.numpy()[:, 0]
        self.images = pixels if size == FRAME else halved(pixels)
        self.labels = source.labels

    def __len__(self) -> int:
        return self.count

    def batch(self, index: Tensor) -> Batch:
        rows = index.numpy()
        data = seen(torch.from_numpy(self.clips(rows)), binary=False)
        if self.digits > 1:
            return Batch(data)
        return Batch(data, self.labels[torch.tensor([int(self.shown(row)[0][0]) for row in rows])])

    def clips(self, rows: np.ndarray) -> np.ndarray:
        """uint8 ``(n, frames, 1, size, size)``."""
        found = np.zeros((len(rows), self.frames, 1, self.size, self.size), np.uint8)
        for clip, row in zip(found, rows, strict=True):
            which, u = self.shown(row)
            for image, corners in zip(self.images[which], self.corners(u), strict=True):
                overlay(clip[:, 0], image, corners)
        return found

    def shown(self, row: int) -> tuple[np.ndarray, np.ndarray]:
        """The digits of a clip ``(digits,)``, and what their paths are drawn from ``(digits, 3)`` in [0, 1)."""
        rng = np.random.default_rng([1502_04681, self.number, int(row)])
        return (rng.random(self.digits) * len(self.images)).astype(int), rng.random((self.digits, 3))

    def corners(self, u: np.ndarray) -> np.ndarray:
        """Upper left corners of the digits, ``(digits, frames, 2)`` whole pixels, rows first."""
        way = self.size - self.images.shape[1]
        found: np.ndarray = (way * paths(u, self.frames)).astype(int)
        return found


def paths(u: np.ndarray, frames: int, step: float | np.ndarray = STEP) -> np.ndarray:
    """Places in the unit square, ``(n, frames, 2)``, of uniform draws ``(n, 3)``: of the beginning and the direction.

    step: how far each goes a frame, one for all or ``(n, 1)``. At an edge it stops, and turns round.
    """
    place, angle = u[:, :2].copy(), 2 * np.pi * u[:, 2]
    move = step * np.stack([np.sin(angle), np.cos(angle)], 1)
    found = np.empty((len(u), frames, 2))
    for frame in range(frames):
        place += move
        move = np.where((place <= 0) | (place >= 1), -move, move)
        place = place.clip(0, 1)
        found[:, frame] = place
    return found


def overlay(clip: np.ndarray, image: np.ndarray, corners: np.ndarray) -> None:
    """Lay an image ``(side, side)`` into each frame of ``(frames, size, size)`` at its corner: the brighter stays."""
    side = len(image)
    for frame, (top, left) in zip(clip, corners, strict=True):
        place = frame[top : top + side, left : left + side]
        np.maximum(place, image, out=place)


def halved(pixels: np.ndarray) -> np.ndarray:
    """uint8 ``(n, 2h, 2w)`` at half the size: means of squares of four, which is antialiased."""
    n, height, width = pixels.shape
    means = pixels.reshape(n, height // 2, 2, width // 2, 2).mean((2, 4))
    found: np.ndarray = np.rint(means).astype(np.uint8)
    return found
