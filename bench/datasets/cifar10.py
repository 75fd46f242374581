"""CIFAR-10 (Krizhevsky 2009), from parquet files of encoded images or from torchvision's folder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from bench import DataError, dataset
from bench.datasets._content import fetch_whole, find
from bench.datasets._image import ImageDataset, Splits
from bench.foreign import decoding
from bench.reading.encoded import open_picture

_PLACES = ("cifar10", "hf/cifar10", "cifar-10-batches-py")
_HOW = (
    "set `download = true` in the suite, or point `root` or GENBENCH_DATA at a folder that holds "
    "cifar10/{train,test}.parquet"
)
_ANEW = "; delete it and get it anew"


@dataset("cifar10", modality="image", locate=lambda: str(find("CIFAR-10", "", _PLACES, _HOW)))
def cifar10(*, root: str = "", download: bool = False) -> ImageDataset:
    """CIFAR-10, 32x32 RGB: 45,000 train, 5,000 valid (the last of the training set), 10,000 test.

    root: the folder it lies in; left out: GENBENCH_DATA, or ``data`` here.   download: it where it is not there.
    """
    if download:
        from torchvision.datasets import CIFAR10

        fetch_whole(CIFAR10, "CIFAR-10", root)
    folder = find("CIFAR-10", root, _PLACES, _HOW)
    read = _from_torchvision if folder.name == "cifar-10-batches-py" else _from_parquet
    train, test = read(folder, "train"), read(folder, "test")
    splits: Splits = {
        "train": (train[0][:45000], train[1][:45000]),
        "valid": (train[0][45000:], train[1][45000:]),
        "test": test,
    }
    return ImageDataset("cifar10", splits, classes=10)


def _from_parquet(folder: Path, half: str) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow.parquet

    path = folder / f"{half}.parquet"
    with decoding(path.absolute(), _ANEW):
        table = pyarrow.parquet.read_table(path, columns=["image", "label"]).to_pydict()
        pixels = np.stack([_decode(row["bytes"]) for row in table["image"]])
        labels = np.asarray(table["label"], dtype=np.int64)
    return _whole(pixels, labels, path, half)


def _decode(encoded: bytes) -> np.ndarray:
    return np.asarray(open_picture(io.BytesIO(encoded)).convert("RGB"))


def _from_torchvision(folder: Path, half: str) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10

    with decoding(f"CIFAR-10 in {folder.absolute()}", _ANEW):
        found = CIFAR10(str(folder.parent), train=half == "train", download=False)
    return _whole(found.data, np.asarray(found.targets), folder, half)


def _whole(pixels: np.ndarray, labels: np.ndarray, path: Path, half: str) -> tuple[np.ndarray, np.ndarray]:
    """Pixels ``(n, 3, 32, 32)`` and labels of all of a half. Raises DataError for more, fewer or others."""
    n = 50_000 if half == "train" else 10_000
    if pixels.shape != (n, 32, 32, 3) or not (labels.shape == (n,) and 0 <= labels.min() <= labels.max() < 10):
        raise DataError(f"{path.absolute()} holds {pixels.shape}, labels {labels.shape}; not CIFAR-10's {half}{_ANEW}")
    return pixels.transpose(0, 3, 1, 2), labels
