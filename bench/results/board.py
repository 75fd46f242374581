"""One leaderboard a dataset: generators down, metrics across, mean and spread over seeds in the cells.

What is never done here: a yardstick is not ranked, numbers under different protocols do not share a column,
and a number that is missing is a reason, not a zero.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from functools import cached_property
from math import inf
from statistics import median
from typing import Any

import numpy as np

from bench.protocols import ASPECTS, ORDERING
from bench.record import Interval, Measurement, RunRecord
from bench.results.groups import Group, by_dataset, groups_of
from bench.results.ranks import NO_MERIT, Evidence, Mark, marks, p_values
from bench.results.variants import canonical, variant_labels
from bench.statistics import Ranks, Summary, compact_letters, rank_intervals, summarise, told_apart

PICTURED, PICTURED_IN_ALL = 40, 64  # generators whose samples are shown: of a board, and of a page
FOREMOST = 16  # of 40 pictured: those that are drawn while training, and beside one another
PAGED = 48  # generators of a board that have a page of their own, pictured or not
BAND = 2.0  # times the best mean of quality: a cost counts only of what is at most so much worse
FEW, MOST = 6, 8  # columns that a board shows all at once, and that are looked at first where they are more
Key = str
Place = tuple[float, ...]
_LAST: Place = (inf, inf)
Number = tuple[RunRecord, Measurement]
Numbers = dict[Key, list[Number]]


@dataclass(frozen=True)
class Column:
    """One metric under one protocol. ``label`` tells it from its neighbours, ``key`` from all others.

    lead: its place, lower first, as its metric and its extractor declare it; see ``bench.metric``.
    typical: the median of its numbers' magnitudes, yardsticks left aside; largest: of all magnitudes.
    """

    key: Key
    metric: str
    label: str
    about: str
    aspect: str
    unit: str
    better: str
    protocol: Mapping[str, Any]
    fingerprint: str
    lead: Place
    typical: float
    largest: float

    @property
    def extractor(self) -> str:
        """Whose features it was taken of; "" where it reads none."""
        return str(self.protocol.get("extractor", ""))

    @property
    def timed(self) -> bool:
        """Whether other work moves it: a speed, a time, energy or a share of time, and neither a size nor a count."""
        shared = self.unit.split("/")[0] in ("s", "J") or self.unit.endswith("/s")
        return self.aspect == "efficiency" and (shared or (self.unit == "1" and "device" in self.protocol))

    @property
    def short(self) -> str:
        """The label where the extractor is named beside it."""
        return self.label.replace(f"_{self.extractor}", "", 1) if self.extractor else self.label


@dataclass(frozen=True)
class Cell:
    """Mean and spread of one column for one group. ``why``: what is missing and for what reason.

    busy: whether some of it was timed while other processes kept the machine busy, so that it is told from no other.
    parts: of a single number of a model that was not trained here what each part of the test data adds to its error.
    """

    summary: Summary | None = None
    interval: Interval | None = None
    bound: bool = False
    samples: int = 0
    why: str = ""
    mark: Mark = ""
    exact: bool = False
    busy: bool = False
    parts: tuple[float, ...] = ()

    @property
    def evidence(self) -> Evidence | None:
        """What is known of how it scatters: that a coarse number came out alike on a few seeds is no scatter of 0."""
        if self.summary is None:
            return None
        unseen = self.summary.sd == 0 and not self.exact
        known = Summary(self.summary.mean, None, self.summary.n) if unseen else self.summary
        return Evidence(known, self.interval, self.bound, self.parts)


@dataclass(frozen=True)
class Standing:
    """Where a generator stands by the board's main column.

    place: None where it is not ranked. tier: letters; two that share one are not told apart. done, tried: trials with a
    number, and all; a mean of those that lasted is no mean of all, so where some are missing there is no place; nor
    where it is better than real data itself. why: there is none.
    behind: whether it is told to be worse than the best of those that have a place, by the tests that make the tiers;
    tests: how many these are. single: whether it is one training, which says nothing of others.
    """

    place: Ranks | None
    tier: str
    done: int
    tried: int
    why: str = ""
    behind: bool = False
    tests: int = 0
    single: bool = False


@dataclass(frozen=True)
class Row:
    group: Group
    cells: Mapping[Key, Cell]
    standing: Standing | None = None

    @property
    def name(self) -> str:
        return self.group.name

    @property
    def training_seconds(self) -> float | None:
        """What its training took, the mean over seeds; None where nothing was trained."""
        ends = [record.curve[-1].seconds for record in self.group.records if record.curve]
        return sum(ends) / len(ends) if ends else None

    @property
    def training_busy(self) -> bool:
        """Whether that may be others' work: its steps were given, not its seconds, and the machine was busy."""
        trained = (record for record in self.group.records if record.curve)
        return any(busy(record) for record in trained if "train_seconds" not in record.plan.budget)

    def mean(self, column: Column | None) -> float | None:
        summary = self.cells[column.key].summary if column else None
        return summary.mean if summary else None


