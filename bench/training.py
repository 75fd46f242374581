"""The one training loop. The family owns its step; the loop owns the order of the data, the budget and the checkpoints.

Every step takes its data order and its random numbers from streams found by step number alone. So a run that was
killed and goes on from its last checkpoint ends, on the CPU, in the same weights as one that was never interrupted.
Where training changes what no checkpoint can hold (see ``bench.state``), it starts over instead, and says so.
"""

from __future__ import annotations

import json
import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import torch
from pydantic import ConfigDict, Field, NonNegativeFloat, TypeAdapter, ValidationError
from torch import Tensor

from bench.checkpoint import apply_checkpoint, is_whole, read_checkpoint, restore, save_checkpoint
from bench.errors import DataError, TrialError
from bench.probes.memory import peak_gpu_bytes, peak_rss_bytes
from bench.protocols import Split, Trainable
from bench.record import CurvePoint
from bench.state import Baseline, apply, capture
from bench.streams import seed_globals, stream, stream_seed

Count = Annotated[int, Field(ge=0, lt=2**63)]
OnStep = Callable[[int, Mapping[str, float]], None]
log = logging.getLogger("genbench")


@dataclass(frozen=True)
class Schedule:
    """Budget of a training in steps, and how often to save and to note the losses."""

    steps: int
    batch_size: int
    checkpoint_every: int
    points: int = 100

    @property
    def point_every(self) -> int:
        return max(1, self.steps // self.points)


@dataclass
class Progress:
    """What a training has come to; kept in the checkpoint. ``seconds`` counts training steps only."""

    step: Count = 0
    seconds: NonNegativeFloat = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    pending: list[dict[str, float]] = field(default_factory=list)
    examples: Count = 0
    peak_rss_bytes: Count = 0
    peak_gpu_bytes: Count = 0
    complete: bool = False

    __pydantic_config__ = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False)


_PROGRESS = TypeAdapter(Progress)
_CURVE = TypeAdapter(list[CurvePoint])


def train(
    model: Trainable,
    data: Split,
    schedule: Schedule,
    *,
    seed: int,
    device: torch.device,
    checkpoint: Path,
    about: Mapping[str, Any],
    on_step: OnStep = lambda step, losses: None,
    on_resume: Callable[[int], None] = lambda step: None,
    stop: Callable[[], bool] = lambda: False,
) -> Progress:
    """Train ``model`` to the end of the schedule, from its checkpoint if there is one that holds all it needs.

    on_resume: told the step of the checkpoint that training goes on from, or was done at.
    stop: asked before every step; where it says so, training ends there, with a checkpoint of that step.

    Why a training starts over, and why it would if it was interrupted, is logged.
    Raises TrialError when a loss is not finite.
    """
    baseline = Baseline(model)
    progress = _resume(model, checkpoint, schedule)
    if progress.step:
        on_resume(progress.step)
    saved, stopped, told = progress.step, False, ""
    while progress.step < schedule.steps and not stopped:
        if not (stopped := stop()):
            with baseline.step():
                _advance(model, data, schedule, progress, seed, device, on_step)
        due = progress.step % schedule.checkpoint_every == 0 or progress.step == schedule.steps
        if (due or stopped) and progress.step > saved:
            saved = progress.step
            progress.complete = progress.step == schedule.steps
            progress.peak_rss_bytes = max(progress.peak_rss_bytes, peak_rss_bytes())
            progress.peak_gpu_bytes = max(progress.peak_gpu_bytes, peak_gpu_bytes(device)[0] or 0)
            state = capture(model, baseline)
            if state.lost != told:
                log.warning(_LOST.format(told := state.lost))
            save_checkpoint(checkpoint, state, {**about, "progress": vars(progress)})
    seed_globals(stream_seed(seed, "global", schedule.steps))  # what follows must not depend on where it was resumed
    return progress


def load_last(model: Trainable, checkpoint: Path, schedule: Schedule, *, seed: int) -> tuple[Progress, str]:
    """``model`` as its last checkpoint holds it, to sample and not to train; its progress, and what the file lacks.

    What it lacks is logged too. Raises DataError for a file that is damaged or of another training.
    """
    _, meta = read_checkpoint(checkpoint)
    progress = _progress(checkpoint, meta, schedule)
    state = restore(checkpoint, model, training=False)
    seed_globals(stream_seed(seed, "global", schedule.steps))  # as after ``train``
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
    if progress.step > schedule.steps or progress.complete != (progress.step == schedule.steps):
        raise DataError(f"{checkpoint} is of another training: it is at step {progress.step} of {schedule.steps}")
    if not progress.complete and not is_whole(meta):
        raise DataError(
            f"{checkpoint} was written by an older genbench, which kept less than a training needs to go on"
        )
    return progress


def _advance(
    model: Trainable,
    data: Split,
    schedule: Schedule,
    progress: Progress,
    seed: int,
    device: torch.device,
    on_step: OnStep,
) -> None:
    """One step: batch, update, losses noted."""
    step = progress.step
    # Modules such as nn.Dropout draw from a global generator, so each of them is put on a stream of its own.
    seed_globals(stream_seed(seed, "global", step))
    started = time.perf_counter()
    batch = data.batch(batch_index(len(data), schedule.batch_size, step, seed)).to(device)
    losses = {name: float(x) for name, x in model.train_step(batch, stream(seed, "train", step, device)).items()}
    progress.seconds += time.perf_counter() - started
    progress.step, progress.examples = step + 1, progress.examples + len(batch.data)
    _check(losses, progress.step)
    _note(losses, schedule, progress)
    on_step(progress.step, losses)


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


def _note(losses: dict[str, float], schedule: Schedule, progress: Progress) -> None:
    progress.pending.append(losses)
    if progress.step % schedule.point_every == 0 or progress.step == schedule.steps:
        mean = {name: sum(p[name] for p in progress.pending) / len(progress.pending) for name in losses}
        progress.curve.append({"step": progress.step, "seconds": progress.seconds, "losses": mean})
        progress.pending.clear()
