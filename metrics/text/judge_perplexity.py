"""Generated text under a language model that had no part in making it (Holtzman et al. 2020, arXiv:1904.09751,
section 4.1).

    perplexity = exp(sum of nats over all tokens / tokens)

Sum over sum, never a mean of ratios; metrics/text/_judge.py says who judges and how texts are read. Perplexity per
token is of the judge's tokens: numbers of two judges never compare.

Too low is no better than too high: a text that repeats itself is easy to foresee. So the perplexity is not ranked; what
to match is that of held-out text in pieces of the same length, and ``judge_gap`` is the distance to it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Literal

import numpy as np

from bench import Comparison, Estimate, GenbenchError, difference_interval, metric, ratio_interval
from metrics.likelihood._scoring import transformed
from metrics.text._judge import Judge, judge, locate, score
from metrics.text._texts import checked_texts, cut, spread

PAPER = "arXiv:1904.09751, section 4.1"
TEXTS = 128  # of each side at most: the judge reads a few hundred tokens a second on one core
METHOD = "delta method over texts"


def perplexity(nats: np.ndarray, tokens: np.ndarray) -> Estimate:
    """exp(sum of nats / sum of tokens), at least 1, from both of each text, ``(texts,)``.

    Raises GenbenchError where there is no token, or where nats are not finite.
    """
    rate = mean_nats(nats, tokens)
    interval = cut(ratio_interval(nats, tokens, method=METHOD), 0, np.inf)
    return transformed(Estimate(value=rate, n=int(tokens.sum()), interval=interval), lambda x: float(np.exp(x)))


def gap(nats: np.ndarray, tokens: np.ndarray, their_nats: np.ndarray, their_tokens: np.ndarray) -> Estimate:
    """|log perplexity of ours - log perplexity of theirs| in nats a token, at least 0; the sides are independent."""
    ours, theirs = (
        Estimate(value=mean_nats(*side), n=len(side[1]), interval=ratio_interval(*side))
        for side in ((nats, tokens), (their_nats, their_tokens))
    )
    signed, interval = ours.value - theirs.value, difference_interval(ours, theirs, METHOD)
    if interval is not None:
        lo, hi = sorted((abs(interval.lo), abs(interval.hi)))
        interval = interval.model_copy(update={"lo": 0.0 if interval.lo <= 0 <= interval.hi else lo, "hi": hi})
    return Estimate(value=abs(signed), n=int(tokens.sum()), interval=interval)


def mean_nats(nats: np.ndarray, tokens: np.ndarray) -> float:
    """Nats a token. Raises GenbenchError as ``perplexity`` does."""
    if not len(tokens) or not tokens.sum():
        raise GenbenchError("the texts hold no token to score: check what was sampled or loaded")
    if not np.isfinite(nats).all():
        raise GenbenchError("the judge returned NaN or infinity")
    return float(nats.sum() / tokens.sum())


def judged(texts: Sequence[str], by: Judge, limit: int = TEXTS) -> tuple[np.ndarray, np.ndarray]:
    """Nats and tokens of at most ``limit`` of the texts, chosen by their content: their order changes nothing."""

    def by_content(text: str) -> bytes:
        return hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()

    return score(by, spread(sorted(checked_texts(texts), key=by_content), limit))


def judge_perplexity(texts: Sequence[str]) -> Estimate:
    """Perplexity of texts under the judge, with its name, weights and windows in the protocol."""
    by = judge()
    return _under(by, perplexity(*judged(texts, by)))


def judge_gap(texts: Sequence[str], reference: Sequence[str]) -> Estimate:
    """Distance of the texts' log perplexity to that of the reference, in nats a token."""
    by = judge()
    return _under(by, gap(*judged(texts, by), *judged(reference, by)))


def _under(by: Judge, found: Estimate) -> Estimate:
    """The estimate with its judge and how many texts were read in its protocol."""
    return found.model_copy(update={"protocol": {**by.protocol, "texts": f"at most {TEXTS}, chosen by content"}})


def _of_side(c: Comparison, side: Literal["samples", "reference"]) -> tuple[np.ndarray, np.ndarray]:
    """Scores of one side, on the comparison's device."""
    by = judge()
    by.model.to(c.device)
    return judged(c.texts(side), by, min(TEXTS, c.count("samples")))


@metric("judge_perplexity", on={"text"}, aspect="realism", unit="1", better="none", least=1, slow=True, locate=locate,
        paper=PAPER)  # fmt: skip
def judge_perplexity_of_samples(c: Comparison) -> Estimate:
    """Perplexity of the samples under a language model that did not make them; match held-out text, not 1."""
    return _under(judge(), perplexity(*c.once(_of_side, "samples")))


@metric("judge_gap", sides=("samples", "reference"), on={"text"}, aspect="realism", unit="nat/token",
        better="lower", least=0, slow=True, locate=locate, paper=PAPER)  # fmt: skip
def judge_gap_of_samples(c: Comparison) -> Estimate:
    """How far the samples' log perplexity under that language model is from held-out text's, in nats a token."""
    return _under(judge(), gap(*c.once(_of_side, "samples"), *c.once(_of_side, "reference")))
