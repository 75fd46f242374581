"""Which numbers of a column are the best, which cannot be told from it, and how many seeds would tell."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from scipy import special

from bench.record import Interval
from bench.statistics import Difference, Summary, reach_toward, seeds_to_tell

Mark = Literal["", "best", "tied", "beyond"]
RULE = (
    "not told to be worse than it at 95 %, each by itself: over seeds by Welch's t-test; of one seed by the interval "
    "within its run, or part by part of the test data, which know nothing of other seeds; nothing is marked where "
    "there is neither; where the best mean is better than that of real data, beside real data instead; two bounds by "
    "what they vouch for; in the column that orders the board by tests of all pairs together (Holm), as tiers and "
    "places are"
)
NO_MERIT = "told to be better than real data itself, which is no merit"
BEYOND = f"{NO_MERIT}: nothing in its column is called best, and in the column that orders a board it has no place"
LEVEL = 0.95
_ROUNDING = 1e-9  # of the arithmetic, as a share
_FINEST = 1e-6  # share of two errors that their difference must be to be more than rounding


@dataclass(frozen=True)
class Evidence:
    """What is known of one number: over several seeds their spread, of one seed the interval within its run.

    bound: the truth is at least as good as the number. parts: of one seed what each part of the test data adds to its
    error.
    """

    summary: Summary
    interval: Interval | None = None
    bound: bool = False
    parts: tuple[float, ...] = ()

    @property
    def mean(self) -> float:
        return self.summary.mean

    def error(self, toward: float) -> float | None:
        """Standard error within the run, from the side of the interval that faces ``toward``; None where unknown."""
        if self.interval is None:
            return None
        return reach_toward(toward, self.mean, self.interval) / float(special.ndtri((1 + self.interval.level) / 2))


class _Numbers(NamedTuple):
    """What is known of many numbers, an array each, NaN for unknown; ``down`` and ``up`` as ``Evidence.error``.

    parts: ``(numbers, most)``, of single runs those of each, 0 behind them; many: how many these are, 0 for none.
    """

    mean: np.ndarray
    sd: np.ndarray
    n: np.ndarray
    down: np.ndarray
    up: np.ndarray
    parts: np.ndarray
    many: np.ndarray

    @classmethod
    def of(cls, known: Iterable[Evidence]) -> _Numbers:
        known = list(known)
        rows = [(e.mean, e.summary.sd, e.summary.n, e.error(-math.inf), e.error(math.inf)) for e in known]
        mean, sd, n, down, up = np.array(rows, float).reshape(-1, 5).T
        of_single = [e.parts if e.summary.n == 1 else () for e in known]
        many = np.array([len(parts) for parts in of_single], int)
        parts = np.zeros((len(known), max(many, default=0)))
        for row, its in zip(parts, of_single, strict=True):
            row[: len(its)] = its
        return cls(mean, sd, n, down, up, parts, many)


def marks(known: Mapping[str, Evidence], better: str, real: Evidence | None = None) -> dict[str, Mark]:
    """``best`` for the best mean, ``tied`` for those not told to be worse.

    Nothing where nothing is compared: numbers without a direction, a number alone, or one that neither seeds nor
    intervals tell from any other.

    real: what real data scores, where models are to be like it. Numbers told to be better than that are ``beyond``, and
        nothing is the best: texts less alike than real ones are no better than those too much alike. Where the best
        mean is better than that and not told to be, nothing is the best either, and ``tied`` is what is not told to be
        worse than real data.
    """
    if better == "none" or not known:
        return {}
    names, numbers, sign = list(known), _Numbers.of(known.values()), -1 if better == "higher" else 1
    first = names[int(np.argmin(sign * numbers.mean))]
    best = known[first]
    if real and sign * best.mean < sign * real.mean:
        beyond = (sign * numbers.mean < sign * real.mean) & _apart(numbers, _Numbers.of([real]))[:, 0]
        if beyond.any():
            return {name: "beyond" for name, is_so in zip(names, beyond, strict=True) if is_so}
        best = real
    if len(known) < 2:
        return {}
    beside = _Numbers.of([best])
    alike, apart = _same(numbers, beside)[:, 0], _apart(numbers, beside)[:, 0]
    unknown = np.isnan(_differences(numbers, beside)[1])[:, 0]
    if all((unknown & ~alike)[i] for i, name in enumerate(names) if name != first or best is real):
        return {}
    worse = apart & (best.bound | ~np.array([e.bound for e in known.values()]))
    return {name: "best" if alike[i] and best is not real else "tied" for i, name in enumerate(names) if not worse[i]}


def told_worse(number: Evidence, best: Evidence) -> bool:
    """Whether a number with the worse mean is told to be worse: a bound is not, beside what is none."""
    return told(number, best) and (best.bound or not number.bound)


def told(a: Evidence, b: Evidence) -> bool:
    """Whether the two are told apart at 95 %; never where nothing is known of how they scatter."""
    return bool(_apart(_Numbers.of([a]), _Numbers.of([b])).item())


def same(a: Evidence, b: Evidence) -> bool:
    """Equal but for the rounding of the arithmetic."""
    return math.isclose(a.mean, b.mean, rel_tol=_ROUNDING)


def difference(a: Evidence, b: Evidence) -> Difference | None:
    """``a`` less ``b``, as sure as the data make it; None where nothing tells.

    Several seeds on both sides: Welch (1947). One on both: part by part of the test data, where both say how they did
    on each (Student's t); else the intervals within the runs, of each the half that faces the other (Zou & Donner
    2008). One beside several: the one scatters as the several do (Student 1908, equal spreads), and no less than within
    its own run; so do several whose own scatter did not show (``Cell.evidence``).
    """
    value, error, freedom = (x.item() for x in _differences(_Numbers.of([a]), _Numbers.of([b])))
    return None if math.isnan(error) else Difference(value, error, freedom)


def p_values(known: Sequence[Evidence], better: str) -> np.ndarray:
    """Two-sided p of ``difference`` of all pairs, ``(n, n)``, NaN where nothing tells; that of a whole board at once.

    A bound with the worse mean is not told from what is none: the truth may be better.
    """
    numbers, bound = _Numbers.of(known), np.array([e.bound for e in known], bool)
    gap, error, freedom = _differences(numbers, numbers)
    with np.errstate(divide="ignore", invalid="ignore"):
        p = 2 * special.stdtr(freedom, -np.abs(gap) / error)
    p = np.where(error == 0, 0.0, p)
    p[_same(numbers, numbers)] = 1.0
    worse = gap < 0 if better == "higher" else gap > 0  # the one of the row than that of the column
    open_end = worse & bound[:, None] & ~bound[None, :]
    p[np.isnan(error) | open_end | open_end.T] = np.nan
    return p


def by_parts(a: Evidence, b: Evidence) -> bool:
    """Whether ``difference`` is taken part by part of the test data."""
    return not math.isnan(_errors_of_parts(_Numbers.of([a]), _Numbers.of([b])).item())


def _differences(a: _Numbers, b: _Numbers) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of ``difference`` of each pair, ``(a, b)``, the value, the standard error (NaN where nothing tells) and the
    degrees of freedom.
    """
    first, second = _spreads(a, b) / np.sqrt(a.n)[:, None], (_spreads(b, a) / np.sqrt(b.n)[:, None]).T
    error, single = np.hypot(first, second), np.isnan(a.sd)[:, None] | np.isnan(b.sd)
    with np.errstate(divide="ignore", invalid="ignore"):
        welch = 1 / ((first / error) ** 4 / (a.n - 1)[:, None] + (second / error) ** 4 / (b.n - 1))
        lent = np.fmin(np.where(a.sd > 0, a.n - 1, np.nan)[:, None], np.where(b.sd > 0, b.n - 1, np.nan))
    freedom = np.where(single, lent, welch)
    paired = _errors_of_parts(a, b)
    known = ~np.isnan(paired)
    error, freedom = np.where(known, paired, error), np.where(known, a.many[:, None] - 1, freedom)
    return np.subtract.outer(a.mean, b.mean), error, np.where(np.isnan(freedom), np.inf, freedom)


