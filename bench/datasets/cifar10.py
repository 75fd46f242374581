"""CIFAR-10 (Krizhevsky 2009), from parquet files of encoded images or from torchvision's folder."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
from PIL import Image

from bench import DataError, dataset
from bench.datasets.content import data_root, find
from bench.datasets.image import ImageDataset, Splits

_PLACES = ("cifar10", "hf/cifar10", "cifar-10-batches-py")
_HOW = (
    "set `download = true` in the suite, or point `root` or GENBENCH_DATA at a folder that holds "
    "cifar10/{train,test}.parquet"
)


@dataset("cifar10", modality="image", locate=lambda: str(find("CIFAR-10", "", _PLACES, _HOW)))
def cifar10(*, root: str = "", download: bool = False) -> ImageDataset:
    """CIFAR-10, 32x32 RGB: 45,000 train, 5,000 valid (the last of the training set), 10,000 test."""
    folder = _folder(root, download)
    read = _from_torchvision if folder.name == "cifar-10-batches-py" else _from_parquet
    train, test = read(folder, "train"), read(folder, "test")
    splits: Splits = {
        "train": (train[0][:45000], train[1][:45000]),
        "valid": (train[0][45000:], train[1][45000:]),
        "test": test,
    }
    return ImageDataset("cifar10", splits, classes=10)


def _folder(root: str, download: bool) -> Path:
    if download:
        from torchvision.datasets import CIFAR10

        try:
            CIFAR10(str(data_root(root)), download=True)
        except (RuntimeError, OSError) as error:
            raise DataError(f"cannot download CIFAR-10 to {data_root(root).absolute()}: {error}") from error
    return find("CIFAR-10", root, _PLACES, _HOW)


def _from_parquet(folder: Path, half: str) -> tuple[np.ndarray, np.ndarray]:
    import pyarrow
    import pyarrow.parquet

    path = folder / f"{half}.parquet"
    try:
        table = pyarrow.parquet.read_table(path, columns=["image", "label"]).to_pydict()
        pixels = np.stack([_decode(row["bytes"]) for row in table["image"]])
        labels = np.asarray(table["label"])
    except (pyarrow.ArrowException, OSError, KeyError, ValueError, TypeError) as error:
        raise DataError(f"cannot read {path.absolute()} ({error}); delete it and get it anew") from error
    return pixels.transpose(0, 3, 1, 2), labels


def _decode(encoded: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(encoded)).convert("RGB"))


def _from_torchvision(folder: Path, half: str) -> tuple[np.ndarray, np.ndarray]:
    from torchvision.datasets import CIFAR10

    try:
        found = CIFAR10(str(folder.parent), train=half == "train", download=False)
    # torchvision answers damaged files with RuntimeError, pickle errors, KeyError, ...
    except Exception as error:
        raise DataError(f"cannot read CIFAR-10 in {folder.absolute()} ({error}); delete it and get it anew") from error
    return found.data.transpose(0, 3, 1, 2), np.asarray(found.targets)
