"""Structural similarity of reconstructions (Wang, Bovik, Sheikh & Simoncelli 2004, IEEE TIP 13(4), Eq. 13).

    SSIM(x, y) = (2 mu_x mu_y + C1)(2 s_xy + C2) / ((mu_x^2 + mu_y^2 + C1)(s_x^2 + s_y^2 + C2))

Moments are weighted by a Gaussian window of 11 x 11 with sigma 1.5; C1 = (0.01 x 255)^2, C2 = (0.03 x 255)^2. The
window is laid on every pixel, the image mirrored at its border, as torchmetrics does; code that keeps the window inside
the image gives other numbers, so the border is part of the protocol. Averaged over pixels, channels and images.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
import torch.nn.functional as F
from torch import Tensor

from bench import Estimate, Omitted, Reconstructor, Trial, metric
from metrics.image._reconstruction import Images, both, checked_images, mean_of_images

SIDE, SIGMA = 11, 1.5
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
PROTOCOL: Mapping[str, str | int | float | bool] = {
    "data_range": 255,
    "window": f"gaussian {SIDE}x{SIDE}",
    "sigma": SIGMA,
    "k1": 0.01,
    "k2": 0.03,
    "border": "mirrored",
}


@metric(
    "ssim",
    on={"image"},
    aspect="reconstruction",
    unit="1",
    better="higher",
    least=-1,
    most=1,
    sides=("reconstructions", "reference"),
    paper="Wang et al. 2004, Eq. 13",
)
def ssim(trial: Trial[Reconstructor]) -> Estimate:
    """Structural similarity of the test images and their reconstructions, 1 for perfect copies."""
    return structural_similarity(*both(trial))


def structural_similarity(copies: Images, originals: Images) -> Estimate:
    """Mean over images of uint8 ``(n, C, H, W)``; -1 to 1. Raises Omitted for sides below 11 pixels."""
    x, y = checked_images(copies, originals)
    if min(x.shape[2:]) < SIDE:
        raise Omitted(f"images of {x.shape[2]}x{x.shape[3]} are smaller than SSIM's window of {SIDE}x{SIDE}")
    values = torch.cat([similarities(a.double(), b.double()) for a, b in zip(x.split(100), y.split(100), strict=True)])
    return mean_of_images(values, -1.0, 1.0).model_copy(update={"protocol": PROTOCOL})


def similarities(x: Tensor, y: Tensor) -> Tensor:
    """``(n,)`` of images ``(n, C, H, W)`` of levels 0 to 255."""
    mu_x, mu_y = _blurred(x), _blurred(y)
    var_x, var_y = _blurred(x * x) - mu_x**2, _blurred(y * y) - mu_y**2
    covariance = _blurred(x * y) - mu_x * mu_y
    luminance = (2 * mu_x * mu_y + C1) / (mu_x**2 + mu_y**2 + C1)
    return (luminance * (2 * covariance + C2) / (var_x + var_y + C2)).flatten(1).mean(1)


def _blurred(x: Tensor) -> Tensor:
    """Weighted means around every pixel: first down, then across, as the window factors."""
    offsets = torch.arange(SIDE, dtype=x.dtype, device=x.device) - SIDE // 2
    weights = torch.exp(-0.5 * (offsets / SIGMA) ** 2)
    weights = (weights / weights.sum()).view(1, 1, SIDE, 1)
    flat = F.pad(x, (SIDE // 2,) * 4, mode="reflect").flatten(0, 1)[:, None]  # channels are images of their own
    return F.conv2d(F.conv2d(flat, weights), weights.mT).view(x.shape)
