"""The pages beside the index: one of each of the first generators, and one of each two of the foremost."""

from __future__ import annotations

import difflib
import heapq
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import NamedTuple

from markupsafe import Markup

from bench import DataError, RunRecord, preview_of
from bench.results.board import Board, Cell, Column, Row, measurements
from bench.results.pairs import BY_PARTS, SINGLE, Contrast, compare
from bench.statistics import summarise
from reports._asked import asked
from reports._cells import show, with_unit
from reports._content import Content, Section, machines_of, spent
from reports._escaping import visible
from reports._losses import curve, learning
from reports._numbers import duration
from reports._page import address, cut, drawn, name_tag, rendered
from reports._samples import open_sample
from reports.previews import Shown

SEEDS = 3  # whose samples a page shows
COMPARED = 1500  # characters of a text in which what it shares with training text is looked for
_BAR = 120  # pixels of half of the line that shows a difference


@dataclass(frozen=True)
class Line:
    """A number of a generator: over all seeds, of each, and the best that another has."""

    column: Column
    cell: Cell
    seeds: list[str]
    best: Row | None

    @property
    def other(self) -> str:
        return with_unit(self.best.cells[self.column.key], self.column) if self.best else ""


class Made(NamedTuple):
    """What one seed made, and the training examples nearest to the first of it."""

    seed: int
    shown: Shown
    nearest: Shown | None
    problem: str

    @property
    def texts(self) -> list[tuple[str, Markup]]:
        """Samples, each beside the piece of training text that shares the longest stretch with it, which is marked."""
        if self.nearest is None:
            return [(text, Markup("")) for text in self.shown.texts]
        pairs = zip(self.shown.texts, self.nearest.texts, strict=False)
        return [(text, _marked(near, text)) for text, near in pairs]


class Facing(NamedTuple):
    """A column of both of a pair: what is told, and a line that shows the difference and its interval."""

    contrast: Contrast
    first: str
    second: str
    difference: str
    bar: Markup


def pages(content: Content, run_folder: Path) -> Iterator[tuple[str, str]]:
    """Each page's file name and its text."""
    for number, section in enumerate(content.sections, 1):
        board = section.board
        best = {column.key: _best_two(board, column) for column in board.columns}
        for row in board.paged:
            yield address(board.dataset, row.name), _of_one(content, section, row, number, run_folder, best)
        for pair in combinations(board.foremost, 2):
            yield address(board.dataset, *(row.name for row in pair)), _of_two(content, section, pair, number)


def _of_one(
    content: Content, section: Section, row: Row, number: int, run_folder: Path, best: Mapping[str, Sequence[Row]]
) -> str:
    board, plan = section.board, row.group.first.plan
    paired = board.foremost
    others = [other for other in paired if other is not row] if any(row is one for one in paired) else []
    omitted = {(metric, why): None for record in row.group.records for metric, why in record.omitted.items()}
    figure = None
    if row.name in content.slots and any(row is found for found in learning(board)):
        figure = drawn(curve(row, content.slots[row.name]), "curve", f"training losses of {cut(row.name)}")
    return rendered(
        "generator.html.j2",
        content=content,
        board=board,
        anchor=f"data-{number}",
        row=row,
        plan=plan,
        paper=paper_link(plan.paper or ""),
        lines=list(_lines(board, row, best)),
        made=[_made(board, record, run_folder) for record in _shown(row)],
        asked=asked(row.group.records, board.modality, run_folder),
        curve=figure,
        spent=spent(row.group.first),
        phases=_phases(row.group.records),
        machines=machines_of(row.group.records),
        omitted=list(omitted),
        continued=[(begun.prompt, one) for begun in section.beginnings for one in begun.by if one.name == row.name],
        others=[(other, _between(board, row, other)) for other in others],
    )  # fmt: skip


def _between(board: Board, row: Row, other: Row) -> str:
    """The address of the page of both, whose names stand there in the board's order."""
    order = [found.name for found in board.foremost if found in (row, other)]
    return address(board.dataset, *order)


def _lines(board: Board, row: Row, best: Mapping[str, Sequence[Row]]) -> Iterator[Line]:
    for column in board.columns:
        cell = row.cells[column.key]
        if cell.summary is None:
            continue
        found = sorted(measurements(row, column), key=lambda number: number[0].plan.seed)
        each = [show(Cell(summarise([m.value])), column).value for _, m in found] if len(found) > 1 else []
        others = (other for other in best[column.key] if other.name != row.name)
        yield Line(column, cell, each, next(others, None))


