"""The one training loop. The family owns its step; the loop owns data order, budget, looks on the way and checkpoints.

Every step takes its data order and its random numbers from streams found by step number alone. So a run that was
killed and goes on from its last checkpoint ends, on the CPU, in the same weights as one that was never interrupted.
Where training changes what no checkpoint can hold (see ``bench.engine.state``), it starts over instead, and says so.
A training that ends by the clock goes on with the seconds that are left, and may come to another number of steps.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import fmean
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, NonNegativeFloat, TypeAdapter, ValidationError
from torch import Tensor

from bench.engine.arithmetic import evaluating
from bench.engine.budget import Target
from bench.engine.checkpoint import apply_checkpoint, is_whole, read_checkpoint, restore, save_checkpoint
from bench.engine.state import Baseline, apply, capture
from bench.errors import DataError, TrialError
from bench.probes.energy import Meter
from bench.probes.memory import peak_gpu_bytes, peak_rss_bytes
from bench.protocols import Paced, Refitting, Split, Trainable
from bench.record import Better, CurvePoint
from bench.streams import seed_globals, stream, stream_seed

Count = Annotated[int, Field(ge=0, lt=2**63)]
log = logging.getLogger("genbench")


@dataclass(frozen=True)
class Schedule:
    """How long to train, and how often to save, to note the losses and to look at the model.

    evaluate_every: steps, or a share of the training.  flops_per_step: None where nobody asked for it.
    """

    target: Target
    batch_size: int
    checkpoint_every: int
    evaluate_every: int | float | None = None
    flops_per_step: float | None = None
    points: int = 100

    def share(self, progress: Progress) -> float:
        """How much of the training is done, 0 to 1 and, after a last whole step, a little more."""
        done: float = {
            "steps": progress.step,
            "examples": progress.examples,
            "seconds": progress.seconds,
            "flops": progress.step * (self.flops_per_step or 0.0),
        }[self.target.unit]
        return done / self.target.amount

    def done(self, progress: Progress) -> bool:
        return self.share(progress) >= 1

    def end(self, progress: Progress) -> int:
        """The step at which the training ends; of one that is not counted in steps, the one that it has come to."""
        return int(self.target.amount) if self.target.unit == "steps" else progress.step

    def noted_after(self, before: float, progress: Progress) -> bool:
        """Whether the losses are noted after this step, ``before`` which so much was done: about ``points`` times."""
        if self.target.unit == "steps":
            return progress.step % max(1, int(self.target.amount) // self.points) == 0 or self.done(progress)
        return _passes(before, self.share(progress), 1 / self.points)

    def evaluated_after(self, before: float, progress: Progress) -> bool:
        """Whether the model is looked at after this step: always after the last one."""
        every = self.evaluate_every
        if every is None:
            return False
        if isinstance(every, int):
            return progress.step % every == 0 or self.done(progress)
        return _passes(before, self.share(progress), every)


def _passes(before: float, after: float, every: float) -> bool:
    """Whether a multiple of ``every`` lies between, or the end."""
    return int(after / every + 1e-9) > int(before / every + 1e-9) or after >= 1


@dataclass
class Progress:
    """What a training has come to; kept in the checkpoint. ``seconds``: of its steps and, in the end, of ``refit``.

    joules: of its steps, where a counter tells; None where one of its processes had none.
    peaks_end: whether something else than the model has been in this process's memory since its peaks were noted.
    best_step, best_value: of the best look at the validation split, where the model that is best there is kept.
    """

    step: Count = 0
    seconds: NonNegativeFloat = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    pending: list[dict[str, float]] = field(default_factory=list)
    examples: Count = 0
    peak_rss_bytes: Count = 0
    peak_gpu_bytes: Count = 0
    complete: bool = False
    peaks_end: bool = False
    best_step: Count | None = None
    best_value: float | None = None
    joules: NonNegativeFloat | None = None

    def note_peaks(self, device: torch.device, last: bool = False) -> None:
        """last: from now on they are not the model's alone."""
        if not self.peaks_end:
            self.peak_rss_bytes = max(self.peak_rss_bytes, peak_rss_bytes())
            self.peak_gpu_bytes = max(self.peak_gpu_bytes, peak_gpu_bytes(device)[0] or 0)
        self.peaks_end |= last

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


_PROGRESS = TypeAdapter(Progress)
_CURVE = TypeAdapter(list[CurvePoint])
OnStep = Callable[[Progress, Mapping[str, float]], None]
Evaluate = Callable[[Callable[[], None]], Mapping[str, float]]


