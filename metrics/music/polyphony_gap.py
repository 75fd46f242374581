"""How many notes sound at once: keys a frame, of frames in which any sounds (Dong et al. 2020, MusPy,
arXiv:2008.01951, section 4.4, "polyphony"), and how far that is from held-out pieces'.
"""

from __future__ import annotations

import math

import numpy as np

from bench import Comparison, Estimate, GenbenchError, metric, normal_interval, ratio_error
from metrics.music._rolls import Rolls, both, folded


def polyphony(side: Rolls) -> tuple[np.ndarray, np.ndarray]:
    """Keys that sound and frames in which any does, of each piece, ``(pieces,)`` both."""
    keys, pieces = side.frames.sum(1), len(side.lengths)
    return np.bincount(side.piece, keys, pieces), np.bincount(side.piece, keys > 0, pieces)


def polyphony_gap(ours: Rolls, theirs: Rolls) -> Estimate:
    """In keys a frame. Raises GenbenchError where a side is silent."""
    sides = [polyphony(side) for side in (ours, theirs)]
    if not all(frames.sum() for _, frames in sides):
        raise GenbenchError("one side is silent: there is nothing to count")
    first, second = (keys.sum() / frames.sum() for keys, frames in sides)
    error = math.hypot(*(ratio_error(*side) or 0.0 for side in sides))
    interval = normal_interval(float(first - second), error, "delta method over pieces")
    return folded(float(first - second), len(ours.lengths), interval)


@metric("polyphony_gap", sides=("samples", "reference"), on={"music"}, aspect="realism", unit="notes", better="lower",
        least=0, paper="arXiv:2008.01951, section 4.4")  # fmt: skip
def polyphony_gap_of(c: Comparison) -> Estimate:
    """How far the number of notes that sound at once is from that of held-out pieces."""
    return polyphony_gap(*both(c))
