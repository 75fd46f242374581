"""Fréchet distance between reconstructions of the test images and those images, called rFID on Inception features.

It tells how much an autoencoder loses before anything is generated (Heusel et al. 2017, arXiv:1706.08500, Eq. 6). Each
copy goes with its original, whose errors partly cancel, so the interval is over pairs: an image moves the distance by
the sum of what its copy and what it itself does (the two influences are in metrics/frechet.py).
"""

from __future__ import annotations

import math

from torch import Tensor

from bench import Estimate, GenbenchError, Reconstructor, Space, metric, normal_interval
from metrics.features import Array, checked_pair
from metrics.frechet import frechet_distance
from metrics.gaussian import transport


@metric(
    "rfd",
    of="features",
    on={"image"},
    sides=("reconstructions", "reference"),
    aspect="realism",
    unit="1",
    better="lower",
    needs=Reconstructor,
    paper="arXiv:1706.08500, Eq. 6",
)
def rfd(space: Space) -> Estimate:
    """Fréchet distance between the test images and the model's reconstructions of them."""
    return paired_distance(space.of("reconstructions").features, space.real)


def paired_distance(copies: Array, originals: Array) -> Estimate:
    """Fréchet distance of features ``(n, D)`` where row i of one side belongs to row i of the other.

    Raises GenbenchError for sides of different shape, else as ``frechet_distance``.
    """
    x, y = checked_pair(copies, originals)
    if len(x) != len(y):
        raise GenbenchError(f"copies and originals must be as many, got {len(x)} and {len(y)}")
    found, error = frechet_distance(x, y), float(_influences(x, y).std()) / math.sqrt(len(x))
    return found.model_copy(update={"interval": normal_interval(found.value, error, "delta method over pairs", lo=0)})


def _influences(x: Tensor, y: Tensor) -> Tensor:
    """What each pair adds to the distance, up to a constant, ``(n,)``."""
    scale, shift = len(x) - 1, x.mean(0) - y.mean(0)
    a, b = x - x.mean(0), y - y.mean(0)
    plan = transport(a / scale**0.5, b / scale**0.5)
    straight = 2 * ((a - b) @ shift)
    return straight + a.square().sum(1) + b.square().sum(1) - scale * (plan.there + plan.back)
