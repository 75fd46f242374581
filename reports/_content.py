"""Everything a page says, gathered from records before a format is chosen: html and markdown say the same."""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench import Records, RunRecord, Unfinished
from bench.results.across import Across, across
from bench.results.board import Board, busy, leaderboards, seeds_text
from bench.results.groups import given_up, newest
from reports._cells import band_text, place_text
from reports._colours import slots
from reports._continued import Beginning, beginnings
from reports._notes import in_short, told
from reports._samples import Sample, gallery
from reports._verdict import verdict

MOST_NAMED = 5


@dataclass(frozen=True)
class Section:
    """One dataset of the page."""

    board: Board
    verdict: str
    samples: list[Sample]
    beginnings: list[Beginning]
    unread: list[str]  # files of continuations that cannot be shown

    @property
    def data(self) -> str:
        """Enough of the dataset's fingerprint to know it by."""
        return self.board.fingerprint[:19]

    @property
    def unranked(self) -> list[str]:
        """A line for each of the first generators without a place, and why: not all see a tooltip."""
        apart = [row for row in self.board.ranked if row.standing and row.standing.place is None]
        lines = [f"{row.name} is {place_text(row.standing)}" for row in apart[:MOST_NAMED] if row.standing]
        return [*lines, *([f"{len(apart) - MOST_NAMED} more are not ranked"] if len(apart) > MOST_NAMED else [])]

    @property
    def band(self) -> str:
        """Of whom the costs are compared."""
        return band_text(self.board)

    @property
    def undrawn(self) -> str:
        """Said where pictures are drawn of some of the generators only."""
        shown, ranked = sum(not row.group.control for row in self.board.pictured), len(self.board.ranked)
        told = []
        if shown < ranked:
            told.append(
                f"Samples are of the first {shown} of {ranked} generators; quality against throughput also shows "
                "whoever is a quarter faster than all that are better."
            )
        if (drawn := len(self.board.foremost)) < ranked:
            told.append(f"Curves and pages of two are of the first {drawn}; of the others each has its own page.")
        return " ".join(told)


@dataclass(frozen=True)
class LeftOut:
    """Metrics that somebody lacks for one reason: why, and who."""

    metrics: list[str]
    why: str
    where: list[str]


@dataclass(frozen=True)
class Trouble:
    """Trials without a whole result that share a cause."""

    who: str
    seeds: str
    kind: str
    message: str
    traceback: str | None


