"""Examples that somebody brings, from memory or from files, in the form data is stored in and checked whole.

vectors   (n, D) numbers: an array, a .npy or .npz file
images    (n, C, H, W) uint8: an array, a .npy or .npz file (channels may stand last); a list of arrays or of Pillow's
          pictures; a folder or a .zip of pictures
texts     strings: a list, a .txt file of lines, a .json list, .jsonl
"""

from __future__ import annotations

import stat
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import get_args

import torch
from torch import Tensor

from bench.errors import DataError, DataWarning, GenbenchError, TooFew, hint, named
from bench.foreign import Say, locate
from bench.measure.feature_store import Examples
from bench.measure.moments import Statistics
from bench.measure.reading.arrays import read_array
from bench.measure.reading.folders import read_archive, read_folder
from bench.measure.reading.memory import Held, from_array, from_memory
from bench.measure.reading.texts import TEXTS, read_texts
from bench.modalities._pictures import Pictures
from bench.protocols import MODALITIES, Modality

Source = Held | str | Path
ARRAYS = frozenset({".npy", ".npz"})
FORMS = "a folder or .zip of pictures, .npz, .npy, .txt (a text a line), .json or .jsonl"


def warn(remark: str) -> None:
    """Say what is no error but not as it was given, as a DataWarning."""
    warnings.warn(remark, DataWarning, stacklevel=2)


def read(source: Source, say: Say = warn) -> Examples:
    """What a source holds, not yet checked. Raises DataError for what cannot be read. say: takes remarks."""
    found = read_reference(source, say)
    if isinstance(found, Statistics):
        raise DataError(f"{named(source)} holds mu and sigma alone, which serve as a reference only: give the examples")
    return found


def read_reference(source: Source, say: Say = warn) -> Examples | Statistics:
    """As ``read``; statistics in place of examples are taken too."""
    return _read_path(source, say) if isinstance(source, str | Path) else from_memory(source, say)


def read_prompts(source: Source, say: Say = warn) -> list[str]:
    """One text a sample, blank ones too. Raises DataError for what is no texts."""
    found = read(source, say)
    if isinstance(found, Tensor | Pictures):
        what = named(source) if isinstance(source, str | Path) else type(source).__name__
        raise DataError(f"prompts must be texts (a list of strings, .txt, .json or .jsonl); {what} holds none")
    return list(found)


def guess_modality(examples: Examples) -> Modality:
    """What examples look like. Raises DataError where that is not plain."""
    if isinstance(examples, Pictures):
        return "image"
    if not isinstance(examples, Tensor):
        return "text"
    if examples.ndim == 2:
        return "vector"
    if examples.ndim == 4:
        return "image"
    raise DataError(
        f"cannot tell what an array of shape {tuple(examples.shape)} is: say it with modality (--modality); images are "
        "(n, C, H, W), vectors (n, D)"
    )


def check(examples: Examples, modality: Modality, what: str) -> Examples:
    """The examples in stored form. Raises DataError (TooFew for none) that names ``what`` is wrong."""
    if modality not in MODALITIES:
        raise GenbenchError(f"unknown modality {modality!r}{hint(modality, get_args(Modality))}")
    if isinstance(examples, Tensor) and not examples.ndim:
        raise DataError(f"{what}: a single number is no set of examples")
    if not len(examples):
        raise TooFew(f"{what}: empty; at least 2 examples are needed")
    checks: Mapping[str, Callable[[Examples, str], Examples]] = {"image": _images, "text": _texts}
    return checks.get(modality, _vectors)(examples, what)


def _vectors(examples: Examples, what: str) -> Tensor:
    if not isinstance(examples, Tensor):
        raise DataError(f"{what}: vectors must be an array of numbers, not {_kind(examples)}")
    if examples.ndim != 2:
        raise DataError(f"{what}: vectors must be (n, D), got {tuple(examples.shape)}")
    if examples.is_complex() or examples.dtype == torch.bool:
        raise DataError(f"{what}: vectors must be real numbers, got {examples.dtype}")
    if examples.is_floating_point() and len(bad := (~torch.isfinite(examples)).any(1).nonzero()):
        raise DataError(
            f"{what}: {len(bad)} of {len(examples)} rows hold NaN or infinity, the first is row {int(bad[0])}"
        )
    return examples if examples.is_floating_point() else examples.double()


def _images(examples: Examples, what: str) -> Tensor | Pictures:
    if isinstance(examples, Pictures):
        return examples
    if not isinstance(examples, Tensor) or examples.ndim != 4:
        found = "text" if not isinstance(examples, Tensor) else tuple(examples.shape)
        raise DataError(f"{what}: images must be (n, C, H, W), got {found}")
    if examples.dtype != torch.uint8:
        raise DataError(
            f"{what}: images must be uint8 0..255, got {examples.dtype}{_range(examples)}; scale to 0..255, round, "
            "clip and cast"
        )
    if examples.shape[1] not in (1, 3) and examples.shape[-1] in (1, 3):
        examples = examples.permute(0, 3, 1, 2).contiguous()
    if examples.shape[1] not in (1, 3):
        raise DataError(f"{what}: images must have 1 or 3 channels, got {tuple(examples.shape)}")
    return examples


def _range(images: Tensor) -> str:
    if images.is_complex() or not images.numel():
        return ""
    low, high = images.double().aminmax()
    return f" in [{low:.3g}, {high:.3g}]"


def _texts(examples: Examples, what: str) -> list[str]:
    if isinstance(examples, Tensor | Pictures):
        raise DataError(f"{what}: texts must be strings, got {_kind(examples)}")
    if not any(text.strip() for text in examples):
        raise DataError(f"{what}: every one of the {len(examples)} texts is empty")
    for place, text in enumerate(examples):
        if not _is_unicode(text):
            raise DataError(f"{what}: text {place} holds half a character (a lone surrogate), which no text can")
    return list(examples)


def _kind(examples: Examples) -> str:
    return {Tensor: "an array", Pictures: "pictures"}.get(type(examples), "text")


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_path(source: str | Path, say: Say) -> Examples | Statistics:
    path = locate(source)
    kind, suffix = path.stat().st_mode, path.suffix.lower()
    if stat.S_ISDIR(kind):
        return read_folder(path, say)
    if not stat.S_ISREG(kind):
        raise DataError(f"{named(source)} is neither a file nor a folder: save it to a file first")
    if suffix in ARRAYS:
        found = read_array(path, say)
        return found if isinstance(found, Statistics) else from_array(found, named(path))
    if suffix in TEXTS:
        return read_texts(path, say)
    if suffix == ".zip":
        return read_archive(path, say)
    raise DataError(f"cannot read {named(source)}: give {FORMS}")
