"""Glow: a flow whose channels are mixed by what it learns (Kingma & Dhariwal 2018, arXiv:1807.03039).

Each scale makes channels of squares of 2x2 pixels and takes ``depth`` steps (section 3, Figure 2), each of

    actnorm                     y = s x + b, a scale and a shift a channel, set by the first batch         (section 3.1)
    an invertible 1x1 convolution    y = W x, log det = height breadth sum log |diag U|, W = P L U    (section 3.2)
    an affine coupling          of half of the channels on the other half                              (section 3.3)

after which half of the channels are done: N(0, I), where the authors' code says their mean and scale by what goes on.
In a latent space a step is the same of one vector, with W a matrix.
"""

from __future__ import annotations

from typing import Any, ClassVar

from pydantic import PositiveInt

from bench import DataSpec, Presets, generator
from generators._flows import (
    ActNorm,
    Coupling,
    Invertible1x1,
    Layer,
    NormalisingFlow,
    Squeeze,
    Transform,
    check_sides,
    halved,
    net_for,
    squeezed,
)

PRESETS: Presets = {
    "test": {"width": 8, "scales": 2, "depth": 1, "lr": 5e-3},
    "tiny": {"space": "latent", "width": 128, "depth": 6, "lr": 2e-3},
    "paper": {"width": 512, "scales": 3, "depth": 32},  # for sides that are multiples of 8
}


@generator("glow", modalities={"image"}, paper="arXiv:1807.03039", presets=PRESETS, sampling=("temperature",))
class Glow(NormalisingFlow):
    """Steps of actnorm, a learned mixing of channels, and a coupling.

    depth: steps a scale. scales, width and the rest as of ``generators/realnvp.py``.
    """

    presets = PRESETS
    transform: ClassVar[Transform] = "affine"

    def __init__(
        self, spec: DataSpec, *, scales: PositiveInt = 2, depth: PositiveInt = 8, width: PositiveInt = 64, **rest: Any
    ) -> None:
        super().__init__(spec, **rest)
        self.width = width
        if len(self.shape) == 1:
            self.refuse_idle(Glow, "pixels alone have it, leave it out", scales=scales)
            self.ready([self.steps(self.shape, depth)])
            return
        check_sides(spec, scales)
        found, shape = list[list[Layer]](), self.shape
        for _ in range(scales):
            shape = squeezed(shape)
            found.append([Squeeze(), *self.steps(shape, depth)])
            shape = halved(shape)
        self.ready(found)

    def steps(self, shape: tuple[int, ...], depth: int) -> list[Layer]:
        """So many steps, of images or of vectors of this shape."""
        layers: list[Layer] = []
        for _ in range(depth):
            net = net_for(shape, self.transform, self.width)
            layers += [ActNorm(shape[0]), Invertible1x1(shape[0]), Coupling(net, self.transform)]
        return layers
