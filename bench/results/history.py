"""Numbers over commits: a series for every metric, generator and machine, and where it changes its level."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import fmean

import numpy as np

from bench.record import Measurement, RunRecord, digest
from bench.results.variants import canonical
from bench.statistics import Change, change_points

LEVEL = 0.01  # of the chance to tell one in a series that never changes


@dataclass(frozen=True)
class Point:
    """All runs of one commit: when the first was made, and the mean of their numbers. A run that names none is one."""

    commit: str
    created: str
    value: float
    n: int


@dataclass(frozen=True)
class Series:
    """One metric under one protocol, of one generator, on one machine."""

    dataset: str
    generator: str
    metric: str
    unit: str
    better: str
    machine: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...]

    def worse(self, change: Change) -> bool:
        return (change.after > change.before) == (self.better == "lower")


def history(
    records: Iterable[RunRecord],
    rng: np.random.Generator,
    *,
    metrics: Sequence[str] = (),
    margin: float = 0.02,
    level: float = LEVEL,
) -> list[Series]:
    """Every series of two points or more, those that changed first. metrics: left out, all that have a direction.

    margin: of a change that is told, as a share of the level before.
    """
    found: dict[str, dict[str, list[tuple[RunRecord, Measurement]]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda r: (r.created, r.run_id)):
        commit = str(record.environment.get("commit") or "") or f"run {record.run_id} of {record.created}"
        for m in record.measurements:
            if (m.metric in metrics or not metrics) and m.better != "none" and not record.plan.control:
                found[_key(record, m)][commit].append((record, m))
    series = [_series(commits, rng, margin, level) for commits in found.values() if len(commits) > 1]
    return sorted(series, key=lambda s: (not s.changes, s.dataset, s.generator, s.metric, s.machine))


def _key(record: RunRecord, m: Measurement) -> str:
    """What must be alike for two numbers to lie on one line: code and weights are what changes along it."""
    plan = record.plan
    return canonical(
        [plan.dataset, plan.fingerprint, plan.generator, m.metric, m.protocol, m.unit, _machine(record, m)]
    )


def _machine(record: RunRecord, m: Measurement) -> str:
    if m.aspect != "efficiency" or m.exact:
        return ""
    return ", ".join(str(record.environment[n]) for n in ("cpu", "gpu") if record.environment.get(n))


def _series(
    commits: dict[str, list[tuple[RunRecord, Measurement]]], rng: np.random.Generator, margin: float, level: float
) -> Series:
    points = tuple(
        Point(commit, min(r.created for r, _ in runs), fmean(m.value for _, m in runs), len(runs))
        for commit, runs in commits.items()
    )
    record, m = next(iter(commits.values()))[0]
    changes = change_points([point.value for point in points], rng, level=level, least=margin)
    return Series(
        record.plan.dataset, record.plan.generator, m.metric, m.unit, m.better, _machine(record, m), points,
        tuple(changes),
    )  # fmt: skip


def as_one(sides: Iterable[Iterable[RunRecord]]) -> list[RunRecord]:
    """Records of several folders, each once; a trial that was run again is two."""
    return list({digest([r.run_id, r.created]): r for side in sides for r in side}.values())
