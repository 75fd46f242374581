"""A folder or .zip of pictures as a dataset."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps
from pydantic import PositiveInt

from bench import DataError, dataset
from bench.datasets._image import ImageDataset, Splits
from bench.datasets._split import ALIASES, Share, complete, numbered
from bench.errors import named
from bench.foreign import afford, locate
from bench.modalities._pictures import Pictures
from bench.protocols import SplitName
from bench.reading import read

_log = logging.getLogger("genbench")


@dataset("folder:", modality="image", locate=lambda: "folder:PATH")
def folder(path: str, *, size: PositiveInt | None = None, valid: Share = 0.1, test: Share = 0.1) -> ImageDataset:
    """Pictures in a folder or .zip: folder:PATH; sub-folders are labels, or train, valid and test with labels in them.

    size: every picture is cut to its central square and brought to so many pixels a side; needed where sizes differ.
    valid, test: shares that are held out where the folder sets none apart.
    """
    pictures = read(locate(path), _log.warning)
    if not isinstance(pictures, Pictures):
        raise DataError(f"{named(path)} is neither a folder nor a .zip of pictures")
    pixels = _pixels(pictures, path, size)
    below = [_below(name, path) for name in pictures.names]
    apart = all(parts and parts[0] in ALIASES for parts in below) and any(parts[0] == "train" for parts in below)
    sides: dict[SplitName, list[int]] = {}
    for row, parts in enumerate(below):
        sides.setdefault(ALIASES[parts[0]] if apart else "train", []).append(row)
    kinds = [parts[apart : apart + 1] for parts in below]
    labels, classes = np.array(["".join(kind) for kind in kinds]), None
    if labelled := all(kinds):
        found, classes = numbered({"train": labels})
        labels = found["train"]
    splits: Splits = {side: (pixels[rows], labels[rows] if labelled else None) for side, rows in sides.items()}
    return ImageDataset(f"folder:{path}", complete(named(path), splits, valid, test), classes)


def _below(name: str, path: str) -> Sequence[str]:
    """The folders between the root and a picture."""
    start = str(locate(path))
    return PurePosixPath(name.removeprefix(f"{start}/").removeprefix(f"{start}: ")).parts[:-1]


def _pixels(pictures: Pictures, path: str, size: int | None) -> np.ndarray:
    """``(n, C, H, W)`` uint8; for a size the central squares, resized by Pillow's antialiased bicubic filter.

    Raises DataError where sizes differ and none is asked for.
    """
    if size is None and len(pictures.sizes) > 1:
        some = ", ".join(f"{width}x{height}" for height, width in list(pictures.sizes)[:3])
        raise DataError(f"{named(path)}: pictures differ in size ({some}): say with size = 64 what to bring them to")
    height, width = (size, size) if size else next(iter(pictures.sizes))
    afford(path, len(pictures) * pictures.channels * height * width)
    if size is None:
        return pictures.load().numpy()
    found = np.empty((len(pictures), pictures.channels, size, size), np.uint8)
    for row in range(len(pictures)):
        picture = np.asarray(pictures[row : row + 1][0])  # (C, H, W)
        image = Image.fromarray(picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0))
        fitted = np.asarray(ImageOps.fit(image, (size, size), Image.Resampling.BICUBIC))
        found[row] = fitted[None] if fitted.ndim == 2 else fitted.transpose(2, 0, 1)
    return found
