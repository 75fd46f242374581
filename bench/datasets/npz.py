"""Arrays in a .npz file as a dataset: images or vectors, in one array or in several splits, with labels or without."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from bench import DataError, dataset
from bench.datasets._image import ImageDataset, Splits
from bench.datasets._split import ALIASES, Share, complete, numbered
from bench.datasets._vector import VectorDataset
from bench.errors import named
from bench.foreign import locate
from bench.protocols import SplitName
from bench.reading import check
from bench.reading.arrays import KEYS, array_forms, read_arrays
from bench.reading.memory import from_array

MAKE: Mapping[str, type[ImageDataset | VectorDataset]] = {"image": ImageDataset, "vector": VectorDataset}
EXAMPLES = ("{}", "{}_images", "{}_vectors", "x_{}", "X_{}")
LABELS = ("{}_labels", "y_{}")
WHOLE, WHOLE_LABELS = (*KEYS, "x", "X"), ("labels", "y")


def modality_of(path: str) -> str:
    """Whether the arrays are images or vectors, of their headers alone. Raises DataError for neither."""
    forms = array_forms(locate(path))
    name = _names(forms, path)["train"][0]
    shape, dtype = forms[name]
    if len(shape) == 2:
        return "vector"
    if len(shape) == 4 or (len(shape) == 3 and dtype == np.uint8):
        return "image"
    raise DataError(f"{named(path)}: {name} is {shape} {dtype}: images are (n, C, H, W) uint8, vectors (n, D)")


@dataset("npz:", modality=modality_of, locate=lambda: "npz:PATH")
def npz(path: str, *, valid: Share = 0.1, test: Share = 0.1) -> ImageDataset | VectorDataset:
    """Arrays in a .npz: npz:PATH; `images` (uint8) or `vectors`, and `labels`, or `train`, `train_labels`, `test`, ...

    valid, test: shares that are held out where the file sets none apart.
    """
    modality, arrays = modality_of(path), read_arrays(locate(path))
    names = _names(arrays, path)
    examples = {split: _examples(arrays[found], modality, f"{path}: {found}") for split, (found, _) in names.items()}
    if len({x.shape[1:] for x in examples.values()}) > 1:
        shapes = ", ".join(str(x.shape) for x in examples.values())
        raise DataError(f"{named(path)}: all splits must be of one shape, got {shapes}")
    labels, classes = _labels({split: arrays[found] for split, (_, found) in names.items() if found}, examples, path)
    given: Splits = {split: (x, labels.get(split)) for split, x in examples.items()}
    return MAKE[modality](f"npz:{path}", complete(named(path), given, valid, test), classes)


def _names(held: Mapping[str, Any], path: str) -> dict[SplitName, tuple[str, str]]:
    """The arrays of examples and of labels ("" for none) of each split. Raises DataError where there is no train."""

    def first(*names: str) -> str:
        return next((name for name in names if name in held), "")

    found: dict[SplitName, tuple[str, str]] = {}
    for word, split in ALIASES.items():
        if examples := first(*(form.format(word) for form in EXAMPLES)):
            found[split] = examples, first(*(form.format(word) for form in LABELS))
    if not found and (examples := first(*WHOLE)):
        found["train"] = examples, first(*WHOLE_LABELS)
    if "train" not in found:
        names = named(", ".join(held) or "nothing")
        raise DataError(
            f"{named(path)} holds {names}; expected `images` or `vectors` (and `labels`), or `train` and `test`"
        )
    return found


def _examples(array: np.ndarray, modality: str, what: str) -> np.ndarray:
    grey = array[:, None] if modality == "image" and array.ndim == 3 else array
    found: np.ndarray = np.asarray(check(from_array(grey, named(what)), modality, named(what)))
    return found


def _labels(
    arrays: Mapping[SplitName, np.ndarray], examples: Mapping[SplitName, np.ndarray], path: str
) -> tuple[dict[SplitName, np.ndarray], int | None]:
    """Of every split 0..classes-1; of none where a split has no labels. Raises DataError for what numbers no class."""
    if arrays.keys() != examples.keys():
        return {}, None
    for split, x in arrays.items():
        if x.size != len(examples[split]) or x.dtype.kind not in "iuUb":
            raise DataError(
                f"{named(path)}: labels of {split} must be a whole number or a name for each of {len(examples[split])} "
                f"examples, got {x.shape} {x.dtype}"
            )
    return numbered(arrays)
