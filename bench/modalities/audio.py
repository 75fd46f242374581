"""Audio: a waveform ``(T,)`` or ``(T, channels)`` in [-1, 1]; ``DataSpec.rate`` in samples a second.

It is kept as float32, as it is made: eight bits would leave a tone at 1 % of full scale four levels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import DataError
from bench.modalities._base import Modality
from bench.protocols import DataSpec
from bench.registry import modality

FULL_SCALE = 2**15  # of 16-bit samples


@modality("audio")
class Audio(Modality):
    """Waveforms in [-1, 1], of one length or of several."""

    ordered = True
    examples, one, values = "waveforms", "waveform", "waveforms"
    form = "(n, T) or (n, T, channels)"
    flat = "silent"

    def middle(self, spec: DataSpec) -> float | None:
        return 0.0 if spec.kind == "continuous" else None

    def check_array(self, x: Tensor, what: str) -> Tensor:
        """Floats in [-1, 1], or int16 as sound files hold it."""
        if x.ndim not in (2, 3):
            raise DataError(f"{what}: waveforms must be {self.form}, got {tuple(x.shape)}")
        if x.dtype == torch.int16:
            return x.float() / FULL_SCALE
        if not x.is_floating_point():
            raise DataError(f"{what}: waveforms must be floats in [-1, 1] or int16, got {x.dtype}")
        return super().check_array(x, what)
