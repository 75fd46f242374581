"""Two generators of one board side by side, number by number."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from bench.errors import GenbenchError, hint, shown
from bench.record import Interval
from bench.results.board import Board, Cell, Column, Row, measurements
from bench.results.ranks import LEVEL, difference
from bench.statistics import Difference, adjusted, paired_difference, reach_interval

Side = Literal["first", "second", ""]
SINGLE = "intervals within single runs"  # which know nothing of other seeds


@dataclass(frozen=True)
class Contrast:
    """One column of both: the first less the second.

    p: two-sided, of no difference, adjusted for all columns that were compared (Benjamini & Hochberg). better: the one
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
    """Every column that both have a number in, by runs of the same seed as pairs where both have the same seeds.

    Raises GenbenchError for a name that the board has no row of.
    """
    a, b = (row_of(board, name) for name in (first, second))
    shared = [c for c in board.columns if a.mean(c) is not None and b.mean(c) is not None]
    found = [_contrast(a, b, column) for column in shared]
    tested = {c.column.key: c.difference.p for c in found if c.difference is not None}
    p = dict(zip(tested, adjusted(list(tested.values()), "bh"), strict=True))
    return [_told(contrast, p.get(contrast.column.key)) for contrast in found]


def row_of(board: Board, name: str) -> Row:
    for row in board.rows:
        if row.name == name:
            return row
    raise GenbenchError(f"no {shown(name)} on {board.dataset}{hint(name, [row.name for row in board.rows])}")


def _contrast(a: Row, b: Row, column: Column) -> Contrast:
    first, second = a.cells[column.key], b.cells[column.key]
    one, other = ({r.plan.seed: m for r, m in measurements(row, column)} for row in (a, b))
    if all(m.exact for m in [*one.values(), *other.values()]):
        means = [a.mean(column) or 0.0, b.mean(column) or 0.0]
        return Contrast(column, first, second, "exact", Difference(means[0] - means[1], 0.0))
    if one.keys() == other.keys() and len(one) > 1:
        seeds = sorted(one)
        found = paired_difference([one[s].value for s in seeds], [other[s].value for s in seeds])
        return Contrast(column, first, second, f"pairs of {len(seeds)} seeds", found)
    assert first.evidence and second.evidence
    between = difference(first.evidence, second.evidence)
    if between is None:
        return Contrast(column, first, second, "nothing tells how either scatters")
    alone = SINGLE if max(len(one), len(other)) == 1 else "one seed beside several"
    return Contrast(column, first, second, "Welch" if min(len(one), len(other)) > 1 else alone, between)


def _told(contrast: Contrast, p: float | None) -> Contrast:
    better: Side = ""
    if p is not None and p <= 1 - LEVEL and contrast.column.better != "none" and contrast.difference:
        lower = contrast.difference.value < 0
        better = "first" if lower == (contrast.column.better == "lower") else "second"
    return Contrast(contrast.column, contrast.first, contrast.second, contrast.method, contrast.difference, p, better)
