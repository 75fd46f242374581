"""Which numbers of a column are the best, and which cannot be told from it."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

from scipy import stats

from bench import Summary

Mark = Literal["", "best", "tied"]


def marks(summaries: Mapping[str, Summary], better: str) -> dict[str, Mark]:
    """``best`` for the best mean, ``tied`` for those within its noise; nothing where nothing is compared."""
    if better == "none" or len(summaries) < 2:
        return {}
    best = (min if better == "lower" else max)(summaries.values(), key=lambda s: s.mean)
    found: dict[str, Mark] = {}
    for name, summary in summaries.items():
        if summary.mean == best.mean:
            found[name] = "best"
        elif within_noise(summary, best):
            found[name] = "tied"
    return found


def within_noise(a: Summary, b: Summary, level: float = 0.95) -> bool:
    """Whether Welch's t-test (1947) cannot tell the means apart; never for a single seed, whose spread is unknown."""
    if a.sd is None or b.sd is None:
        return False
    errors = a.sd**2 / a.n, b.sd**2 / b.n
    if not sum(errors):
        return a.mean == b.mean
    freedom = sum(errors) ** 2 / (errors[0] ** 2 / (a.n - 1) + errors[1] ** 2 / (b.n - 1))
    return abs(a.mean - b.mean) <= float(stats.t.ppf((1 + level) / 2, freedom)) * math.sqrt(sum(errors))
