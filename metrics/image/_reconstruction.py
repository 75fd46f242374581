"""What the measures of reconstructions share: originals and copies, image by image, and the interval over images."""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, TooFew, Trial, bounded_interval

Images = np.ndarray | Tensor


def both(trial: Trial) -> tuple[Tensor, Tensor]:
    """Copies of the test images and the images, uint8 ``(n, C, H, W)``. Raises Omitted where there are no copies."""
    return trial.tensor("reconstructions"), trial.reference


def checked_images(copies: Images, originals: Images) -> tuple[Tensor, Tensor]:
    """Both as tensors. Raises GenbenchError unless they are uint8 ``(n, C, H, W)`` of one shape, TooFew below two."""
    x, y = torch.as_tensor(copies), torch.as_tensor(originals)
    if x.dtype != torch.uint8 or y.dtype != torch.uint8 or x.ndim != 4:
        raise GenbenchError(f"images must be uint8 (n, C, H, W), got {x.dtype} {tuple(x.shape)}")
    if x.shape != y.shape:
        raise GenbenchError(f"copies and originals must have one shape, got {tuple(x.shape)} and {tuple(y.shape)}")
    if len(x) < 2:
        raise TooFew(f"{len(x)} images are too few: at least 2 are needed")
    return x, y


def mean_of_images(values: Tensor, lo: float, hi: float, of: str = "images") -> Estimate:
    """Mean of one number in [lo, hi] of each, ``(n,)`` float64; its interval is never of no width."""
    value, error = float(values.mean()), float(values.std()) / math.sqrt(len(values))
    interval = bounded_interval(value, error, len(values), f"Wilson, effective trials over {of}", lo=lo, hi=hi)
    return Estimate(value=value, n=len(values), interval=interval)
