"""``index.html``: one self-contained page that works offline, on paper, in the dark, without JavaScript."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, NamedTuple

from bench import RunRecord, report, write_atomic
from bench.results.board import Board, Column, Row
from reports._about import pages
from reports._cells import ARROWS, meanings, scale_of, seen_as, show
from reports._content import Content, Section, gather
from reports._effort import effort
from reports._escaping import NAME
from reports._figures import costs, tradeoff
from reports._losses import curve, learning
from reports._notes import gaps
from reports._overall import numbers, overall
from reports._page import address, cut, drawn, pieces, rendered
from reports._quality import quality, sparks

_MARK, _BEGINNING = b'<meta name="generator" content="genbench">', 500  # bytes in which it stands
# Sorting by a column, where rows of one tbody trade places and yardsticks stay below; and finding rows by name.
_SCRIPT = """
for (const th of document.querySelectorAll('th[data-better]')) {
  th.tabIndex = 0;
  const sort = () => {
    const rising = th.ariaSort ? th.ariaSort !== 'ascending' : th.dataset.better !== 'higher';
    for (const other of th.parentNode.children) other.removeAttribute('aria-sort');
    th.ariaSort = rising ? 'ascending' : 'descending';
    const body = th.closest('table').tBodies[0];
    const key = row => {
      const v = row.cells[th.cellIndex].dataset.v;
      return v === undefined ? Infinity : (rising ? 1 : -1) * v;
    };
    [...body.rows].sort((a, b) => key(a) - key(b) || 0).forEach(row => body.append(row));
  };
  th.addEventListener('click', sort);
  th.addEventListener('keydown', e => { if (e.key === 'Enter') sort(); });
}
for (const table of document.querySelectorAll('table.first')) {
  const box = document.createElement('input');
  box.type = 'search';
  box.placeholder = 'filter by name';
  box.ariaLabel = 'show only rows whose name holds this';
  box.addEventListener('input', () => {
    for (const row of table.querySelectorAll('tbody tr'))
      row.hidden = !row.cells[0].textContent.toLowerCase().includes(box.value.toLowerCase());
  });
  table.closest('.scroll').before(box);
}
"""


# What every aspect answers: a page is read for these.
QUESTIONS = {
    "realism": "can it be told from real data?",
    "likelihood": "how well does the model expect real data?",
    "diversity": "does it show all there is?",
    "relevance": "is it what was asked for?",
    "novelty": "is it new, or a copy of the training data?",
    "reconstruction": "how much is lost when it copies test data?",
    "prediction": "how far off is what it says comes next?",
    "efficiency": "what does it cost in time and memory?",
}


# Pixels, generous ones: letters differ from machine to machine.
WIDEST = 1172  # of a table that fits the page
BESIDE = 290  # of the first table: place and picture beside a name, time and line at the end
_FIRST, _AROUND = 190, 36  # the column of names; what surrounds a number: its padding, and room for a mark
_TITLE = 180  # of a heading at most, 12rem in page.css: what is longer is broken anywhere
_DIGIT, _SMALL, _BOLD = 9.6, 7.9, 9.0  # a character of a value, of its spread, of a heading


_IN_STRIP = 5  # generators, real data among them


class Width(NamedTuple):
    """What a column takes on the page: its longest spread, in characters, and all of it."""

    spread: int
    pixels: float


Widths = Mapping[str, Width]  # by the key of the column


class Span(NamedTuple):
    """Neighbours in a table that answer one question: what stands above them, and how many they are."""

    title: str
    question: str
    width: int


@dataclass(frozen=True)
class Table:
    """Columns side by side, what stands above them, and the rows that have any number there."""

    spans: tuple[Span, ...]
    columns: tuple[Column, ...]
    labels: tuple[str, ...]
    ranked: list[Row]
    controls: list[Row]
    stacked: bool = False  # spreads below their values: side by side they would not fit the page

    @property
    def title(self) -> str:
        return ", ".join(span.title for span in self.spans)

    @property
    def questions(self) -> list[tuple[str, str]]:
        """What stands in it, and what that answers, each aspect once."""
        return [(span.title, span.question) for span in self.spans]

    @property
    def units(self) -> bool:
        """Whether a line for units is needed at all."""
        return any(scale_of(column).unit for column in self.columns)


@report("html")
def write(records: list[RunRecord], run_folder: Path, target: Path, notes: list[str]) -> Path:
    """One page with everything in it: tables, samples, figures, failures, and how to run it again.

    Beside it, in ``pages``, one of each of the first generators, and one of each two of the foremost; those of
    generators that are no longer there go.
    """
    content = gather(records, run_folder, notes)
    written = {write_atomic(target / "pages" / name, page).name.casefold() for name, page in pages(content, run_folder)}
    for path in (target / "pages").glob("*.html"):
        if path.name.casefold() not in written and _ours(path):
            path.unlink()
    return write_atomic(target / "index.html", render(content))


def _ours(page: Path) -> bool:
    """Whether genbench wrote it; others' pages beside ours stay, and so does what a link leads to."""
    plain = not page.is_symlink() and not page.parent.is_symlink()
    return plain and _MARK in page.read_bytes()[:_BEGINNING]


