"""Whether two quantities differ, by Welch's test, in pairs or by permutation, and whether by more than matters.

A training seed is a replicate. Where a quantity is one number of many samples, such as a Fréchet distance, its samples
are none, and it is never resampled over them: two seeds are two replicates, however many samples each made.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from bench.statistics.intervals import Summary, summarise

Verdict = Literal["pass", "fail", "inconclusive"]


class Difference(NamedTuple):
    """One mean less another, its standard error, and the degrees of freedom of the t distribution it follows."""

    value: float
    error: float
    freedom: float = math.inf

    def reach(self, level: float = 0.95) -> float:
        """Half the width of its interval."""
        return float(special.stdtrit(self.freedom, (1 + level) / 2)) * self.error

    def p_above(self, least: float = 0.0) -> float:
        """One-sided p of "it is at most ``least``": small where it is told to be more; 0 or 1 where nothing varies."""
        if self.error == 0:
            return float(self.value <= least)
        return float(special.stdtr(self.freedom, -(self.value - least) / self.error))

    def p_below(self, most: float = 0.0) -> float:
        """One-sided p of "it is at least ``most``": small where it is told to be less."""
        return self._replace(value=-self.value).p_above(-most)

    @property
    def p(self) -> float:
        """Two-sided p of "there is no difference"."""
        return min(1.0, 2 * min(self.p_above(), self.p_below()))


def welch_difference(a: Summary, b: Summary) -> Difference:
    """``a`` less ``b``, of independent replicates with spreads of their own (Welch 1947, Biometrika 34).

    Raises ValueError where either has one replicate, whose spread nobody knows.
    """
    if a.sd is None or b.sd is None:
        raise ValueError("a spread takes two replicates on each side")
    first, second = a.sd / math.sqrt(a.n), b.sd / math.sqrt(b.n)
    value, error = a.mean - b.mean, math.hypot(first, second)
    if not 0 < error < math.inf:
        return Difference(value, error)
    shares = (first / error) ** 2, (second / error) ** 2
    return Difference(value, error, 1 / (shares[0] ** 2 / (a.n - 1) + shares[1] ** 2 / (b.n - 1)))


def paired_difference(a: Sequence[float], b: Sequence[float]) -> Difference:
    """Mean of ``a[i] - b[i]`` by Student's t: of replicates that share what they vary by, such as the seed.

    Raises ValueError for fewer than two pairs, and for sequences of unequal length.
    """
    of_pairs = summarise([x - y for x, y in zip(a, b, strict=True)])
    if of_pairs.sd is None:
        raise ValueError("a spread takes two pairs")
    return Difference(of_pairs.mean, of_pairs.sd / math.sqrt(of_pairs.n), of_pairs.n - 1)


def permutation_p(
    a: Sequence[float], b: Sequence[float], rng: np.random.Generator, *, paired: bool = False, draws: int = 9999
) -> float:
    """Two-sided p of "both are of one distribution", by the difference of means; exact where the orders are few.

    paired: signs of the differences change places, not the numbers. At least 2 / (orders), so that three numbers a
    side never give less than 0.1.
    Raises ValueError for an empty side, and for pairs of unequal number.
    """
    if not len(a) or not len(b):
        raise ValueError("no numbers to compare")
    from scipy import stats  # which takes half a second to load

    if paired:
        d = np.subtract(np.asarray(a, float), np.asarray(b, float))
        found = stats.permutation_test(
            (d,), np.mean, permutation_type="samples", n_resamples=draws, rng=rng, vectorized=True
        )
    else:
        found = stats.permutation_test(
            (np.asarray(a, float), np.asarray(b, float)),
            lambda x, y, axis: x.mean(axis) - y.mean(axis),
            n_resamples=draws, rng=rng, vectorized=True,
        )  # fmt: skip
    return float(found.pvalue)


def adjusted(p: Sequence[float], method: Literal["holm", "bh"] = "holm") -> list[float]:
    """p-values of many tests, so that a decision at a level keeps it for all of them together.

    holm: the chance of any false claim (Holm 1979); for what may block. bh: the expected share of false claims among
    those made (Benjamini & Hochberg 1995); for what is only shown.
    """
    if not p:
        return []
    if method == "bh":
        from scipy import stats

        return [float(q) for q in stats.false_discovery_control(p)]
    order = np.argsort(p, kind="stable")
    scaled = np.maximum.accumulate(np.asarray(p, float)[order] * np.arange(len(p), 0, -1)).clip(max=1)
    back = np.empty(len(p))
    back[order] = scaled
    return back.tolist()


def non_inferiority(loss: Difference, margin: float = 0.0) -> tuple[float, float]:
    """How far the data speak against "no worse than the margin allows" and against "worse": two one-sided p.

    loss: how much worse the one is than the other. The first p is small where the loss is told to exceed the margin,
    the second where it is told not to; where neither is, the data do not tell.
    """
    return loss.p_above(margin), loss.p_below(margin)


def verdict_of(p_worse: float, p_fine: float, level: float = 0.95) -> Verdict:
    """By the two p of ``non_inferiority``, the first adjusted for all that may fail beside it."""
    if p_worse <= 1 - level:
        return "fail"
    return "pass" if p_fine <= 1 - level else "inconclusive"
