"""Bootstrap over clusters within strata: what is known of a statistic for which there is no formula."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterator, Sequence

import numpy as np
from scipy import special

from bench.record import Interval


def resampled(
    n: int,
    rng: np.random.Generator,
    draws: int,
    *,
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
) -> Iterator[np.ndarray]:
    """``draws`` times the indices of n units drawn anew, with replacement.

    clusters: of each unit what it belongs to, such as its document: whole clusters are drawn, as units of one are
        alike. strata: of each unit its stratum, such as its dataset: each keeps its number of clusters.
    Raises ValueError where n is 0, a list is of another length, or a cluster lies in two strata.
    """
    if n < 1:
        raise ValueError("no units to draw from")
    label = np.arange(n) if clusters is None else _codes(clusters, n)
    stratum = np.zeros(n, int) if strata is None else _codes(strata, n)
    members = [np.flatnonzero(label == c) for c in range(label.max() + 1)]
    home = np.array([stratum[m[0]] for m in members])
    if any((stratum[m] != s).any() for m, s in zip(members, home, strict=True)):
        raise ValueError("a cluster lies in two strata")
    groups = [np.flatnonzero(home == s) for s in range(home.max() + 1)]
    for _ in range(draws):
        chosen = np.concatenate([rng.choice(group, len(group)) for group in groups])
        yield np.concatenate([members[c] for c in chosen])


def bootstrap_interval(
    statistic: Callable[[np.ndarray], float],
    n: int,
    rng: np.random.Generator,
    *,
    clusters: Sequence[Hashable] | None = None,
    strata: Sequence[Hashable] | None = None,
    draws: int = 1999,
    level: float = 0.95,
) -> Interval:
    """Interval of ``statistic(indices)`` of n units, from the reflected quantiles of its draws (basic bootstrap).

    Between few clusters a bootstrap's spread is short by (k - 1) / k, and its quantiles are those of a normal; both are
    mended, the second by those of Student's t. Meant for means, ratios and other smooth statistics of ten clusters or
    more; never for a Fréchet distance over its samples, of which a bootstrap excludes the truth.
    Raises ValueError as ``resampled``, and for fewer than two clusters.
    """
    k = n if clusters is None else len(set(clusters))
    if k < 2:
        raise ValueError("a spread takes two clusters")
    value = float(statistic(np.arange(n)))
    drawn = np.array([statistic(i) for i in resampled(n, rng, draws, clusters=clusters, strata=strata)])
    tail = (1 - level) / 2
    wider = float(special.stdtrit(k - 1, 1 - tail) / special.ndtri(1 - tail)) * (k / (k - 1)) ** 0.5
    low, high = np.quantile(drawn, [tail, 1 - tail])
    ends = value - wider * (float(high) - value), value - wider * (float(low) - value)
    return Interval(lo=min(ends[0], value), hi=max(ends[1], value), level=level, method=f"bootstrap over {k} clusters")


def _codes(labels: Sequence[Hashable], n: int) -> np.ndarray:
    if len(labels) != n:
        raise ValueError(f"{len(labels)} labels for {n} units")
    known: dict[Hashable, int] = {}
    return np.array([known.setdefault(label, len(known)) for label in labels])
