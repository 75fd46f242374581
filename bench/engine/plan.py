"""From a suite to its trials: every generator with every dataset of its modality and every seed, each with its id."""

from __future__ import annotations

import importlib.metadata
import json
import logging
import shlex
import sys
from collections.abc import Iterable, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

from bench.doors import Door, check_call
from bench.engine.budget import Budget
from bench.engine.suite import DatasetUse, GeneratorUse, Suite
from bench.errors import DataError, GenbenchError, SuiteError, calling
from bench.files import sha256
from bench.measure.names import expand, find_metric, profiled, reasons
from bench.modalities import modality_of
from bench.protocols import Dataset, SplitName
from bench.record import Precision, Setup, digest
from bench.registry import DatasetEntry, Entry, GeneratorEntry, MetricEntry, registry

log = logging.getLogger("genbench")
LONGEST_READ = 4000  # characters of what a family says that it reads; of more the record keeps a hash
# Of the numbers that this kernel gives: raised when a change to it moves one (a stream, an order, a rounding), so that
# results of before do not pass for results of now. tests/engine/test_golden_run.py notices.
RESULTS_VERSION = 2


class TrialPlan(Setup):
    """All that one worker needs to know, and all that decides its result.

    ``load`` is a whole path here. asked: metrics that the suite names; None where it names none.
    omitted: those that such data has none of, with the reason.
    sampling: names of ``params`` that no training rests on. profile: whether all that it costs is measured.
    """

    source: str
    options: dict[str, Any]
    sampling: tuple[str, ...] = ()
    budget: Budget
    metrics: tuple[str, ...]
    asked: tuple[str, ...] | None = None
    omitted: dict[str, str]
    curve_metrics: tuple[str, ...]
    profile: bool = False
    precision: Precision
    compile: bool
    device: str
    code: dict[str, str]
    versions: dict[str, str]
    doors: tuple[Door, ...]
    argv: tuple[str, ...]
    jobs: int = 1  # trials at a time: a condition of what is timed, and of nothing else

    @property
    def keep(self) -> str | None:
        """The metric whose best model is kept; None where it is not looked at, as of what is not trained."""
        return self.budget.keep if self.budget.keep in self.curve_metrics else None

    @cached_property
    def training_id(self) -> str:
        """Hash of all that decides the trained weights; names the checkpoint.

        Metrics and samples are not in it, so asking for one more metric measures again without training again.
        """
        decides: tuple[Any, ...] = (
            self.family, self._trained_by, self.load_digest, self.source.partition(":")[0], self.fingerprint, self.seed,
            self.budget.target, self.budget.batch_size, self.device, self.code[self.family],
            self.code.get(f"dataset {self.source}"), self.versions, self.precision, self.compile,
            (self.curve_metrics, self.budget.evaluate_every, self.keep), self._chosen_by,
        )  # fmt: skip
        if self.budget.evaluate_samples is not None:
            decides += (self.budget.evaluate_samples,)
        return digest(decides)[:16]

    @property
    def _chosen_by(self) -> dict[str, str]:
        """The state of what looks at the model while it trains: it decides the curve, and which moment is kept."""
        extractors = {f"extractor {name}" for name in _extractors(self.curve_metrics, self.modality)}
        return {what: state for what, state in self.code.items() if what in {*self.curve_metrics, *extractors}}

    @property
    def _trained_by(self) -> dict[str, Any]:
        """The hyperparameters that decide the weights; all of them, where samples are looked at on the way."""
        free = () if self.curve_metrics else self.sampling
        return {name: value for name, value in self.params.items() if name not in free}

    @cached_property
    def run_id(self) -> str:
        """Hash of all that decides the record, the labels it is filed under included."""
        decides = [self.training_id, self.generator, self.dataset, self.suite, self.budget.samples, self.code]
        decides += [self.omitted] if self.omitted else []
        decides += [self.params] if self._trained_by != self.params else []
        return digest(decides)[:16]