@dataclass(frozen=True)
class Board:
    """All that is known of one dataset.

    groups: all that were tried.
    rows: those that could run: ranked by ``main``, then those without a number for it, then the yardsticks.
    pictured: those of the rows whose samples a page shows: the first of the ranked, and the yardsticks.
    foremost: those whose curves it draws, and that it sets beside one another: the first of the ranked.
    band: the generators good enough for their costs to be compared; None where no quality orders the board.
    """

    dataset: str
    modality: str
    fingerprint: str
    groups: tuple[Group, ...]
    columns: tuple[Column, ...]
    rows: tuple[Row, ...]
    main: Column | None
    pictured: tuple[Row, ...]
    foremost: tuple[Row, ...]
    band: frozenset[str] | None = None

    @cached_property
    def ranked(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if not row.group.control)

    @property
    def ordered_by(self) -> str:
        """For example: ordered by fd_lenet, lower is better; "" where nothing decides who comes first."""
        return _ordered_by(self.main)

    @property
    def paged(self) -> tuple[Row, ...]:
        """Those that have a page of their own: of the ranked as many as one may read, and the yardsticks pictured."""
        return *self.ranked[:PAGED], *(row for row in self.pictured if row.group.control)

    @cached_property
    def controls(self) -> tuple[Row, ...]:
        return tuple(row for row in self.rows if row.group.control)

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(sorted({seed for group in self.groups for seed in group.seeds}))

    @property
    def suites(self) -> tuple[str, ...]:
        return tuple(sorted({record.plan.suite for group in self.groups for record in group.records}))

    @property
    def own(self) -> tuple[Column, ...]:
        """The columns that some generator has a number in: what only yardsticks have compares with nothing."""
        return tuple(column for column in self.columns if _measured(self.rows, column))

    @property
    def headline(self) -> tuple[Column, ...]:
        """What is looked at first: all columns where they are few, else the main one, one of each other aspect, memory.

        One that no generator has is not looked at first, nor, where they are many, one that ranks nobody.
        """
        own = self.own or self.columns
        if len(own) <= FEW:
            return own
        first = {self.main.aspect: self.main} if self.main else {}
        known = [c for c in own if c.better != "none" or c.lead != _LAST]
        for column in sorted(known, key=lambda c: (c.lead, -_measured(self.rows, c))):
            first.setdefault(column.aspect, column)
        others = [first[aspect] for aspect in ASPECTS if aspect in first and first[aspect] is not self.main]
        if self.memory and self.memory in own and self.memory not in others:
            others.append(self.memory)
        return tuple(([self.main] if self.main else []) + others)[:MOST] or own[:FEW]

    @property
    def speed(self) -> tuple[Column, ...]:
        """How fast samples are made: the rate that leads efficiency, under each of its protocols."""
        rates = [c for c in self.columns if c.aspect == "efficiency" and c.unit.endswith("/s") and c.lead != _LAST]
        return self.find(min(rates, key=lambda c: c.lead).metric) if rates else ()

    @property
    def memory(self) -> Column | None:
        """What is held at once: of what efficiency counts in bytes what leads."""
        held = [c for c in self.columns if c.aspect == "efficiency" and c.unit == "B" and c.lead != _LAST]
        return min(held, key=lambda c: (c.lead, -_measured(self.rows, c)), default=None)

    @property
    def effort(self) -> Column | None:
        """How often a model is asked for one sample: what efficiency counts in evaluations."""
        return next((c for c in self.columns if c.aspect == "efficiency" and c.unit == "evaluations"), None)

    def find(self, metric: str) -> tuple[Column, ...]:
        return tuple(column for column in self.columns if column.metric == metric)


