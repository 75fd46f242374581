"""Pictures that are decoded when they are looked at, so that memory does not grow with their number."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor

from bench.errors import DataError
from bench.protocols import Extractor, Features

Shape = tuple[int, ...]
CHUNK_BYTES = 2**26  # pixels at a time; of larger pictures a chunk holds fewer


class Pictures:
    """Grey or RGB pictures, uint8 ``(C, H, W)``, of one size or of several, decoded anew whenever they are looked at.

    names: what messages call them.  read: the pixels of picture i.
    Making one goes through all of them once, so what cannot be read is found before anything is computed. Where some
    are grey and some RGB, grey is repeated to RGB.

    grey: how many are grey where others are RGB.  sizes: how many there are of each (height, width).
    same, flat: whether all are the same, and each of one single level.  brightest: the highest level of all.
    """

    def __init__(self, names: Sequence[str], read: Callable[[int], np.ndarray]) -> None:
        self._names, self._read = names, read
        self.same, self.flat, self.brightest = True, True, 0
        self._shapes, whole = self._survey()
        count = Counter(self._shapes)
        greys = sum(n for shape, n in count.items() if shape[0] == 1)
        self.grey = greys if greys < len(names) else 0
        self.channels = 1 if greys == len(names) else 3
        sizes = Counter(shape[1:] for shape in self._shapes)
        self.sizes: Mapping[Shape, int] = dict(sizes.most_common())  # the most frequent first
        self._hash = whole if len(count) == 1 else None

    def _survey(self) -> tuple[list[Shape], str]:
        """Shapes in order; on the way what is true of all, and the hash that holds if all are of one shape."""
        shapes, known = list[Shape](), dict[Shape, Shape]()
        for index in range(len(self._names)):
            pixels = self._read(index)
            if not index:
                first, total = pixels, array_hash(pixels.dtype, (len(self._names), *pixels.shape))
            self.same = self.same and np.array_equal(pixels, first)
            self.flat = self.flat and bool((pixels == pixels[:, :1, :1]).all())
            self.brightest = max(self.brightest, int(pixels.max()))
            total.update(np.ascontiguousarray(pixels).data)
            shapes.append(known.setdefault(pixels.shape, pixels.shape))
        return shapes, total.hexdigest()

    @cached_property
    def digest(self) -> str:
        """SHA-256 over shapes and pixels as an extractor sees them; of one size, that of the array of all."""
        return self._hash or _digest(self)

    def __len__(self) -> int:
        return len(self._names)

    @property
    def names(self) -> Sequence[str]:
        """What messages call them; of files their paths."""
        return self._names

    def __getitem__(self, index: slice) -> Tensor | list[Tensor]:
        """Consecutive pictures: ``(n, C, H, W)`` if all of the set are of one size, else a list of ``(C, H, W)``."""
        asked = range(*index.indices(len(self)))
        if self.shape is None:
            return [torch.from_numpy(self._picture(i)) for i in asked]
        found = torch.empty((len(asked), *self.shape[1:]), dtype=torch.uint8)
        for place, i in enumerate(asked):
            found[place] = torch.from_numpy(self._picture(i))
        return found

    @property
    def shape(self) -> Shape | None:
        """``(n, C, H, W)``, or None where sizes differ."""
        return (len(self), self.channels, *next(iter(self.sizes))) if len(self.sizes) == 1 else None

    def chunks(self, most: int) -> Iterator[Tensor | list[Tensor]]:
        """All in order, at most so many at a time, and no more than CHUNK_BYTES unless one alone is larger."""
        start, held = 0, 0
        for index, shape in enumerate(self._shapes):
            size = self.channels * shape[1] * shape[2]
            if index > start and (index - start == most or held + size > CHUNK_BYTES):
                yield self[start:index]
                start, held = index, 0
            held += size
        yield self[start:]

    def load(self) -> Tensor:
        """All pixels at once. Raises DataError where sizes differ: no network stands between that could resize."""
        found = self[:]
        if not isinstance(found, Tensor):
            raise DataError(f"needs pictures of one size, and these have {len(self.sizes)}")
        return found

    def _picture(self, index: int) -> np.ndarray:
        pixels = self._read(index)
        if pixels.shape != self._shapes[index]:
            raise DataError(f"{self._names[index]} changed while it was being read")
        return np.array(np.broadcast_to(pixels, (self.channels, *pixels.shape[1:])), order="C")


def see_each_size(extract: Extractor, pictures: Sequence[Tensor], device: torch.device) -> Features:
    """Features of pictures ``(C, H, W)`` of several sizes, in their order; those of one size are seen together."""
    places: dict[Shape, list[int]] = {}
    for place, picture in enumerate(pictures):
        places.setdefault(tuple(picture.shape), []).append(place)
    parts = [extract(torch.stack([pictures[i] for i in same]).to(device)) for same in places.values()]
    order = torch.tensor([place for same in places.values() for place in same]).argsort()
    logits = [part.logits for part in parts if part.logits is not None]
    return Features(torch.cat([p.features for p in parts])[order], torch.cat(logits)[order] if logits else None)


def array_hash(dtype: np.dtype, shape: Shape) -> hashlib._Hash:
    """SHA-256 of an array whose bytes are yet to come, so that it is one for pictures and for the array of them all."""
    return hashlib.sha256(f"{dtype.str}{shape}".encode())


def _digest(pictures: Pictures) -> str:
    whole = pictures.shape
    total = array_hash(np.dtype(np.uint8), whole) if whole else hashlib.sha256(b"pictures")
    for chunk in pictures.chunks(1):
        if whole is None:
            total.update(f"{tuple(chunk[0].shape)}".encode())
        total.update(chunk[0].numpy().data)
    return total.hexdigest()
