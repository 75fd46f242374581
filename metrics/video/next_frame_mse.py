"""Mean squared error of predicted frames as published for Moving MNIST: summed over the pixels of a frame.

Pixels in [0, 1]; the sum over a frame's pixels and channels is averaged over the predicted frames and the test clips,
as in OpenSTL (Tan et al. 2023, arXiv:2306.11249), whose ConvLSTM reaches 29.8 of 64x64 pixels, 10 frames after 10, in
200 epochs. It grows with the number of pixels: only numbers of one size compare. Both sides have 256 levels, which adds
less than 0.01 at this size.
"""

from __future__ import annotations

import math

from bench import Estimate, Forecaster, Trial, metric
from metrics._arrays import Array
from metrics.video._prediction import checked_frames, mean_of_clips, predicted, squared_errors


@metric(
    "next_frame_mse",
    on={"video"},
    aspect="prediction",
    unit="1",
    better="lower",
    least=0,
    sides=("reference",),
    lead=1,
    paper="arXiv:1506.04214",
)
def next_frame_mse(trial: Trial[Forecaster]) -> Estimate:
    """Squared error of the second half of test clips, predicted after the first: of a frame's pixels the sum."""
    found = predicted(trial)
    estimate, (height, width) = summed_squared_error(found.said, found.frames), trial.spec.shape[-2:]
    return estimate.model_copy(update={"protocol": {**found.protocol, "sum over": f"{height}x{width}"}})


def summed_squared_error(said: Array, frames: Array) -> Estimate:
    """Of uint8 ``(n, steps, C, H, W)``; 0 to C H W. Raises as ``checked_frames`` does."""
    x, _ = checked_frames(said, frames)
    return mean_of_clips(squared_errors(said, frames), 0.0, float(math.prod(x.shape[2:])))
