"""Records sorted into groups: the trials that differ in their seed alone, and may therefore be averaged."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bench.protocols import Role
from bench.record import RunRecord
from bench.results.variants import canonical, variant_labels

# Parts of a budget that decide how a trial is run, but not what comes out.
_NO_RESULT = frozenset({"checkpoint_every", "stall_limit", "time_limit"})


@dataclass(frozen=True)
class Group:
    """One generator as it was run on one dataset; ``records`` holds one a seed, in the order of seeds."""

    name: str
    records: tuple[RunRecord, ...]

    @property
    def first(self) -> RunRecord:
        return self.records[0]

    @property
    def control(self) -> bool:
        return self.first.plan.control

    @property
    def role(self) -> Role | None:
        """Of a yardstick that has one: "ceiling" is held-out data."""
        return self.first.plan.role if self.control else None

    @property
    def seeds(self) -> tuple[int, ...]:
        return tuple(record.plan.seed for record in self.records)


def by_dataset(records: Iterable[RunRecord]) -> dict[str, list[RunRecord]]:
    """Records by dataset label; a label that stands for different data is split: results do not compare."""
    kinds: dict[str, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    for record in records:
        kinds[record.plan.dataset][record.plan.fingerprint].append(record)
    found = {}
    for dataset, contents in kinds.items():
        labels = variant_labels([{"data": fingerprint} for fingerprint in contents])
        for label, content in zip(labels, contents.values(), strict=True):
            found[_named(dataset, label)] = content
    return found


def newest(records: Iterable[RunRecord]) -> tuple[list[RunRecord], list[RunRecord]]:
    """(the newest record of every trial, the older ones): a trial run again after a change leaves two."""
    last: dict[str, RunRecord] = {}
    older = []
    records = sorted(records, key=_moment)
    devices = _devices(records)
    for record in records:
        key = _trial(record, devices)
        if key in last:
            older.append(last[key])
        last[key] = record
    return list(last.values()), older


def given_up(current: Sequence[RunRecord], older: Iterable[RunRecord]) -> list[str]:
    """A line for each generator of which only older records have some number: run again, it measured less."""
    older = list(older)
    devices = _devices(sorted([*current, *older], key=_moment))
    now = {_trial(record, devices): {m.metric for m in record.measurements} for record in current}
    gone: dict[tuple[str, str], dict[str, set[int]]] = defaultdict(lambda: defaultdict(set))
    for record in older:
        for metric in {m.metric for m in record.measurements} - now[_trial(record, devices)]:
            gone[record.plan.generator, record.plan.dataset][metric].add(record.plan.seed)
    return [
        f"{generator} on {dataset}: only older records have {', '.join(sorted(metrics))} of seed "
        f"{', '.join(map(str, sorted(set().union(*metrics.values()))))}"
        for (generator, dataset), metrics in sorted(gone.items())
    ]


def groups_of(records: Sequence[RunRecord]) -> list[Group]:
    """The groups of one dataset, each with its own name: ``vae``, or ``vae (latent=64)`` beside others."""
    generators: dict[str, dict[str, list[RunRecord]]] = defaultdict(lambda: defaultdict(list))
    devices = _devices(records)
    for record in records:
        generators[record.plan.generator][canonical(_setting(record, devices))].append(record)
    named = (_name(name, list(found.values()), devices) for name, found in sorted(generators.items()))
    return [group for groups in named for group in groups]


def _moment(record: RunRecord) -> tuple[str, str]:
    return record.created, record.run_id


def _trial(record: RunRecord, devices: Mapping[str, str]) -> str:
    """What two records share that are of one trial."""
    plan = record.plan
    return canonical([plan.dataset, plan.fingerprint, plan.generator, plan.seed, _setting(record, devices)])


def _devices(records: Iterable[RunRecord]) -> dict[str, str]:
    """Where each plan ran; a trial that was killed knows no device and is counted with its fellows."""
    ran = ((record, record.environment.get("device")) for record in records)
    return {canonical([r.plan.generator, settings_of(r)]): str(device) for r, device in ran if device}


def _name(generator: str, variants: list[list[RunRecord]], devices: Mapping[str, str]) -> list[Group]:
    labels = variant_labels([_setting(records[0], devices) for records in variants])
    groups = []
    for label, records in zip(labels, variants, strict=True):
        # A model whose training was stopped says so wherever it is named, even where no other is beside it.
        stop = settings_of(records[0]).get("stopped_at")
        if stop is not None and "stopped_at" not in label:
            label = ", ".join(filter(None, (label, f"stopped_at={stop}")))
        groups.append(Group(_named(generator, label), tuple(sorted(records, key=lambda r: r.plan.seed))))
    return groups


def _setting(record: RunRecord, devices: Mapping[str, str]) -> dict[str, Any]:
    """All that a record says about how its model came to be, the seed apart."""
    fellows = devices.get(canonical([record.plan.generator, settings_of(record)]))
    return {**settings_of(record), "device": record.environment.get("device") or fellows}


def settings_of(record: RunRecord) -> dict[str, Any]:
    """What decides the model that was measured, but for seed and machine; what is unsaid is the default of suites."""
    plan = record.plan
    budget = {key: value for key, value in plan.budget.items() if key not in _NO_RESULT}
    if record.measurements and record.steps is not None and _stopped(record):
        budget["stopped_at"] = record.steps  # not to be averaged with those that were trained to the end
    arithmetic = {"precision": plan.precision or "fp32", "compile": bool(plan.compile)}
    return {"family": plan.family, **plan.params, **budget, **arithmetic, "load": plan.load_digest, "suite": plan.suite}


def _stopped(record: RunRecord) -> bool:
    """Whether training ended before its budget did; one that is not counted in steps says so by its error."""
    planned = record.plan.budget.get("train_steps")
    return record.steps != planned if planned else record.error is not None and record.error.kind == "timeout"


def _named(name: str, label: str) -> str:
    return f"{name} ({label})" if label else name
