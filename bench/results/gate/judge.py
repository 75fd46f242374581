"""Verdicts: each number of a candidate beside the baseline's, by an interval against a margin.

A training seed is a replicate. How much worse a candidate is, is estimated as the candidate's mean less (1 + margin)
times the baseline's, so that what the baseline's own scatter makes of a relative margin is counted too; it fails where
that is told to be above 0 and passes where it is told to be below. Where neither is told, the data are too few, and
how many seeds would do is said.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

from bench.errors import GenbenchError, hint, named, shown
from bench.record import LARGEST, Interval, Measurement, RunRecord
from bench.results.board import Board, Column, Row, leaderboards, measurements, seeds_text
from bench.results.gate.policy import Margin, Policy, fits
from bench.results.groups import newest, settings_of
from bench.results.pairs import BUSY, PAIRS, UNSEEN, in_pairs, single_method
from bench.results.ranks import Evidence
from bench.results.ranks import difference as difference_of
from bench.statistics import (
    MOST,
    Difference,
    Summary,
    Verdict,
    adjusted,
    non_inferiority,
    paired_difference,
    reach_interval,
    seeds_to_tell,
    summarise,
    verdict_of,
    welch_difference,
)

CURVE = "loss_curve"  # the name of what is no metric: training losses, step by step
STATUS = "status"
MISSING = "missing"  # a number, a generator or a dataset that the candidate has not
SAME = ("cpu", "gpu", "device", "threads", "versions")  # parts of an environment in which a run repeats bit for bit


@dataclass(frozen=True)
class Finding:
    """One comparison.

    change: the candidate's mean less the baseline's, with its interval where one is known. loss: how much worse it is
    than the margin allows, where that is uncertain. p: of "no worse than that", adjusted for all that blocks. seeds: a
    side, that would settle what is open; more than ``MOST`` where none would. note: what to know of it. lacking: of
    what is missing the metric, "" for all of a generator.
    """

    dataset: str
    generator: str
    metric: str
    unit: str
    better: str
    margin: Margin
    blocking: bool
    exact: bool
    verdict: Verdict
    method: str
    baseline: Summary | None = None
    candidate: Summary | None = None
    change: Difference | None = None
    interval: Interval | None = None
    loss: Difference | None = None
    p: float | None = None
    seeds: int | None = None
    note: str = ""
    lacking: str = ""

    @property
    def what(self) -> str:
        """The metric, or ``missing fd_lenet``."""
        return f"{self.metric} {self.lacking}".strip()

    @property
    def paired(self) -> bool:
        """Whether runs of one seed were taken as pairs."""
        return "pairs" in self.method

    @property
    def where(self) -> str:
        return f"{self.generator} on {self.dataset}"

    @property
    def relative(self) -> float | None:
        """The change as a share of the baseline; None beside one of 0."""
        if self.baseline is None or self.change is None or not self.baseline.mean:
            return None
        return self.change.value / abs(self.baseline.mean)


@dataclass(frozen=True)
class Gate:
    """All findings of a check. notes: what could not be compared, and why. settings: what differs in how both ran."""

    findings: tuple[Finding, ...]
    notes: tuple[str, ...] = ()
    settings: tuple[str, ...] = ()
    policy: Policy = field(default_factory=Policy)

    @property
    def blocking(self) -> tuple[Finding, ...]:
        return tuple(finding for finding in self.findings if finding.blocking)

    @property
    def verdict(self) -> Verdict | None:
        """Of what blocks: fail where anything fails, pass where all passes; None where nothing could be compared."""
        verdicts = {finding.verdict for finding in self.blocking}
        if all(f.metric == MISSING and f.verdict == "inconclusive" for f in self.blocking):
            return None
        return "fail" if "fail" in verdicts else "inconclusive" if "inconclusive" in verdicts else "pass"

    @property
    def seeds(self) -> dict[tuple[str, str], int]:
        """A side, by dataset and generator, that would settle all that is open and can be settled."""
        found: dict[tuple[str, str], int] = {}
        for f in self.blocking:
            if f.seeds is not None and f.seeds <= MOST:
                key = f.dataset, f.generator
                found[key] = max(f.seeds, found.get(key, 0))
        return found


class _Side(NamedTuple):
    """What one side knows of a number: by seed, and of a single run the interval within it."""

    values: Mapping[int, float]
    numbers: Sequence[Measurement]
    trained: bool

    @property
    def evidence(self) -> Evidence:
        only = self.numbers[0].interval if len(self.numbers) == 1 else None
        parts = self.numbers[0].parts if len(self.numbers) == 1 else ()
        bound = any(m.kind == "bound" for m in self.numbers)
        return Evidence(summarise(list(self.values.values())), only, bound, parts)


def check(baseline: Iterable[RunRecord], candidate: Iterable[RunRecord], policy: Policy | None = None) -> Gate:
    """Compare what both sides measured of the same data by the same protocol; times and memory on the same machine.

    Generators are compared by their names in the suites: their code and settings are what may have changed.
    Raises GenbenchError for a metric that the policy names and the baseline has not.
    """
    policy = policy or Policy()
    before, after = (
        {board.dataset: board for board in leaderboards(newest(side)[0])} for side in (baseline, candidate)
    )
    findings: list[Finding] = []
    notes, settings = [f"{name}: only in the {side}" for name, side in _one_sided(before, after)], list[str]()
    for dataset, board in before.items():
        if dataset in after:
            found, told = _on(board, after[dataset], policy)
            findings, notes = findings + found, notes + told
            settings += _settings(board, after[dataset]) if board.fingerprint == after[dataset].fingerprint else ()
        else:
            alone = "the dataset is in the baseline alone, and so nothing is known of it"
            findings += [_missing(dataset, row.group.name, "inconclusive", alone, policy) for row in board.ranked]
    notes += _unmatched_patterns(before.values(), policy)
    return Gate(tuple(_with_verdicts(findings, policy)), tuple(notes), tuple(settings), policy)


def _unmatched_patterns(boards: Iterable[Board], policy: Policy) -> list[str]:
    """A line for each pattern that fits no metric of the baseline; a name that does raises GenbenchError.

    A misspelt one would let everything pass. A pattern may be meant for other suites that share the policy.
    """
    known, lines = {CURVE, STATUS, *(column.metric for board in boards for column in board.columns)}, []
    for pattern in (*policy.margins, *(policy.blocking or ())):
        if any(fits(metric, (pattern,)) for metric in known):
            continue
        if not set("*?[") & set(pattern):
            raise GenbenchError(f"no {shown(pattern)} in the baseline{hint(pattern, sorted(known))}")
        lines.append(f"{shown(pattern)} fits no metric of the baseline")
    return lines


def _settings(before: Board, after: Board) -> Iterator[str]:
    """A line for each generator that ran otherwise on the two sides: that alone may be why its numbers differ."""
    rows = {row.group.name: row for row in after.ranked}
    for old in before.ranked:
        if (new := rows.get(old.group.name)) and (apart := _apart(_ran(old), _ran(new))):
            yield f"{old.name} on {before.dataset}: {apart}"


def _ran(row: Row) -> dict[str, object]:
    return {name: value for name, value in settings_of(row.group.first).items() if name != "suite"}


def _apart(old: Mapping[str, object], new: Mapping[str, object]) -> str:
    """``width 64, 128; lr 0.1, None``: in what two differ."""
    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]

    def both(name: str) -> str:
        values = old.get(name), new.get(name)
        show = shown if str(values[0]) == str(values[1]) else lambda value: named(str(value))
        return f"{named(name)} {show(values[0])}, {show(values[1])}"

    return "; ".join(map(both, names))


def _missing(dataset: str, generator: str, verdict: Verdict, note: str, policy: Policy, lacking: str = "") -> Finding:
    return Finding(
        dataset, generator, MISSING, "", "none", Margin(amount=0, relative=True), policy.missing == "fail", True,
        verdict, "exact", note=note, lacking=lacking,
    )  # fmt: skip


def _gone(old: Row, new: Row, column: Column, policy: Policy) -> Iterator[Finding]:
    """A number that the baseline has and the candidate has not, for one or all seeds that ended well there.

    One that was measured otherwise, by another protocol or on another machine, is nothing that the candidate lost.
    """
    now = {record.plan.seed for record, _ in measurements(new, column)} if column.key in new.cells else set()
    well = {record.plan.seed: record for record in new.group.records if record.status == "ok"}
    lost = [r.plan.seed for r, _ in measurements(old, column) if r.plan.seed in well and r.plan.seed not in now]
    if not lost:
        return
    record = well[lost[0]]
    otherwise = any(m.metric == column.metric for m in record.measurements)
    why = "not measured alike" if otherwise else record.omitted.get(column.metric, "not measured")
    verdict: Verdict = "inconclusive" if otherwise else "fail"
    yield _missing(record.plan.dataset, old.name, verdict, f"{seeds_text(lost)}: {why}", policy, column.label)


def _one_sided(before: Mapping[str, object], after: Mapping[str, object]) -> Iterator[tuple[str, str]]:
    yield from ((name, "baseline") for name in before if name not in after)
    yield from ((name, "candidate") for name in after if name not in before)


def _on(before: Board, after: Board, policy: Policy) -> tuple[list[Finding], list[str]]:
    """The findings on one dataset."""
    if before.fingerprint != after.fingerprint:
        return [], [f"{before.dataset}: not the same data on both sides"]
    rows = [{row.group.name: row for row in board.ranked} for board in (before, after)]
    findings: list[Finding] = []
    told = [side for side in _one_sided(*rows) if side[1] == "candidate" or policy.missing == "note"]
    notes = [f"{name} on {before.dataset}: only in the {side}" for name, side in told]
    leading = {column.key for column in before.headline}
    shared = {column.key for column in after.columns}
    for name, old in rows[0].items():
        if (new := rows[1].get(name)) is None:
            alone = "the generator is in the baseline alone, and so nothing is known of it"
            findings.append(_missing(before.dataset, name, "inconclusive", alone, policy))
            continue
        lost = _lost(old, new, before.dataset, policy)
        findings += [lost] if lost else []
        findings += [f for f in [_curve(old, new, before.dataset, policy)] if f]
        for column in before.columns:
            exact = all(m.exact for _, m in measurements(old, column))
            # Times of another day are another machine's: they block where somebody names them.
            leads = exact or (column.key in leading and (policy.times or column.aspect != "efficiency"))
            judged = column.better != "none" and not fits(column.metric, policy.ignore)
            if judged and policy.blocks(column.metric, leads=leads):
                findings += _gone(old, new, column, policy)
            if column.key not in shared:
                continue
            finding = _compared(old, new, column, before.dataset, policy, leads=leads)
            findings += [finding] if finding else []
    return findings, notes + _unmatched(before, after)


def _unmatched(before: Board, after: Board) -> list[str]:
    """The metrics that both sides have and never alike, and in what they differ."""
    notes, shared = [], {c.metric for c in before.columns} & {c.metric for c in after.columns}
    for metric in sorted(shared - {c.metric for c in before.columns if c.key in {d.key for d in after.columns}}):
        apart = _apart(before.find(metric)[0].protocol, after.find(metric)[0].protocol)
        notes.append(f"{metric} on {before.dataset}: not measured alike on both sides ({apart})")
    return notes


def _lost(old: Row, new: Row, dataset: str, policy: Policy) -> Finding | None:
    """A trial that ended well before and does not now."""
    well = {record.plan.seed for record in old.group.records if record.status == "ok"}
    failed = [record for record in new.group.records if record.status == "failed" and record.plan.seed in well]
    if not failed:
        return None
    message = failed[0].error.message if failed[0].error else ""
    return Finding(
        dataset, old.name, STATUS, "", "none", Margin(amount=0, relative=True), policy.failed == "fail", True, "fail",
        "exact", note=f"{seeds_text([record.plan.seed for record in failed])} failed: {message}",
    )  # fmt: skip


def _curve(old: Row, new: Row, dataset: str, policy: Policy) -> Finding | None:
    """Training losses of the seeds that both have, where both ran in one environment: there they repeat bit for bit.

    Where they are not to be compared there is no finding, but where somebody asked that they block.
    """
    if fits(CURVE, policy.ignore):
        return None
    margin = policy.margin_of(CURVE, exact=True)
    seeds = [(a, b) for a in old.group.records for b in new.group.records if a.plan.seed == b.plan.seed]
    both = [(a, b) for a, b in seeds if a.curve and b.curve]
    pairs = [(a, b) for a, b in both if all(a.environment.get(name) == b.environment.get(name) for name in SAME)]
    if not pairs:
        if not policy.blocks(CURVE, leads=False) or not any(record.curve for record in old.group.records):
            return None
        if both:
            why = f"the {', '.join(SAME)} of both sides are not the same, and elsewhere losses do not repeat"
            return _missing(dataset, old.name, "inconclusive", why, policy, CURVE)
        return _missing(dataset, old.name, "fail", "no seed of both sides has losses", policy, CURVE)
    apart = [step for a, b in pairs if (step := _first_apart(a, b, margin)) is not None]
    note = f"first apart at step {min(apart)}" if apart else ""
    blocking = policy.blocks(CURVE, leads=False)
    return Finding(
        dataset, old.name, CURVE, "", "none", margin, blocking, True, "fail" if apart else "pass",
        f"exact, {seeds_text(sorted(a.plan.seed for a, _ in pairs))}", note=note,
    )  # fmt: skip


def _first_apart(a: RunRecord, b: RunRecord, margin: Margin) -> int | None:
    """The first step that both noted whose losses differ by more than the margin; None where none does."""
    later = {point.step: point.losses for point in b.curve}
    for point in a.curve:
        losses = later.get(point.step)
        if losses is not None and any(
            name not in losses or abs(losses[name] - loss) > margin.of(loss) for name, loss in point.losses.items()
        ):
            return point.step
    return None


def _side(row: Row, column: Column) -> _Side | None:
    found = list(measurements(row, column))
    if not found:
        return None
    trained = any(record.trained for record, _ in found)
    return _Side({record.plan.seed: m.value for record, m in found}, [m for _, m in found], trained)


def _compared(old: Row, new: Row, column: Column, dataset: str, policy: Policy, *, leads: bool) -> Finding | None:
    """One metric of one generator; None where a side has no number, or nobody can say which is better."""
    a, b = _side(old, column), _side(new, column)
    if a is None or b is None or column.better == "none" or fits(column.metric, policy.ignore):
        return None
    exact = all(m.exact for m in [*a.numbers, *b.numbers])
    margin = policy.margin_of(column.metric, exact=exact)
    before, after = a.evidence, b.evidence
    finding = Finding(
        dataset, old.name, column.label, column.unit, column.better, margin,
        policy.blocks(column.metric, leads=leads), exact, "inconclusive", "", before.summary, after.summary,
        Difference(after.mean - before.mean, 0.0),
    )  # fmt: skip
    if a.values == b.values:
        return replace(finding, verdict="pass", method=f"the same, {_counted(len(a.values))}")
    if exact:
        sign = -1 if column.better == "higher" else 1
        worse = sign * (after.mean - before.mean) > margin.of(before.mean)
        return replace(finding, verdict="fail" if worse else "pass", method="exact")
    if any(row.cells[column.key].busy for row in (old, new)) and not policy.ratios:  # taken in turn, both bear it
        return replace(finding, method=_counted(len(a.values)), note=f"{BUSY}: take it again on an idle one")
    return _judged(finding, a, b, policy)


def _judged(finding: Finding, a: _Side, b: _Side, policy: Policy) -> Finding:
    """By the scatter over seeds; of models that nothing trained, by the intervals within single runs."""
    before, after = a.evidence, b.evidence
    counts = before.summary.n, after.summary.n
    if (
        policy.ratios
        and finding.margin.relative
        and min(counts) > 1
        and min(*a.values.values(), *b.values.values()) > 0
    ):
        return _by_ratio(finding, a, b, policy)
    now, then, allowed = _loss(finding)
    if pairs := _pairs(a, b, policy):
        old, new = pairs
        change = paired_difference(new, old)
        loss = paired_difference([now * x for x in new], [then * x for x in old])
        method = f"pairs of {_counted(len(new))}"
    elif min(counts) > 1:
        change = welch_difference(after.summary, before.summary)
        loss = welch_difference(_scaled(after.summary, now), _scaled(before.summary, then))
        method = f"Welch, {counts[0]} and {_counted(counts[1])}"
    elif not (a.trained or b.trained) and (found := difference_of(after, before)):
        change, loss = found, difference_of(_times(after, now), _times(before, then)) or found
        method = single_method(after, before)
    else:
        few = "one seed a side" if max(counts) == 1 else "one seed on a side"
        return replace(finding, method=few, seeds=3, note="how it scatters from seed to seed is not known")
    loss = loss._replace(value=loss.value - allowed)
    if not loss.error and change.value:
        return replace(finding, method=method, seeds=max(counts) + 2, note=UNSEEN)
    interval = reach_interval(change.value, change.reach(_both(policy)), method, _both(policy))
    return replace(finding, method=method, change=change, interval=interval, loss=loss)


def _both(policy: Policy) -> float:
    """The level of an interval each end of which is a one-sided test at that of the policy, as verdicts are."""
    return 2 * policy.level - 1


def _by_ratio(finding: Finding, a: _Side, b: _Side, policy: Policy) -> Finding:
    """By logarithms; the change is told as that of the baseline's mean."""
    assert finding.baseline
    logs = [side._replace(values={seed: math.log(v) for seed, v in side.values.items()}) for side in (a, b)]
    if pairs := _pairs(logs[0], logs[1], policy):
        ratio, method = paired_difference(pairs[1], pairs[0]), f"ratios of {_counted(len(pairs[0]))}, in pairs"
    else:
        old, new = (summarise(list(side.values.values())) for side in logs)
        ratio, method = welch_difference(new, old), f"ratios, {old.n} and {_counted(new.n)}"
    sign, mean, reach = -1 if finding.better == "higher" else 1, finding.baseline.mean, ratio.reach(_both(policy))
    allowed = sign * math.log1p(sign * min(finding.margin.amount, 0.999))
    lo, value, hi = (mean * math.expm1(min(700.0, ratio.value + end)) for end in (-reach, 0.0, reach))
    return replace(
        finding, method=method, change=Difference(value, ratio.error, ratio.freedom),
        interval=Interval(lo=lo, hi=min(LARGEST, hi), level=_both(policy), method=method) if hi < math.inf else None,
        loss=ratio._replace(value=sign * ratio.value - allowed),
    )  # fmt: skip