def plan_trials(suite: Suite, device: str, command: str = "") -> list[TrialPlan]:
    """All trials of a suite, in the order they will run: dataset, then seed, then generator.

    Reads every dataset once, for its fingerprint. Raises before anything is trained: what is wrong with one dataset as
    it is (DataError, SuiteError, ...), with several as a SuiteError that tells all.
    """
    plans, wrong = list[TrialPlan](), dict[str, GenbenchError]()
    for data in suite.datasets:
        try:
            dataset = _load(data, suite)
            named = suite.metrics, dataset.spec, suite.extractors, suite.without
            metrics, omitted = expand(*named), reasons(*named)
            if suite.profile:
                more = expand(profiled(), dataset.spec, suite.extractors, suite.without)
                metrics = tuple(dict.fromkeys((*metrics, *more)))
            _warn_of_curves(suite, data, dataset)
            measured_by = _measured_by(metrics, data)  # once: it looks at every file that they rest on
            held = _held(dataset)
            plans += [
                _plan(suite, use, data, dataset, metrics, omitted, measured_by, seed, device, command).model_copy(
                    update=held
                )
                for seed in suite.seeds
                for use in _generators(suite, data)
            ]
        except GenbenchError as error:
            wrong[str(error)] = error
    if len(wrong) > 1:
        raise SuiteError(list(wrong))
    if wrong:
        raise next(iter(wrong.values()))
    return plans


def _generators(suite: Suite, data: DatasetUse) -> list[GeneratorUse]:
    """The suite's generators of this modality, and the controls the suite did not name itself.

    Controls make as many samples as the generators do, where those agree, so that the numbers can be compared.
    """
    named = [g for g in suite.generators if data.entry.modality in g.entry.modalities]
    families = {g.family for g in named}
    every = registry.all("generators") if suite.controls else {}
    controls = [
        e for name, e in every.items() if e.control and name not in families and data.entry.modality in e.modalities
    ]
    counts = {g.budget.samples for g in named}
    budget = suite.budget.model_copy(update={"samples": counts.pop()}) if len(counts) == 1 else suite.budget
    return named + [GeneratorUse(e.name, e.name, None, {}, budget, "fp32", False, None, None, e) for e in controls]


def _load(data: DatasetUse, suite: Suite) -> Dataset:
    """The dataset, once it is clear that every generator can be measured on it."""
    with calling(f"datasets.{data.label}: the dataset {data.source!r} of {data.entry.origin}"):
        try:
            dataset = data.entry.make(**data.options)
        except DataError as error:
            raise DataError(f"{data.place}: {error}") from error
        if not isinstance(dataset, Dataset):
            raise TypeError(f"it gave {type(dataset).__name__}, which is no bench.Dataset")
        _ = dataset.fingerprint, len(dataset.valid)  # asked for here, where what they raise is told
    uses = _generators(suite, data)
    spec = json.loads(json.dumps(dataset.spec.to_dict()))  # a checkpoint may be older than one of its entries
    problems = [
        f"generators.{use.label}: {use.load} was trained on other data than {data.label}: {told}"
        for use in uses
        if use.trained_on and (told := _other_data(use.trained_on, spec))
    ]
    problems += [told for use in uses if (told := _unfit(use, dataset) or _too_few(use))]
    ceiling = next((use.family for use in uses if use.entry.role == "ceiling"), None)
    held_out = len(modality_of(dataset.spec).disjoint(dataset, "valid"))
    wanted = max(use.budget.samples for use in uses)
    if suite.controls and ceiling and wanted > held_out:
        problems.append(
            f"budget.samples = {wanted}, but datasets.{data.label} holds out only {held_out} examples for the control "
            f"{ceiling!r}, and numbers from different sample counts cannot be compared; set "
            f"budget.samples={held_out} or less, or controls=false"
        )
    if problems:
        raise SuiteError(problems)
    return dataset


