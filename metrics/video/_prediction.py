"""What measures of predictors share: the second half of each test clip, and what a model says of it after the first.

Of clips of 20 frames that is the published protocol of Moving MNIST, 10 frames after 10.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import torch
from torch import Tensor

from bench import Estimate, Forecaster, GenbenchError, Omitted, TooFew, Trial, alive, bounded_interval, modality_of
from metrics._arrays import Array


class Prediction(NamedTuple):
    """Frames as they were said to be and as they are, uint8 ``(n, steps, C, H, W)``, after ``known`` frames."""

    said: Tensor
    frames: Tensor
    known: int

    @property
    def protocol(self) -> dict[str, str | int | float | bool]:
        return {"frames": f"{self.known}->{self.frames.shape[1]}"}


def predicted(trial: Trial[Forecaster]) -> Prediction:
    """Of all test clips, quantised as the data is. Raises Omitted for clips of one frame."""
    clips, known = trial.reference, trial.spec.shape[0] // 2
    if not known:
        raise Omitted("clips of one frame have none to be predicted")
    return Prediction(trial.once(_said, known), clips[:, known:], known)


@torch.no_grad()
def _said(trial: Trial[Forecaster], known: int) -> Tensor:
    kind, rng, found = modality_of(trial.spec), trial.rng("predict"), list[Tensor]()
    for part in alive(trial.reference.split(trial.batch_size)):
        start, steps = kind.restored(part[:, :known], trial.spec).to(trial.device), part.shape[1] - known
        said = trial.model.forecast(start, steps, rng)
        if said.shape != (wanted := (len(part), steps, *part.shape[2:])):
            raise GenbenchError(f"forecast said {tuple(said.shape)}, not {tuple(wanted)}")
        found.append(kind.quantise(said.detach().cpu(), trial.spec))
    return torch.cat(found)


def checked_frames(said: Array, frames: Array) -> tuple[Tensor, Tensor]:
    """Both as tensors, uint8 ``(n, steps, C, H, W)``. Raises GenbenchError for others, TooFew below two clips."""
    x, y = torch.as_tensor(said), torch.as_tensor(frames)
    if x.dtype != torch.uint8 or y.dtype != torch.uint8 or x.ndim != 5 or x.shape != y.shape:
        raise GenbenchError(
            f"frames must be uint8 (n, steps, C, H, W) of one shape, got {x.dtype} {tuple(x.shape)} and {y.dtype} "
            f"{tuple(y.shape)}"
        )
    if len(x) < 2:
        raise TooFew(f"{len(x)} clips are too few: at least 2 are needed")
    return x, y


def squared_errors(said: Array, frames: Array) -> Tensor:
    """Squared error of each clip, summed over the pixels of a frame and averaged over frames, levels in [0, 1]:
    ``(n,)`` float64, exact, as levels are whole numbers.
    """
    x, y = checked_frames(said, frames)
    pairs = zip(x.split(100), y.split(100), strict=True)
    squares = [(a.int() - b.int()).square().flatten(1).sum(1, dtype=torch.int64) for a, b in pairs]
    return torch.cat(squares).double() / (255**2 * x.shape[1])


def mean_of_clips(values: Tensor, lo: float, hi: float) -> Estimate:
    """Mean of one number in [lo, hi] a clip, ``(n,)`` float64: frames of a clip depend on one another."""
    value, error = float(values.mean()), float(values.std()) / math.sqrt(len(values))
    interval = bounded_interval(value, error, len(values), "Wilson, effective trials over clips", lo=lo, hi=hi)
    return Estimate(value=value, n=len(values), interval=interval)
