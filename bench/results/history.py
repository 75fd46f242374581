"""Numbers over commits: a series for every metric, generator and machine, and where it changes its level."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean

import numpy as np

from bench.errors import GenbenchError, hint, shown
from bench.record import Measurement, RunRecord, digest
from bench.results.gate.policy import Margin, Policy, fits
from bench.results.variants import canonical
from bench.statistics import Change, Split, adjusted, best_split, change_points, merged

LEVEL = 0.01  # the share of false ones among the series that are told to change
MARGIN = Policy(margin=Margin(amount=0.02, relative=True))


@dataclass(frozen=True)
class Point:
    """All runs of one commit, or of a folder that names none: when the first was made, and their mean."""

    commit: str
    created: str
    value: float
    n: int


@dataclass(frozen=True)
class Series:
    """One metric under one protocol, of one generator of a suite, on one machine."""

    suite: str
    dataset: str
    generator: str
    metric: str
    unit: str
    better: str
    machine: str
    points: tuple[Point, ...]
    changes: tuple[Change, ...] = ()

    @property
    def values(self) -> list[float]:
        return [point.value for point in self.points]

    def worse(self, change: Change) -> bool:
        return (change.after > change.before) == (self.better == "lower")


def history(
    records: Iterable[RunRecord],
    rng: np.random.Generator,
    *,
    metrics: Sequence[str] = (),
    policy: Policy = MARGIN,
    level: float = LEVEL,
) -> list[Series]:
    """Every series of two points or more, those that changed first.

    metrics: names or patterns; left out, all that have a direction. policy: by its margins, the least change of a level
    that is told. level: the share of false ones that is kept among all series told to change (Benjamini & Hochberg),
    before margins leave some out.
    Raises GenbenchError for a metric, or one of a margin, that is not there.
    """
    records = list(records)
    known = {m.metric for record in records for m in record.measurements if m.better != "none"}
    for pattern in (*metrics, *policy.margins):
        if not any(fits(metric, [pattern]) for metric in known):
            raise GenbenchError(f"no {shown(pattern)} here{hint(pattern, sorted(known))}")
    found: dict[str, dict[str, list[tuple[RunRecord, Measurement]]]] = defaultdict(lambda: defaultdict(list))
    for record in sorted(records, key=lambda r: (r.created, r.run_id)):
        when = f" of {record.created}" if record.day else ""
        commit = str(record.environment.get("commit") or "") or f"run {record.run_id}{when}"
        for m in record.measurements:
            if (not metrics or fits(m.metric, metrics)) and m.better != "none" and not record.plan.control:
                found[_key(record, m)][commit].append((record, m))
    series = [_series(commits) for commits in found.values() if len(commits) > 1]
    splits = _tested(series, rng, level)
    told = {i for i, q in zip(splits, adjusted([s.p for s in splits.values()], "bh"), strict=True) if q <= level}
    # Within those told further places are looked for as strictly as the series themselves were.
    strict = max([level * len(told) / max(1, len(series)), *(splits[i].p for i in told)])
    for i in told:
        changes = change_points(series[i].values, rng, level=strict, first=splits[i])
        series[i] = replace(series[i], changes=_by_margin(series[i], changes, policy))
    return sorted(series, key=lambda s: (not s.changes, s.suite, s.dataset, s.generator, s.metric, s.machine))


def _key(record: RunRecord, m: Measurement) -> str:
    """What must be alike for two numbers to lie on one line: code and weights are what changes along it."""
    plan = record.plan
    return canonical(
        [plan.suite, plan.dataset, plan.fingerprint, plan.generator, m.metric, m.protocol, m.unit, _machine(record, m)]
    )


def _machine(record: RunRecord, m: Measurement) -> str:
    if m.aspect != "efficiency" or m.exact:
        return ""
    return ", ".join(str(record.environment[n]) for n in ("cpu", "gpu") if record.environment.get(n))


def _series(commits: dict[str, list[tuple[RunRecord, Measurement]]]) -> Series:
    points = tuple(
        Point(commit, min(r.created for r, _ in runs), fmean(m.value for _, m in runs), len(runs))
        for commit, runs in commits.items()
    )
    record, m = next(iter(commits.values()))[0]
    plan = record.plan
    return Series(plan.suite, plan.dataset, plan.generator, m.metric, m.unit, m.better, _machine(record, m), points)


def _tested(series: Sequence[Series], rng: np.random.Generator, level: float) -> dict[int, Split]:
    """The best split of each that has one; by many random orders where few leave it open whether it is told."""
    found = {i: split for i, s in enumerate(series) if (split := best_split(s.values, rng))}
    for i, q in zip(dict(found), adjusted([split.p for split in found.values()], "bh"), strict=True):
        if found[i].p <= level < q:
            found[i] = best_split(series[i].values, rng, orders=math.ceil(len(series) / level)) or found[i]
    return found


def _by_margin(series: Series, changes: Sequence[Change], policy: Policy) -> tuple[Change, ...]:
    margin = policy.margin_of(series.metric)
    return tuple(merged(series.values, changes, lambda c: abs(c.after - c.before) < margin.of(c.before)))


def as_one(sides: Mapping[str, Iterable[RunRecord]]) -> list[RunRecord]:
    """Records of several folders, by name, each once; a trial that was run again is two.

    Those that name no commit are of one point with all of their folder that name none: seeds are no points in time.
    """
    found: dict[str, RunRecord] = {}
    for name, side in sides.items():
        for r in side:
            environment = {**r.environment, "commit": r.environment.get("commit") or name}
            found.setdefault(digest([r.run_id, r.created]), r.model_copy(update={"environment": environment}))
    return list(found.values())
