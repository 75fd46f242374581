"""Many quantities at once: ranks and how sure they are, tiers, and what several datasets say together.

Numbers here are losses, lower is better; who has scores turns their sign. p is ``(n, n)``: two-sided, of "these two are
alike", NaN where nothing tells; its diagonal is not read.
"""

from __future__ import annotations

import itertools
import re
import string
from collections.abc import Iterator, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from bench.statistics.comparing import adjusted


class Ranks(NamedTuple):
    """A place in an order, 1 the best, and the places that it may have at the level asked for."""

    rank: int
    lo: int
    hi: int


def told_apart(p: np.ndarray, level: float = 0.95) -> np.ndarray:
    """Which pairs are told apart, ``(n, n)`` of booleans, by tests of all pairs that are adjusted together (Holm).

    p: two-sided, of each pair, ``(n, n)``; NaN where nothing tells, which is no test.
    """
    tested = np.triu(np.isfinite(p), 1)
    told = np.zeros(p.shape, bool)
    told[tested] = np.array(adjusted(p[tested].tolist())) <= 1 - level
    return np.asarray(told | told.T)


def rank_intervals(means: Sequence[float], p: np.ndarray, level: float = 0.95) -> list[Ranks]:
    """Places by their means, each with an interval; all hold their true places together with the probability ``level``.

    One stands below all that are told to be better and above all that are told to be worse, by ``told_apart`` (Mogstad
    et al. 2024, Review of Economic Studies 91). The bootstrap of ranks that is usual does not cover where quantities
    are alike. Equals share the better place.
    """
    found, values, told = [], np.asarray(means, float), told_apart(p, level)
    for i, mean in enumerate(values):
        better, worse = (int((told[i] & side).sum()) for side in (values < mean, values > mean))
        rank = 1 + int((values < mean).sum())
        found.append(Ranks(rank, min(rank, 1 + better), max(rank, len(values) - worse)))
    return found


def compact_letters(means: Sequence[float], p: np.ndarray, level: float = 0.95) -> list[str]:
    """Tiers as letters: two that share one are not told apart, and two that share none are (Piepho 2004).

    By ``told_apart``: a tier is a largest set of which no two are. ``a`` stands for the tier of the best mean.
    """
    import networkx as nx  # a third of a second

    n = len(means)
    alike = nx.from_numpy_array(~told_apart(p, level) & ~np.eye(n, dtype=bool)) if n else nx.Graph()
    tiers = map(frozenset, nx.find_cliques(alike))
    place = {k: at for at, k in enumerate(sorted(range(n), key=lambda k: means[k]))}
    ordered = sorted(tiers, key=lambda tier: sorted(place[k] for k in tier))
    named = list(zip(ordered, _letters(), strict=False))
    return ["".join(letter for tier, letter in named if k in tier) for k in range(n)]


def _letters() -> Iterator[str]:
    """a to z, then a1 to z1, a2 and on: several side by side are still told apart."""
    for number in itertools.count():
        yield from (f"{letter}{number or ''}" for letter in string.ascii_lowercase)


def leads(letters: str) -> bool:
    """Whether letters of ``compact_letters`` hold the tier of the best mean, which stands first."""
    return re.match(r"a(?!\d)", letters) is not None


def iqm(scores: Sequence[float] | np.ndarray) -> float:
    """Interquartile mean: of the middle half of all runs, over seeds and datasets (Agarwal et al. 2021,
    arXiv:2108.13264). Less moved by a stray run than the mean, and surer than the median. A run that lies across a
    quartile counts by the part of it inside, so that of two it is their mean.
    """
    values = np.sort(np.ravel(scores))
    inside = np.diff(np.clip(np.linspace(0, 1, len(values) + 1), 0.25, 0.75))
    return float(values @ inside / inside.sum())


def probability_of_improvement(a: Sequence[Sequence[float]], b: Sequence[Sequence[float]]) -> float:
    """How often a run of ``a`` is below one of ``b`` on the same dataset, ties half, averaged over datasets (same
    paper, Eq. 2). a, b: for each dataset the runs. Raises ValueError for none.
    """
    if not a or any(not len(x) or not len(y) for x, y in zip(a, b, strict=True)):
        raise ValueError("no runs to compare")
    shares = []
    for x, y in zip(a, b, strict=True):
        sign = np.sign(np.subtract.outer(np.asarray(x, float), np.asarray(y, float)))
        shares.append(float((1 - sign).mean() / 2))
    return sum(shares) / len(shares)


def performance_profile(runs: Sequence[float], at: Sequence[float]) -> list[float]:
    """The share of runs that are at or below each of ``at`` (Dolan & Moré 2002; of runs, as in arXiv:2108.13264)."""
    ordered = np.sort(np.asarray(runs, float))
    below = np.searchsorted(ordered, np.asarray(at, float), side="right")
    return [float(n) / max(1, len(ordered)) for n in below]


def non_dominated(losses: np.ndarray) -> np.ndarray:
    """Of rows ``(..., n, objectives)`` those that no other is as low as in all and lower than in one, ``(..., n)``.

    A row with NaN is none of them, and dominates nobody.
    """
    a, b = losses[..., :, None, :], losses[..., None, :, :]
    dominated = ((b <= a).all(-1) & (b < a).any(-1)).any(-1)
    on_front: np.ndarray = ~dominated & ~np.isnan(losses).any(-1)
    return on_front


def probability_non_dominated(draws: np.ndarray) -> np.ndarray:
    """How often each of n rows stands on the front, ``(n,)``, of joint draws ``(draws, n, objectives)``."""
    share: np.ndarray = np.mean([non_dominated(draw) for draw in draws], axis=0)
    return share


def mean_draws(numbers: Mapping[str, tuple[float, float, float]], rng: np.random.Generator, draws: int) -> np.ndarray:
    """What means might be, ``(draws, n)``: each its value plus its standard error times a draw of Student's t.

    numbers: by name (mean, standard error, degrees of freedom), the error 0 where it is exact.
    """
    columns = []
    for mean, error, freedom in numbers.values():
        t = rng.standard_normal(draws) if np.isinf(freedom) else rng.standard_t(freedom, draws)
        columns.append(mean + error * t)
    return np.stack(columns, axis=1) if columns else np.empty((draws, 0))
