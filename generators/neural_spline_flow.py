"""Neural spline flow: Glow with couplings that bend (Durkan et al. 2019, arXiv:1906.04032).

A coupling moves each value by a monotone rational-quadratic spline, whose knots and slopes a net says: K bins in
[-B, B] with widths, heights and slopes, a quotient of two quadratics in each, and the identity outside (section 3.1).
It has an inverse in closed form, the root of a quadratic, and one such layer bends what many affine ones only shift and
scale. Steps are those of Glow (section 4.2), images as they are.
"""

from __future__ import annotations

from typing import ClassVar

from bench import Presets, generator
from generators._flows import Transform
from generators.glow import Glow

PRESETS: Presets = {
    "test": {"width": 8, "scales": 2, "depth": 1, "lr": 5e-3},
    "tiny": {"space": "latent", "width": 128, "depth": 4, "lr": 2e-3},
    "paper": {"width": 96, "scales": 4, "depth": 7, "lr": 5e-4},  # for 64 pixels
}


@generator(
    "neural_spline_flow", modalities={"image"}, paper="arXiv:1906.04032", presets=PRESETS, sampling=("temperature",)
)
class NeuralSplineFlow(Glow):
    """Glow with rational-quadratic couplings of eight bins."""

    presets = PRESETS
    transform: ClassVar[Transform] = "spline"