def _other_data(before: Mapping[str, Any], now: Mapping[str, Any]) -> str:
    """``shape [1, 28, 28] and not [1, 8, 8]``; "" for the same form. What classes are called matters where both say."""
    words = before.get("captions") is None or now.get("captions") is None
    differ = [name for name, was in before.items() if was != now.get(name) and not (name == "captions" and words)]
    return ", ".join(f"{name} {before[name]} and not {now.get(name)}" for name in differ)


def _held(dataset: Dataset) -> dict[str, Any]:
    """What of it is in each split, and what was left out."""
    splits: tuple[SplitName, ...] = ("train", "valid", "test")
    return {
        "splits": {split: len(modality_of(dataset.spec).disjoint(dataset, split)) for split in splits},
        "left_out": getattr(getattr(dataset, "prepared", None), "left_out", None),
    }


def _unfit(use: GeneratorUse, dataset: Dataset) -> str:
    """Why what a family reads cannot be of this data; "" where it may be."""
    with calling(f"{use.family!r} of {use.entry.origin}, asked whether it fits the data,"):
        try:
            use.entry.fits(dataset.spec, **use.params)
        except DataError as error:
            return f"{use.place}: {error}"
    return ""


def _too_few(use: GeneratorUse) -> str:
    """That a family has fewer samples than it is asked for; "" where it has not, or does not count them."""
    with calling(f"{use.family!r} of {use.entry.origin}, asked how many samples it has,"):
        held = use.entry.holds(**use.params)
    if held is None or held >= use.budget.samples:
        return ""
    return f"{use.place}: it has {held:,} samples, and budget.samples = {use.budget.samples}: set it to {held} or less"


def _plan(
    suite: Suite,
    use: GeneratorUse,
    data: DatasetUse,
    dataset: Dataset,
    metrics: tuple[str, ...],
    omitted: dict[str, str],
    measured_by: dict[str, str],
    seed: int,
    device: str,
    command: str,
) -> TrialPlan:
    curve = _curve(suite, use, dataset)
    doors = _doors(use.entry, data.entry, metrics + curve)
    try:
        read = _read_by(use.entry, **use.params)
    except GenbenchError as error:
        raise GenbenchError(f"{use.place}: {error}") from error
    entries = {f"dataset {data.source}": data.entry, "modality": registry.get("modalities", data.entry.modality)}
    # Of our own data, the fingerprint is enough.
    data_by = {what: entry.digest for what, entry in entries.items() if not entry.origin.startswith("bench.")}
    return TrialPlan(
        suite=suite.name,
        command=_script() if doors and hasattr(sys.modules["__main__"], "__file__") else command,
        generator=use.label,
        family=use.family,
        paper=use.entry.paper,
        control=use.entry.control,
        role=use.entry.role,
        preset=use.preset,
        params=dict(use.params),
        load=str(use.load.resolve()) if use.load else None,
        load_digest=sha256(use.load) if use.load else None,
        read=_told(read) or None,
        dataset=data.label,
        source=data.source,
        options=dict(data.options),
        sampling=tuple(sorted(use.entry.sampling & {*use.params})),
        modality=data.entry.modality,
        fingerprint=dataset.fingerprint,
        seed=seed,
        budget=use.budget,
        metrics=metrics,
        asked=suite.metrics,
        omitted=omitted,
        curve_metrics=curve,
        profile=suite.profile,
        precision=use.precision,
        compile=use.compile,
        device=device,
        code={use.family: _code_of(use.entry, read), **data_by, **measured_by, **_measured_by(curve, data)},
        versions={
            **{name: importlib.metadata.version(name) for name in ("genbench", "torch")},
            "results": str(RESULTS_VERSION),
        },
        doors=doors,
        argv=tuple(sys.argv) if doors else (),
    )


