"""What measures of waveforms share."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import groupby

import numpy as np
import torch
from torch import Tensor

from bench import Comparison, Estimate, GenbenchError, TooFew, bounded_interval

AT_ONCE = 200  # waveforms
Waves = np.ndarray | Tensor | list[Tensor]


def checked_waves(waves: Waves) -> list[Tensor]:
    """Each ``(T,)`` or ``(T, channels)`` float32. Raises GenbenchError for other forms, TooFew below two of them."""
    found = [torch.as_tensor(wave) for wave in waves]
    for place, wave in enumerate(found):
        if wave.ndim not in (1, 2) or not wave.is_floating_point() or not len(wave):
            raise GenbenchError(f"waveform {place} must be floats (T,) or (T, channels), got {tuple(wave.shape)}")
        if not bool(torch.isfinite(wave).all()):
            raise GenbenchError(f"waveform {place} holds NaN or infinity")
    if len(found) < 2:
        raise TooFew(f"{len(found)} waveforms are too few: at least 2 are needed")
    return [wave.float() for wave in found]


def by_length(waves: list[Tensor]) -> Iterator[Tensor]:
    """The same in their order, those beside each other of one shape together, ``(n, T, ...)``, at most 200."""
    for _, run in groupby(waves, key=lambda wave: wave.shape):
        yield from torch.stack(list(run)).split(AT_ONCE)


def mean_over_waves(shares: Tensor, hi: float = 1.0, **protocol: str | float) -> Estimate:
    """Mean of one number in [0, hi] a waveform, ``(n,)`` float64."""
    value, error = float(shares.mean()), float(shares.std()) / math.sqrt(len(shares))
    interval = bounded_interval(value, error, len(shares), "Wilson, effective trials over waveforms", lo=0, hi=hi)
    return Estimate(value=value, n=len(shares), interval=interval, protocol=protocol)


def samples_of(c: Comparison) -> list[Tensor]:
    """The samples one by one, of one length or of several."""
    stored = c.stored("samples")
    return list(stored)  # type: ignore[arg-type]