def train(
    model: Trainable,
    data: Split,
    schedule: Schedule,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    about: Mapping[str, Any],
    on_step: OnStep = lambda progress, losses: None,
    on_resume: Callable[[Progress], None] = lambda progress: None,
    stop: Callable[[], bool] = lambda: False,
    evaluate: Evaluate = lambda drawn: {},
    keep: Keep | None = None,
) -> Progress:
    """Train ``model`` to the end of the schedule, from its checkpoint if there is one that holds all it needs.

    on_resume: told of the checkpoint that it goes on from, or was done at.
    stop: asked before every step; where it says so, training ends there, with a checkpoint of that step.
    evaluate: metrics of the model as it is, by name, for the learning curve. What it is given it calls once samples are
        drawn, before a network that looks at them takes memory of its own: peaks are read then, and no more.
    keep: of these metrics the one by which the best model is kept beside the checkpoint; see ``best_path``.

    Logs why it starts over, or would if it was interrupted. Raises TrialError when a loss is not finite.
    """
    baseline = Baseline(model)
    progress = _resume(model, checkpoint, schedule)
    if progress.step:
        on_resume(progress)
    saved, stopped = progress.step, False
    meter = Meter(device, progress.joules if progress.step else 0.0)
    keeper = _Keeper(model, baseline, progress, meter, about)
    while not schedule.done(progress) and not stopped:
        if not (stopped := stop()):
            before = schedule.share(progress)
            meter.start()
            with baseline.step():
                losses = _advance(model, data, schedule, progress, seed, device)
            looked = schedule.evaluated_after(before, progress)
            if looked and not schedule.done(progress):
                meter.stop()  # what is fitted for a look is no part of the training, and what is fitted last is
            if looked or schedule.done(progress):
                progress.seconds += refit(model, data, progress.step, seed) * schedule.done(progress)
            if looked:
                meter.stop()
                metrics = evaluate(partial(progress.note_peaks, device, last=True))
                _note(schedule, progress, metrics)
                if keep and keep.improves(metrics, progress):
                    keeper.save(best_path(checkpoint), schedule, device)
            elif schedule.noted_after(before, progress):
                _note(schedule, progress, {})
            on_step(progress, losses)
        if stopped and progress.step:
            refit(model, data, progress.step, seed)  # it is measured as it is
        due = progress.step % schedule.checkpoint_every == 0 or schedule.done(progress)
        if (due or stopped) and progress.step > saved:
            saved = progress.step
            keeper.save(checkpoint, schedule, device)
    # What follows must not depend on where it was resumed.
    seed_globals(stream_seed(seed, "global", schedule.end(progress)))
    return progress


@dataclass
class _Keeper:
    """Writes checkpoints of a training, and says once what they lack."""

    model: Trainable
    baseline: Baseline
    progress: Progress
    meter: Meter
    about: Mapping[str, Any]
    told: str = ""

    def save(self, path: Path, schedule: Schedule, device: torch.device) -> None:
        self.meter.stop()
        self.progress.joules = self.meter.joules
        self.progress.complete = schedule.done(self.progress)
        self.progress.note_peaks(device)
        state = capture(self.model, self.baseline)
        if state.lost != self.told:
            log.warning(_LOST.format(state.lost))
            self.told = state.lost
        save_checkpoint(path, state, {**self.about, "progress": vars(self.progress)})


def best_path(checkpoint: Path) -> Path:
    """Where the model is that was best on the validation split."""
    return checkpoint.with_suffix(".best.safetensors")


@dataclass(frozen=True)
class Keep:
    """Of several looks at the validation split the best, by a metric and its direction."""

    metric: str
    better: Better

    def improves(self, metrics: Mapping[str, float], progress: Progress) -> bool:
        """Whether this is the best look so far; then ``progress`` remembers it. One without a number is not."""
        if self.metric not in metrics:
            return False
        value, best = metrics[self.metric], progress.best_value
        if best is not None and (value >= best if self.better == "lower" else value <= best):
            return False
        progress.best_step, progress.best_value = progress.step, value
        return True


def load(path: Path, model: Trainable, data: Split, *, seed: int) -> None:
    """``model`` as a checkpoint of another run holds it, to sample; of an unfinished training, what is fitted last too.

    Raises DataError for a file that is damaged or of another model.
    """
    restore(path, model, training=False)
    _, meta = read_checkpoint(path)
    found = {"complete": True, **(meta.get("progress") or {})}
    looked = found.get("best_step") == found.get("step")  # for that look it was fitted
    if not (found["complete"] or looked):
        refit(model, data, int(found["step"]), seed)


def load_last(model: Trainable, checkpoint: Path, schedule: Schedule, *, seed: int) -> tuple[Progress, str]:
    """``model`` as its last checkpoint holds it, to sample and not to train; its progress, and what the file lacks.

    What it lacks is logged too. Raises DataError for a file that is damaged or of another training.
    """
    _, meta = read_checkpoint(checkpoint)
    progress = _progress(checkpoint, meta, schedule)
    state = restore(checkpoint, model, training=False)
    seed_globals(stream_seed(seed, "global", schedule.end(progress)))  # as after ``train``
    return progress, state.lost


_LOST = (
    "checkpoints do not hold {}, which training changes: interrupted, it would start over; "
    "keep tensors in buffers and numbers in attributes of the model"
)


