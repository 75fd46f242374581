"""Two generators of one board side by side, number by number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

from bench.errors import GenbenchError, hint, shown
from bench.record import Interval
from bench.results.board import Board, Cell, Column, Row, measurements
from bench.results.ranks import LEVEL, Evidence, by_parts, difference
from bench.statistics import Difference, adjusted, paired_difference, reach_interval

Side = Literal["first", "second", ""]
EXACT = "exact"
PAIRS = 5  # seeds of both sides from which on they are taken as pairs: of fewer the mean scatters too freely
BUSY = "timed on a busy or slowed machine"
BESIDE = "one seed beside several"
UNSEEN = "no scatter was seen, as a coarse number may by chance"
SINGLE = "intervals within single runs"  # which know nothing of other seeds, and nor do
BY_PARTS = "part by part of the test data, in single runs"


@dataclass(frozen=True)
class Contrast:
    """One column of both: the first less the second.

    p: two-sided, of no difference, adjusted for all columns that were tested (Benjamini & Hochberg). better: the one
    that is told to be; "" where neither is, or the metric has no direction.
    """

    column: Column
    first: Cell
    second: Cell
    method: str
    difference: Difference | None = None
    p: float | None = None
    better: Side = ""

    @property
    def interval(self) -> Interval | None:
        if self.difference is None:
            return None
        return reach_interval(self.difference.value, self.difference.reach(LEVEL), self.method, LEVEL)


def compare(board: Board, first: str, second: str) -> list[Contrast]:
    """Every column that both have a number in, by runs of one seed as pairs where both share ``PAIRS`` or more.

    Raises GenbenchError for a name that the board has no row of.
    """
    a, b = (row_of(board, name) for name in (first, second))
    shared = [c for c in board.columns if a.mean(c) is not None and b.mean(c) is not None]
    found = [_contrast(board, a, b, column) for column in shared]
    # What is exact needs no test, and would lend its certainty to the others.
    tested = {c.column.key: c.difference.p for c in found if c.difference is not None and c.method != EXACT}
    p = dict(zip(tested, adjusted(list(tested.values()), "bh"), strict=True))
    return [_told(contrast, p.get(contrast.column.key)) for contrast in found]


def row_of(board: Board, name: str) -> Row:
    for row in board.rows:
        if row.name == name:
            return row
    raise GenbenchError(f"no {shown(name)} on {board.dataset}{hint(name, [row.name for row in board.rows])}")


def _contrast(board: Board, a: Row, b: Row, column: Column) -> Contrast:
    first, second = a.cells[column.key], b.cells[column.key]
    numbers = [[(r.plan.seed, m) for r, m in measurements(row, column)] for row in (a, b)]
    if all(m.exact for side in numbers for _, m in side):
        means = [a.mean(column) or 0.0, b.mean(column) or 0.0]
        return Contrast(column, first, second, EXACT, Difference(means[0] - means[1], 0.0))
    if first.busy or second.busy:
        return Contrast(column, first, second, BUSY)
    one, other = ({seed: m.value for seed, m in side} for side in numbers)
    if pairs := in_pairs(one, other):
        found = paired_difference(*pairs)
        if not found.error:
            return Contrast(column, first, second, UNSEEN)
        return Contrast(column, first, second, f"pairs of {len(pairs[0])} seeds", found)
    assert first.evidence and second.evidence
    between = difference(first.evidence, second.evidence)
    if between is None:
        return Contrast(column, first, second, "nothing tells how either scatters")
    alone = single_method(first.evidence, second.evidence) if max(len(one), len(other)) == 1 else BESIDE
    return Contrast(column, first, second, "Welch" if min(len(one), len(other)) > 1 else alone, between)


def single_method(a: Evidence, b: Evidence) -> str:
    """How two numbers of one seed each are told apart."""
    return BY_PARTS if by_parts(a, b) else SINGLE


def in_pairs(
    one: Mapping[int, float], other: Mapping[int, float], least: int = PAIRS
) -> tuple[list[float], list[float]] | None:
    """Numbers of the seeds that both have, in their order, where these are enough to be pairs; None where not.

    Seeds that one side has alone are then left aside: what pairs share may be most of what they scatter by.
    """
    seeds = sorted(one.keys() & other.keys())
    return ([one[seed] for seed in seeds], [other[seed] for seed in seeds]) if len(seeds) >= least else None


def _told(contrast: Contrast, p: float | None) -> Contrast:
    """Which is better, where that is told: exactly, or at 95 %. A bound is not worse than what is none."""
    value, column = contrast.difference.value if contrast.difference else 0.0, contrast.column
    told = value != 0 if contrast.method == EXACT else p is not None and p <= 1 - LEVEL
    if not told or column.better == "none":
        return replace(contrast, p=p)
    first = (value < 0) == (column.better == "lower")
    better, worse = (contrast.first, contrast.second) if first else (contrast.second, contrast.first)
    if worse.bound and not better.bound:
        return contrast
    return replace(contrast, p=p, better="first" if first else "second")
