"""Optical recognition of handwritten digits (Alpaydin & Kaynak 1998), as scikit-learn carries it."""

from __future__ import annotations

import numpy as np

from bench import dataset
from bench.datasets._content import carried_digits
from bench.datasets._image import DIGITS, ImageDataset, carve


@dataset("digits", modality="image")
def digits() -> ImageDataset:
    """1,797 digits, 8x8 grey, 17 levels spread over 0..255; embedded (1,197 train, 300 valid, 300 test)."""
    pixels, labels = carried_digits("sklearn", "datasets/data/digits.csv.gz", (1797, 1, 8, 8), _read)
    levels = np.rint(pixels * (255 / 16)).astype(np.uint8)
    return ImageDataset("digits", carve(levels, labels, {"train": 1197, "valid": 300, "test": 300}), DIGITS)


def _read() -> tuple[np.ndarray, np.ndarray]:
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    return pixels, labels
