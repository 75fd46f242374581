"""Examples that somebody brings, from memory or from files, in the form data is stored in and checked whole.

vectors   (n, D) numbers: an array, a .npy or .npz file
images    (n, C, H, W) uint8: an array, a .npy or .npz file (channels may stand last), a folder of pictures
texts     strings: a list, a .txt file of lines, a .json list
"""

from __future__ import annotations

import json
import zipfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, get_args

import numpy as np
import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from bench.errors import DataError, GenbenchError, TooFew, hint
from bench.feature_store import Examples
from bench.protocols import MODALITIES, Modality

Source = np.ndarray | Tensor | Sequence[str] | str | Path
PICTURES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm"})
ARRAYS = frozenset({".npy", ".npz"})
# The names under which arrays of samples are kept: ours, numpy's own, and those of other evaluators.
KEYS = ("samples", "arr_0", "images", "features", "data")


def read(source: Source) -> Examples:
    """What a source holds, not yet checked. Raises DataError for what cannot be read."""
    if isinstance(source, str | Path):
        return _read_path(Path(source).expanduser())
    if isinstance(source, Tensor):
        return _plain(source.detach().cpu())
    if isinstance(source, np.ndarray):
        return _tensor(source, "the array")
    if isinstance(source, Sequence) and all(isinstance(text, str) for text in source):
        return list(source)
    raise DataError(f"samples must be an array, a list of strings or a path, got {type(source).__name__}")


def guess_modality(examples: Examples) -> Modality:
    """What examples look like. Raises DataError where that is not plain."""
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
        raise DataError(f"{what}: vectors must be an array of numbers, not text")
    if examples.ndim != 2:
        raise DataError(f"{what}: vectors must be (n, D), got {tuple(examples.shape)}")
    if examples.is_complex() or examples.dtype == torch.bool:
        raise DataError(f"{what}: vectors must be real numbers, got {examples.dtype}")
    if examples.is_floating_point() and len(bad := (~torch.isfinite(examples)).any(1).nonzero()):
        raise DataError(
            f"{what}: {len(bad)} of {len(examples)} rows hold NaN or infinity, the first is row {int(bad[0])}"
        )
    return examples if examples.is_floating_point() else examples.double()


def _images(examples: Examples, what: str) -> Tensor:
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
    if images.is_complex():
        return ""
    low, high = images.double().aminmax()
    return f" in [{low:.3g}, {high:.3g}]"


def _texts(examples: Examples, what: str) -> list[str]:
    if isinstance(examples, Tensor):
        raise DataError(f"{what}: texts must be strings, got an array")
    if not any(text.strip() for text in examples):
        raise DataError(f"{what}: every one of the {len(examples)} texts is empty")
    for place, text in enumerate(examples):
        if not _is_unicode(text):
            raise DataError(f"{what}: text {place} holds half a character (a lone surrogate), which no text can")
    return list(examples)


def _is_unicode(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True


def _read_path(path: Path) -> Examples:
    if path.is_dir():
        return _read_folder(path)
    if not path.is_file():
        raise DataError(f"there is no {path}")
    if path.suffix in ARRAYS:
        return _tensor(_read_array(path), str(path))
    if path.suffix in (".txt", ".json"):
        return _read_text(path)
    raise DataError(f"cannot read {path}: give a folder of pictures, .npz, .npy, .txt (a text a line) or .json")


def _read_array(path: Path) -> Any:
    try:
        found = np.load(path, allow_pickle=False)
    except (ValueError, OSError, zipfile.BadZipFile, EOFError) as error:
        raise DataError(f"{path} is no array that numpy saved (pickled objects are not read)") from error
    if isinstance(found, np.ndarray):
        return found
    with found:
        names = [key for key in KEYS if key in found] or (found.files if len(found.files) == 1 else [])
        if not names:
            raise DataError(f"{path} holds {', '.join(found.files) or 'nothing'}; expected an array named {KEYS[0]!r}")
        return found[names[0]]


def _plain(tensor: Tensor) -> Tensor:
    """Dense, and of a type that numpy knows too."""
    if tensor.layout != torch.strided:
        raise DataError(f"a tensor must be dense, got {tensor.layout}: call to_dense()")
    return tensor.float() if tensor.dtype == torch.bfloat16 else tensor


def _tensor(array: Any, what: str) -> Tensor:
    try:
        return torch.from_numpy(np.array(array, dtype=array.dtype.newbyteorder("="), copy=True, order="C"))
    except TypeError as error:
        raise DataError(f"{what} holds {array.dtype}, not numbers") from error


def _read_text(path: Path) -> list[str]:
    """A text a line, blank lines left out; or a JSON list of strings."""
    try:
        content = path.read_text(encoding="utf-8-sig")
        found = json.loads(content) if path.suffix == ".json" else _lines(content)
    except (UnicodeDecodeError, json.JSONDecodeError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    if not isinstance(found, list) or not all(isinstance(text, str) for text in found):
        raise DataError(f"{path} must hold a JSON list of strings")
    return found


def _lines(content: str) -> list[str]:
    """Not splitlines(), which also breaks at form feeds and other marks within a line."""
    return [line for line in content.split("\n") if line.strip()]


def _read_folder(folder: Path) -> Tensor:
    """Pictures below a folder in the order of their names, all of one size and mode."""
    paths = sorted(p for p in folder.rglob("*") if p.suffix.lower() in PICTURES)
    if not paths:
        raise DataError(f"{folder} holds no pictures ({', '.join(sorted(PICTURES))})")
    first = _picture(paths[0])
    images = np.empty((len(paths), *first.shape), np.uint8)
    for index, path in enumerate(paths):
        picture = _picture(path)
        if picture.shape != first.shape:
            raise DataError(f"{path} is {_size(picture)}, {paths[0].name} is {_size(first)}: all must be of one size")
        images[index] = picture
    return torch.from_numpy(images)


def _picture(path: Path) -> np.ndarray:
    """``(C, H, W)`` uint8, grey or RGB."""
    try:
        with Image.open(path) as image:
            _refuse_mode(image, path)
            grey = image.mode in ("L", "1")
            pixels = np.asarray(image.convert("L" if grey else "RGB"))
    except (UnidentifiedImageError, OSError) as error:
        raise DataError(f"cannot read {path}: {error}") from error
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def _refuse_mode(image: Image.Image, path: Path) -> None:
    """Raises DataError for pictures that eight bits of grey or RGB cannot hold."""
    if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
        raise DataError(f"{path} is transparent in places: lay it on a background first")
    if image.mode not in ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr"):
        raise DataError(f"{path} has mode {image.mode}: save it with eight bits a channel, grey or RGB")


def _size(picture: np.ndarray) -> str:
    channels, height, width = picture.shape
    return f"{width}x{height} {'grey' if channels == 1 else 'RGB'}"