def _loss(finding: Finding) -> tuple[float, float, float]:
    """Factors of the candidate and of the baseline in what is lost, and what of it is allowed beside that."""
    assert finding.baseline
    sign, margin = -1.0 if finding.better == "higher" else 1.0, finding.margin
    if not margin.relative:
        return sign, sign, margin.amount
    return sign, sign + math.copysign(margin.amount, finding.baseline.mean), 0.0


def _pairs(a: _Side, b: _Side, policy: Policy) -> tuple[list[float], list[float]] | None:
    """The numbers of either side by seed, where they are to be taken as pairs."""
    return None if policy.paired is False else in_pairs(a.values, b.values, 2 if policy.paired else PAIRS)


def _times(number: Evidence, factor: float) -> Evidence:
    """The evidence of a multiple."""
    around = number.interval
    ends = sorted(factor * end for end in (around.lo, around.hi)) if around else []
    interval = around.model_copy(update={"lo": ends[0], "hi": ends[1]}) if around else None
    parts = tuple(factor * part for part in number.parts)
    return Evidence(_scaled(number.summary, factor), interval, number.bound, parts)


def _scaled(summary: Summary, factor: float) -> Summary:
    return Summary(factor * summary.mean, None if summary.sd is None else abs(factor) * summary.sd, summary.n)