def _resume(model: Trainable, checkpoint: Path, schedule: Schedule) -> Progress:
    """Progress of the last checkpoint, its state in ``model``; one that cannot be gone on from counts as none."""
    if not checkpoint.exists():
        return Progress()
    before = capture(model).copy()
    try:
        state, meta = read_checkpoint(checkpoint)
        progress = _progress(checkpoint, meta, schedule)
        if state.lost:
            raise DataError(f"{checkpoint} does not hold {state.lost}, which training changes")
        if progress.best_step not in (None, progress.step):
            read_checkpoint(best_path(checkpoint))  # raises: without it, what was best is gone
        apply_checkpoint(checkpoint, state, model)
    except DataError as error:
        apply(model, before)
        log.warning(f"training starts over: {error}")
        return Progress()
    return progress


def _progress(checkpoint: Path, meta: Mapping[str, Any], schedule: Schedule) -> Progress:
    """What a checkpoint says of the training. Raises DataError where that cannot be, or is not enough to go on."""
    try:
        progress = _PROGRESS.validate_json(json.dumps(meta.get("progress")))
        _CURVE.validate_python(progress.curve)
    except ValidationError as error:
        problem = error.errors()[0]
        where = ".".join(map(str, ("progress", *problem["loc"])))
        raise DataError(f"{checkpoint} does not say how far it is ({where}: {problem['msg']})") from error
    if progress.complete != schedule.done(progress) or (progress.complete and progress.step > schedule.end(progress)):
        raise DataError(
            f"{checkpoint} is of another training: it is at step {progress.step}, and this one is {schedule.target}"
        )
    if not progress.complete and not is_whole(meta):
        raise DataError(
            f"{checkpoint} was written by an older genbench, which kept less than a training needs to go on"
        )
    return progress


def _advance(
    model: Trainable, data: Split, schedule: Schedule, progress: Progress, seed: int, device: torch.device
) -> dict[str, float]:
    """One step, counted. Returns its losses."""
    started = time.perf_counter()
    if isinstance(model, Paced):
        model.pace(min(1.0, schedule.share(progress)))
    losses = advance(model, data, schedule.batch_size, progress.step, seed, device)
    progress.seconds += time.perf_counter() - started
    progress.step += 1
    progress.examples += min(schedule.batch_size, len(data))
    _check(losses, progress.step)
    progress.pending.append(losses)
    return losses


def advance(
    model: Trainable, data: Split, batch_size: int, step: int, seed: int, device: torch.device
) -> dict[str, float]:
    """The step of this number: its batch, and one update. Returns the losses by name."""
    # Modules such as nn.Dropout draw from a global generator, so each of them is put on a stream of its own.
    seed_globals(stream_seed(seed, "global", step))
    batch = data.batch(batch_index(len(data), batch_size, step, seed)).to(device)
    return {name: float(x) for name, x in model.train_step(batch, stream(seed, "train", step, device)).items()}


def refit(model: Trainable, data: Split, step: int, seed: int) -> float:
    """Fit what a family fits to the weights it has learned in so many steps, on the training split. Returns seconds."""
    if not isinstance(model, Refitting):
        return 0.0
    started = time.perf_counter()
    seed_globals(stream_seed(seed, "refit", step))
    with evaluating(model):
        model.refit(data, stream(seed, "refit", step))
    return time.perf_counter() - started


def batch_index(size: int, batch_size: int, step: int, seed: int) -> Tensor:
    """Example numbers of a step: every epoch a fresh permutation, its last incomplete batch left out."""
    batch_size = min(batch_size, size)
    epoch, position = divmod(step, size // batch_size)
    return _permutation(size, seed, epoch)[position * batch_size : (position + 1) * batch_size]


_last: dict[tuple[int, int, int], Tensor] = {}


def _permutation(size: int, seed: int, epoch: int) -> Tensor:
    """The epoch's order; only the last one asked for is kept, since a text has millions of positions."""
    key = (size, seed, epoch)
    if key not in _last:
        _last.clear()
        _last[key] = torch.randperm(size, generator=stream(seed, "order", epoch))
    return _last[key]


def _check(losses: Mapping[str, float], step: int) -> None:
    if unnamed := [name for name in losses if not isinstance(name, str)]:
        raise TrialError(f"train_step must call its losses by strings, not by {unnamed[0]!r}")
    if "loss" not in losses:
        raise TrialError(f"train_step must return a 'loss'; it returned {sorted(losses)}")
    for name, value in losses.items():
        if not math.isfinite(value):
            raise TrialError(f"{name} became {value} at step {step}: lower lr, or look at the data")


def _note(schedule: Schedule, progress: Progress, metrics: Mapping[str, float]) -> None:
    """A point of the curve: mean losses since the last one, what they have cost, and what the model is worth."""
    names = dict.fromkeys(name for step in progress.pending for name in step)  # not every step has every loss
    mean = {name: fmean(step[name] for step in progress.pending if name in step) for name in names}
    point = {"step": progress.step, "seconds": progress.seconds, "losses": mean, "examples": progress.examples}
    flops = {} if schedule.flops_per_step is None else {"flops": progress.step * schedule.flops_per_step}
    progress.curve.append({**point, **flops, **({"metrics": dict(metrics)} if metrics else {})})
    progress.pending.clear()
