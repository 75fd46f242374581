"""Peak signal-to-noise ratio of reconstructions: 10 log10(255^2 / MSE) in dB, of levels 0 to 255.

Of the mean squared error over all images, not the mean of each image's ratio: one perfect copy would make that
infinite.
"""

from __future__ import annotations

import math

from bench import Estimate, Omitted, Reconstructor, Trial, metric, normal_interval
from metrics.image._reconstruction import Images, both, checked_images
from metrics.image.mse import squared_errors


@metric(
    "psnr",
    on={"image"},
    aspect="realism",
    unit="dB",
    better="higher",
    sides=("reconstructions", "reference"),
)
def psnr(trial: Trial[Reconstructor]) -> Estimate:
    """Peak signal-to-noise ratio of the test images' reconstructions, from the mean squared error over all."""
    return peak_signal_to_noise(*both(trial))


def peak_signal_to_noise(copies: Images, originals: Images) -> Estimate:
    """In dB, of uint8 ``(n, C, H, W)``. Raises Omitted for perfect copies, else as ``checked_images`` does."""
    errors = squared_errors(*checked_images(copies, originals))
    mean, error = float(errors.mean()), float(errors.std()) / math.sqrt(len(errors))
    if mean == 0:
        raise Omitted("every copy is perfect: the signal-to-noise ratio is infinite")
    value, slope = -10 * math.log10(mean), 10 / (math.log(10) * mean)
    interval = normal_interval(value, slope * error, "delta method over images", lo=0.0)
    protocol: dict[str, str | int] = {"data_range": 255, "mse": "over all images"}
    return Estimate(value=value, n=len(errors), interval=interval, protocol=protocol)
