"""RealNVP: a density by couplings (Dinh et al. 2017, arXiv:1605.08803).

A coupling leaves some of the values as they are and moves the rest by what a net says of those:

    y_1 = x_1,    y_2 = x_2 exp(s(x_1)) + t(x_1),    log |det dy/dx| = sum s(x_1)                        (Eqs. 4 to 8)

Its inverse needs no inverse of the nets: x_2 = (y_2 - t(y_1)) exp(-s(y_1)). What is left as it is alternates: three
times by a checkerboard, and, once squares of 2x2 pixels have become channels, three times by half of these (section
3.4); then half of the channels are done and the rest goes on, and the last scale has four checkerboards (section 3.6).
In a latent space it is one half of the numbers and then the other.

Nets have two hidden layers, where the paper's are residual; s is bounded, and layers have no batch normalisation, of
which users report that the likelihood of test data breaks down. The logit of pixels is that of the authors' code.
"""

from __future__ import annotations

from typing import Any

from pydantic import PositiveInt

from bench import DataSpec, Presets, generator
from generators._flows import (
    CheckerboardCoupling,
    Coupling,
    Layer,
    NormalisingFlow,
    Squeeze,
    check_sides,
    halved,
    net_for,
    squeezed,
)

PRESETS: Presets = {
    "test": {"width": 8, "scales": 2, "lr": 5e-3},
    "tiny": {"space": "latent", "width": 128, "couplings": 8, "lr": 2e-3},
    "paper": {"width": 64, "scales": 2, "logit": True},  # of section 4.1 for CIFAR-10
}


@generator("realnvp", modalities={"image"}, paper="arXiv:1605.08803", presets=PRESETS, sampling=("temperature",))
class RealNVP(NormalisingFlow):
    """Affine couplings at several scales.

    scales: of an image, 2 where it is not said. couplings: of a latent space. width: of their nets. The rest as of
    ``generators/_flows.py`` and ``generators/_latent.py``. Raises GenbenchError for either in the other's space.
    """

    presets = PRESETS

    def __init__(
        self,
        spec: DataSpec,
        *,
        scales: PositiveInt = 2,
        couplings: PositiveInt = 8,
        width: PositiveInt = 64,
        **rest: Any,
    ) -> None:
        super().__init__(spec, **rest)
        if len(self.shape) == 1:
            self.refuse_idle(RealNVP, "pixels alone have it, leave it out", scales=scales)
            self.ready([[half(self.shape, i, width) for i in range(couplings)]])
            return
        self.refuse_idle(RealNVP, "latents alone have it, leave it out", couplings=couplings)
        check_sides(spec, scales - 1)
        found, shape = list[list[Layer]](), self.shape
        for _ in range(scales - 1):
            layers = [checkerboard(shape, i, width) for i in range(3)]
            shape = squeezed(shape)
            found.append([*layers, Squeeze(), *(half(shape, i, width) for i in range(3))])
            shape = halved(shape)
        self.ready([*found, [checkerboard(shape, i, width) for i in range(4)]])


def half(shape: tuple[int, ...], turn: int, width: int) -> Layer:
    return Coupling(net_for(shape, "affine", width), second=bool(turn % 2))


def checkerboard(shape: tuple[int, ...], turn: int, width: int) -> Layer:
    return CheckerboardCoupling(net_for(shape, "affine", width, whole=True), odd=bool(turn % 2))