def render(content: Content) -> str:
    """The page as text."""
    sections = [_section(section, content, number) for number, section in enumerate(content.sections, 1)]
    return rendered("page.html.j2", script=_SCRIPT, content=content, sections=sections, **_overall(content))


def _overall(content: Content) -> dict[str, Any]:
    """What the template needs to know of the datasets that are taken together."""
    figure = drawn(overall(content.across, content.slots), "overall", "share of runs at most so far from the best")
    counted = list(content.across[0].runs) if content.across else []
    return {"overall": figure, "together": numbers(content.across), "counted": counted}


def _section(section: Section, content: Content, number: int) -> dict[str, Any]:
    """What the template needs to know of one dataset."""
    board, on = section.board, cut(section.board.dataset)
    against = f"{cut(board.main.label if board.main else '')} against samples per second on {on}"
    while_training = f"quality on the validation split while training on {on}"
    # What is looked at first, each column by its full name below its aspect.
    room, headline = widths(board), board.headline
    spans = [_span(aspect, "", group) for aspect, group in groupby(headline, lambda column: column.aspect)]
    seeds = {sample.seed for sample in section.samples}
    # A few samples of real data and the first generators stand in the head of the page.
    contrived = {row.name for row in board.controls if row.group.role != "ceiling"}
    heads = [sample for sample in section.samples if sample.shown.first and sample.name not in contrived]
    curves = []
    for index, row in enumerate(learning(board), 1):
        figure, label = curve(row, content.slots[row.name]), f"training losses of {cut(row.name)} on {on}"
        curves.append((row, drawn(figure, f"curve-{number}-{index}", label)))
    return {
        "id": f"data-{number}",
        "board": board,
        "verdict": section.verdict,
        "data": section.data,
        "undrawn": section.undrawn,
        "headline": _table(board, room, spans, headline, [c.label for c in headline], BESIDE) if headline else None,
        "tables": list(tables(board, room)),
        "unranked": section.unranked,
        "band": section.band,
        "yardsticks": list(tables(board, room, of_yardsticks=True)),
        "strip": heads[:_IN_STRIP],
        "pages": {row.name: f"pages/{address(board.dataset, row.name)}" for row in board.paged},
        "thumbs": {sample.name: sample for sample in section.samples},
        "sparks": sparks(board),
        "trained": any(row.training_seconds is not None for row in board.ranked),
        "meanings": list(meanings(board.columns)),
        "spreads": {key: width.spread for key, width in room.items()},
        "pictures": [sample for sample in section.samples if not sample.texts],
        "texts": [sample for sample in section.samples if sample.texts],
        "beginnings": section.beginnings,
        "unread": section.unread,
        # Where they are of several, every sample names its own.
        "sample_seeds": f"seed {seeds.pop()}" if len(seeds) == 1 else "",
        "tradeoff": drawn(tradeoff(board, content.slots), f"tradeoff-{number}", against),
        "costs": drawn(costs(board, content.slots), f"costs-{number}", f"quality against memory and training on {on}"),
        "effort": drawn(
            effort(board, content.slots), f"effort-{number}", f"quality against evaluations a sample on {on}"
        ),
        "quality": drawn(quality(board, content.slots), f"quality-{number}", while_training),
        "curves": curves,
        "gaps": gaps(board),
    }


