"""How many seeds a question takes."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Callable

import numpy as np
from scipy import special

from bench.statistics.comparing import Difference, welch_difference
from bench.statistics.intervals import Summary

POWER = 0.8  # with which a number of seeds is said to be enough
MOST = 1000  # seeds; where more are needed, that is said instead
REPEATS = 4000


def seeds_to_tell(
    effect: float, sds: tuple[float, float], *, level: float = 0.95, sides: int = 2, tests: int = 1
) -> int:
    """The fewest seeds a side with which Welch's test tells means that lie ``effect`` apart, with a power of 80 %.

    sds: standard deviations over seeds. sides: 1 where only one direction counts. tests: that are made together; each
    then has its share of the error (Bonferroni, of which Holm's is never the less powerful).
    Returns ``MOST + 1`` where more are needed than that.
    """

    def power(n: int) -> float:
        trial = welch_difference(Summary(abs(effect), sds[0], n), Summary(0.0, sds[1], n))
        return power_of(trial, level=1 - (1 - level) / tests, sides=sides)

    return 2 + bisect_left(range(2, MOST + 1), POWER, key=power)


def power_of(trial: Difference, *, level: float = 0.95, sides: int = 2) -> float:
    """With which chance a t test tells a difference that is in truth ``trial.value`` from 0."""
    if not trial.error:
        return float(trial.value != 0)
    least = float(special.stdtrit(trial.freedom, 1 - (1 - level) / sides))
    return 1 - float(special.nctdtr(trial.freedom, abs(trial.value) / trial.error, least))  # t, not central


def simulated_power(
    decide: Callable[[np.ndarray, np.ndarray], bool],
    means: tuple[float, float],
    sds: tuple[float, float],
    n: int,
    rng: np.random.Generator,
    *,
    repeats: int = REPEATS,
) -> float:
    """How often ``decide`` says yes of n normal replicates a side: the check of any formula, and of a rule without."""
    a = rng.normal(means[0], sds[0], (repeats, n))
    b = rng.normal(means[1], sds[1], (repeats, n))
    return sum(decide(x, y) for x, y in zip(a, b, strict=True)) / repeats
