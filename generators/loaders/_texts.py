"""Texts that were made elsewhere, in the tokens of the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from bench import Batch, DataError, Dataset


def encoder(dataset: Dataset, what: str) -> Callable[[str], Tensor]:
    """How a text becomes tokens of the data. Raises DataError for data that does not say."""
    encode: Callable[[str], Tensor] | None = getattr(dataset, "encode", None)
    if encode is None:
        raise DataError(f"{what}: the data does not say how its tokens spell a text (it has no `encode`)")
    return encode


def spelled(texts: Sequence[str], dataset: Dataset, what: str) -> Batch:
    """Each text in the data's tokens, as many as fit its window.

    what: they are, for the message. Raises DataError as ``encoder``.
    """
    encode, window = encoder(dataset, what), dataset.spec.shape[0]
    rows = [encode(text)[:window] for text in texts]
    data = torch.zeros(len(rows), window, dtype=torch.int64)
    for row, tokens in zip(data, rows, strict=True):
        row[: len(tokens)] = tokens
    return Batch(data, lengths=torch.tensor([len(row) for row in rows]))
