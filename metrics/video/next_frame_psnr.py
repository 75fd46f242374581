"""Peak signal-to-noise ratio of predicted frames: 10 log10(1 / MSE) in dB, of pixels in [0, 1].

Of the mean squared error over all pixels, frames and clips, not the mean of each frame's ratio: one frame that is
predicted perfectly would make that infinite.
"""

from __future__ import annotations

import math

import torch

from bench import Estimate, Forecaster, Omitted, Trial, metric
from metrics._arrays import Array
from metrics.video._prediction import checked_frames, mean_of_clips, predicted, squared_errors


@metric("next_frame_psnr", on={"video"}, aspect="prediction", unit="dB", better="higher", least=0, sides=("reference",))
def next_frame_psnr(trial: Trial[Forecaster]) -> Estimate:
    """Peak signal-to-noise ratio of the second half of test clips, predicted after the first."""
    found = predicted(trial)
    return (estimate := signal_to_noise(found.said, found.frames)).model_copy(
        update={"protocol": {**estimate.protocol, **found.protocol}}
    )


def signal_to_noise(said: Array, frames: Array) -> Estimate:
    """In dB, of uint8 ``(n, steps, C, H, W)``. Raises Omitted where all is right, else as ``checked_frames`` does."""
    x, _ = checked_frames(said, frames)
    error = mean_of_clips(squared_errors(said, frames) / torch.Size(x.shape[2:]).numel(), 0.0, 1.0)
    if error.value == 0 or error.interval is None:
        raise Omitted("every frame is predicted perfectly: the signal-to-noise ratio is infinite")
    lo, value, hi = (-10 * math.log10(mean) for mean in (error.interval.hi, error.value, error.interval.lo))
    interval = error.interval.model_copy(update={"lo": lo, "hi": hi})
    return Estimate(value=value, n=error.n, interval=interval, protocol={"mse": "over all frames"})
