"""Structural similarity of predicted frames: that of ``metrics/image/ssim.py``, of each frame, averaged.

Published tables of Moving MNIST take scikit-image's default, a flat window of 7x7, in place of Wang et al.'s Gaussian
one of 11x11: their third digit is another.
"""

from __future__ import annotations

import torch

from bench import Estimate, Forecaster, Omitted, Trial, metric
from metrics._arrays import Array
from metrics.image.ssim import PROTOCOL, SIDE, similarities
from metrics.video._prediction import checked_frames, mean_of_clips, predicted


@metric(
    "next_frame_ssim",
    on={"video"},
    aspect="prediction",
    unit="1",
    better="higher",
    least=-1,
    most=1,
    sides=("reference",),
    paper="Wang et al. 2004, Eq. 13",
)
def next_frame_ssim(trial: Trial[Forecaster]) -> Estimate:
    """Structural similarity of the second half of test clips, predicted after the first; 1 where all is right."""
    found = predicted(trial)
    return similarity_of_frames(found.said, found.frames).model_copy(
        update={"protocol": {**PROTOCOL, **found.protocol}}
    )


def similarity_of_frames(said: Array, frames: Array) -> Estimate:
    """Mean over frames and clips of uint8 ``(n, steps, C, H, W)``. Raises Omitted for sides below 11 pixels."""
    x, y = checked_frames(said, frames)
    if min(x.shape[3:]) < SIDE:
        raise Omitted(f"frames of {x.shape[3]}x{x.shape[4]} are smaller than SSIM's window of {SIDE}x{SIDE}")
    pairs = zip(x.split(10), y.split(10), strict=True)
    values = [similarities(a.flatten(0, 1).double(), b.flatten(0, 1).double()).view(a.shape[:2]) for a, b in pairs]
    return mean_of_clips(torch.cat(values).mean(1), -1.0, 1.0)
