"""Arrays of one shape, one behind the other in a file. They are read and not mapped: a page that is mapped and was
looked at counts as memory of the process, and 200,000 pictures are many pages.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np

CHUNK_BYTES, CHUNK_ROWS = 2**21, 256
BYTE: np.dtype = np.dtype(np.uint8)


class Rows:
    """Rows ``(*shape)`` of one type that are appended, and then read by their number."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: np.dtype = BYTE) -> None:
        self.shape, self.dtype, self.path, self._count = shape, dtype, path, 0
        self.size = int(np.prod(shape)) * dtype.itemsize
        self._file = path.open("w+b")

    def __len__(self) -> int:
        return self._count

    def append(self, row: np.ndarray) -> None:
        self._file.write(np.ascontiguousarray(row).data)
        self._count += 1

    def __getitem__(self, row: int) -> np.ndarray:
        found: np.ndarray = self._read(row, 1)[0]
        return found

    def take(self, rows: Sequence[int]) -> np.ndarray:
        """``(n, *shape)``, in this order."""
        return np.stack([self[row] for row in rows]) if rows else np.empty((0, *self.shape), self.dtype)

    def chunks(self) -> Iterator[np.ndarray]:
        """All in order, a few at a time."""
        most = min(CHUNK_ROWS, max(1, CHUNK_BYTES // self.size))
        for start in range(0, len(self), most):
            yield self._read(start, min(most, len(self) - start))

    def repeated(self, shape: tuple[int, ...]) -> Rows:
        """The same with axes of length one repeated to this shape; this one is gone."""
        wide = Rows(self.path.with_suffix(".wide"), shape, self.dtype)
        for chunk in self.chunks():
            for row in np.broadcast_to(chunk, (len(chunk), *wide.shape)):
                wide.append(row)
        self.close()
        return wide

    def close(self) -> None:
        self._file.close()
        self.path.unlink()

    def _read(self, start: int, count: int) -> np.ndarray:
        self._file.flush()
        found = os.pread(self._file.fileno(), count * self.size, start * self.size)
        return np.frombuffer(found, self.dtype).reshape(count, *self.shape)


@contextmanager
def write_npy(
    path: Path, shape: tuple[int, ...], rows: Iterable[np.ndarray], dtype: np.dtype = BYTE
) -> Iterator[Iterator[np.ndarray]]:
    """Rows as they pass into a .npy file of this type; all of them must be drawn."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": dtype.str, "fortran_order": False, "shape": shape})

        def passing() -> Iterator[np.ndarray]:
            for row in rows:
                file.write(row.data)
                yield row

        yield passing()
