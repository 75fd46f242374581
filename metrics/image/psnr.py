"""Peak signal-to-noise ratio of reconstructions: 10 log10(255^2 / MSE) in dB, of levels 0 to 255.

Of the mean squared error over all images, not the mean of each image's ratio: one perfect copy would make that
infinite.
"""

from __future__ import annotations

import math

from bench import Estimate, Omitted, Reconstructor, Trial, metric
from metrics.image._reconstruction import Images, both, checked_images, mean_of_images
from metrics.image.mse import squared_errors


@metric(
    "psnr",
    on={"image"},
    aspect="reconstruction",
    unit="dB",
    better="higher",
    least=0,
    sides=("reconstructions", "reference"),
)
def psnr(trial: Trial[Reconstructor]) -> Estimate:
    """Peak signal-to-noise ratio of the test images' reconstructions, from the mean squared error over all."""
    return peak_signal_to_noise(*both(trial))


def peak_signal_to_noise(copies: Images, originals: Images) -> Estimate:
    """In dB, of uint8 ``(n, C, H, W)``. Raises Omitted for perfect copies, else as ``checked_images`` does."""
    error = mean_of_images(squared_errors(*checked_images(copies, originals)), 0.0, 1.0)
    protocol = {"data_range": 255, "mse": "over all images"}
    return in_decibels(error, "copy").model_copy(update={"protocol": protocol})


def in_decibels(error: Estimate, one: str) -> Estimate:
    """Of a mean squared error of pixels in [0, 1]. Raises Omitted where every ``one`` is perfect."""
    if error.value == 0 or error.interval is None:
        raise Omitted(f"every {one} is perfect: the signal-to-noise ratio is infinite")
    lo, value, hi = (-10 * math.log10(mean) for mean in (error.interval.hi, error.value, error.interval.lo))
    return Estimate(value=value, n=error.n, interval=error.interval.model_copy(update={"lo": lo, "hi": hi}))
