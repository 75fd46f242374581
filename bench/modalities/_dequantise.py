"""Dequantisation: levels spread over the cells that round to them, so that a density can be taken of discrete data.

Levels l = 0 .. L - 1 are shown to models as x = 2 l / (L - 1) - 1. With t uniform in [-1/2, 1/2) the point
x + t * spacing fills the cell of its level evenly, and a density p of it bounds the mass of the level (Theis et al.
2016, arXiv:1511.01844, section 3.1):

    log P(l)  >=  E_t[log p(x + t * spacing)] + D log spacing

Families that learn a density train on such points, and are measured on them.
"""

from __future__ import annotations

from torch import Tensor


def spacing(levels: int = 256) -> float:
    """The distance of two neighbouring levels on the scale [-1, 1]."""
    return 2 / (levels - 1)


def dequantise(x: Tensor, u: Tensor, levels: int = 256) -> Tensor:
    """Levels on the scale [-1, 1] spread over their cells by draws ``u`` in [0, 1) of the shape of ``x``.

    The cells of the first and the last level reach half a spacing beyond -1 and 1.
    """
    return x + (u - 0.5) * spacing(levels)
