"""Generators over several datasets together, by quality alone: each run as a multiple of the best mean on its dataset.

A multiple is 1 where a run is as good as the best and 2 where it is twice as far off, whatever the dataset's metric and
its direction; of numbers of either sign, or of 0, there is none. Never of quality with speed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import log2

import numpy as np

from bench.record import Interval
from bench.results.board import Board, Row, measurements
from bench.statistics import bootstrap_interval, iqm, performance_profile, probability_of_improvement

POINTS = 64  # of a profile
FARTHEST = 1e6  # multiple: beyond it, a run that failed hides all others


@dataclass(frozen=True)
class Across:
    """One generator. runs: by dataset its runs as multiples. iqm: of all of them, with an interval where some dataset
    has several. ahead: how often a run of the first by iqm is better than one of this, None of the first itself.
    """

    name: str
    runs: Mapping[str, Sequence[float]]
    iqm: float
    interval: Interval | None
    ahead: float | None = None

    @property
    def every(self) -> list[float]:
        return [run for runs in self.runs.values() for run in runs]


def across(boards: Sequence[Board]) -> list[Across]:
    """Those that stand on every board that counts, the best first; empty where not two of them, or not two boards.

    A board counts whose main numbers are all above 0, and none of them a million times from the best. Who is not
    ranked on one of them, as some of its trials failed there, is not here.
    """
    counted = [multiples for board in boards if len(multiples := _multiples(board)) > 1]
    shared = [name for name in counted[0] if all(name in other for other in counted)] if len(counted) > 1 else []
    if len(shared) < 2:
        return []
    datasets = [board.dataset for board in boards if len(_multiples(board)) > 1]
    found = [_across(name, dict(zip(datasets, (m[name] for m in counted), strict=True))) for name in shared]
    found.sort(key=lambda one: one.iqm)
    first = list(found[0].runs.values())
    return [
        found[0],
        *(
            Across(o.name, o.runs, o.iqm, o.interval, probability_of_improvement(first, list(o.runs.values())))
            for o in found[1:]
        ),
    ]


def _multiples(board: Board) -> dict[str, list[float]]:
    """By generator that is ranked, its runs as multiples of the best mean."""
    column = board.main
    rows = [row for row in board.ranked if row.standing and row.standing.place]
    if column is None or column.better == "none":
        return {}
    values = {row.name: _values(row, board) for row in rows}
    means = [sum(found) / len(found) for found in values.values()]
    every = [v for found in values.values() for v in found]
    if not every or min(every) <= 0 or max(every) / FARTHEST > min(every):
        return {}
    if column.better == "lower":
        return {name: [v / min(means) for v in found] for name, found in values.items()}
    return {name: [max(means) / v for v in found] for name, found in values.items()}


def _values(row: Row, board: Board) -> list[float]:
    assert board.main
    return [m.value for _, m in measurements(row, board.main)]


def _across(name: str, runs: Mapping[str, Sequence[float]]) -> Across:
    """Seeds are drawn anew within each dataset (arXiv:2108.13264, section 4.1)."""
    every, strata = [r for found in runs.values() for r in found], [d for d, found in runs.items() for _ in found]
    interval = None
    if all(len(found) > 1 for found in runs.values()):
        values = np.asarray(every)
        interval = bootstrap_interval(
            lambda at: iqm(values[at]), len(values), np.random.default_rng(0), strata=strata, draws=999
        )
    return Across(name, runs, iqm(every), interval)


def profiles(found: Sequence[Across]) -> tuple[list[float], dict[str, list[float]]]:
    """(multiples from 1 on, by generator the share of its runs that are at most so far off).

    Each dataset counts as one, however many seeds it has.
    """
    most = max(run for one in found for run in one.every)
    at = np.exp2(np.linspace(0, max(log2(most), 0.01), POINTS)).tolist()
    shares = {}
    for one in found:
        of_each = [performance_profile(runs, at) for runs in one.runs.values()]
        shares[one.name] = np.mean(of_each, axis=0).tolist()
    return at, shares
