"""Sequences of unequal length, padded to one."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import torch
from torch import Tensor


class Sequences:
    """n sequences in stored form. data: ``(n, T, ...)``, 0 behind each one's end; lengths: ``(n,)`` int64 in 0..T.

    Iterating gives each as a tensor ``(length, ...)``. Raises ValueError for lengths that do not fit.
    """

    def __init__(self, data: Tensor, lengths: Tensor) -> None:
        self.data, self.lengths = without_padding(data, lengths), lengths

    @classmethod
    def of(cls, rows: Iterable[Tensor]) -> Sequences:
        """Of tensors ``(length, ...)`` that differ in length alone."""
        every = list(rows)
        data = torch.nn.utils.rnn.pad_sequence(every, batch_first=True)
        return cls(data, torch.tensor([len(row) for row in every]))

    def __len__(self) -> int:
        return len(self.data)

    def __getitem__(self, index: slice | Tensor) -> Sequences:
        return Sequences(self.data[index], self.lengths[index])

    def __iter__(self) -> Iterator[Tensor]:
        return (row[:length] for row, length in zip(self.data, self.lengths.tolist(), strict=True))

    def map(self, data: Tensor) -> Sequences:
        """Other data of the same lengths."""
        return Sequences(data, self.lengths)


def without_padding(data: Tensor, lengths: Tensor) -> Tensor:
    """``data`` ``(n, T, ...)`` with 0 behind each row's end. Raises ValueError for lengths that do not fit."""
    if lengths.dtype != torch.int64 or tuple(lengths.shape) != (len(data),):
        raise ValueError(f"lengths must be int64 ({len(data)},), got {lengths.dtype} {tuple(lengths.shape)}")
    if len(data) and not 0 <= int(lengths.min()) <= int(lengths.max()) <= data.shape[1]:
        raise ValueError(f"lengths must lie in 0..{data.shape[1]}, got {int(lengths.min())}..{int(lengths.max())}")
    beyond = torch.arange(data.shape[1]) >= lengths[:, None]  # (n, T)
    return data.masked_fill(beyond.view(*beyond.shape, *[1] * (data.ndim - 2)), 0)


def joined(parts: list[Tensor | Sequences]) -> Tensor | Sequences:
    """Batches end to end; sequences where any of them is."""
    if all(isinstance(part, Tensor) for part in parts):
        return torch.cat([part for part in parts if isinstance(part, Tensor)])
    each = [part if isinstance(part, Sequences) else _full(part) for part in parts]
    return Sequences(torch.cat([part.data for part in each]), torch.cat([part.lengths for part in each]))


def _full(data: Tensor) -> Sequences:
    return Sequences(data, torch.full((len(data),), data.shape[1]))
