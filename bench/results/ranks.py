"""Which numbers of a column are the best, which cannot be told from it, and how many seeds would tell."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal, NamedTuple

from scipy import special, stats

from bench.record import Interval
from bench.statistics import Summary, reach_toward

Mark = Literal["", "best", "tied", "beyond"]
RULE = (
    "not told to be worse than it at 95 %, each by itself: over seeds by Welch's t-test; of one seed by the interval "
    "within its run, which knows nothing of other seeds; nothing is marked where there is neither"
)
BEYOND = "told to be better than real data itself: no merit, so nothing in its column is called best"
LEVEL = 0.95
POWER = 0.8  # with which a number of seeds is said to be enough
_ROUNDING = 1e-9  # of the arithmetic, as a share
MOST = 1000  # seeds; where more are needed, that is said instead


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


class Difference(NamedTuple):
    """One mean less another, its standard error, and the degrees of freedom of the t distribution it follows."""

    value: float
    error: float
    freedom: float = math.inf

    @property
    def reach(self) -> float:
        """Half the width of its interval at 95 %."""
        return float(special.stdtrit(self.freedom, (1 + LEVEL) / 2)) * self.error


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
    return found is not None and not same(a, b) and abs(found.value) > found.reach * (1 + _ROUNDING)


def same(a: Evidence, b: Evidence) -> bool:
    """Equal but for the rounding of the arithmetic."""
    return math.isclose(a.mean, b.mean, rel_tol=_ROUNDING)


def difference(a: Evidence, b: Evidence) -> Difference | None:
    """``a`` less ``b``, as sure as the data make it; None where nothing tells.

    Several seeds on both sides: Welch (1947). One on both: the intervals within the runs, of each the half that faces
    the other (Zou & Donner 2008). One beside several: the one scatters as the several do (Student 1908, equal spreads),
    and no less than within its own run.
    """
    value, first, second = a.mean - b.mean, _spread(a, b), _spread(b, a)
    if first is None or second is None:
        return None
    if min(a.summary.n, b.summary.n) > 1:
        return _welch(value, (first, second), (a.summary.n, b.summary.n))
    error = math.hypot(first / math.sqrt(a.summary.n), second / math.sqrt(b.summary.n))
    counts = [e.summary.n for e in (a, b) if e.summary.sd]
    return Difference(value, error, counts[0] - 1 if counts else math.inf)


def _spread(number: Evidence, other: Evidence) -> float | None:
    """Standard deviation over seeds; that of a single one is what its own interval and the other's seeds say."""
    if number.summary.sd is not None:
        return number.summary.sd
    said = (other.summary.sd or None, number.error(other.mean))  # that the other never moved says nothing of this one
    return max((sd for sd in said if sd is not None), default=None)


def _welch(value: float, sds: tuple[float, float], counts: tuple[float, float]) -> Difference:
    errors = [sd / math.sqrt(n) for sd, n in zip(sds, counts, strict=True)]
    error = math.hypot(*errors)
    if not 0 < error < math.inf:
        return Difference(value, error)
    shares = [(e / error) ** 2 for e in errors]
    return Difference(value, error, 1 / sum(s**2 / (n - 1) for s, n in zip(shares, counts, strict=True)))


def seeds_to_tell(a: Evidence, b: Evidence) -> int | None:
    """The fewest seeds a side with which Welch's test at 95 % tells this difference with a power of 80 %.

    The spread is the one over seeds, or that within the run where there is one seed on both sides: then more may be
    needed. Returns ``MOST + 1`` where more are needed than that, and None where no spread is known.
    """
    first, second, value = _spread(a, b), _spread(b, a), abs(a.mean - b.mean)
    if first is None or second is None:
        return None

    def power(n: int) -> float:
        trial = _welch(value, (first, second), (n, n))
        if not trial.error:
            return float(not same(a, b))
        return float(stats.nct.sf(trial.reach / trial.error, trial.freedom, value / trial.error))

    return 2 + bisect_left(range(2, MOST + 1), POWER, key=power)
