"""A sample file as several, so that each is shown like a file of its own."""

from __future__ import annotations

import io
import itertools
import json
import math
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

import numpy as np

from bench import DataError
from reports.previews._files import beginning
from reports.previews.text import first_texts

_ARCHIVE = b"PK"  # what an .npz begins with


def parts(file: BinaryIO, sizes: Sequence[int]) -> Iterator[BinaryIO]:
    """The first samples of a file, so many in each part, in the form of the whole.

    Raises DataError for a file that is neither an archive nor a list of texts as runs write them, or holds fewer.
    """
    archive = file.read(len(_ARCHIVE)) == _ARCHIVE
    file.seek(0)
    return (_arrays if archive else _texts)(file, list(itertools.pairwise([0, *itertools.accumulate(sizes)])))


def _arrays(file: BinaryIO, spans: Sequence[tuple[int, int]]) -> Iterator[BinaryIO]:
    count = spans[-1][1]
    found = beginning(
        file,
        count,
        "samples",
        lambda shape, dtype: len(shape) > 1 and dtype.kind in "uif",
        lambda shape: math.prod(shape[1:]) * min(count, shape[0]),
    )
    _check(len(found.samples), count)
    full = bool((found.lengths == found.samples.shape[1]).all())
    for first, last in spans:
        also: dict[str, Any] = {} if full else {"lengths": found.lengths[first:last]}
        also |= {} if found.rate is None else {"rate": np.float64(found.rate)}
        buffer = io.BytesIO()
        np.savez(buffer, samples=found.samples[first:last], **also)
        buffer.seek(0)
        yield buffer


def _texts(file: BinaryIO, spans: Sequence[tuple[int, int]]) -> Iterator[BinaryIO]:
    found = first_texts(file, spans[-1][1])
    _check(len(found), spans[-1][1])
    for first, last in spans:
        yield io.BytesIO(json.dumps(found[first:last]).encode())


def _check(there: int, wanted: int) -> None:
    if there < wanted:
        raise DataError(f"holds {there} samples of {wanted} that were asked for")