def _curve(suite: Suite, use: GeneratorUse, dataset: Dataset) -> tuple[str, ...]:
    """The metrics of the learning curve: those that the suite names and that apply, or one that is cheap.

    Raises DataError where one that is named wants an extractor whose weights are not here.
    """
    budget = use.budget
    if budget.evaluate_every is None or use.load or use.entry.control:
        return ()
    asked = [*(suite.curve or ()), *filter(None, [budget.keep])]
    if names := expand(asked, dataset.spec, suite.extractors, suite.without):
        for extractor in _extractors(names, dataset.spec.modality):
            registry.get("extractors", extractor).locate()
        return names
    metrics: Iterable[MetricEntry] = registry.all("metrics").values()
    offered = sorted((entry.curve, entry.name) for entry in metrics if entry.curve is not None)
    cheap = expand([name for _, name in offered], dataset.spec, suite.extractors, suite.without)
    needed = {name: _extractors((name,), dataset.spec.modality) for name in cheap}
    return tuple(name for name in cheap if all(registry.get("extractors", x).here for x in needed[name]))[:1]


def _warn_of_curves(suite: Suite, data: DatasetUse, dataset: Dataset) -> None:
    """Say what the suite wants to be looked at while training, and this data cannot be looked at by."""
    kept = {use.budget.keep for use in _generators(suite, data) if use.budget.keep and not use.entry.control}
    for name in sorted({*(suite.curve or ()), *kept}):
        if not expand([name], dataset.spec, suite.extractors, suite.without):
            then = ": the last model is measured, and not the best" if name in kept else ""
            log.warning(f"datasets.{data.label}: {name} does not apply, and no learning curve has it{then}")


def _doors(generator: GeneratorEntry, data: DatasetEntry, metrics: tuple[str, ...]) -> tuple[Door, ...]:
    """How a worker comes to what no entry point names. Raises GenbenchError where it cannot."""
    kinds: dict[str, list[Entry]] = {"generator": [generator], "dataset": [data]}
    kinds["modality"] = [registry.get("modalities", data.modality)]
    kinds["metric"] = [find_metric(name, data.modality) for name in metrics]
    kinds["extractor"] = [registry.get("extractors", name) for name in _extractors(metrics, data.modality)]
    every = [(kind, entry.name, entry.door) for kind, entries in kinds.items() for entry in entries if entry.door]
    for kind, name, door in every:
        if door.problem:
            raise GenbenchError(f"the {kind} {name!r}, which the process of a trial cannot find, {door.problem}")
        if door.again:
            check_call()
    return tuple(dict.fromkeys(door for _, _, door in every))


def _script() -> str:
    """What registers things itself must be run itself: what it registered is known nowhere else."""
    spec = getattr(sys.modules["__main__"], "__spec__", None)
    what = ["-m", spec.name] if spec else [str(Path(sys.argv[0]).resolve())]
    return shlex.join(["python", *what, *sys.argv[1:]])


def _extractors(metrics: tuple[str, ...], modality: str) -> list[str]:
    return list(dict.fromkeys(e.extractor for name in metrics if (e := find_metric(name, modality)).extractor))


def _read_by(entry: GeneratorEntry | MetricEntry, **params: Any) -> str:
    """What a family or a metric reads besides its code."""
    with calling(f"{entry.name!r} of {entry.origin}, asked what it reads,"):
        return entry.content(**params)


def _told(read: str) -> str:
    """What a record keeps of it: of very many files the first line, which may be their revision, and a hash of all."""
    first, *more = read.splitlines() or [""]
    return read if len(read) < LONGEST_READ else f"{first}\n{len(more)} more files, sha256:{digest(read)}"


def _code_of(entry: GeneratorEntry | MetricEntry, read: str) -> str:
    return digest([entry.digest, read]) if read else entry.digest


def _measured_by(metrics: tuple[str, ...], data: DatasetUse) -> dict[str, str]:
    """The state of each metric and of its extractor: weights that arrive later make it another measurement."""
    modality = data.entry.modality
    states = {f"extractor {name}": registry.get("extractors", name).state for name in _extractors(metrics, modality)}
    entries = {name: find_metric(name, modality) for name in metrics}
    return {**{name: _code_of(entry, _read_by(entry)) for name, entry in entries.items()}, **states}


def checkpoint_path(out: Path, plan: TrialPlan) -> Path:
    return out / "checkpoints" / f"{plan.training_id}.safetensors"
