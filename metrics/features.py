"""What the feature-based measures share: features of a trial, and the protocol that makes two numbers comparable."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from bench import GenbenchError, Trial


class Pair(NamedTuple):
    """Features of generated and of real examples, ``(n, D)`` each, and of the former the logits, if there are any."""

    fake: Tensor
    real: Tensor
    logits: Tensor | None
    protocol: dict[str, str | int | float | bool]


def pair(trial: Trial, extractor: str) -> Pair:
    """Features of both sides. Raises Omitted where the extractor cannot be had, TrialError for bad samples."""
    fake, real = trial.features(extractor)
    protocol: dict[str, str | int | float | bool] = {
        "extractor": extractor,
        **trial.extractor_protocol(extractor),
        "reference": "test",
        "n_fake": len(fake.features),
        "n_real": len(real.features),
        "dtype": "float32",
    }
    return Pair(fake.features, real.features, fake.logits, protocol)


def checked(features: Tensor, least: int = 2) -> Tensor:
    """``(n, D)`` as float64. Raises GenbenchError for other shapes, NaN or infinity, or fewer than ``least`` rows."""
    if features.ndim != 2:
        raise GenbenchError(f"features must be (n, D), got {tuple(features.shape)}")
    if len(features) < least:
        raise GenbenchError(f"{len(features)} examples are too few: at least {least} are needed")
    if not torch.isfinite(features).all():
        raise GenbenchError("features hold NaN or infinity")
    return features.double()
