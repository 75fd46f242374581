"""How well notes keep to a scale: of each piece the share of notes that are of the major or minor scale that holds most
of them (Mogren 2016, arXiv:1611.09904, section 4.2; as MusPy has it, arXiv:2008.01951, section 4.4), and how far the
mean is from held-out pieces'. A piece of one note is at 1, so that more is not better.
"""

from __future__ import annotations

import numpy as np

from bench import Comparison, Estimate, metric
from metrics.music._rolls import PITCH_CLASSES, Rolls, gap_of

# The natural minor scale has the notes of the major scale a third above: twelve sets in all.
MAJOR = np.isin(np.arange(PITCH_CLASSES), [0, 2, 4, 5, 7, 9, 11])
SCALES = np.stack([np.roll(MAJOR, key) for key in range(PITCH_CLASSES)])


def scale_consistency(side: Rolls) -> np.ndarray:
    """Of each piece, ``(pieces,)`` in [0, 1]; NaN of one without notes."""
    counts = side.counts(side.notes[:, 1] % PITCH_CLASSES, PITCH_CLASSES)
    best, all_ = (counts @ SCALES.T).max(1), counts.sum(1)
    found: np.ndarray = np.divide(best, all_, out=np.full(len(all_), np.nan), where=all_ > 0)
    return found


@metric("scale_consistency_gap", sides=("samples", "reference"), on={"music"}, aspect="realism", unit="1",
        better="lower", least=0, most=1, paper="arXiv:1611.09904, section 4.2")  # fmt: skip
def scale_consistency_gap(c: Comparison) -> Estimate:
    """How far the share of notes that keep to the best scale of their piece is from that of held-out pieces."""
    return gap_of(c, scale_consistency, "notes")
