"""What is wrong with a record that somebody hands in: with its file, its samples, and what its own numbers deny."""

from __future__ import annotations

import functools
import hashlib
import math
import zipfile
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

from bench.errors import DataError, GenbenchError, named
from bench.files import open_plain
from bench.measure.names import find_metric
from bench.record import CurvePoint, Interval, RunRecord
from bench.registry import MetricEntry
from bench.results.store import is_bundle, read_record

_SLACK = 0.2  # by which examples seen and steps may differ: a last batch may be short
_AHEAD = timedelta(days=1)  # by which a clock may be wrong
_APART = 30  # times that two errors of one number may be apart
_BYTES = 4  # of a learned number, at least in training


def problems(path: Path) -> list[str]:
    """All that is wrong with one record's file; nothing, where it can be believed as far as it goes."""
    if path.is_file() and is_bundle(path):
        return [f"{named(path.name)}: is a bundle: validate the run folder that it was made of"]
    try:
        record = read_record(path)
    except DataError as error:
        return [str(error)]
    found = [*_identity(record, path), *_samples(record, path), *contradictions(record)]
    return [f"{named(path.name)}: {problem}" for problem in found]


def _identity(record: RunRecord, path: Path) -> Iterator[str]:
    if path.stem != record.run_id:
        yield f"is named after another run than its own, {record.run_id}"
    if not record.plan.fingerprint.strip():
        yield "does not say which data it is of: its fingerprint is empty"
    if datetime.fromisoformat(record.created) > datetime.now(UTC) + _AHEAD:
        yield f"was made in the future, at {record.created}"  # and would be the newest forever


def _samples(record: RunRecord, path: Path) -> Iterator[str]:
    """Whether what it says to have made lies beside it, and is what its name says."""
    for name in record.files:
        if Path(name).name != name:
            yield f"names samples outside of its folder: {named(name)}"
            continue
        try:
            with open_plain(path.parent.parent / "samples" / name) as file:
                if name.endswith(".npz") and not zipfile.is_zipfile(file):
                    yield f"its samples are damaged: samples/{named(name)}"
                    continue
                file.seek(0)
                told = record.hashes.get(name)
                if told and hashlib.sha256(file.read()).hexdigest() != told:
                    yield f"its samples are not those that it was made with: samples/{named(name)} has another hash"
        except (DataError, OSError) as error:
            yield f"its samples are not there: samples/{named(name)} ({error})"


def contradictions(record: RunRecord) -> Iterator[str]:
    """What its own numbers deny, or what the metrics that are known here can say."""
    yield from _values(record)
    yield from _counts(record)
    yield from _curve(record.curve, record.steps)
    yield from _costs(record)
    asked = set(record.plan.metrics or ())
    told = {m.metric for m in record.measurements} | set(record.omitted)
    if record.status == "ok" and (silent := sorted(asked - told)):
        yield f"was to measure {', '.join(silent)}, and has neither a number nor a reason"
    if both := sorted({m.metric for m in record.measurements} & set(record.omitted)):
        yield f"has a number and a reason for none: {', '.join(both)}"


def _values(record: RunRecord) -> Iterator[str]:
    """Of what is registered here and was measured by it: another tool may call something else so."""
    for m in () if record.imported else record.measurements:
        entry = _known(m.metric, record.plan.modality)
        if entry and (entry.unit, entry.better) == (m.unit, m.better) and (wrong := entry.impossible(m.value)):
            yield wrong


@functools.cache
def _known(metric: str, modality: str) -> MetricEntry | None:
    try:
        return find_metric(metric, modality)
    except GenbenchError:  # of a plugin that is not here
        return None


def _counts(record: RunRecord) -> Iterator[str]:
    for m in record.measurements:
        sizes = [v for k, v in m.protocol.items() if k in ("n_fake", "n_real", "n_train") and isinstance(v, int)]
        if m.aspect in ("realism", "diversity") and sizes and m.n > sum(sizes):
            yield f"{m.metric} rests on {m.n} rows, of which its protocol has {sum(sizes)}"
        if m.parts and m.interval and not _of_one_size(math.hypot(*m.parts), m.interval):
            yield f"{m.metric} has an interval and parts of the test data that deny one another"
        if m.kind == "bound" and m.better == "none":
            yield f"{m.metric} is a bound, and nobody knows of what side"
        if not (m.protocol or m.aspect == "efficiency" or record.imported):
            yield f"{m.metric} does not say how it was measured: its protocol is empty"
        if m.exact and m.unit == "1" and not float(m.value).is_integer():
            yield f"{m.metric} counts {m.value:g}, which is no whole number"
    planned = record.plan.budget.get("train_steps")
    trained = record.training_id is not None and record.plan.load is None
    if record.status == "ok" and trained and isinstance(planned, int) and record.steps not in (None, planned):
        yield f"is ok after {record.steps} of {planned} steps"
    if record.kept_step is not None and record.steps is not None and record.kept_step > record.steps:
        yield f"kept the model of step {record.kept_step} of {record.steps}"


def _of_one_size(error: float, interval: Interval) -> bool:
    """Whether the error by parts is about that of the interval: neighbouring parts may be alike, or the opposite."""
    reach = (interval.hi - interval.lo) / 2
    return reach / _APART <= 2 * error <= reach * _APART


def _curve(curve: Iterable[CurvePoint], steps: int | None) -> Iterator[str]:
    last: CurvePoint | None = None
    for point in curve:
        if last and (point.step <= last.step or point.seconds < last.seconds):
            yield f"its curve goes back in time at step {point.step}"
            return
        last = point
    if last and steps is not None and last.step > steps:
        yield f"its curve ends at step {last.step}, its training at {steps}"


def _costs(record: RunRecord) -> Iterator[str]:
    costs = [m for m in record.measurements if m.aspect == "efficiency"]
    if negative := sorted(m.metric for m in costs if m.value < 0):
        yield f"has a cost below 0: {', '.join(negative)}"
    # What is counted, and the same in every run, is what a model holds; it is somewhere in memory.
    held = max((m.value for m in costs if m.unit == "B"), default=None)
    counted = max((m.value for m in costs if m.exact and m.unit == "1"), default=0.0)
    if held is not None and held < _BYTES * counted:
        yield f"holds {counted:,.0f} numbers in {held:,.0f} bytes"
    ends = [p for p in record.curve if p.examples and p.seconds > 0]
    planned = record.plan.budget.get("batch_size")
    if ends and isinstance(planned, int) and planned > 0 and ends[-1].examples:
        seen = ends[-1].examples / planned
        if record.steps and not math.isclose(seen, record.steps, rel_tol=_SLACK):
            yield f"saw {ends[-1].examples:,} examples in {record.steps:,} steps of {planned}"
