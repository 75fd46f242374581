"""Vectors: rows of numbers of any size, which are features already."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import DataError, TrialError
from bench.foreign import afford
from bench.modalities._base import Modality, NotFinite
from bench.modalities._examples import Examples
from bench.protocols import DataSpec
from bench.registry import modality


@modality("vector")
class Vector(Modality):
    """Numbers that are taken as they are: points, tables, features from elsewhere."""

    is_features = True
    examples, one, values = "vectors", "vector", "vectors"
    form = "(n, D)"

    def continuous(self, x: Tensor) -> Tensor:
        if not x.is_floating_point():
            raise TrialError(f"vectors must be floats, got {x.dtype}")
        if not torch.isfinite(x).all():
            raise NotFinite("samples hold NaN or infinity: training diverged, or sample() divides by zero")
        return x.float()

    def noise(self, u: Tensor, spec: DataSpec) -> Tensor:
        """Of continuous data, which has no range, standard normal."""
        if spec.kind != "continuous":
            return super().noise(u, spec)
        normal: Tensor = torch.special.ndtri(u.double().clamp(2.0**-25, 1 - 2.0**-25)).float()
        return normal

    def looks_like(self, examples: Examples) -> bool:
        return isinstance(examples, Tensor) and examples.ndim == 2

    def check_array(self, x: Tensor, what: str) -> Tensor:
        if x.ndim != 2:
            one = ": of a single number each give x[:, None]" if x.ndim == 1 else ""
            raise DataError(f"{what}: vectors must be {self.form}, got {tuple(x.shape)}{one}")
        if x.is_complex() or x.dtype == torch.bool:
            raise DataError(f"{what}: vectors must be real numbers, got {x.dtype}")
        self._numbers(x, what)
        if x.is_floating_point():
            return x
        afford(what, 8 * x.numel())
        return x.double()
