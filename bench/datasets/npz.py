"""Arrays in a .npz file as a dataset: images, vectors or waveforms, in one array or in splits, with labels or not."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator, Mapping
from functools import partial
from typing import Any

import numpy as np

from bench import DataError, dataset
from bench.datasets._audio import AudioDataset
from bench.datasets._denoise import spectral_gating
from bench.datasets._format import Values, to_levels
from bench.datasets._image import ImageDataset, Splits
from bench.datasets._items import Item, Source, identity_of
from bench.datasets._prepared import prepare
from bench.datasets._split import ALIASES, complete, numbered
from bench.datasets._stages import ArrayStages, only, staged
from bench.datasets._vector import VectorDataset
from bench.errors import named, shown
from bench.foreign import locate
from bench.protocols import SplitName
from bench.reading import check
from bench.reading.arrays import KEYS, array_forms, read_arrays
from bench.reading.encoded import Decoded
from bench.reading.memory import from_array

EXAMPLES = ("{}", "{}_images", "{}_vectors", "{}_waveforms", "x_{}", "X_{}")
LABELS = ("{}_labels", "y_{}")
_log = logging.getLogger("genbench")
WHOLE, WHOLE_LABELS = (*KEYS, "waveforms", "x", "X"), ("labels", "y")


def modality_of(path: str) -> str:
    """Whether the arrays are images, vectors or waveforms, of their headers alone. Raises DataError for neither."""
    forms = array_forms(locate(path))
    name = _names(forms, path)["train"][0]
    shape, dtype = forms[name]
    if "waveforms" in name:
        return "audio"
    if len(shape) == 2:
        return "vector"
    if len(shape) == 4 or (len(shape) == 3 and dtype == np.uint8):
        return "image"
    raise DataError(
        f"{named(path)}: {name} is {shape} {dtype}: images are (n, C, H, W), or (n, H, W) uint8, vectors (n, D)"
    )


@dataset("npz:", modality=modality_of, locate=lambda: "npz:PATH")
@staged
def npz(path: str, stages: ArrayStages) -> ImageDataset | VectorDataset | AudioDataset:
    """Arrays in a .npz: npz:PATH; `images`, `vectors` or `waveforms`, and `labels`, or `train`, `train_labels`, ...

    values: the ends of images that are no levels: "0..1" or "-1..1".   denoise: of waveforms "spectral-gating".
    valid, test: shares that are held out where the file sets none apart.
    """
    modality, name = modality_of(path), f"npz:{path}"
    if modality == "image":
        items = partial(_items, path, stages.values)
        return prepare(Source(name, identity_of([locate(path)]), items), stages)
    only(path, modality, stages, ("denoise", "valid", "test"))
    known = ("spectral-gating",) if modality == "audio" else ()
    if stages.denoise and stages.denoise not in known:
        raise DataError(f"{named(path)}: denoise = {shown(stages.denoise)} is not for {modality}")
    arrays = read_arrays(locate(path))
    examples, labels, classes = _read(arrays, modality, path, "0..255")
    if modality == "audio":
        _warn_of_halves(path, examples.values())
    if stages.denoise:
        examples = {split: spectral_gating(np.moveaxis(x, 1, -1)) for split, x in examples.items()}
        examples = {split: np.moveaxis(x, -1, 1) for split, x in examples.items()}
    given: Splits = {split: (x, labels.get(split)) for split, x in examples.items()}
    splits = complete(named(path), given, stages.valid, stages.test)
    if modality == "vector":
        return VectorDataset(name, splits, classes)
    rate = float(arrays["rate"]) if "rate" in arrays and arrays["rate"].size == 1 else None
    return AudioDataset(name, splits, classes, rate, f"/{stages.denoise}/1" if stages.denoise else "")


def _warn_of_halves(path: str, parts: Collection[np.ndarray]) -> None:
    """Sound swings to both sides of 0: what lies in [0, 1] was scaled otherwise."""
    if all(x.min() >= 0 for x in parts) and any(x.any() for x in parts):
        how = "no sample is below 0, and silence is 0: where they were scaled to 0..1, save 2 * x - 1"
        _log.warning("%s: waveforms are taken as they are, in -1..1: %s", named(path), how)


def _items(path: str, values: Values) -> Iterator[Item]:
    """Pictures one by one, of arrays that are read when the first is asked for."""
    examples, labels, _ = _read(read_arrays(locate(path)), "image", path, values)
    for split, pictures in examples.items():
        for row, picture in enumerate(pictures):
            label = int(labels[split][row]) if labels else None
            yield Item(f"{split} {row}", partial(Decoded, picture), label, None, split if len(examples) > 1 else None)


def _read(
    arrays: Mapping[str, np.ndarray], modality: str, path: str, values: Values
) -> tuple[dict[SplitName, np.ndarray], dict[SplitName, np.ndarray], int | None]:
    """Examples and labels by split, and how many classes there are. Raises DataError for what is no set of data."""
    names = _names(arrays, path)
    examples = {
        split: _examples(arrays[found], modality, f"{path}: {found}", values) for split, (found, _) in names.items()
    }
    if len({x.shape[1:] for x in examples.values()}) > 1:
        shapes = ", ".join(str(x.shape) for x in examples.values())
        raise DataError(f"{named(path)}: all splits must be of one shape, got {shapes}")
    labels, classes = _labels({split: arrays[found] for split, (_, found) in names.items() if found}, examples, path)
    return examples, labels, classes


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


def _examples(array: np.ndarray, modality: str, what: str, values: Values) -> np.ndarray:
    if modality == "image" and array.size and array.dtype.kind in "biuf":
        array = to_levels(array, values, named(what))
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