def leaderboards(records: Iterable[RunRecord]) -> list[Board]:
    """A board for every dataset, in the order of their names. ``records``: the newest of every trial."""
    datasets = sorted(by_dataset(records).items())
    pictured = min(PICTURED, max(1, PICTURED_IN_ALL // max(1, len(datasets))))
    return [_board(dataset, found, pictured) for dataset, found in datasets]


def orders(records: Iterable[RunRecord]) -> dict[str, str]:
    """``Board.ordered_by`` by dataset, in the order of the records; without the tests of a whole board."""
    found = {}
    for dataset, its in by_dataset(records).items():
        numbers = _numbers(its)
        columns = _columns(numbers)
        rows = _rows(groups_of(its), columns, numbers, marked=False)
        found[dataset] = _ordered_by(main_column(columns, rows))
    return found


def _ordered_by(main: Column | None) -> str:
    return f"ordered by {main.label}, {main.better} is better" if main else ""


def _board(dataset: str, records: Sequence[RunRecord], pictured: int) -> Board:
    groups = groups_of(records)
    numbers = _numbers(records)
    columns = _columns(numbers)
    # A family that cannot make this data has no row; the page lists its trials as skipped.
    shown = [group for group in groups if any(r.status != "skipped" for r in group.records)]
    rows = _rows(shown, columns, numbers)
    main = main_column(columns, rows)
    rows = _placed(rows, main)
    band = quality_band(rows, main)
    rows = _with_costs_marked(rows, columns, band)
    ordered = tuple(sorted(rows, key=lambda row: _order(row, main)))
    ranked, controls = ([row for row in ordered if row.group.control is control] for control in (False, True))
    return Board(
        dataset=dataset,
        modality=records[0].plan.modality,
        fingerprint=records[0].plan.fingerprint,
        groups=tuple(groups),
        columns=columns,
        rows=ordered,
        main=main,
        pictured=(*ranked[:pictured], *controls[:pictured]),
        foremost=tuple(ranked[: max(1, FOREMOST * pictured // PICTURED)]),
        band=band,
    )


def quality_band(rows: Iterable[Row], main: Column | None) -> frozenset[str] | None:
    """Those at most ``BAND`` times as bad as the best; where its mean is 0 or below, those not told to be worse."""
    if main is None or main.aspect not in ORDERING:
        return None
    placed = [row for row in rows if row.standing and row.standing.place]
    means = {row.name: mean for row in placed if (mean := row.mean(main)) is not None}
    if not means:
        return None
    best = (max if main.better == "higher" else min)(means.values())
    if best <= 0:
        return frozenset(row.name for row in placed if row.standing and not row.standing.behind)
    if main.better == "higher":
        return frozenset(name for name, mean in means.items() if mean >= best / BAND)
    return frozenset(name for name, mean in means.items() if mean <= BAND * best)


def _with_costs_marked(rows: Sequence[Row], columns: Iterable[Column], band: frozenset[str] | None) -> list[Row]:
    """The cheapest are marked among those in the band: what makes noise is fast."""
    cells = [dict(row.cells) for row in rows]
    for column in (c for c in columns if c.aspect == "efficiency"):
        inside = [i for i, row in enumerate(rows) if not row.group.control and (band is None or row.name in band)]
        known = {i: e for i in inside if not cells[i][column.key].busy and (e := cells[i][column.key].evidence)}
        best = marks({rows[i].name: e for i, e in known.items()}, column.better)
        for i in known:
            cells[i][column.key] = replace(cells[i][column.key], mark=best.get(rows[i].name, ""))
    return [replace(row, cells=its) for row, its in zip(rows, cells, strict=True)]


def _numbers(records: Iterable[RunRecord]) -> Numbers:
    """All measurements by column. The key is made here, once a measurement: it is what a large board costs."""
    numbers: Numbers = defaultdict(list)
    for record in records:
        for measurement in record.measurements:
            numbers[_key(record, measurement)].append((record, measurement))
    return dict(numbers)


def _columns(numbers: Numbers) -> tuple[Column, ...]:
    """Every metric measured at least once, split by protocol, ordered by aspect and extractor, the best known first."""
    variants: dict[str, dict[Key, list[Number]]] = defaultdict(dict)
    for key, found in numbers.items():
        variants[found[0][1].metric][key] = found
    columns = [column for metric, of_metric in variants.items() for column in _split(metric, of_metric)]
    return tuple(sorted(columns, key=_place))


def _place(column: Column) -> tuple[int, bool, str, Place]:
    """By aspect, then extractor, what reads none last, then what leads first."""
    return ASPECTS.index(column.aspect), not column.extractor, column.extractor, column.lead


def _split(metric: str, variants: Mapping[Key, Sequence[Number]]) -> list[Column]:
    labels = variant_labels([_conditions(*found[0]) for found in variants.values()])
    return [
        _column(key, f"{metric} ({label})" if label else metric, found)
        for label, (key, found) in zip(labels, variants.items(), strict=True)
    ]


def _column(key: Key, label: str, found: Sequence[Number]) -> Column:
    record, first = found[0]
    return Column(
        key=key,
        metric=first.metric,
        label=label,
        about=first.about,
        aspect=first.aspect,
        unit=first.unit,
        better=first.better,
        protocol={**first.protocol, **_machine(record, first)},
        fingerprint=first.fingerprint,
        lead=min((*m.lead, *_LAST)[:2] for _, m in found),
        typical=median(abs(m.value) for m in [m for r, m in found if not r.plan.control] or [m for _, m in found]),
        largest=max(abs(m.value) for _, m in found),
    )


def _key(record: RunRecord, measurement: Measurement) -> Key:
    return canonical([measurement.metric, _conditions(record, measurement)])


def _conditions(record: RunRecord, m: Measurement) -> dict[str, Any]:
    """All that two numbers must share to be compared."""
    return {**m.protocol, **_machine(record, m), "unit": m.unit, "better": m.better}


def _machine(record: RunRecord, m: Measurement) -> dict[str, Any]:
    """Times and memory depend on the machine; what is counted, such as parameters, and names no device, does not."""
    counted = m.exact or m.unit == "1"
    if m.aspect != "efficiency" or (counted and "device" not in m.protocol):
        return {}
    return {name: record.environment[name] for name in ("cpu", "gpu") if record.environment.get(name)}


def _rows(groups: Sequence[Group], columns: Iterable[Column], numbers: Numbers, *, marked: bool = True) -> list[Row]:
    """A row a group, a column at a time, so that marks are set with the cells of the column at hand."""
    place = {id(record): number for number, group in enumerate(groups) for record in group.records}
    cells: list[dict[Key, Cell]] = [{} for _ in groups]
    for column in columns:
        found: list[list[Number]] = [[] for _ in groups]
        for record, measurement in numbers[column.key]:
            found[place[id(record)]].append((record, measurement))
        made = [_cell(group, column, its) for group, its in zip(groups, found, strict=True)]
        if not marked or column.aspect == "efficiency":  # what costs count for is not known before the quality is
            for row, cell in zip(cells, made, strict=True):
                row[column.key] = cell
            continue
        # The best are marked, yardsticks left aside but for real data: what models are to be like.
        models = ((g.name, c) for g, c in zip(groups, made, strict=True) if not g.control)
        compared = {name: e for name, c in models if (e := c.evidence)}
        real = [e for g, c in zip(groups, made, strict=True) if g.role == "ceiling" and (e := c.evidence)]
        best = marks(compared, column.better, real[0] if real else None)
        for group, row, cell in zip(groups, cells, made, strict=True):
            row[column.key] = replace(cell, mark=best.get(group.name, ""))
    return [Row(group, row) for group, row in zip(groups, cells, strict=True)]


def _cell(group: Group, column: Column, found: Sequence[Number]) -> Cell:
    why = _why(group, column, {id(record) for record, _ in found})
    measurements = [measurement for _, measurement in found]
    if not measurements:
        return Cell(why=why)
    return Cell(
        summary=summarise([m.value for m in measurements]),
        interval=measurements[0].interval if len(measurements) == 1 else None,
        bound=any(m.kind == "bound" for m in measurements),
        samples=min(m.n for m in measurements),
        why=why,
        exact=all(m.exact for m in measurements),
        busy=column.timed and any(busy(record) if m.busy is None else m.busy for record, m in found),
        # Of a training of ours they would tell that from others of its own recipe.
        parts=found[0][1].parts if len(found) == 1 and not found[0][0].trained else (),
    )


def measurements(row: Row, column: Column) -> Iterator[Number]:
    """The numbers that a cell's mean is of, with their records: of one protocol, and of times one machine."""
    if row.cells[column.key].summary is not None:
        found = ((r, m) for r in row.group.records for m in r.measurements if m.metric == column.metric)
        yield from ((r, m) for r, m in found if _key(r, m) == column.key)


def _why(group: Group, column: Column, having: Set[int]) -> str:
    """The reasons for which this column lacks some or all seeds of the group; "" when none is lacking."""
    reasons: dict[str, list[int]] = defaultdict(list)
    for record in group.records:
        if id(record) not in having:
            reasons[_reason(record, column.metric)].append(record.plan.seed)
    if len(reasons) == 1 and len(*reasons.values()) == len(group.records):
        return next(iter(reasons))
    return "; ".join(f"{seeds_text(seeds)}: {reason}" for reason, seeds in reasons.items())


def _reason(record: RunRecord, metric: str) -> str:
    if metric in record.omitted:
        return record.omitted[metric]
    if any(m.metric == metric for m in record.measurements):
        return "measured under another protocol"
    return f"{record.status}: {record.error.message}" if record.error else "not measured in this run"


def busy(record: RunRecord) -> bool:
    """Whether other processes kept the machine busy, as far as the record says."""
    load = record.environment.get("load")
    return isinstance(load, Mapping) and load.get("busy") is True


def seeds_text(seeds: Sequence[int]) -> str:
    return f"seed{'s' if len(seeds) > 1 else ''} {', '.join(map(str, seeds))}"


def _placed(rows: Sequence[Row], main: Column | None) -> list[Row]:
    """The rows with their standings; those of yardsticks, and of a board that nothing orders, have none.

    The main column is marked by the tests that make the tiers, and of those alone that have a place.
    """
    if main is None:
        return list(rows)
    cells = {row.name: row.cells[main.key] for row in rows if not row.group.control}
    tried = {row.name: len(row.group.records) for row in rows}
    whole = {
        name: e
        for name, cell in cells.items()
        if (e := cell.evidence) and e.summary.n == tried[name] and cell.mark != "beyond"
    }
    means, p = [e.mean for e in whole.values()], p_values(list(whole.values()), main.better)
    losses = [-mean for mean in means] if main.better == "higher" else means
    behind = told_apart(p)[int(np.argmin(losses))] if losses else ()
    stands = zip(rank_intervals(losses, p), compact_letters(losses, p), behind, strict=True)
    places = dict(zip(whole, stands, strict=True))
    tests = int(np.isfinite(p[np.triu_indices(len(p), 1)]).sum())
    alone = {row.name for row in rows if len(row.group.records) == 1 and row.group.first.trained}
    placed, marked = [], {cell.mark for cell in cells.values()}
    for row in rows:
        if row.group.control:
            placed.append(row)
            continue
        cell, (place, tier, worse) = row.cells[main.key], places.get(row.name, (None, "", False))
        done = cell.summary.n if cell.summary else 0
        why = cell.why or (NO_MERIT if cell.mark == "beyond" else "")
        standing = Standing(place, tier, done, tried[row.name], why, bool(worse), tests, row.name in alone)
        if cell.mark != "beyond":
            mark: Mark = "best" if place and place.rank == 1 else "tied"
            cell = replace(cell, mark=mark if marked & {"best", "tied"} and place and not worse else "")
        placed.append(replace(row, standing=standing, cells={**row.cells, main.key: cell}))
    return placed


def main_column(columns: Sequence[Column], rows: Sequence[Row]) -> Column | None:
    """The quality metric that orders the board, one that generators have; of its protocols what most of them share.

    Of a board without any of realism and likelihood what leads another aspect. Costs order only the results of other
    tools, which are told by nothing else: noise is made faster than anything.
    """
    imported = all(record.imported for row in rows for record in row.group.records)

    def place(column: Column) -> tuple[bool, bool, bool, Place, int]:
        elsewhere = column.aspect not in ORDERING
        cost = column.aspect == "efficiency"
        return not _measured(rows, column), elsewhere, cost, column.lead, -_measured(rows, column)

    candidates = [
        c
        for c in columns
        if c.better != "none" and (c.aspect in ORDERING or c.lead != _LAST) and (imported or c.aspect != "efficiency")
    ]
    return min(candidates, key=place, default=None)


def _measured(rows: Iterable[Row], column: Column) -> int:
    return sum(row.mean(column) is not None for row in rows if not row.group.control)


def _order(row: Row, main: Column | None) -> tuple[bool, bool, bool, float, str]:
    """Generators before yardsticks, the ranked before those that are not, by the main column, then by name."""
    mean = row.mean(main)
    sign = -1 if main and main.better == "higher" else 1
    unranked = row.standing is not None and row.standing.place is None
    return row.group.control, mean is None, unranked, sign * (mean or 0), row.name
