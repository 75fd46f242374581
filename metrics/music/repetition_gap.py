"""How much a piece repeats itself: the share of its passages of four frames that stood in it before, note for note (of
text: Welleck et al. 2020, arXiv:1908.04319, section 6.1, "seq-rep-n"), and how far the mean is from held-out pieces'.

    rep = 1 - |distinct passages of the piece| / |passages of the piece|

Music repeats itself, and held notes do, so that neither less nor more is better. Longer pieces repeat more: compare
pieces of one length.
"""

from __future__ import annotations

import numpy as np

from bench import Comparison, Estimate, metric
from metrics.music._rolls import Rolls, gap_of
from metrics.text._texts import Tokens, counted

PASSAGE = 4


def repetition(side: Rolls) -> np.ndarray:
    """Of each piece, ``(pieces,)`` in [0, 1); NaN of one that is shorter than a passage."""
    bits = np.ascontiguousarray(np.packbits(side.frames, axis=1))
    frames = np.unique(bits.view(np.dtype((np.void, bits.shape[1]))).ravel(), return_inverse=True)[1]
    grams = counted(Tokens(frames, side.piece, len(side.lengths)), PASSAGE)
    distinct, every = (
        np.bincount(grams.text, weights, len(side.lengths)) for weights in (np.ones(len(grams.text)), grams.count)
    )
    found: np.ndarray = 1 - np.divide(distinct, every, out=np.full(len(every), np.nan), where=every > 0)
    return found


@metric("repetition_gap", sides=("samples", "reference"), on={"music"}, aspect="realism", unit="1", better="lower",
        least=0, most=1, paper="arXiv:1908.04319, section 6.1")  # fmt: skip
def repetition_gap(c: Comparison) -> Estimate:
    """How far the share of passages of four frames that a piece repeats is from that of held-out pieces."""
    found = gap_of(c, repetition, f"{PASSAGE} frames")
    return found.model_copy(update={"protocol": {"passage": PASSAGE}})