def _errors_of_parts(a: _Numbers, b: _Numbers) -> np.ndarray:
    """Norms of the differences of parts, ``(a, b)``; NaN of those that are not of as many, and of less than a number
    holds of them: that two agree on every part is more than chance, and no scatter to tell them apart by.
    """
    errors = np.full((len(a.parts), len(b.parts)), np.nan)
    size = max((float(np.abs(x.parts).max(initial=0)) for x in (a, b)), default=0) or 1.0  # squares may not be numbers
    width = max(a.parts.shape[1], b.parts.shape[1])
    one, other = (np.pad(x.parts / size, ((0, 0), (0, width - x.parts.shape[1]))) for x in (a, b))
    for i in np.flatnonzero(a.many):
        found = np.linalg.norm(other - one[i], axis=1)
        least = _FINEST * np.hypot(np.linalg.norm(one[i]), np.linalg.norm(other, axis=1))
        errors[i] = np.where((b.many == a.many[i]) & (found > least), found * size, np.nan)
    return errors


def _spreads(a: _Numbers, b: _Numbers) -> np.ndarray:
    """Standard deviations over seeds of ``a``, ``(a, b)``; of a single one what its interval and the seeds of b say."""
    own = np.where(np.less.outer(a.mean, b.mean), a.up[:, None], a.down[:, None])
    lent = np.where(b.sd > 0, b.sd, np.nan)  # that the other never moved says nothing of this one
    return np.where(np.isnan(a.sd)[:, None], np.fmax(own, lent), a.sd[:, None])


def _apart(a: _Numbers, b: _Numbers) -> np.ndarray:
    value, error, freedom = _differences(a, b)
    reach = special.stdtrit(freedom, (1 + LEVEL) / 2) * error
    apart: np.ndarray = ~_same(a, b) & (np.abs(value) > reach * (1 + _ROUNDING))
    return apart


def _same(a: _Numbers, b: _Numbers) -> np.ndarray:
    size = np.maximum.outer(np.abs(a.mean), np.abs(b.mean))
    alike: np.ndarray = np.abs(np.subtract.outer(a.mean, b.mean)) <= _ROUNDING * size
    return alike


def seeds_needed(a: Evidence, b: Evidence, tests: int = 1) -> int | None:
    """The fewest seeds a side with which Welch's test at 95 % tells this difference with a power of 80 %.

    tests: that are made together and share the error.

    The spread is the one over seeds, or that within the run where there is one seed on both sides (part by part of the
    test data, where ``difference`` is): then more may be needed. Returns ``MOST + 1`` where more are needed than that,
    and None where no spread is known.
    """
    one, other = _Numbers.of([a]), _Numbers.of([b])
    first, second = _spreads(one, other).item(), _spreads(other, one).item()
    if by_parts(a, b):
        first = second = _errors_of_parts(one, other).item() / math.sqrt(2)
    if math.isnan(first) or math.isnan(second):
        return None
    return seeds_to_tell(0.0 if same(a, b) else a.mean - b.mean, (first, second), level=LEVEL, tests=tests)
