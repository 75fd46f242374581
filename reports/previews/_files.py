"""Sample files, read as far as they are shown. Raises DataError for whatever is not what a run writes."""

from __future__ import annotations

import math
import warnings
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench import DataError
from reports._escaping import visible

Shape = tuple[int, ...]
Fits = Callable[[Shape, np.dtype], bool]
MOST = 2**24  # numbers of one example that can be shown, but for the channels of a picture
_PIECE = 2**20  # bytes that are read at once


@dataclass(frozen=True)
class Beginning:
    """The first samples of a file. lengths: of each, where they differ.  rate: entries of the first axis a second."""

    samples: NDArray[Any]
    lengths: NDArray[np.int64]
    rate: float | None


class _InPieces:
    """A file that gives at most ``_PIECE`` bytes at once: an archive's table of contents may claim any length."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable, self._file = file.seek, file.tell, file.seekable, file

    def read(self, size: int | None = -1) -> bytes:
        return self._file.read(_PIECE if size is None or size < 0 else min(size, _PIECE))


def beginning(file: BinaryIO, count: int, what: str, fits: Fits, size: Callable[[Shape], int]) -> Beginning:
    """Up to ``count`` samples from the .npz of a run.

    fits: whether samples of this shape and type are ``what``.  size: how much of one there is to show, at most MOST.
    Only they are unpacked, once the sizes that the file claims are checked.
    """

    def small(shape: Shape, dtype: np.dtype) -> bool:
        if fits(shape, dtype) and size(shape) > MOST:
            raise DataError(f"holds {what} too large to be shown: shape {visible(f'{shape}, {dtype}', 120)}")
        return fits(shape, dtype)

    try:
        with warnings.catch_warnings(action="error"), zipfile.ZipFile(_InPieces(file)) as archive:
            samples = _part(archive, "samples", count, what, small)
            lengths = np.full(len(samples), samples.shape[1])
            if "lengths.npy" in archive.namelist():
                lengths = _part(archive, "lengths", count, "lengths", lambda s, d: len(s) == 1 and d == np.int64)
            rate = None
            if "rate.npy" in archive.namelist():
                rate = float(_part(archive, "rate", 1, "rate", lambda s, d: s == () and d == np.float64))
    except DataError:
        raise
    # A damaged archive fails in as many ways as zip, zlib and numpy have, and none may take the page down.
    except Exception as error:
        raise DataError(f"cannot be read ({type(error).__name__})") from error
    if len(lengths) != len(samples):
        raise DataError(f"is damaged: {len(lengths)} lengths for {len(samples)} samples")
    return Beginning(samples, lengths.clip(0, samples.shape[1]), rate)


def _part(archive: zipfile.ZipFile, name: str, count: int, what: str, fits: Fits) -> NDArray[Any]:
    member = archive.getinfo(f"{name}.npy")
    if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise DataError("cannot be read (packed in a way that no run packs)")
    with archive.open(member) as stream:
        shape, dtype = _claim(stream, member.file_size, what, fits)
        return _read(stream, (min(count, shape[0]), *shape[1:]) if shape else (), dtype)


def _claim(stream: IO[bytes], size: int, what: str, fits: Fits) -> tuple[Shape, np.dtype]:
    """Shape and type of an array that fills the ``size`` bytes of the stream, its header read."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise DataError("cannot be read (an array as no run writes it)")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    claim = visible(f"{shape}, {dtype}", 120)
    if dtype.hasobject or min(shape, default=1) < 1 or by_columns or not fits(shape, dtype):
        raise DataError(f"holds no {what}: shape {claim}")
    if math.prod(shape) * dtype.itemsize != size - stream.tell():
        raise DataError(f"is damaged: shape {claim} in {size - stream.tell():,} bytes")
    return shape, dtype


def _read(stream: IO[bytes], shape: Shape, dtype: np.dtype) -> NDArray[Any]:
    data, size = bytearray(), math.prod(shape) * dtype.itemsize
    while len(data) < size:
        piece = stream.read(min(size - len(data), _PIECE))
        if not piece:
            raise DataError("is cut short")
        data += piece
    return np.frombuffer(data, dtype).reshape(shape)
