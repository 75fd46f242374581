"""Fréchet distance between reconstructions of the test images and those images, called rFID on Inception features.

It tells how much an autoencoder loses before anything is generated (Heusel et al. 2017, arXiv:1706.08500, Eq. 6). Each
copy goes with its original, whose errors partly cancel, so the interval is over pairs: an image moves the distance by
the sum of what its copy and what it itself does (the two influences are in metrics/features/frechet.py).
"""

from __future__ import annotations

import math

from bench import Estimate, GenbenchError, Space, metric, normal_interval
from metrics._arrays import Array
from metrics.features.frechet import arrays, influences, say_if_singular


@metric(
    "rfd",
    on={"image"},
    sides=("reconstructions", "reference"),
    aspect="reconstruction",
    unit="1",
    better="lower",
    least=0,
    paper="arXiv:1706.08500, Eq. 6",
)
def rfd(space: Space) -> Estimate:
    """Fréchet distance between the test images and the model's reconstructions of them."""
    say_if_singular(space, "reconstructions")
    return paired_distance(space.of("reconstructions").features, space.real)


def paired_distance(copies: Array, originals: Array) -> Estimate:
    """Fréchet distance of features ``(n, D)`` where row i of one side belongs to row i of the other.

    Raises GenbenchError for sides of different shape, else as ``frechet_distance``.
    """
    x, y = arrays(copies, originals)
    if len(x) != len(y):
        raise GenbenchError(f"copies and originals must be as many, got {len(x)} and {len(y)}")
    value, _, of_copy, of_original = influences(x, y)
    error = float((of_copy + of_original).std(ddof=1)) / math.sqrt(len(x))
    interval = normal_interval(value, error, "delta method over pairs, of the expectation at this n", lo=0)
    return Estimate(value=value, n=len(x), interval=interval)
