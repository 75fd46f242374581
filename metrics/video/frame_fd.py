"""Fréchet distance of single frames (Heusel et al. 2017, arXiv:1706.08500): how they look, whatever their order.

Every frame of every clip is one row, seen by a network of pictures: grey ones by ``lenet``, RGB ones by ``mobilenet``.
It is blind to time: clips whose frames are shuffled hold the same rows. What moves is for measures of whole clips, such
as ``fvd_motion``, which this one stands beside: a model that is good here and bad there draws well and animates badly.

Frames of a clip are no independent draws. So the influences of frames (``metrics/features/frechet.py``) are averaged
over each clip, and the interval is over clips.
"""

from __future__ import annotations

from typing import cast

import numpy as np
import torch
from torch import Tensor

from bench import Comparison, Estimate, Extractor, GenbenchError, Omitted, TooFew, alive, metric, score_interval
from metrics._arrays import Array
from metrics.extractors.lenet import lenet
from metrics.extractors.mobilenet import mobilenet
from metrics.features.frechet import PAPER, arrays, influences

AT_A_TIME = 2000  # frames
METHOD = "score, delta method over clips of both sides, of the expectation at this n"


@metric(
    "frame_fd",
    on={"video"},
    aspect="realism",
    unit="1",
    better="lower",
    least=0,
    sides=("samples", "reference"),
    paper=PAPER,
)
def frame_fd(c: Comparison) -> Estimate:
    """Fréchet distance of single frames, in whatever order: how they look, and not how they move; falls with n."""
    name, see = _network(c)
    found = frame_distance(*(rows_of(see, c.tensor(side), c.device) for side in ("samples", "reference")))
    seen = {f"frames {key}": value for key, value in see.protocol.items()}
    return found.model_copy(update={"protocol": {"frames seen by": name, **seen}})


def _network(c: Comparison) -> tuple[str, Extractor]:
    """By the channels of the data. Raises Omitted where there is none for so many, or its weights are not here."""
    channels = c.tensor("samples").shape[2]
    if channels not in (1, 3):
        raise Omitted(f"frames are seen in grey or RGB; these have {channels} channels")
    see: torch.nn.Module = lenet() if channels == 1 else mobilenet()
    return "lenet" if channels == 1 else "mobilenet", cast(Extractor, see.to(c.device))


@torch.no_grad()
def rows_of(see: Extractor, clips: Tensor, device: torch.device) -> Tensor:
    """Features of the frames of uint8 clips ``(n, T, C, H, W)``: ``(n, T, D)`` on the CPU."""
    parts = [see(part.to(device)).features.cpu() for part in alive(clips.flatten(0, 1).split(AT_A_TIME))]
    found: Tensor = torch.cat(parts).unflatten(0, clips.shape[:2])
    return found


def frame_distance(fake: Array, real: Array) -> Estimate:
    """Of features of frames, ``(n, T, D)`` and ``(m, T, D)``; in squared feature units, 0 for equal moments.

    Raises GenbenchError for other shapes, NaN or infinity, TooFew for fewer than two clips a side.
    """
    x, y = torch.as_tensor(fake), torch.as_tensor(real)
    if x.ndim != 3 or y.ndim != 3:
        raise GenbenchError(f"features of frames must be (n, T, D), got {tuple(x.shape)} and {tuple(y.shape)}")
    if min(len(x), len(y)) < 2:
        raise TooFew(f"{len(x)} and {len(y)} clips are too few: at least 2 are needed")
    value, _, of_fake, of_real = influences(*arrays(x.flatten(0, 1), y.flatten(0, 1)))
    variance = sum(_variance(rows, len(side)) for rows, side in ((of_fake, x), (of_real, y)))
    interval = score_interval(value, variance / value if value > 0 else 0.0, 0.0, METHOD)
    return Estimate(value=value, n=len(x), interval=interval)


def _variance(influence: np.ndarray, clips: int) -> float:
    """Of the mean of the influences of frames ``(clips T,)``, by clips."""
    return float(influence.reshape(clips, -1).mean(1).var(ddof=1)) / clips