def _best_two(board: Board, column: Column) -> list[Row]:
    """One of them is the best of the others, whoever asks."""
    having = [row for row in board.ranked if row.mean(column) is not None and column.better != "none"]
    sign = -1 if column.better == "higher" else 1
    return heapq.nsmallest(2, having, key=lambda row: sign * (row.mean(column) or 0.0))


def _shown(row: Row) -> list[RunRecord]:
    return [record for record in row.group.records if record.samples][:SEEDS]


def _made(board: Board, record: RunRecord, run_folder: Path) -> Made:
    show_file = preview_of(board.modality)
    if show_file is None:
        return Made(record.plan.seed, Shown(), None, f"nobody says how to show {board.modality}")
    found, problem = dict[str | None, Shown](), ""
    for name in filter(None, (record.samples, record.nearest)):
        try:
            with open_sample(run_folder, name) as file:
                found[name] = show_file(file)
        except DataError as error:
            problem = f"{visible(name, 80)} {error}"
    return Made(record.plan.seed, found.get(record.samples, Shown()), found.get(record.nearest), problem)


def _marked(near: str, text: str) -> Markup:
    """A piece of training text, in which the longest stretch that it shares with a sample is marked."""
    near, text = near[:COMPARED], text[:COMPARED]
    found = difflib.SequenceMatcher(None, near, text, autojunk=False).find_longest_match()
    start, end = found.a, found.a + found.size
    return Markup("{}<mark>{}</mark>{}").format(near[:start], near[start:end], near[end:])


def _phases(records: tuple[RunRecord, ...]) -> dict[str, str]:
    """What a trial spent its time on, the mean over seeds."""
    names = dict.fromkeys(name for record in records for name in record.phases)
    spans = {name: [r.phases[name] for r in records if name in r.phases] for name in names}
    return {name: duration(sum(found) / len(found)) for name, found in spans.items()}


def paper_link(paper: str) -> Markup:
    """Where a family was published: an arXiv number as a link, whatever else as it is."""
    if found := re.fullmatch(r"arXiv:(\d{4}\.\d{4,5})", paper):
        return Markup('<a href="https://arxiv.org/abs/{}">{}</a>').format(found[1], paper)
    return name_tag(paper)


def _of_two(content: Content, section: Section, pair: tuple[Row, Row], number: int) -> str:
    board, (first, second) = section.board, pair
    contrasts = compare(board, first.name, second.name)
    samples = {sample.name: sample for sample in section.samples}
    told = {side: [c.column for c in contrasts if c.better == side] for side in ("first", "second")}
    return rendered(
        "pair.html.j2",
        content=content,
        board=board,
        anchor=f"data-{number}",
        pair=[(row, address(board.dataset, row.name), samples.get(row.name)) for row in pair],
        told=[(row, told[side]) for row, side in zip(pair, ("first", "second"), strict=True)],
        facing=[_facing(c) for c in contrasts],
        single=any(c.method in (SINGLE, BY_PARTS) for c in contrasts),
    )


def _facing(c: Contrast) -> Facing:
    first, second = show(c.first, c.column).value, show(c.second, c.column).value
    if c.difference is None:
        return Facing(c, first, second, "", Markup(""))
    # A difference is written as a number of this column, in its scale.
    around = c.interval if c.interval and c.interval.lo < c.interval.hi else None
    as_cell = Cell(summarise([c.difference.value]), around)
    return Facing(c, first, second, str(show(as_cell, c.column)), _bar(c))


def _bar(c: Contrast) -> Markup:
    """The interval of a difference about its zero, each column on a scale of its own."""
    assert c.difference
    low, high = (c.interval.lo, c.interval.hi) if c.interval else (c.difference.value, c.difference.value)
    most = max(abs(low), abs(high), abs(c.difference.value))
    if not most:
        return Markup("")
    a, b, at = (_BAR * (1 + 0.95 * x / most) for x in (low, high, c.difference.value))
    return Markup(
        '<svg class="bar" viewBox="0 0 {0} 14" aria-hidden="true"><path d="M{1} 1V13" class="zero"/>'
        '<path d="M{2:.1f} 7H{3:.1f}"/><circle cx="{4:.1f}" cy="7" r="3"/></svg>'
    ).format(2 * _BAR, _BAR, a, b, at)
