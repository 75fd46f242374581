"""Generators over several datasets together, by quality alone: each run as a multiple of the best mean on its dataset.

A multiple is 1 where a run is as good as the best and 2 where its number is twice the best, or half of it where higher
is better; of numbers of either sign, or of 0, there is none. Never of quality with speed.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from bench.record import Interval
from bench.results.board import Board, measurements
from bench.statistics import iqm, mean_draws, performance_profile, probability_of_improvement

DRAWS = 1000
POINTS = 64  # of a profile
FARTHEST = 1e6  # multiple: beyond it, a run that failed hides all others


@dataclass(frozen=True)
class Across:
    """One generator. runs: by dataset its runs as multiples. iqm: the interquartile mean over datasets of their means,
    with an interval where every dataset has several runs. ahead: how often a run of the first by iqm is better than one
    of this, None of the first itself.
    """

    name: str
    runs: Mapping[str, Sequence[float]]
    iqm: float
    interval: Interval | None = None
    ahead: float | None = None


def across(boards: Sequence[Board]) -> list[Across]:
    """Those that stand on every board that counts, the best first; empty where not two of them, or not two boards.

    A board counts whose main numbers are all above 0, and none of them a million times from the best. Who is not
    ranked on one of them, as some of its trials failed there, is not here.
    """
    values = {board.dataset: found for board in boards if len(found := _losses(board)) > 1}
    names = [name for name in next(iter(values.values()), {}) if all(name in found for found in values.values())]
    if len(values) < 2 or len(names) < 2:
        return []
    runs = [{d: (found[name] / _best(found)).tolist() for d, found in values.items()} for name in names]
    drawn = _drawn(values, names)
    each = [
        Across(name, its, _middle(its.values()), None if drawn is None else _interval(its, drawn[:, i]))
        for i, (name, its) in enumerate(zip(names, runs, strict=True))
    ]
    best, *others = sorted(each, key=lambda one: one.iqm)
    first = list(best.runs.values())
    return [best, *(replace(o, ahead=probability_of_improvement(first, list(o.runs.values()))) for o in others)]


def _losses(board: Board) -> dict[str, np.ndarray]:
    """By generator that is ranked its runs, lower is better: of a score, one over it. Else empty."""
    column = board.main
    rows = [row for row in board.ranked if row.standing and row.standing.place]
    if column is None or column.better == "none" or not rows:
        return {}
    values = {row.name: np.array([m.value for _, m in measurements(row, column)]) for row in rows}
    least, most = min(v.min() for v in values.values()), max(v.max() for v in values.values())
    if least <= 0 or most / FARTHEST > least:
        return {}
    return values if column.better == "lower" else {name: 1 / found for name, found in values.items()}


def _best(values: Mapping[str, np.ndarray]) -> float:
    return min(float(found.mean()) for found in values.values())


def _middle(runs: Iterable[Sequence[float] | np.ndarray]) -> float:
    """The interquartile mean of the means over seeds, each dataset as much as any other."""
    return iqm([float(np.mean(found)) for found in runs])


def _drawn(values: Mapping[str, Mapping[str, np.ndarray]], names: Sequence[str]) -> np.ndarray | None:
    """What the interquartile means might be, ``(DRAWS, names)``; None where a generator has one run on a dataset.

    Each mean of a generator on a dataset is drawn by Student's t over its seeds, and the best of all with them: so what
    all are measured by is as unsure as it is.
    """
    if any(len(found) < 2 for dataset in values.values() for found in dataset.values()):
        return None
    rng, multiples = np.random.default_rng(0), []
    for every in values.values():
        known = {n: (v.mean(), v.std(ddof=1) / math.sqrt(len(v)), len(v) - 1) for n, v in every.items()}
        means = mean_draws(known, rng, DRAWS)
        means = np.maximum(means, 0.1 * means.mean(axis=0))  # what cannot be below 0 is not drawn there
        best = means.min(axis=1, keepdims=True)
        multiples.append((means / best)[:, [list(every).index(name) for name in names]])
    stacked = np.stack(multiples, axis=1)  # (DRAWS, datasets, names)
    return np.array([[_middle(draw[:, i, None]) for i in range(len(names))] for draw in stacked])


def _interval(runs: Mapping[str, Sequence[float]], drawn: np.ndarray) -> Interval:
    value, (low, high) = _middle(runs.values()), np.quantile(drawn, [0.025, 0.975])
    return Interval(lo=min(float(low), value), hi=max(float(high), value), method="draws of the means by Student's t")


def profiles(found: Sequence[Across]) -> tuple[list[float], dict[str, list[float]]]:
    """(multiples from 1 on, by generator the share of its runs that are at most so far off).

    Each dataset counts as one, however many seeds it has.
    """
    most = max(run for one in found for runs in one.runs.values() for run in runs)
    at = np.exp2(np.linspace(0, max(math.log2(most), 0.01), POINTS)).tolist()
    shares = {}
    for one in found:
        of_each = [performance_profile(runs, at) for runs in one.runs.values()]
        shares[one.name] = np.mean(of_each, axis=0).tolist()
    return at, shares
