"""Mean squared error of reconstructions, of pixels in [0, 1], both sides quantised to 256 levels."""

from __future__ import annotations

import torch
from torch import Tensor

from bench import Estimate, Reconstructor, Trial, metric
from metrics.image._reconstruction import Images, both, checked_images, mean_of_images


@metric(
    "mse",
    on={"image"},
    aspect="reconstruction",
    unit="1",
    better="lower",
    least=0,
    most=1,
    sides=("reconstructions", "reference"),
)
def mse(trial: Trial[Reconstructor]) -> Estimate:
    """Mean squared error of the test images' reconstructions, pixels in [0, 1]."""
    return mean_squared_error(*both(trial))


def mean_squared_error(copies: Images, originals: Images) -> Estimate:
    """Mean over pixels, channels and images of uint8 ``(n, C, H, W)``; 0 to 1. Raises as ``checked_images`` does."""
    errors = squared_errors(*checked_images(copies, originals))
    return mean_of_images(errors, 0.0, 1.0).model_copy(update={"protocol": {"range": "[0, 1]"}})


def squared_errors(copies: Tensor, originals: Tensor) -> Tensor:
    """Mean squared error of each image, pixels in [0, 1], ``(n,)`` float64; exact, as levels are whole numbers."""
    chunks = zip(copies.split(1000), originals.split(1000), strict=True)
    squares = [(x.int() - y.int()).square().flatten(1).sum(1, dtype=torch.int64) for x, y in chunks]
    return torch.cat(squares).double() / (255**2 * copies[0].numel())
