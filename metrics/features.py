"""What every measure of features asks of its input."""

from __future__ import annotations

from typing import get_args

import numpy as np
import torch
from torch import Tensor

from bench import GenbenchError, Modality, TooFew

Array = np.ndarray | Tensor
EVERY: frozenset[Modality] = frozenset(get_args(Modality))


def checked(features: Array, least: int = 2) -> Tensor:
    """``(n, D)`` as float64. Raises GenbenchError as ``verified`` does."""
    return verified(features, least).double()


def verified(features: Array, least: int = 2) -> Tensor:
    """``(n, D)`` as it is. Raises GenbenchError for what no distance can be taken of.

    That is: another shape, no columns, fewer than ``least`` rows, NaN or infinity, or rows that are all the same.
    """
    x = torch.as_tensor(features)
    if x.ndim != 2 or not x.shape[1]:
        raise GenbenchError(f"features must be (n, D) with D of at least 1, got {tuple(x.shape)}")
    if len(x) < least:
        raise TooFew(f"{len(x)} examples are too few: at least {least} are needed")
    if x.is_complex() or x.dtype == torch.bool:
        raise GenbenchError(f"features must be real numbers, got {x.dtype}")
    # A sum that is finite has finite terms; where it is not, it may only have overflowed.
    if not torch.isfinite(x.sum(dtype=torch.float64)) and not torch.isfinite(x).all():
        raise GenbenchError("features hold NaN or infinity")
    if len(x) > 1 and bool((x[0] == x[1]).all()) and bool((x == x[0]).all()):
        raise GenbenchError(f"all {len(x)} examples are the same: check what was sampled or loaded")
    return x


def checked_pair(fake: Array, real: Array, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sides as float64. Raises GenbenchError as ``checked`` does, and for sides of different width."""
    x, y = checked(fake, least), checked(real, least)
    if x.shape[1] != y.shape[1]:
        raise GenbenchError(f"both sides need features of one width, got {x.shape[1]} and {y.shape[1]}")
    return x, y