def _counted(seeds: int) -> str:
    return f"{seeds} seed{'s' if seeds > 1 else ''}"


def _with_verdicts(findings: Sequence[Finding], policy: Policy) -> Iterator[Finding]:
    """What a loss tells, the chance of any false alarm among those that block kept at the level (Holm)."""
    tests = {i: non_inferiority(f.loss) for i, f in enumerate(findings) if f.loss is not None}
    blocking = [i for i in tests if findings[i].blocking]
    holm = dict(zip(blocking, adjusted([tests[i][0] for i in blocking]), strict=True))
    for i, finding in enumerate(findings):
        if i not in tests:
            yield finding
            continue
        worse, fine = holm.get(i, tests[i][0]), tests[i][1]
        verdict = verdict_of(worse, fine, policy.level)
        told = replace(finding, verdict=verdict, p=worse)
        yield replace(told, seeds=_settling(told, len(blocking), policy)) if verdict == "inconclusive" else told


def _settling(finding: Finding, tests: int, policy: Policy) -> int | None:
    """Seeds a side that would tell, were the loss and its scatter what they seem; None where no scatter is known."""
    assert finding.loss and finding.baseline and finding.candidate
    if finding.candidate.sd is None or finding.baseline.sd is None:
        return None
    sd = finding.loss.error / math.sqrt(1 / finding.candidate.n + 1 / finding.baseline.n)
    against = tests if finding.loss.value > 0 and finding.blocking else 1  # only what may fail shares its error
    found = seeds_to_tell(finding.loss.value, (sd, sd), level=policy.level, sides=1, tests=against)
    return max(found, 1 + min(finding.candidate.n, finding.baseline.n))  # with those that are there it was not told
