"""The sets that torchvision knows, by the names of their classes."""

from __future__ import annotations

import inspect
import logging
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from bench import DataError, dataset
from bench.datasets._content import data_root
from bench.datasets._image import ImageDataset
from bench.datasets._items import Item, Source, identity_of
from bench.datasets._prepared import prepare
from bench.datasets._split import ALIASES
from bench.datasets._stages import Stages, staged
from bench.errors import hint, named, shown
from bench.foreign import decoding
from bench.protocols import SplitName
from bench.reading.encoded import Decoded, pixels_of

_HOW = "set `download = true`, or point `root` or GENBENCH_DATA at a folder that torchvision filled"
_log = logging.getLogger("genbench")
# In the names of those whose items are not a picture and its class.
_OTHERS = ("Folder", "Detection", "Captions", "Segmentation", "Stereo", "Flow", "Vision", "Fake", "Moving", "Kinetics")

# What some call what they train on, where they have no "train".
_TRAIN: Mapping[str, SplitName] = {"trainval": "train", "train-standard": "train"}


@dataset("torchvision:", modality="image", locate=lambda: "torchvision:NAME")
@staged
def torchvision(name: str, stages: Stages, *, root: str = "", download: bool = False) -> ImageDataset:
    """A set that torchvision reads: torchvision:NAME, as torchvision:FashionMNIST; its own splits stay apart.

    root: the folder that torchvision filled, else GENBENCH_DATA.   download: have torchvision fetch it there.
    """
    kind, folder = _kind(name), data_root(root)
    if download and not (_own(kind, folder)):
        _log.warning("torchvision:%s: downloading to %s", kind.__name__, folder.absolute())
        got = [_made(kind, folder, {**options, "download": True}) is not None for _, options in _splits(kind)]
        if not any(got):
            raise _no_splits(kind)
    place = _own(kind, folder) or folder
    files = [path for path in place.rglob("*") if path.is_file()] if place.is_dir() else []
    if not files:
        raise DataError(f"no {kind.__name__} under {named(folder.absolute())}; {_HOW}")
    identity = f"{kind.__name__} {folder.absolute()} {identity_of(sorted(files))}"
    return prepare(Source(f"torchvision:{name}", identity, partial(_items, kind, folder)), stages)


def _kind(name: str) -> type:
    """Raises DataError for a name that is none of theirs."""
    from torchvision import datasets

    known = {each.lower(): each for each in datasets.__all__ if not any(other in each for other in _OTHERS)}
    if name.lower() not in known:
        raise DataError(f"torchvision has no set of pictures {shown(name)}{hint(name, known.values())}")
    found: type = getattr(datasets, known[name.lower()])
    return found


def _own(kind: type, folder: Path) -> Path | None:
    """The folder below the root that holds this set alone, as torchvision names such; None where there is none."""
    word = kind.__name__
    names = (getattr(kind, "base_folder", None), word, word.lower(), f"{word.lower()}_binary")
    return next((folder / each for each in names if isinstance(each, str) and (folder / each).is_dir()), None)


def _splits(kind: type) -> Iterator[tuple[SplitName | None, Mapping[str, Any]]]:
    """What a class is to be called with for each split that it may have."""
    parameters = inspect.signature(kind).parameters
    if "train" in parameters:
        yield from (("train", {"train": True}), ("test", {"train": False}))
    elif "split" in parameters:
        yield from ((split, {"split": word}) for word, split in {**ALIASES, **_TRAIN}.items())
    else:
        yield None, {}


def _no_splits(kind: type) -> DataError:
    return DataError(f"torchvision:{kind.__name__} cannot be used: its `split` is not of training and test")


def _items(kind: type, folder: Path) -> Iterator[Item]:
    had = set[SplitName | None]()
    for split, options in _splits(kind):
        if split in had or (made := _made(kind, folder, options)) is None:
            continue
        had.add(split)
        for row in range(len(made)):
            where = f"{split or kind.__name__} {row}"
            read, label = _drawn(made, row, where)
            yield Item(where, read, label, None, split)
    if not had:
        raise _no_splits(kind)


def _drawn(made: Any, row: int, where: str) -> tuple[Callable[[], Decoded], int | None]:
    """What reads a picture, and its class. They come decoded, together, and damage is told when it is read."""
    try:
        with decoding(where):
            picture, label = made[row]
            pixels = pixels_of(picture, where)
    except DataError as error:
        return partial(_raised, error), None
    return partial(Decoded, pixels), label if isinstance(label, int) else None


def _raised(error: DataError) -> Decoded:
    raise error


def _made(kind: Callable[..., Any], folder: Path, options: Mapping[str, Any]) -> Any:
    """One split; None where the class knows none of this name. Raises DataError for what is not there, or damaged."""
    try:
        with decoding(f"{kind.__name__} in {folder.absolute()}", f"; {_HOW}"):
            return kind(str(folder), **options)
    except DataError as error:
        if isinstance(error.__cause__, ValueError) and "split" in str(error.__cause__):
            return None
        raise
