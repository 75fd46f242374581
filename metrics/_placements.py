"""Where numbers stand among others: what rank tests and areas under curves are made of."""

from __future__ import annotations

import numpy as np


def placements(of: np.ndarray, among: np.ndarray) -> np.ndarray:
    """Of each number the share of the others that are below it, ties half, ``(n,)`` in [0, 1] (Sun & Xu 2014)."""
    ordered = np.sort(among)
    below, not_above = (np.searchsorted(ordered, of, side=side) for side in ("left", "right"))
    share: np.ndarray = (below + not_above) / (2 * len(ordered))
    return share
