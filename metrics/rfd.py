"""Fréchet distance between reconstructions of the test images and those images, called rFID on Inception features.

It tells how much an autoencoder loses before anything is generated (Heusel et al. 2017, arXiv:1706.08500, Eq. 6).
"""

from __future__ import annotations

from bench import Estimate, Reconstructor, Space, metric
from metrics.frechet import frechet_distance


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
    return frechet_distance(space.of("reconstructions").features, space.real)
