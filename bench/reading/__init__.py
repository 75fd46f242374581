"""Examples that somebody brings, from memory or from files, in the form data is stored in and checked whole.

vectors   (n, D) numbers: an array, a .npy or .npz file
images    (n, C, H, W) uint8: an array, a .npy or .npz file (channels may stand last; where it is said that they are
          images, grey ones may be (n, H, W)); a list of arrays or of Pillow's pictures; a folder or a .zip of pictures
texts     strings: a list, a .txt file of lines, a .json list, .jsonl
"""

from __future__ import annotations

import math
import stat
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path

import torch
from torch import Tensor

from bench.decoding import Say, afford, locate
from bench.errors import DataError, DataWarning, TooFew, named
from bench.feature_store import Examples
from bench.moments import Statistics
from bench.pictures import Pictures
from bench.protocols import Modality
from bench.reading.arrays import read_array
from bench.reading.folders import SUFFIXES, read_archive, read_folder
from bench.reading.memory import Held, from_array, from_memory
from bench.reading.texts import TEXTS, read_texts

Source = Held | str | Path
ARRAYS = frozenset({".npy", ".npz"})
FORMS = "a folder or .zip of pictures, .npz or .npy (numpy.save writes it), .txt (a text a line), .json or .jsonl"


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


def guess_modality(examples: Examples, what: str) -> Modality:
    """What examples look like. Raises DataError, which names ``what`` they are, where that is not plain."""
    if isinstance(examples, Pictures):
        return "image"
    if not isinstance(examples, Tensor):
        return "text"
    if examples.ndim == 2:
        return "vector"
    if examples.ndim == 4:
        return "image"
    grey = "; of grey pictures (n, H, W) say image, or give x[:, None]" if examples.ndim == 3 else ""
    raise DataError(
        f"{what}: cannot tell what an array of shape {tuple(examples.shape)} is: say it with modality (--modality); "
        f"images are (n, C, H, W), vectors (n, D){grey}"
    )


def check(examples: Examples, modality: Modality, what: str) -> Examples:
    """The examples in stored form. Raises DataError (TooFew for none) that names ``what`` is wrong."""
    if isinstance(examples, Tensor) and not examples.ndim:
        raise DataError(f"{what}: a single number is no set of examples")
    if not len(examples):
        raise TooFew(f"{what}: empty; at least 2 examples are needed")
    if isinstance(examples, Tensor) and not examples.numel():
        raise DataError(f"{what}: examples of shape {tuple(examples.shape[1:])} hold no numbers")
    checks: Mapping[str, Callable[[Examples, str], Examples]] = {"image": _images, "text": _texts}
    return checks.get(modality, _vectors)(examples, what)


def _vectors(examples: Examples, what: str) -> Tensor:
    if not isinstance(examples, Tensor):
        raise DataError(f"{what}: vectors must be an array of numbers, not {_kind(examples)}")
    if examples.ndim != 2:
        one = ": of a single number each give x[:, None]" if examples.ndim == 1 else ""
        raise DataError(f"{what}: vectors must be (n, D), got {tuple(examples.shape)}{one}")
    if examples.is_complex() or examples.dtype == torch.bool:
        raise DataError(f"{what}: vectors must be real numbers, got {examples.dtype}")
    if examples.is_floating_point() and len(bad := (~torch.isfinite(examples)).any(1).nonzero()):
        raise DataError(
            f"{what}: {len(bad)} of {len(examples)} rows hold NaN or infinity, the first is row {int(bad[0])}"
        )
    if examples.is_floating_point():
        return examples
    afford(what, 8 * examples.numel())
    return examples.double()


def _images(examples: Examples, what: str) -> Tensor | Pictures:
    if isinstance(examples, Pictures):
        _refuse_black(examples.brightest, what)
        return examples
    if not isinstance(examples, Tensor) or examples.ndim not in (3, 4):
        found = "text" if not isinstance(examples, Tensor) else tuple(examples.shape)
        raise DataError(f"{what}: images must be (n, C, H, W), got {found}")
    if examples.dtype != torch.uint8:
        dtype = str(examples.dtype).removeprefix("torch.")
        raise DataError(f"{what}: images must be uint8 0..255, got {dtype}{_how_to_cast(examples)}")
    if examples.ndim == 3:
        examples = _grey(examples, what)
    if examples.shape[1] not in (1, 3) and examples.shape[-1] in (1, 3):
        examples = examples.permute(0, 3, 1, 2).contiguous()
    if examples.shape[1] not in (1, 3):
        alpha = (
            ": lay what is transparent on a background first" if 4 in (examples.shape[1], examples.shape[-1]) else ""
        )
        raise DataError(f"{what}: images must have 1 or 3 channels, got {tuple(examples.shape)}{alpha}")
    _refuse_black(int(examples.max()), what)
    return examples


def _grey(images: Tensor, what: str) -> Tensor:
    """Grey pictures ``(n, H, W)``. Raises DataError where that may as well be one picture with its channels."""
    if {images.shape[0], images.shape[-1]} & {1, 3, 4}:
        raise DataError(
            f"{what}: images must be (n, C, H, W), got {tuple(images.shape)}: of grey pictures (n, H, W) give "
            "x[:, None]; a single picture is no set"
        )
    return images[:, None]


def _refuse_black(brightest: int, what: str) -> None:
    if brightest == 1:
        raise DataError(
            f"{what}: no pixel is brighter than 1 of 255, as where floats in [0, 1] are cast as they are: multiply by "
            "255 before the cast"
        )


def _how_to_cast(images: Tensor) -> str:
    """The range that pixels of another type lie in, and what brings them to uint8."""
    if images.is_complex():
        return ": give real numbers"
    low, high = (float(x) for x in images.double().aminmax())
    seen = f" in [{low:.3g}, {high:.3g}]"
    if not math.isfinite(low) or not math.isfinite(high):
        bad = int((~torch.isfinite(images)).flatten(1).any(1).sum())
        return f": {bad} of {len(images)} images hold NaN or infinity"
    if low >= 0 and high <= 1:
        return f"{seen}; where 1 is white, multiply by 255, round and cast: (x * 255).round().astype('uint8')"
    if low >= -1 and high <= 1:
        return f"{seen}; where -1 is black and 1 white: ((x + 1) * 127.5).round().astype('uint8')"
    if low >= 0 and high <= 255:
        cast = "x.round().astype('uint8')" if images.is_floating_point() else "x.astype('uint8')"
        return f"{seen}; where 255 is white, only a cast is needed: {cast}"
    return f"{seen}; scale so that 0 is black and 255 white, round, clip to 0..255 and cast to uint8"


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
    about, suffix = path.stat(), path.suffix.lower()
    if stat.S_ISDIR(about.st_mode):
        return read_folder(path, say)
    if not stat.S_ISREG(about.st_mode):
        raise DataError(f"{named(source)} is neither a file nor a folder: save it to a file first")
    if not about.st_size:
        raise DataError(f"{named(source)} is empty: it holds 0 bytes")
    if suffix in ARRAYS:
        found = read_array(path, say)
        return found if isinstance(found, Statistics) else from_array(found, named(path))
    if suffix in TEXTS:
        return read_texts(path, say)
    if suffix == ".zip":
        return read_archive(path, say)
    if suffix in SUFFIXES:
        raise DataError(f"{named(source)} is a single picture, which is no set: give its folder")
    raise DataError(f"cannot read {named(source)}: give {FORMS}")
