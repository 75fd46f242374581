"""How alike the rhythm of a piece's bars is (Wu & Yang 2020, "The Jazz Transformer on the front line",
arXiv:2008.01307, section 5.3, "grooving pattern similarity"), and how far the mean is from held-out pieces'.

    GS(a, b) = 1 - 1/Q sum_q XOR(g_q^a, g_q^b)

g^a says in which of the Q frames of bar a any note begins; the mean over all pairs of bars is taken of each piece. A
roll does not say where bars begin: here a bar is eight frames from the beginning on, whatever the metre, on both sides.
Silence is alike throughout, so that more is not better.
"""

from __future__ import annotations

import numpy as np

from bench import Comparison, Estimate, metric
from metrics.music._rolls import Rolls, gap_of

BAR = 8


def groove(side: Rolls) -> np.ndarray:
    """Of each piece, ``(pieces,)`` in [0, 1]; NaN of one of fewer than two bars."""
    bars, starts = side.lengths // BAR, side.lengths.cumsum() - side.lengths
    place = np.arange(len(side.frames)) - starts[side.piece]
    inside = side.onsets.any(1) & (place < bars[side.piece] * BAR)
    often = np.bincount(side.piece[inside] * BAR + place[inside] % BAR, minlength=len(bars) * BAR).reshape(-1, BAR)
    unlike = (often * (bars[:, None] - often)).mean(1)  # pairs of bars that differ, mean over the frames of a bar
    pairs = bars * (bars - 1) / 2
    found: np.ndarray = 1 - np.divide(unlike, pairs, out=np.full(len(bars), np.nan), where=pairs > 0)
    return found


@metric("groove_gap", sides=("samples", "reference"), on={"music"}, aspect="realism", unit="1", better="lower", least=0,
        most=1, paper="arXiv:2008.01307, section 5.3")  # fmt: skip
def groove_gap(c: Comparison) -> Estimate:
    """How far the likeness of the rhythms of a piece's bars, of eight frames, is from that of held-out pieces."""
    found = gap_of(c, groove, f"two bars of {BAR} frames")
    return found.model_copy(update={"protocol": {"bar": BAR}})
