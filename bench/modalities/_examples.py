"""Examples in stored form, whatever they are: how they are counted off, told apart and handed to an extractor.

A tensor ``(n, ...)``; strings; pictures that are decoded as they are needed; sequences of unequal length. Nobody else
asks which of these they are.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench.errors import Omitted
from bench.modalities._pictures import Pictures, array_hash, see_each_size
from bench.modalities._sequences import Sequences
from bench.protocols import Extractor, Features

Stored = Tensor | Sequences
Examples = Tensor | Sequence[str] | Pictures | Sequences


def numbers(stored: Stored) -> Tensor:
    """All numbers of stored examples, padding too, which is 0."""
    return stored.data if isinstance(stored, Sequences) else stored


def kind_of(examples: Examples) -> str:
    """What they are, in messages."""
    names = {Tensor: "an array", Pictures: "pictures", Sequences: "sequences of several lengths"}
    return names.get(type(examples), "text")


def arrays_of(examples: Examples, modality: str) -> Tensor:
    """As one tensor. Raises Omitted for text and for sequences of unequal length, DataError for sizes that differ."""
    if isinstance(examples, Pictures):
        return examples.load()
    if isinstance(examples, Sequences):
        raise Omitted("needs examples of one length, and these differ")
    if not isinstance(examples, Tensor):
        raise Omitted(f"needs arrays, not {modality}")
    return examples


def images_of(examples: Examples, modality: str) -> Tensor | Pictures:
    """As pictures that may still be to be decoded, or as one tensor. Raises Omitted as ``arrays_of`` does."""
    return examples if isinstance(examples, Pictures) else arrays_of(examples, modality)


def texts_of(examples: Examples, modality: str) -> list[str]:
    """As strings. Raises Omitted for what is no text."""
    if isinstance(examples, Tensor | Pictures | Sequences):
        raise Omitted(f"needs text, not {modality}")
    return list(examples)


def is_empty(examples: Examples) -> bool:
    """Whether there are none, or none that holds a number."""
    return not examples.numel() if isinstance(examples, Tensor) else not len(examples)


def shape_of(examples: Examples) -> tuple[int, ...] | None:
    """Of one example, where all have the same; None where they differ, and of text."""
    if isinstance(examples, Pictures):
        return examples.shape and examples.shape[1:]
    return tuple(examples.shape[1:]) if isinstance(examples, Tensor) else None


def sizes_of(examples: Examples) -> set[tuple[int, ...]]:
    """Heights and widths of pictures."""
    if isinstance(examples, Pictures):
        return set(examples.sizes)
    return {tuple(examples.shape[2:])} if isinstance(examples, Tensor) and examples.ndim == 4 else set()


def chunks(examples: Examples, most: int) -> Iterable[Any]:
    """So many at a time, or fewer; of pictures of several sizes, and of sequences, a list of tensors."""
    if isinstance(examples, Pictures):
        return examples.chunks(most)
    parts = (examples[start : start + most] for start in range(0, len(examples), most))
    return (list(part) for part in parts) if isinstance(examples, Sequences) else parts


def see(extract: Extractor, examples: Examples, chunk: Any, device: torch.device) -> Features:
    """Features of a chunk of these examples."""
    if isinstance(chunk, Tensor):
        return extract(chunk.to(device))
    if isinstance(examples, Pictures):
        return see_each_size(extract, chunk, device)
    return extract([row.to(device) for row in chunk] if isinstance(examples, Sequences) else chunk)


def content_hash(examples: Examples) -> str:
    """SHA-256 over type, shape and every byte of the examples."""
    if isinstance(examples, Pictures):
        return examples.digest
    if isinstance(examples, Sequences):
        return hashlib.sha256(f"{content_hash(examples.data)}{examples.lengths.tolist()}".encode()).hexdigest()
    if isinstance(examples, Tensor):
        array = examples.detach().cpu().contiguous().numpy()
        total = array_hash(array.dtype, array.shape)
        total.update(array.data)
    else:
        total = hashlib.sha256()
        for text in examples:
            encoded = text.encode("utf-8", "surrogatepass")
            total.update(f"{len(encoded)}:".encode() + encoded)
    return total.hexdigest()


def ordered_hash(examples: Examples, most: int = 250) -> str:
    """SHA-256 of what examples are, whatever dtype holds their numbers.

    Pixels and texts are taken as they are, other numbers as float64, and -0 as 0.  most: how many are held at a time.
    """
    return hashlib.sha256(b"".join(_row_hashes(examples, most))).hexdigest()


def unordered_hash(examples: Examples, most: int = 250) -> str:
    """As ``ordered_hash``, in whatever order they come."""
    return hashlib.sha256(b"".join(sorted(_row_hashes(examples, most)))).hexdigest()


def _row_hashes(examples: Examples, most: int) -> Iterator[bytes]:
    for chunk in chunks(examples, most):
        yield from (hashlib.sha256(row).digest() for row in _rows_of(chunk))


def _rows_of(chunk: Tensor | Sequence[Tensor | str]) -> Iterator[bytes]:
    """Each example of a chunk as bytes that tell it from every other."""
    if not isinstance(chunk, Tensor):
        for one in chunk:
            yield from [one.encode("utf-8", "surrogatepass")] if isinstance(one, str) else _rows_of(one[None])
        return
    array = chunk.detach().cpu().numpy()
    array = array if array.dtype == np.uint8 else array.astype("<f8") + 0.0
    shape = str(array.shape[1:]).encode()
    for row in array:
        yield shape + row.tobytes()