def tables(board: Board, room: Widths, *, of_yardsticks: bool = False) -> Iterator[Table]:
    """All columns that generators have numbers in, or all others, by aspect and extractor, side by side as they fit.

    None where the headline has them.
    """
    own, headline = ({column.key for column in columns} for columns in (board.own, board.headline))
    those = [c for c in board.columns if (c.key in own) is not of_yardsticks]
    row: list[Group] = []
    for group in _groups(room, those) if any(c.key not in headline for c in those) else ():
        if row and table_width(room, [column for _, its in [*row, group] for column in its]) > WIDEST:
            yield _packed(board, room, row)
            row = []
        row.append(group)
    if row:
        yield _packed(board, room, row)


Group = tuple[Span, Sequence[Column]]


def _groups(room: Widths, every: Iterable[Column]) -> Iterator[Group]:
    """Neighbours of one aspect and one extractor, those that are too wide together in parts."""
    for (aspect, extractor), found in groupby(every, lambda column: (column.aspect, column.extractor)):
        for number, part in enumerate(_parts(room, list(found))):
            of = f" of {seen_as(extractor)}" if extractor else ""
            yield _span(aspect, f"{of}{', continued' if number else ''}", part), part


def _parts(room: Widths, columns: Sequence[Column]) -> list[Sequence[Column]]:
    """As few parts of about a size as fit the page; a column that is too wide by itself is one."""
    for number in range(1, len(columns) + 1):
        size = math.ceil(len(columns) / number)
        parts = [columns[start : start + size] for start in range(0, len(columns), size)]
        if all(table_width(room, part) <= WIDEST for part in parts):
            return parts
    return [[column] for column in columns]


def table_width(room: Widths, columns: Iterable[Column]) -> float:
    """Pixels that a table of these columns takes."""
    return _FIRST + sum(room[column.key].pixels for column in columns)


def widths(board: Board) -> Widths:
    """What every column takes: its longest number and the longest spread beside it, or a part of its heading."""
    found = {}
    for column in board.columns:
        shown = [show(row.cells[column.key], column) for row in board.rows]
        value = max((len(number.value) for number in shown), default=0)
        spread = max((len(number.spread) for number in shown), default=0)
        title = f"{column.label[:NAME]}{ARROWS[column.better]} {scale_of(column).unit}"
        heading = max(len(piece) for word in title.split(" ") for piece in pieces(word))  # a line may end there
        numbers = _DIGIT * value + (_SMALL * (spread + 1) if spread else 0)
        found[column.key] = Width(spread, max(numbers, min(_BOLD * heading, _TITLE)) + _AROUND)
    return found


def _span(aspect: str, of: str, columns: Iterable[Column]) -> Span:
    return Span(aspect.capitalize() + of, QUESTIONS[aspect], len(list(columns)))


def _packed(board: Board, room: Widths, groups: Sequence[Group]) -> Table:
    columns = [column for _, found in groups for column in found]
    return _table(board, room, [span for span, _ in groups], columns, [column.short for column in columns])


def _table(
    board: Board, room: Widths, spans: Sequence[Span], columns: Sequence[Column], labels: Sequence[str], more: int = 0
) -> Table:
    """more: pixels that it takes beside these columns."""
    numbered = [row for row in board.rows if any(row.cells[c.key].summary for c in columns)]
    ranked = [row for row in numbered if not row.group.control]
    controls = [row for row in numbered if row.group.control]
    stacked = table_width(room, columns) + more > WIDEST
    return Table(tuple(spans), tuple(columns), tuple(labels), ranked, controls, stacked)
