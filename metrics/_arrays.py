"""What every measure of features asks of its input."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from bench import GenbenchError, TooFew, alive

Array = np.ndarray | Tensor
LARGEST = 1e100  # beyond it the cubes that some measures take leave float64
TILE = 1024  # rows that are looked at together


def checked(features: Array, least: int = 2, largest: float = LARGEST) -> Tensor:
    """``(n, D)`` as float64. Raises GenbenchError as ``verified`` does."""
    return verified(features, least, largest).double()


def verified(features: Array, least: int = 2, largest: float = LARGEST) -> Tensor:
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
    reach = max(abs(float(end)) for end in x.aminmax())  # both ends are NaN where there is one
    if not math.isfinite(reach):
        raise GenbenchError("features hold NaN or infinity")
    if reach > largest:
        raise GenbenchError(f"features reach {reach:.1e}: they must stay below {largest:.0e}, so rescale them")
    if len(x) > 1 and bool((x[0] == x[1]).all()) and bool((x == x[0]).all()):
        raise GenbenchError(f"all {len(x)} examples are the same: check what was sampled or loaded")
    return x


def checked_pair(fake: Array, real: Array, least: int = 2) -> tuple[Tensor, Tensor]:
    """Both sides as float64. Raises GenbenchError as ``checked`` does, and for sides of different width."""
    x, y = checked(fake, least), checked(real, least)
    if x.shape[1] != y.shape[1]:
        raise GenbenchError(f"both sides need features of one width, got {x.shape[1]} and {y.shape[1]}")
    return x, y


def by_content(rows: Array) -> Tensor:
    """``(n,)`` row numbers of ``(n, D)``, ordered by what the rows hold: the same rows in any order come out as one.

    The order itself means nothing: it is that of a fixed random combination of the columns, so that equal rows are
    neighbours, and rounding hardly ever moves a row. Each row is summed by itself, since a product's rounding depends
    on where the row stands.
    """
    x = torch.as_tensor(rows)
    weights = torch.rand(x.shape[1], generator=torch.Generator().manual_seed(0), dtype=torch.float64).to(x.device)
    return torch.cat([(part.double() * weights).sum(1) for part in alive(x.split(TILE))]).argsort(stable=True)
