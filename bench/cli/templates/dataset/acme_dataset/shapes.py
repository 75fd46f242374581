"""Grey pictures of discs and squares, of any place, size and shade, drawn from a seed.

A pixel is as bright as the share of it that the shape covers, nearly: a shape's edge is one pixel wide.
"""

from typing import Annotated

import numpy as np
from annotated_types import Ge
from bench import Dataset, ImageDataset, dataset

DISC, SQUARE = 0, 1


@dataset("acme_dataset", modality="image")
def shapes(*, n: Annotated[int, Ge(10)] = 3000, size: Annotated[int, Ge(8)] = 16, seed: int = 0) -> Dataset:
    """Grey discs and squares; the label says which.

    n: pictures, of which a tenth is held out to validate and a tenth to test.   size: pixels of a side.
    """
    rng = np.random.default_rng(seed)
    labels = rng.integers(2, size=n)
    pixels = drawn(labels, size, rng)
    parts = np.split(np.arange(n), [n - 2 * (n // 10), n - n // 10])
    train, valid, test = ((pixels[part], labels[part]) for part in parts)
    return ImageDataset(
        "acme_dataset",
        {"train": train, "valid": valid, "test": test},
        classes=2,
    )


def drawn(labels: np.ndarray, size: int, rng: np.random.Generator) -> np.ndarray:
    """``(n, 1, size, size)`` uint8: a shape for each label."""
    radius, shade = rng.uniform(size / 5, size / 3, len(labels)), rng.uniform(128, 255, len(labels))
    centre = rng.uniform(radius, size - 1 - radius, (2, len(labels)))
    places = np.arange(size)
    y = np.abs(places[:, None] - centre[0][:, None, None])  # (n, size, 1)
    x = np.abs(places[None, :] - centre[1][:, None, None])  # (n, 1, size)
    away = np.where(labels[:, None, None] == DISC, np.hypot(x, y), np.maximum(x, y))
    covered = np.clip(radius[:, None, None] - away + 0.5, 0, 1)
    pixels: np.ndarray = np.rint(covered * shade[:, None, None]).astype(np.uint8)
    return pixels[:, None]
