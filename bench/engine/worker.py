"""One trial in one fresh process: data, model, training, samples, costs, metrics, record.

The process is started as ``python -m bench.engine OUT``. It reads its TrialPlan as one line of JSON from
standard input and answers with JSON lines on standard output: ``{"resumed": ...}`` where training goes on from a
checkpoint, ``{"step": ...}`` while training, ``{"phase": ...}`` at every phase and metric, ``{"beat": 1}`` at other
signs of life, ``{"so_far": ...}`` as the record grows, and at last ``{"record": ...}``. Standard input stays open as
long as the parent lives; when it closes, the worker ends, so that a killed run leaves no orphan that writes on.
With ``--as-it-is`` it trains no further, and measures the last checkpoint; with ``--alone`` it does nothing but sample
from it, and answers what that takes.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import io
import json
import logging
import math
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any, TextIO

import torch
from pydantic import ValidationError

from bench.collector import collect_as_usual
from bench.engine.alone import ALONE, measure_alone
from bench.engine.arithmetic import prepared
from bench.engine.artifacts import save_samples
from bench.engine.checkpoint import read_checkpoint, restore
from bench.engine.plan import TrialPlan, checkpoint_path
from bench.engine.training import Keep, Progress, Schedule, advance, best_path, load, load_last, refit, train
from bench.engine.validation import look
from bench.errors import GenbenchError, Omitted, TrialError, Unsupported, named, said
from bench.files import sha256, write_atomic
from bench.measure.alone import Alone, sampling_alone
from bench.measure.continuation import continuations
from bench.measure.names import find_metric
from bench.measure.trial import Costs, Trial, measure_model
from bench.modalities import NotFinite, Stored, modality_of
from bench.probes.energy import Meter
from bench.probes.flops import count_flops
from bench.probes.load import Reading, between, reading
from bench.probes.machine import environment
from bench.probes.memory import out_of_memory, peak_gpu_bytes, peak_rss_bytes, reset_peak_gpu, reset_peak_rss
from bench.probes.nvml import Unreadable, processes
from bench.probes.pulse import alive, how_far, listen
from bench.probes.stopwatch import Phases
from bench.protocols import Dataset, Generator, Paced, Trainable
from bench.record import Asked, CurvePoint, Failure, FailureKind, Measurement, RunRecord, Setup, Status, legible
from bench.registry import MetricEntry, registry
from bench.streams import seed_globals, stream_seed

Emit = Callable[[Mapping[str, Any]], None]
WORKER_FLAG = "GENBENCH_WORKER"
AS_IT_IS = "--as-it-is"
NEAREST = 12  # samples beside which the nearest training example is kept
ASKED = 64  # samples kept of what a model is asked for by label
ASKED_NUMBERS = 2**23  # in all of them, so that clips are fewer
PARTLY = "a process that trained it had no counter of energy"
COUNTED = 12  # steps whose FLOPs are counted: not all are alike, and of critics 1, 2 or 5 to a generator's
ALIKE, SMALL = 6, 8  # steps, spread over the training, and their batch, by which those of a family count as alike
HALF = (
    "none of its samples falls below the middle (0) of [-1, 1], and the data does: "
    "if sample() returns [0, 1], scale it by 2 * x - 1"
)


@dataclass
class _Process:
    """What this process has been through: files that have registered what they do, and trials."""

    opened: set[str] = field(default_factory=set)
    trials: int = 0
    alone: threading.Lock = field(default_factory=threading.Lock)


_process = _Process()


class _OutOfTime(GenbenchError):
    """The time limit was over before anything could be measured."""


@dataclass
class _Run:
    """What a trial has come to so far, so that a failure keeps all that was measured before it."""

    plan: TrialPlan
    out: Path
    emit: Emit
    as_it_is: bool = False
    started: float = field(default_factory=time.monotonic)
    clocks: Reading = field(default_factory=reading)
    phases: Phases = field(default_factory=Phases)
    progress: Progress | None = None
    measurements: list[Measurement] = field(default_factory=list)
    omitted: dict[str, str] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)
    samples: str | None = None
    continued: str | None = None
    timings: str | None = None
    nearest: str | None = None
    asked: Asked | None = None
    hashes: dict[str, str] = field(default_factory=dict)
    kept_step: int | None = None
    flops_per_step: float | None = None
    failure: Failure | None = None  # of a training that was stopped, or of the first metric that broke

    @contextlib.contextmanager
    def phase(self, name: str) -> Iterator[None]:
        self.emit({"phase": name})
        with self.phases(name):
            yield

    def keep(self, name: str | None) -> str | None:
        """Note what the file of this name under samples/ holds, so that nobody changes it unseen."""
        if name:
            self.hashes[name] = sha256(self.out / "samples" / name)
        return name

    def tell(self) -> None:
        """Send what is there, so that it is kept if this process comes to a sudden end."""
        so_far = record_of(self.plan, "failed", Failure(kind="killed", message="ended early"), **_kept(self))
        self.emit({"so_far": so_far.model_dump(mode="json")})

    def remark(self, text: str) -> None:
        """Tell the user something, once: on the terminal now, and in the record."""
        if text not in self.remarks:
            self.remarks.append(text)
            self.emit({"remark": text})


class _Listener(logging.Handler):
    """What the parts of genbench warn of while a trial runs is a remark on it; how far they are is none."""

    def __init__(self, run: _Run) -> None:
        super().__init__(logging.WARNING)
        self.run = run

    def emit(self, record: logging.LogRecord) -> None:
        self.run.remark(record.getMessage())


def run_trial(plan: TrialPlan, out: Path, emit: Emit = lambda event: None, *, as_it_is: bool = False) -> RunRecord:
    """Run one trial in this process and return its record, whatever happens in it.

    All that it needs stands in its plan: what a user's own files register is registered here, where it is not yet.
    A process runs one trial at a time, as the random generators of libraries are the process's; GenbenchError else.
    One that ran others before says so in the protocol of what is timed, as their memory and caches are still about.
    emit: told of what happens on the way.
    as_it_is: measure the last checkpoint, which must be there; train no further.
    """
    if not _process.alone.acquire(blocking=False):
        raise GenbenchError("a process runs one trial at a time: give each a process of its own")
    try:
        problem = _open_doors(plan)
        return record_of(plan, "failed", problem) if problem else _recorded(_Run(plan, out, emit, as_it_is))
    finally:
        _process.trials += 1
        _process.alone.release()


def _recorded(run: _Run) -> RunRecord:
    plan = run.plan
    listener, log = _Listener(run), logging.getLogger("genbench")
    log.addHandler(listener)
    try:
        _measure_all(run)
    except Unsupported as error:
        return record_of(plan, "skipped", Failure(kind="unsupported", message=said(error)), **_kept(run))
    # A family or a metric may raise anything; the record keeps it whole and the other trials go on.
    except Exception as error:
        return record_of(plan, "failed", _failure(error), **_kept(run))
    finally:
        log.removeHandler(listener)
    return record_of(plan, "failed" if run.failure else "ok", run.failure, **_kept(run))


def record_of(plan: TrialPlan, status: Status, error: Failure | None, **found: Any) -> RunRecord:
    """The record of a plan with what was found; also used for a worker that could not answer."""
    untrained = {"train_steps", "checkpoint_every"} if plan.load else set[str]()
    planned = {
        **plan.model_dump(include=set(Setup.model_fields)),
        "load": Path(plan.load).name if plan.load else None,
        "budget": plan.budget.model_dump(exclude={"keep_samples", *untrained}, exclude_none=True),
    }
    return RunRecord(
        run_id=plan.run_id,
        training_id=None if plan.control else plan.training_id,
        status=status,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        error=error,
        **legible({"plan": planned, **found, "omitted": {**plan.omitted, **found.get("omitted", {})}}),
    )


def _kept(run: _Run) -> dict[str, Any]:
    return {
        "measurements": tuple(run.measurements),
        "omitted": run.omitted,
        "remarks": run.remarks,
        "steps": run.progress.step if run.progress else None,
        "kept_step": run.kept_step,
        "curve": tuple(run.progress.curve) if run.progress else (),
        "phases": run.phases.seconds,
        "environment": {**environment(torch.device(run.plan.device)), "jobs": run.plan.jobs, "load": _load(run)},
        "samples": run.samples,
        "continued": run.continued,
        "timings": run.timings,
        "nearest": run.nearest,
        "asked": run.asked,
        "hashes": run.hashes,
    }


def _load(run: _Run) -> dict[str, Any]:
    """How busy the machine was before and during the trial, and whether too busy for its times to be its own."""
    found = between(run.clocks, reading())
    needed = 1 if run.plan.device == "cuda" else torch.get_num_threads()
    return {**asdict(found), "busy": found.busy(needed)}


def _failure(error: Exception) -> Failure:
    text = _message(error)
    kind: FailureKind = "memory" if out_of_memory(error) else "exception"
    if isinstance(error, _OutOfTime):
        kind = "timeout"
    told = isinstance(error, GenbenchError)  # its message is meant for the user; a traceback adds nothing
    return Failure(kind=kind, message=text, traceback=None if told else traceback.format_exc())


def _message(error: Exception) -> str:
    """One line that says what happened."""
    if isinstance(error, ValidationError):  # of an Estimate that a metric put together
        return str(error.errors()[0]["msg"])
    return said(error)


def _measure_all(run: _Run) -> None:
    plan, device = run.plan, torch.device(run.plan.device)
    _fix_arithmetic()
    reset_peak_gpu(device)  # peaks are counted from here
    with run.phase("data"):
        dataset: Dataset = registry.get("datasets", plan.source).make(**plan.options)
        for remark in getattr(getattr(dataset, "prepared", None), "remarks", ()):
            run.remark(f"{named(plan.source)}: {remark}")
    with run.phase("build"):
        if not plan.load and not checkpoint_path(run.out, plan).exists():
            _try_out(run, dataset, device)
        model = _build(plan, dataset, device)
    collect_as_usual()  # libraries that the model needs are loaded
    with _phase_of(run, model):
        _train_or_load(run, model, dataset, device)
    trial = Trial(
        model,
        dataset,
        alone=lambda: measure_alone(plan, run.out),
        seed=plan.seed,
        n_samples=plan.budget.samples,
        batch_size=plan.budget.batch_size,
        device=device,
        conditions={
            "device": device.type,
            "threads": torch.get_num_threads(),
            "jobs": plan.jobs,
            **({"process": "ran other trials before"} if _process.trials else {}),
        },
    )
    with run.phase("sample"):
        # What else was drawn is measured and forgotten, or videos would fill the disk.
        kept = trial.drawn[: plan.budget.keep_samples]
        run.samples = run.keep(save_samples(run.out / "samples", plan.run_id, kept, dataset))
    # Read before any metric runs, or an extractor's memory would count as the model's.
    trial.costs = _costs(run, device)
    if trial.only_upper_half():
        run.remark(HALF)
    with run.phase("metrics"):
        for name in plan.metrics:
            run.emit({"phase": "metrics", "metric": name})
            _measure(run, find_metric(name, plan.modality), trial)
            _keep_timings(run, trial)
            run.tell()
        if moving := [scenario for scenario, timing in trial.timings.items() if not timing.settled]:
            run.remark(f"timed although warming up had not settled their pace: {', '.join(moving)}")
    with run.phase("continue"):
        _continue(run, model, dataset, device)
    with run.phase("nearest"):
        _nearest(run, kept, dataset)
    if dataset.spec.classes and getattr(model, "conditional", False) and not plan.control:
        with run.phase("ask"):
            _ask(run, trial)


def _fix_arithmetic() -> None:
    """The same every time: no TF32, no autotuned kernels."""
    torch.backends.cuda.matmul.allow_tf32 = torch.backends.cudnn.allow_tf32 = False
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def sample_alone(plan: TrialPlan, out: Path) -> Alone:
    """Measure the trained model of a trial in this process, which is to be a fresh one, by what sampling takes."""
    try:
        before: set[int] | str = processes()
    except Unreadable as error:
        before = str(error)
    device, clock = torch.device(plan.device), Phases()
    model = load_trained(plan, out, clock)[0]  # without the data, which is not to count
    collect_as_usual()
    size, load = min(plan.budget.batch_size, plan.budget.samples), clock.seconds["load"]
    return sampling_alone(model, batch_size=size, seed=plan.seed, device=device, load=load, before=before)


def load_trained(plan: TrialPlan, out: Path, clock: Phases | None = None) -> tuple[Generator, Dataset]:
    """The model of a trial as its last checkpoint holds it, and its data. clock: given the seconds of "load".

    Raises TrialError or DataError where that cannot be.
    """
    clock, device = clock or Phases(), torch.device(plan.device)
    if problem := _open_doors(plan):
        raise TrialError(problem.message)
    _fix_arithmetic()
    dataset: Dataset = registry.get("datasets", plan.source).make(**plan.options)
    run = _Run(plan, out, lambda event: None, as_it_is=True)
    # A process that is to be fresh takes no steps to count them, but where they say how far the training is.
    by_flops = (
        plan.budget.target.unit == "flops"
        and not (plan.load or plan.control)
        and isinstance(_build(plan, dataset, device), Trainable)
    )
    run.flops_per_step = _flops_per_step(run, dataset, device) if by_flops else 0.0
    with clock("load"):
        model = _build(plan, dataset, device)
        _train_or_load(run, model, dataset, device)
    return model, dataset


def _keep_timings(run: _Run, trial: Trial) -> None:
    """All values as they were read, so that other statistics of them can be had later."""
    raw = {**{scenario: timing.raw for scenario, timing in trial.timings.items()}, **trial.raw}
    if raw:
        run.timings = f"{run.plan.run_id}.timings.json"
        write_atomic(run.out / "samples" / run.timings, json.dumps(raw))
        run.keep(run.timings)


def _continue(run: _Run, model: Generator, dataset: Dataset, device: torch.device) -> None:
    """Keep how the model goes on from given beginnings; a model that cannot is told of, and loses no number by it."""
    try:
        written = continuations(model, dataset, run.plan.seed, device)
    except Exception as error:
        run.remark(f"no continuation is shown: {said(error)}")
        return
    if written:
        run.continued = f"{run.plan.run_id}.continued.json"
        write_atomic(run.out / "samples" / run.continued, json.dumps(written, ensure_ascii=False))
        run.keep(run.continued)


def _nearest(run: _Run, kept: Stored, dataset: Dataset) -> None:
    """Keep what of the training data is nearest to the first samples: a copy is seen beside its original.

    Data of which that cannot be said is told of, and loses no number by it.
    """
    try:
        found = modality_of(dataset.spec).nearest(kept[:NEAREST], dataset)
    except Omitted:  # it has no distances
        return
    except Exception as error:
        run.remark(f"no nearest training examples are shown: {said(error)}")
        return
    run.nearest = run.keep(save_samples(run.out / "samples", f"{run.plan.run_id}.nearest", found, dataset))


def _ask(run: _Run, trial: Trial) -> None:
    """Keep some of what the model makes when it is told labels, beside these; where it fails, no number is lost."""
    size, captions = math.prod(trial.spec.shape), trial.spec.captions
    most = min(ASKED, run.plan.budget.keep_samples, max(1, ASKED_NUMBERS // size))
    try:
        labels, made = trial.asked(most)
        unseen = tuple(trial.unseen(labels)) if run.progress else ()  # of what was trained elsewhere nobody knows
    except Exception as error:
        run.remark(f"it is not shown what was asked for: {said(error)}")
        return
    name = save_samples(run.out / "samples", f"{run.plan.run_id}.asked", made, trial.dataset)
    told = tuple(labels.tolist())
    words = captions and tuple(captions[label] for label in told)
    run.asked = Asked(file=name, labels=told, captions=words, unseen=unseen)
    run.keep(name)


def _build(plan: TrialPlan, dataset: Dataset, device: torch.device) -> Generator:
    entry = registry.get("generators", plan.family)
    seed_globals(stream_seed(plan.seed, "init"))
    model: Generator = entry.make(entry.made_of(dataset), **plan.params)
    model = model.to(device) if isinstance(model, torch.nn.Module) else model
    return prepared(model, plan.precision, plan.compile, device)


def _try_out(run: _Run, dataset: Dataset, device: torch.device) -> None:
    """Draw two samples before the first step: a promise that sample() breaks is not told after hours of training.

    Of a model of its own, which is built anew to be trained: nothing that this moves is the trained one's.
    Raises TrialError for samples of the wrong type, count, shape, dtype or range.
    """
    model = _build(run.plan, dataset, device)
    if not isinstance(model, Trainable):
        return
    if isinstance(model, torch.nn.Module):
        model.eval()
    trial = Trial(model, dataset, seed=run.plan.seed, n_samples=2, batch_size=2, device=device)
    try:
        if trial.only_upper_half(margin=0.2):  # untrained, many a right model makes hardly more than the middle
            run.emit({"remark": HALF})  # the record keeps it if it is so after the training
        trial.stored("conditional")
    except Omitted:  # it takes no labels
        pass
    except NotFinite:
        run.remark("not known before training whether sample() keeps its range: untrained, it makes NaN or infinity")
    except TrialError as error:
        raise TrialError(f"before the first training step, {error}") from error
    # A model may be unable to sample before it has seen data.
    except Exception as error:
        run.remark(f"not known before training whether sample() works: untrained, it raised {_message(error)}")
    del model, trial
    gc.collect()
    reset_peak_gpu(device)


def _phase_of(run: _Run, model: Generator) -> contextlib.AbstractContextManager[None]:
    """That in which the model comes by its weights; none where it has none."""
    if not isinstance(model, Trainable):
        return contextlib.nullcontext()
    return run.phase("load" if run.plan.load or run.as_it_is else "train")


def _train_or_load(run: _Run, model: Generator, dataset: Dataset, device: torch.device) -> None:
    plan = run.plan
    if plan.load and not isinstance(model, Trainable):
        raise TrialError(f"{plan.family} cannot be loaded: it has no train_step, state_dict and load_state_dict")
    if isinstance(model, Trainable):
        if plan.load:
            load(Path(plan.load), model, dataset.train, seed=plan.seed)
        elif run.as_it_is:
            checkpoint = checkpoint_path(run.out, plan)
            known = run.flops_per_step
            schedule = _schedule(plan, _flops_per_step(run, dataset, device) if known is None else known)
            run.progress, lost = load_last(model, checkpoint, schedule, seed=plan.seed)
            if not run.progress.complete:
                refit(model, dataset.train, run.progress.step, plan.seed)
            _take_best(run, model, checkpoint, run.progress)
            _note_stop(run, run.progress, lost)
        else:
            run.progress = _train(run, model, dataset, device)
            checkpoint = checkpoint_path(run.out, plan)
            lost = "" if run.progress.complete or not checkpoint.exists() else read_checkpoint(checkpoint)[0].lost
            _note_stop(run, run.progress, lost)
    if isinstance(model, torch.nn.Module):
        model.eval()


def _train(run: _Run, model: Trainable, dataset: Dataset, device: torch.device) -> Progress:
    plan, checkpoint, limit = run.plan, checkpoint_path(run.out, run.plan), run.plan.budget.time_limit
    schedule = _schedule(plan, _flops_per_step(run, dataset, device))
    keep = find_metric(plan.keep, plan.modality) if plan.keep else None
    progress = train(
        model,
        dataset.train,
        schedule,
        seed=plan.seed,
        device=device,
        checkpoint=checkpoint,
        about={"family": plan.family, "params": plan.params, "spec": dataset.spec.to_dict()},
        on_step=lambda progress, losses: run.emit(
            {"step": progress.step, "loss": losses["loss"], "share": schedule.share(progress)}
        ),
        # Not in the record, which is the same as of one go.
        on_resume=lambda progress: run.emit({"resumed": progress.step, "complete": progress.complete}),
        stop=lambda: limit is not None and time.monotonic() - run.started > limit,
        evaluate=lambda drawn: look(plan, model, dataset, device, drawn),
        keep=Keep(keep.name, keep.better) if keep else None,
    )
    if schedule.target.unit == "seconds":
        run.remark("trained by the clock (train_seconds): run anew, it may come to another number of steps")
    _take_best(run, model, checkpoint, progress)
    return progress


def _take_best(run: _Run, model: Trainable, checkpoint: Path, progress: Progress) -> None:
    """Go on with the model that was best on the validation split, where the suite asks for that."""
    run.kept_step = progress.best_step
    if run.plan.keep and progress.complete and progress.best_step is None:
        raise TrialError(f"keep = {run.plan.keep!r}: no look at the validation split gave a number")
    if progress.best_step not in (None, progress.step):
        restore(best_path(checkpoint), model, training=False)


def _schedule(plan: TrialPlan, flops_per_step: float | None = None) -> Schedule:
    budget = plan.budget
    return Schedule(
        budget.target, budget.batch_size, budget.checkpoint_every,
        budget.evaluate_every if plan.curve_metrics else None, flops_per_step,
    )  # fmt: skip


def _flops_per_step(run: _Run, dataset: Dataset, device: torch.device) -> float | None:
    """Mean FLOPs of a few steps, where anything rests on them: counted on a model of its own, for it takes time."""
    plan = run.plan
    if plan.budget.target.unit != "flops" and not plan.curve_metrics and not plan.profile:
        return None
    flops = _counted(plan, dataset, device)
    if not flops and plan.budget.target.unit == "flops":
        raise TrialError("train_flops cannot end this training: its steps hold no operation that is counted")
    reset_peak_gpu(device)  # its model is gone, and does not count
    reset_peak_rss()
    run.flops_per_step = flops
    return flops


def _counted(plan: TrialPlan, dataset: Dataset, device: torch.device) -> float:
    """Of one step where all are alike, as ``ALIKE`` small ones show, else of ``COUNTED``, from all of the training.

    It is taken that what makes steps differ is their number or the share of the training, not the examples before them.
    """
    alike = len({*_flops_of(plan, dataset, device, ALIKE, min(SMALL, plan.budget.batch_size))}) == 1
    flops = _flops_of(plan, dataset, device, 1 if alike else COUNTED, plan.budget.batch_size)
    return sum(flops) / len(flops)


def _flops_of(plan: TrialPlan, dataset: Dataset, device: torch.device, many: int, batch_size: int) -> list[int]:
    model, flops = _build(plan, dataset, device), list[int]()
    assert isinstance(model, Trainable)
    for step in alive(range(many)):
        if isinstance(model, Paced):
            model.pace(step / many)
        flops.append(count_flops(partial(advance, model, dataset.train, batch_size, step, plan.seed, device)))
    return flops


def _note_stop(run: _Run, progress: Progress, lost: str = "") -> None:
    """A training that ended early is measured as it is, and its trial says so and counts as failed.

    lost: what its checkpoint lacks; then it may not be the model that was trained, even after the last step.
    """
    target, limit = run.plan.budget.target, run.plan.budget.time_limit
    if progress.complete and not lost:
        return
    if progress.step == 0:
        raise _OutOfTime(f"stopped before its first step: the trial had {limit:g} s (budget.time_limit)")
    where = "its last checkpoint" if run.as_it_is else f"where its limit of {limit:g} s (budget.time_limit) ended it"
    where += f", which does not hold {lost}" if lost else ""
    then = "starts over" if lost else "goes on from there"
    of = f" of {target.amount:g}" if target.unit == "steps" else f", before its {target} were over"
    kept = "" if run.kept_step in (None, progress.step) else f" (the model of step {run.kept_step} was the best)"
    message = f"measured at step {progress.step}{of}{kept}, {where}; run again, and it {then}"
    run.failure = Failure(kind="timeout", message=message)


def _costs(run: _Run, device: torch.device) -> Costs:
    progress, meter = run.progress or Progress(), Meter(device)
    gpu, why = peak_gpu_bytes(device)
    rss = progress.peak_rss_bytes if progress.peaks_end else max(peak_rss_bytes(), progress.peak_rss_bytes)
    if gpu is not None:
        gpu = progress.peak_gpu_bytes if progress.peaks_end else max(gpu, progress.peak_gpu_bytes)
    return Costs(
        train_seconds=progress.seconds,
        train_examples=progress.examples,
        peak_rss_bytes=rss,
        peak_gpu_bytes=gpu,
        why_no_gpu=why,
        joules=progress.joules,
        energy=meter.source or meter.why if progress.joules is not None or not meter.source else PARTLY,
        flops=run.flops_per_step * progress.step / progress.examples
        if run.flops_per_step and progress.examples
        else None,
        precision=run.plan.precision,
        curve=[CurvePoint.model_validate(point) for point in progress.curve],
    )


def _measure(run: _Run, entry: MetricEntry, trial: Trial) -> None:
    costless = "a yardstick, not a model" if run.plan.control else getattr(trial.model, "costless", "")
    if costless and entry.aspect == "efficiency":
        run.omitted[entry.name] = costless
        return
    try:
        facts = {name: getattr(entry, name) for name in ("about", "unit", "better", "aspect", "lead", "exact")}
        measured = Measurement(metric=entry.name, **facts, **dict(measure_model(entry, trial)))
    except Omitted as reason:
        run.omitted[entry.name] = str(reason)
        return
    # One broken metric must not cost the others their numbers: the trial counts as failed, and they are kept.
    except Exception as error:
        failure = _failure(error)
        run.omitted[entry.name] = f"failed: {failure.message}"
        told = failure.model_copy(update={"message": f"metric {entry.name}: {failure.message}"})
        run.failure = run.failure or told
        return
    run.measurements.append(measured)


def main() -> None:
    """Entry point of the worker process."""
    os.environ[WORKER_FLAG] = "1"
    if ALONE in sys.argv[2:]:
        _answer_alone()
        return
    if sys.platform == "linux":  # when the parent dies, a worker that is stopped (SIGSTOP) goes on, to find out and end
        ctypes.CDLL(None).prctl(1, signal.SIGCONT)  # PR_SET_PDEATHSIG
    plan, channel = _plan_and_channel()
    threading.Thread(target=_end_with_parent, daemon=True).start()
    out, as_it_is = Path(sys.argv[1]), AS_IT_IS in sys.argv[2:]
    listen(_Seldom(lambda: _send(channel, {"beat": 1} if how_far() is None else {"beat": 1, "done": how_far()})))
    record = run_trial(plan, out, lambda event: _send(channel, event), as_it_is=as_it_is)
    _send(channel, {"record": record.model_dump(mode="json")})


def _plan_and_channel() -> tuple[TrialPlan, TextIO]:
    """What is asked, and where it is answered.

    Standard output is for messages alone: what models and libraries print goes to the log instead.
    """
    plan = TrialPlan.model_validate(json.loads(sys.stdin.readline()))
    channel = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # whatever a family prints, it does not fail by it
    return plan, channel


def _answer_alone() -> None:
    """What ``measure_alone`` asks of another process; its parent waits, and ends it with its own group."""
    plan, channel = _plan_and_channel()
    try:
        _send(channel, {"alone": asdict(sample_alone(plan, Path(sys.argv[1])))})
    except Exception as error:  # of a family it may be any
        _send(channel, {"error": _message(error)})


def _open_doors(plan: TrialPlan) -> Failure | None:
    """Register what a user's own files register, which see the arguments that their program was given."""
    program = getattr(sys.modules["__main__"], "__file__", None)
    for door in plan.doors:
        if door.file in _process.opened or (program and Path(program).resolve() == Path(door.file)):
            continue
        sys.argv = list(plan.argv)
        try:
            door.open()
            _process.opened.add(door.file)
        # Foreign code may raise anything, SystemExit included.
        except (Exception, SystemExit) as error:
            message = f"{door.file} could not be loaded: {said(error)}"
            return Failure(kind="exception", message=message, traceback=traceback.format_exc())
    return None


class _Seldom:
    """Calls on at most once a second."""

    def __init__(self, call: Callable[[], None]) -> None:
        self.call, self.last = call, 0.0

    def __call__(self) -> None:
        if time.monotonic() - self.last >= 1:
            self.last = time.monotonic()
            self.call()


def _end_with_parent() -> None:
    sys.stdin.read()
    if os.getpgrp() == os.getpid():
        os.killpg(os.getpgrp(), signal.SIGKILL)  # what the family started ends with it
    os._exit(1)


def _send(channel: TextIO, event: Mapping[str, Any]) -> None:
    channel.write(json.dumps(event) + "\n")
    channel.flush()


if __name__ == "__main__":  # its classes would not be those that plugins and checkpoints see
    sys.exit("the process of a trial is python -m bench.engine OUT")
