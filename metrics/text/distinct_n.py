"""Distinct n-grams over all n-grams (Li et al. 2016, arXiv:1510.03055, section 5).

    distinct-n = |set of n-grams of all texts| / |n-grams of all texts|

More text repeats more: the ratio falls with the number of tokens, whoever wrote them (Liu et al. 2022,
arXiv:2202.13587). So it is taken on the first 100, 1,000, 10,000, ... tokens, as many as there are; where held-out
text stands beside, no more than as many texts of that surely have, so that its own ratio can stand in the same column.
The number stands in the protocol, and what it is beside: only ratios over equally many tokens compare.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from bench import Comparison, Estimate, GenbenchError, Omitted, TooFew, bounded_interval, metric
from metrics.text._texts import TOKENISER, Protocol, Tokens, checked_texts, counted, encode, jackknife

LEAST = 100
METHOD = "Wilson, effective trials by a jackknife over texts (conservative), of the expectation at these tokens"


def distinct_n(texts: Sequence[str], n: int, tokens: int | None = None, *, most: int | None = None) -> Estimate:
    """In (0, 1]; 1 where no n-gram comes twice.

    tokens: how many from the start to look at; None for the largest power of ten, from 100, that the texts fill and
    that is not above ``most``.
    Raises TooFew for fewer tokens than that, GenbenchError for texts without n-grams.
    """
    (found,) = encode(checked_texts(texts))
    have = len(found.ids)
    taken = first(found, size(have if most is None or tokens else min(have, max(most, LEAST)), tokens))
    counts = counted(taken, n)
    grams = np.bincount(counts.text, counts.count, taken.texts)
    if not grams.sum():
        raise GenbenchError(f"no text holds {n} tokens, so there is no {n}-gram: give longer texts")
    kinds = len(counts.holders)
    value = kinds / grams.sum()
    protocol: Protocol = {"n": n, "tokens": len(taken.ids), "tokeniser": TOKENISER}
    # Without a text, the n-grams that it alone holds are gone.
    lost = np.bincount(counts.text[counts.holders[counts.gram] == 1], minlength=len(grams))
    left = grams.sum() - grams
    error = jackknife((kinds - lost) / np.where(left > 0, left, 1))
    interval = bounded_interval(value, error, taken.texts, METHOD) if taken.texts > 1 else None
    return Estimate(value=value, n=taken.texts, interval=interval, protocol=protocol)


def size(have: int, asked: int | None = None) -> int:
    """How many tokens to look at. Raises TooFew."""
    least = LEAST if asked is None else asked
    if have < least:
        raise TooFew(f"the texts hold {have} tokens: at least {least} are needed")
    return asked or 10 ** (len(str(have)) - 1)


def first(tokens: Tokens, size: int) -> Tokens:
    """The first ``size`` tokens; the last text may be cut."""
    text = tokens.text[:size]
    return Tokens(tokens.ids[:size], text, int(text[-1]) + 1)


def _tokens_of_reference(c: Comparison, texts: int) -> int:
    """How many tokens so many held-out texts surely have; other ones may be a little shorter than these."""
    return int(0.9 * len(encode(c.texts("reference")[:texts])[0].ids))


def _register(n: int) -> Callable[[Comparison], Estimate]:
    def compute(c: Comparison) -> Estimate:
        try:
            real = c.once(_tokens_of_reference, len(c.texts("samples")))
        except Omitted:
            real = None  # texts can be looked at alone
        return distinct_n(c.texts("samples"), n, most=real)

    compute.__doc__ = f"Share of distinct {n}-grams of words among all, on a fixed number of tokens."
    return metric(
        f"distinct_{n}",
        on={"text"},
        aspect="diversity",
        unit="1",
        better="higher",
        least=0,
        most=1,
        paper="arXiv:1510.03055, section 5",
    )(compute)


distinct_1, distinct_2, distinct_3 = _register(1), _register(2), _register(3)
