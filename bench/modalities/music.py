"""Music as notes: piano rolls ``(T, pitches)``, binary or continuous, or ``(T,)`` tokens.

``DataSpec.rate`` in rows or tokens a second, where they run at one. Tokens that a dataset can write out
(``bench.Scored``) are tokens to models, and piano rolls to metrics and on disk.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import DataError
from bench.modalities._base import Modality, archive
from bench.modalities._examples import Examples, Stored
from bench.protocols import Dataset, Scored
from bench.registry import modality


@modality("music")
class Music(Modality):
    """Notes over time, of one length or of several; binary piano rolls stay 0 and 1."""

    ordered = True
    examples, one, values = "pieces of music", "piece of music", "piano rolls"
    form = "(n, T, pitches) of 0 and 1, or (n, T) tokens"
    flat = "silent, or one sound"

    def written(self, stored: Stored, dataset: Dataset) -> Examples:
        """As piano rolls, where the dataset can write them out."""
        return dataset.rolls(stored) if isinstance(dataset, Scored) else stored

    def packed(self, stored: Stored, dataset: Dataset) -> tuple[str, bytes]:
        if not isinstance(dataset, Scored):
            return super().packed(stored, dataset)
        return ".npz", archive(dataset.rolls(stored), dataset.frame_rate)

    def check_array(self, x: Tensor, what: str) -> Tensor:
        if x.ndim not in (2, 3):
            raise DataError(f"{what}: music must be {self.form}, got {tuple(x.shape)}")
        self._numbers(x, what)
        if x.ndim == 2:
            if x.is_floating_point() or x.dtype == torch.bool or bool((x < 0).any()):
                raise DataError(f"{what}: tokens must be whole numbers from 0 on, got {x.dtype}")
            return x.long()
        if bool(((x == 0) | (x == 1)).all()):
            return x.to(torch.uint8)
        if not x.is_floating_point():
            raise DataError(f"{what}: piano rolls must be 0 and 1, or floats in [-1, 1], got {x.dtype} up to {x.max()}")
        return super().check_array(x, what)
