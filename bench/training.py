"""The one training loop. The family owns its step; the loop owns the order of the data, the budget and the checkpoints.

Every step takes its data order and its random numbers from streams found by step number alone. So a run that was
killed and goes on from its last checkpoint ends, on the CPU, in the same weights as one that was never interrupted.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from bench.checkpoint import read_meta, restore, save_checkpoint
from bench.errors import DataError, TrialError
from bench.probes.memory import peak_gpu_bytes, peak_rss_bytes
from bench.protocols import Split, Trainable
from bench.streams import stream, stream_seed

OnStep = Callable[[int, Mapping[str, float]], None]


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

    step: int = 0
    seconds: float = 0.0
    curve: list[dict[str, Any]] = field(default_factory=list)
    pending: list[dict[str, float]] = field(default_factory=list)
    examples: int = 0
    peak_rss_bytes: int = 0
    peak_gpu_bytes: int = 0
    complete: bool = False


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
) -> Progress:
    """Train ``model`` to the end of the schedule, from its checkpoint if there is one.

    Raises TrialError when a loss is not finite.
    """
    progress = _resume(model, checkpoint)
    while progress.step < schedule.steps:
        _advance(model, data, schedule, progress, seed, device, on_step)
        if progress.step % schedule.checkpoint_every == 0 or progress.step == schedule.steps:
            progress.complete = progress.step == schedule.steps
            progress.peak_rss_bytes = max(progress.peak_rss_bytes, peak_rss_bytes())
            progress.peak_gpu_bytes = max(progress.peak_gpu_bytes, peak_gpu_bytes(device)[0] or 0)
            save_checkpoint(checkpoint, model, {**about, "progress": vars(progress)})
    return progress


def _resume(model: Trainable, checkpoint: Path) -> Progress:
    """Progress of the last checkpoint, its weights in ``model``; a damaged file counts as none."""
    if not checkpoint.exists():
        return Progress()
    try:
        read_meta(checkpoint)
    except DataError:
        checkpoint.unlink()
        return Progress()
    return Progress(**restore(checkpoint, model)["progress"])


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
    # Modules such as nn.Dropout draw from torch's global generator, so that is put on a stream of its own.
    torch.manual_seed(stream_seed(seed, "global", step))
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
