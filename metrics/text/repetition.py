"""Repetition within a text: the share of its n-grams that stood in it before (Welleck et al. 2020,
arXiv:1908.04319, section 6.1, "seq-rep-n"; Su et al. 2022, arXiv:2202.06417, section 4.1, "rep-n").

    rep-n = 1 - |distinct n-grams of the text| / |n-grams of the text|

The mean over texts is reported. People repeat themselves too, and longer texts more: compare with the same measure
of held-out text of the same length, not with 0.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import Comparison, Estimate, GenbenchError, metric
from metrics.text._texts import TOKENISER, checked_texts, counted, encode, mean_over_texts

N = 4


def repetition(texts: Sequence[str], n: int = N) -> Estimate:
    """In [0, 1): 0 where no text repeats an n-gram. Texts of fewer than ``n`` words do not count.

    Raises TooFew for fewer than two texts, GenbenchError where all are shorter than ``n`` words.
    """
    (found,) = encode(checked_texts(texts, least=2))
    counts = counted(found, n)
    grams = np.bincount(counts.text, counts.count)
    if not len(grams):
        raise GenbenchError(f"no text holds {n} words, so there is no {n}-gram: give longer texts")
    distinct = np.bincount(counts.text)
    shares = 1 - distinct[grams > 0] / grams[grams > 0]
    return mean_over_texts(shares, hi=1, protocol={"n": n, "tokeniser": TOKENISER})


@metric(
    "rep_4",
    on={"text"},
    aspect="realism",
    unit="1",
    better="none",
    least=0,
    most=1,
    paper="arXiv:1908.04319, section 6.1",
)
def rep_4(c: Comparison) -> Estimate:
    """Share of 4-grams of words that a text repeats of itself, mean over texts; real text is not at 0 either."""
    return repetition(c.texts("samples"))