@dataclass(frozen=True)
class Pending:
    """Trials of a suite that have no record: how many, which, and the command that goes on with them."""

    summary: str
    trials: list[str]
    command: str

    @property
    def first(self) -> str:
        """Those that a line has room for, and how many more."""
        more = len(self.trials) - MOST_NAMED
        return "; ".join(self.trials[:MOST_NAMED]) + (f"; and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Setting:
    """How one generator was built and trained, and on which datasets so."""

    name: str
    family: str
    datasets: list[str]
    params: Mapping[str, Any]
    budget: Mapping[str, Any]


@dataclass(frozen=True)
class Machines:
    """What all trials ran on, and where they differ: (differences, number of trials)."""

    shared: Mapping[str, str]
    differing: list[tuple[dict[str, str], int]]


@dataclass(frozen=True)
class Content:
    suites: list[str]
    unfinished: list[Pending]
    dates: str
    counts: Counter[str]
    seeds: list[int]
    sections: list[Section]
    across: list[Across]
    slots: Mapping[str, int]
    left_out: list[LeftOut]
    failures: list[Trouble]
    skipped: list[Trouble]
    notes: list[str]
    settings: list[Setting]
    machines: Machines
    commands: list[str]

    @property
    def title(self) -> str:
        return ", ".join(self.suites) or "no records"

    @property
    def trials(self) -> str:
        """``27 trials: 24 ok, 2 failed, 1 skipped``."""
        total = self.counts.total()
        parts = [f"{n} {status}" for status in ("ok", "failed", "skipped") if (n := self.counts[status])]
        return f"{total} trial{'s' if total != 1 else ''}" + (f": {', '.join(parts)}" if parts else "")


def _section(board: Board, run_folder: Path) -> Section:
    return Section(board, verdict(board), gallery(board, run_folder), *beginnings(board, run_folder))


def gather(records: Iterable[RunRecord], run_folder: Path, notes: Sequence[str]) -> Content:
    """The content of a page about these records. Reads the sample files of the run folder, nothing else.

    Of ``Records`` it is gathered once for all formats.
    """
    if isinstance(records, Records):
        return records.once((run_folder, *notes), lambda: _gathered(records, run_folder, notes))
    return _gathered(records, run_folder, notes)


def _gathered(records: Iterable[RunRecord], run_folder: Path, notes: Sequence[str]) -> Content:
    current, older = newest(records)
    boards = _as_planned(leaderboards(current), records)
    unfinished = records.unfinished if isinstance(records, Records) else []
    days = sorted({record.day for record in current} - {""})
    return Content(
        suites=sorted({record.plan.suite for record in current} | {found.planned.suite for found in unfinished}),
        unfinished=[_pending(found) for found in unfinished],
        dates=" to ".join(dict.fromkeys([*days[:1], *days[-1:]])),
        counts=Counter(record.status for record in current),
        seeds=sorted({record.plan.seed for record in current}),
        sections=[_section(board, run_folder) for board in boards],
        across=across(boards),
        slots=slots(row.name for board in boards for row in board.ranked),
        left_out=_left_out(boards),
        failures=_troubles(boards, "failed"),
        skipped=_troubles(boards, "skipped"),
        notes=[*notes, *_remarks(current, older)],
        settings=_settings(boards),
        machines=machines_of(current),
        commands=list(dict.fromkeys(record.plan.command for record in current if record.plan.command)),
    )


def _as_planned(boards: Iterable[Board], records: Iterable[RunRecord]) -> list[Board]:
    """In the order that the suites have their datasets in; those that no plan knows last, by name."""
    plans = records.planned if isinstance(records, Records) else ()
    known = list(dict.fromkeys(trial.dataset for plan in plans for trial in plan.trials))
    place = {dataset: number for number, dataset in enumerate(known)}
    return sorted(boards, key=lambda board: place.get(board.groups[0].first.plan.dataset, len(known)))


def _pending(unfinished: Unfinished) -> Pending:
    """The trials of one generator on one dataset in one line."""
    found: dict[str, list[int]] = defaultdict(list)
    for trial in unfinished.trials:
        found[f"{trial.generator} on {trial.dataset}"].append(trial.seed)
    trials = [f"{who}, {seeds_text(seeds)}" for who, seeds in found.items()]
    return Pending(str(unfinished), trials, unfinished.planned.command)


def _left_out(boards: Iterable[Board]) -> list[LeftOut]:
    """Every reason given for numbers that are not there, and where."""
    found: dict[tuple[str, str], list[str]] = defaultdict(list)
    for board in boards:
        ran = {r.name: r.group.control for r in board.rows if any(record.status == "ok" for record in r.group.records)}
        reasons: dict[tuple[str, str], dict[str, None]] = defaultdict(dict)
        for row in board.rows:
            for record in row.group.records:
                for metric, why in record.omitted.items():
                    reasons[metric, why][row.name] = None
        for key, names in reasons.items():
            found[key].append(f"{board.dataset} ({in_short(names, ran)})")
    alike: dict[tuple[str, tuple[str, ...]], list[str]] = defaultdict(list)
    for (metric, why), where in sorted(found.items()):
        alike[why, tuple(where)].append(metric)
    return [LeftOut(metrics, why, list(where)) for (why, where), metrics in alike.items()]


def _troubles(boards: Iterable[Board], status: str) -> list[Trouble]:
    """Trials of this status, those of one generator with one cause in one line."""
    found: dict[tuple[str, str, str], list[RunRecord]] = defaultdict(list)
    for board in boards:
        for group in board.groups:
            for record in group.records:
                if record.status == status and record.error:
                    who = f"{group.name} on {board.dataset}"
                    found[who, record.error.kind, record.error.message].append(record)
    troubles = []
    for (who, kind, message), records in found.items():
        tracebacks = [record.error.traceback for record in records if record.error and record.error.traceback]
        seeds = seeds_text([record.plan.seed for record in records])
        troubles.append(Trouble(who, seeds, kind, message, tracebacks[0] if tracebacks else None))
    return troubles


def _remarks(records: Sequence[RunRecord], older: Sequence[RunRecord]) -> list[str]:
    """What a careful reader should know about this set of records."""
    remarks = []
    if older:
        remarks.append(
            f"{len(older)} older record{'s' if len(older) > 1 else ''} of trials that were run again since "
            f"{'are' if len(older) > 1 else 'is'} left aside: {', '.join(r.run_id for r in older)}"
        )
    remarks += given_up(records, older)
    machines = {(r.environment.get("cpu"), r.environment.get("gpu")) for r in records if r.environment}
    if len(machines) > 1:
        remarks.append(
            f"the trials ran on {len(machines)} different machines; times and memory are compared within each"
        )
    if slowed := [r.plan.title for r in records if busy(r)]:
        rest = len(slowed) - MOST_NAMED
        shown = "; ".join(slowed[:MOST_NAMED]) + (f"; and {rest} more" if rest > 0 else "")
        remarks.append(
            f"other processes kept the machine busy during {len(slowed)} of {len(records)} trials, so their times and "
            f"throughputs are not theirs alone, and none is called the best: {shown}"
        )
    return remarks + told(records)


def _settings(boards: Iterable[Board]) -> list[Setting]:
    """Hyperparameters and budgets, each distinct setting once."""
    found: dict[str, Setting] = {}
    for board in boards:
        for row in board.rows:
            plan = row.group.first.plan
            key = repr((row.name, sorted(plan.params.items()), sorted(plan.budget.items())))
            new = Setting(row.name, plan.family, [], plan.params, spent(row.group.first))
            found.setdefault(key, new).datasets.append(board.dataset)
    return sorted(found.values(), key=lambda s: s.name)


def spent(record: RunRecord) -> dict[str, Any]:
    """The budget, and what of the rest is not as a suite has it by default; nothing of a yardstick."""
    plan = record.plan
    if plan.control:
        return {}
    untrained = record.status == "ok" and record.steps is None
    budget = {k: v for k, v in plan.budget.items() if not (untrained and k.startswith(("train_", "checkpoint_")))}
    special = {"load": plan.weights, "precision": plan.precision, "compile": plan.compile or None}
    return {**budget, **{name: value for name, value in special.items() if value not in (None, "fp32")}}


def machines_of(records: Iterable[RunRecord]) -> Machines:
    """Records without an environment (killed trials) say nothing about machines, and its load is each trial's own."""
    told = [{key: value for key, value in r.environment.items() if key != "load"} for r in records if r.environment]
    environments = Counter(tuple(sorted(_flat(environment).items())) for environment in told)
    every = [dict(environment) for environment in environments]
    keys = dict.fromkeys(key for environment in every for key in environment)
    shared = {key: every[0][key] for key in keys if all(e.get(key) == every[0].get(key) for e in every)}
    rest = [{k: v for k, v in environment.items() if k not in shared} for environment in every]
    differing = list(zip(rest, environments.values(), strict=True)) if len(every) > 1 else []
    return Machines(shared, differing)


def _flat(environment: Mapping[str, Any]) -> dict[str, str]:
    """One level of text; a table inside (versions) gives its own keys; what is null does not apply."""
    flat = {}
    for key, value in environment.items():
        if isinstance(value, Mapping):
            flat.update(_flat(value))
        elif value is not None:
            flat[key] = {True: "on", False: "off"}[value] if isinstance(value, bool) else str(value)
    return flat


def listed(values: Mapping[str, Any]) -> str:
    """``latent=32, width=128``."""
    shown = ((key, value if isinstance(value, str) else json.dumps(value)) for key, value in values.items())
    return ", ".join(f"{key}={value}" for key, value in shown)
