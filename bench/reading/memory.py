"""Examples that somebody holds in memory: arrays, tensors, and lists of strings, arrays or Pillow's pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from bench.errors import DataError, named
from bench.foreign import Say, afford, decoding
from bench.modalities._examples import Examples
from bench.modalities._pictures import Pictures
from bench.modalities._sequences import Sequences
from bench.reading.encoded import is_turned, pixels_of, turned_remark
from bench.reading.folders import SUFFIXES, size_remarks

Held = np.ndarray | Tensor | Sequence[Any]


def from_memory(source: Held, say: Say, *, sequences: bool = False) -> Examples:
    """What is held, as a tensor, as strings, as pictures of several sizes, or, if it says so, as ``sequences``.

    Raises DataError for anything else.
    """
    if isinstance(source, Tensor):
        return _plain(source)
    if isinstance(source, np.ndarray):
        return from_array(source, "the array")
    if hasattr(source, "__array__"):  # of pandas, JAX and others
        with decoding(type(source).__name__):
            return from_array(np.asarray(source), type(source).__name__)
    if not isinstance(source, Sequence) or isinstance(source, bytes | bytearray | memoryview):
        raise DataError(
            f"examples must be an array, a list of strings, arrays or pictures, or a path, got {type(source).__name__}"
        )
    if len(strings := [text for text in source if isinstance(text, str)]) == len(source):
        if strings and all(Path(text).suffix.lower() in SUFFIXES for text in strings):
            raise DataError(
                f"a list of strings is a list of texts, and these name pictures ({named(strings[0])}, ...): give their "
                "folder, or a list of Image.open(path)"
            )
        return strings
    if strings:
        place = next(place for place, value in enumerate(source) if not isinstance(value, str))
        kind = type(source[place]).__name__
        raise DataError(f"a list that holds strings must hold nothing else; entry {place} is {kind}")
    arrays = [_item(value, place) for place, value in enumerate(source)]
    for remark in turned_remark(sum(isinstance(v, Image.Image) and is_turned(v) for v in source), len(source)):
        say(f"a list: {remark}")
    return _sequences(arrays) if sequences and arrays else _from_list(arrays, say)


def _sequences(arrays: Sequence[np.ndarray]) -> Tensor | Sequences:
    """One example each, ``(length, ...)``."""
    if min(array.ndim for array in arrays) == 0 or len({(a.shape[1:], a.dtype) for a in arrays}) > 1:
        some = ", ".join(sorted({f"{a.shape} {a.dtype}" for a in arrays})[:3])
        raise DataError(f"a list of sequences must hold arrays that differ in length alone; got {some}")
    if len({array.shape for array in arrays}) == 1:
        return torch.from_numpy(np.stack(arrays))
    return Sequences.of(torch.from_numpy(np.ascontiguousarray(array)) for array in arrays)


def from_array(array: np.ndarray, what: str) -> Examples:
    """A tensor, or of an array of strings a list. Raises DataError for what is not numbers."""
    if isinstance(array, np.ma.MaskedArray):
        raise DataError(f"{what} is masked: fill what is missing, or leave those rows out")
    if array.ndim == 1 and (array.dtype.kind in "UT" or (array.size and all(isinstance(x, str) for x in array))):
        with decoding(what):  # numpy takes code points that Python does not
            return [str(text) for text in array]
    if array.dtype == object:
        kinds = ", ".join(sorted({type(value).__name__ for value in array.flat}))
        raise DataError(f"{what} holds {named(kinds)}: it must hold numbers alone, or strings alone in one dimension")
    afford(what, array.nbytes)  # of a view that repeats what it shows, as much as its copy takes
    try:
        return torch.from_numpy(np.require(array, array.dtype.newbyteorder("="), ["C", "W"]))  # copied if need be
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} holds {array.dtype}, not numbers that torch knows") from error


def _plain(tensor: Tensor) -> Tensor:
    """Dense, on the CPU, and of a type that numpy knows too; what is smaller than that is held exactly by float32."""
    if tensor.is_nested:
        raise DataError("a tensor must not be nested: pad it, or give a list of arrays")
    if tensor.layout != torch.strided:
        raise DataError(f"a tensor must be dense, got {tensor.layout}: call to_dense()")
    if tensor.is_meta:
        raise DataError("a tensor on the device 'meta' holds no numbers")
    if tensor.is_quantized:
        raise DataError(f"a tensor must hold plain numbers, got {tensor.dtype}: call dequantize()")
    widened = tensor.dtype == torch.bfloat16 or "float8" in str(tensor.dtype)
    afford("the tensor", tensor.numel() * (4 if widened else tensor.element_size()))  # as of an array
    with decoding(f"a tensor of {tensor.dtype}"):
        here = tensor.detach().cpu().resolve_conj().resolve_neg()
        here = here.float() if widened else here
        here.numpy()
    return here


def _item(value: Any, place: int) -> np.ndarray:
    """One entry of a list."""
    if isinstance(value, Image.Image):
        return pixels_of(value, f"picture {place}")
    if isinstance(value, Tensor):
        return _plain(value).numpy()
    with decoding(f"entry {place} of the list"):
        array = np.asarray(value)
    if array.dtype.kind not in "biufc":
        then = ": open it with Image.open, or give the folder" if isinstance(value, Path) else ""
        raise DataError(f"a list must hold strings, arrays or pictures; entry {place} is {type(value).__name__}{then}")
    return array


def _from_list(arrays: Sequence[np.ndarray], say: Say) -> Examples:
    """Vectors ``(D,)``; pictures ``(C, H, W)``, ``(H, W, C)`` or grey ``(H, W)`` uint8; or batches, to be joined."""
    arrays = [array[None] if array.ndim == 2 and array.dtype == np.uint8 else array for array in arrays]
    batches = {array.ndim for array in arrays} in ({2}, {4})
    if not batches:
        last = [a.ndim == 3 and a.shape[0] not in (1, 3) and a.shape[-1] in (1, 3) for a in arrays]
        arrays = [a.transpose(2, 0, 1) if channels else a for a, channels in zip(arrays, last, strict=True)]
    shapes = {array.shape[batches:] for array in arrays}
    if len(shapes) == 1:
        afford("the list", sum(array.nbytes for array in arrays))
        return torch.from_numpy(np.concatenate(arrays) if batches else np.stack(arrays))
    if batches or not all(a.ndim == 3 and a.shape[0] in (1, 3) and a.dtype == np.uint8 and a.size for a in arrays):
        some = ", ".join(str(shape) for shape in sorted(shapes)[:3])
        raise DataError(f"a list must hold vectors of one length, uint8 pictures, or batches of one shape; got {some}")
    pictures = Pictures([f"picture {place}" for place in range(len(arrays))], lambda i: arrays[i])
    for remark in size_remarks(pictures):
        say(f"a list: {remark}")
    return pictures
