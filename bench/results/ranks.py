"""Which numbers of a column are the best, which cannot be told from it, and how many seeds would tell."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special

from bench.record import Interval
from bench.statistics import Difference, Summary, reach_toward, seeds_to_tell, welch_difference

Mark = Literal["", "best", "tied", "beyond"]
RULE = (
    "not told to be worse than it at 95 %, each by itself: over seeds by Welch's t-test; of one seed by the interval "
    "within its run, which knows nothing of other seeds; nothing is marked where there is neither; in the column that "
    "orders the board by tests of all pairs together (Holm), as tiers and places are"
)
NO_MERIT = "told to be better than real data itself, which is no merit"
BEYOND = f"{NO_MERIT}: nothing in its column is called best, and in the column that orders a board it has no place"
LEVEL = 0.95
_ROUNDING = 1e-9  # of the arithmetic, as a share


@dataclass(frozen=True)
class Evidence:
    """What is known of one number: over several seeds their spread, of one seed the interval within its run.

    bound: the truth is at least as good as the number.
    """

    summary: Summary
    interval: Interval | None = None
    bound: bool = False

    @property
    def mean(self) -> float:
        return self.summary.mean

    def error(self, toward: float) -> float | None:
        """Standard error within the run, from the side of the interval that faces ``toward``; None where unknown."""
        if self.interval is None:
            return None
        return reach_toward(toward, self.mean, self.interval) / float(special.ndtri((1 + self.interval.level) / 2))


def marks(known: Mapping[str, Evidence], better: str, real: Evidence | None = None) -> dict[str, Mark]:
    """``best`` for the best mean, ``tied`` for those not told to be worse.

    Nothing where nothing is compared: numbers without a direction, a number alone, or one that neither seeds nor
    intervals tell from any other.

    real: what real data scores, where models are to be like it. Numbers told to be better than that are ``beyond``, and
        nothing is the best: texts less alike than real ones are no better than those too much alike.
    """
    sign = -1 if better == "higher" else 1
    beyond = [name for name, e in known.items() if real and sign * e.mean < sign * real.mean and told(e, real)]
    if beyond and better != "none":
        return dict.fromkeys(beyond, "beyond")
    if better == "none" or len(known) < 2:
        return {}
    first, *others = sorted(known, key=lambda name: known[name].mean, reverse=better == "higher")
    best = known[first]
    found: dict[str, Mark] = {first: "best"}
    for name in others:
        if same(known[name], best):
            found[name] = "best"
        elif not told_worse(known[name], best):
            found[name] = "tied"
    comparable = any(same(known[name], best) or difference(known[name], best) for name in others)
    return found if comparable else {}


def told_worse(number: Evidence, best: Evidence) -> bool:
    """Whether a number with the worse mean is told to be worse: a bound is not, beside what is none."""
    return told(number, best) and (best.bound or not number.bound)


def told(a: Evidence, b: Evidence) -> bool:
    """Whether the two are told apart at 95 %; never where nothing is known of how they scatter."""
    found = difference(a, b)
    return found is not None and not same(a, b) and abs(found.value) > found.reach(LEVEL) * (1 + _ROUNDING)


def same(a: Evidence, b: Evidence) -> bool:
    """Equal but for the rounding of the arithmetic."""
    return math.isclose(a.mean, b.mean, rel_tol=_ROUNDING)


def difference(a: Evidence, b: Evidence) -> Difference | None:
    """``a`` less ``b``, as sure as the data make it; None where nothing tells.

    Several seeds on both sides: Welch (1947). One on both: the intervals within the runs, of each the half that faces
    the other (Zou & Donner 2008). One beside several: the one scatters as the several do (Student 1908, equal spreads),
    and no less than within its own run; so do several whose own scatter did not show (``Cell.evidence``).
    """
    value, first, second = a.mean - b.mean, _spread(a, b), _spread(b, a)
    if first is None or second is None:
        return None
    if a.summary.sd is not None and b.summary.sd is not None:
        return welch_difference(a.summary, b.summary)
    error = math.hypot(first / math.sqrt(a.summary.n), second / math.sqrt(b.summary.n))
    counts = [e.summary.n for e in (a, b) if e.summary.sd]
    return Difference(value, error, counts[0] - 1 if counts else math.inf)


def _spread(number: Evidence, other: Evidence) -> float | None:
    """Standard deviation over seeds; that of a single one is what its own interval and the other's seeds say."""
    if number.summary.sd is not None:
        return number.summary.sd
    said = (other.summary.sd or None, number.error(other.mean))  # that the other never moved says nothing of this one
    return max((sd for sd in said if sd is not None), default=None)


def p_values(known: Sequence[Evidence], better: str) -> np.ndarray:
    """Two-sided p of ``difference`` of all pairs, ``(n, n)``, NaN where nothing tells; that of a whole board at once.

    A bound with the worse mean is not told from what is none: the truth may be better.
    """
    mean, sd, n = (np.array([getattr(e.summary, name) for e in known], float) for name in ("mean", "sd", "n"))
    down, up = (np.array([e.error(end) for e in known], float) for end in (-math.inf, math.inf))
    bound = np.array([e.bound for e in known], bool)
    single, gap = np.isnan(sd), np.subtract.outer(mean, mean)
    # Of a single seed: what its own interval says on the side that faces the other, and no less than the other's seeds.
    own = np.where(gap < 0, up[:, None], down[:, None])
    lent = np.where(sd > 0, sd, np.nan)[None, :]
    spread = np.where(single[:, None], np.fmax(own, lent), sd[:, None])
    part = spread / np.sqrt(n)[:, None]
    error = np.hypot(part, part.T)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = (part / error) ** 2
        welch = 1 / (share**2 / (n - 1)[:, None] + share.T**2 / (n - 1)[None, :])
        seeds = np.where(single[:, None] & (sd > 0)[None, :], n[None, :] - 1, np.inf)
        freedom = np.where(single[:, None] | single[None, :], np.fmin(seeds, seeds.T), welch)
        p = 2 * special.stdtr(np.where(np.isnan(freedom), np.inf, freedom), -np.abs(gap) / error)
    p = np.where(error == 0, 0.0, p)
    p[np.abs(gap) <= _ROUNDING * np.maximum.outer(np.abs(mean), np.abs(mean))] = 1.0
    worse = gap < 0 if better == "higher" else gap > 0  # the one of the row than that of the column
    open_end = worse & bound[:, None] & ~bound[None, :]
    p[np.isnan(error) | open_end | open_end.T] = np.nan
    return p


def seeds_needed(a: Evidence, b: Evidence, tests: int = 1) -> int | None:
    """The fewest seeds a side with which Welch's test at 95 % tells this difference with a power of 80 %.

    tests: that are made together and share the error.

    The spread is the one over seeds, or that within the run where there is one seed on both sides: then more may be
    needed. Returns ``MOST + 1`` where more are needed than that, and None where no spread is known.
    """
    first, second = _spread(a, b), _spread(b, a)
    if first is None or second is None:
        return None
    return seeds_to_tell(0.0 if same(a, b) else a.mean - b.mean, (first, second), level=LEVEL, tests=tests)
