"""Mean and covariance of a stream of features, in float64 whatever the features are."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Moments:
    """n: rows seen. mean: ``(D,)``. covariance: ``(D, D)``, unbiased (n - 1). Both float64 on the CPU."""

    n: int
    mean: Tensor
    covariance: Tensor


class MomentSum:
    """Running mean and scatter, merged pair by pair (Chan, Golub & LeVeque 1983, Eq. 2.1).

    Batches and shards may come in any size and order: the result is the same but for rounding. Sums of raw squares
    would lose the digits in which two covariances differ.
    """

    def __init__(self) -> None:
        self.n = 0
        self.mean: Tensor | None = None
        self.scatter: Tensor | None = None

    def update(self, rows: Tensor) -> MomentSum:
        """Take in ``(n, D)`` rows; returns itself."""
        if not len(rows):
            return self
        other = MomentSum()
        x = rows.detach().double().cpu()
        other.n, other.mean = len(x), x.mean(0)
        centred = (x - other.mean).numpy()
        other.scatter = torch.from_numpy(centred.T @ centred)  # numpy sees that half of it is the other half
        return self.merge(other)

    def merge(self, other: MomentSum) -> MomentSum:
        """Take in what another sum has seen, such as another worker's; returns itself."""
        if other.mean is None or other.scatter is None:
            return self
        if self.mean is None or self.scatter is None:
            self.n, self.mean, self.scatter = other.n, other.mean, other.scatter
            return self
        total, shift = self.n + other.n, other.mean - self.mean
        self.scatter = self.scatter + other.scatter + torch.outer(shift, shift) * (self.n * other.n / total)
        self.mean = self.mean + shift * (other.n / total)
        self.n = total
        return self

    def result(self) -> Moments:
        """The moments so far. Raises ValueError for fewer than two rows."""
        if self.mean is None or self.scatter is None or self.n < 2:
            raise ValueError("moments need at least two rows")
        return Moments(self.n, self.mean, self.scatter / (self.n - 1))
