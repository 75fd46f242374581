"""What images and video share: levels 0..255, which models see in [-1, 1]."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from bench.errors import DataError
from bench.modalities._base import Modality
from bench.protocols import DataSpec

LEVELS = 256
MIDDLE = 127  # the level of what is a little less than 0 in [-1, 1]


class Pixels(Modality):
    """Stored as uint8 levels, whatever a model sees: of binary data 0 and 255."""

    values = "pixels"
    flat = "of one flat colour"

    def continuous(self, x: Tensor) -> Tensor:
        # Round to the nearest level; truncation would darken every sample by half a level.
        return ((self.checked(x) + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)

    def restored(self, stored: Tensor, spec: DataSpec) -> Tensor:
        return seen(stored, spec.kind == "binary")

    def binary(self, x: Tensor) -> Tensor:
        return super().binary(x) * 255

    def middle(self, spec: DataSpec) -> float | None:
        return MIDDLE if spec.kind == "continuous" else None

    def levels(self, spec: DataSpec) -> int | None:
        return LEVELS if spec.kind == "continuous" else super().levels(spec)

    def check_array(self, x: Tensor, what: str) -> Tensor:
        if x.dtype != torch.uint8:
            dtype = str(x.dtype).removeprefix("torch.")
            raise DataError(f"{what}: {self.examples} must be uint8 0..255, got {dtype}{self._how_to_cast(x)}")
        if x.shape[-3] not in (1, 3) and x.shape[-1] in (1, 3):
            x = x.movedim(-1, -3).contiguous()
        if x.shape[-3] not in (1, 3):
            alpha = ": lay what is transparent on a background first" if 4 in (x.shape[-3], x.shape[-1]) else ""
            raise DataError(f"{what}: {self.examples} must have 1 or 3 channels, got {tuple(x.shape)}{alpha}")
        refuse_black(int(x.max()), what)
        return x

    def _how_to_cast(self, x: Tensor) -> str:
        """The range that pixels of another type lie in, and what brings them to uint8."""
        if x.is_complex():
            return ": give real numbers"
        low, high = (float(end) for end in x.double().aminmax())
        seen = f" in [{low:.3g}, {high:.3g}]"
        if not math.isfinite(low) or not math.isfinite(high):
            bad = int((~torch.isfinite(x)).flatten(1).any(1).sum())
            return f": {bad} of {len(x)} {self.examples} hold NaN or infinity"
        ends = ends_of(low, high)
        if ends == "0..1":
            return f"{seen}; where 1 is white, multiply by 255, round and cast: (x * 255).round().astype('uint8')"
        if ends == "-1..1":
            return f"{seen}; where -1 is black and 1 white: ((x + 1) * 127.5).round().astype('uint8')"
        if ends == "0..255":
            cast = "x.round().astype('uint8')" if x.is_floating_point() else "x.astype('uint8')"
            return f"{seen}; where 255 is white, only a cast is needed: {cast}"
        return f"{seen}; scale so that 0 is black and 255 white, round, clip to 0..255 and cast to uint8"


def ends_of(low: float, high: float) -> str | None:
    """Between what ends, "0..1", "-1..1" or "0..255", pixels from ``low`` to ``high`` may have been written."""
    if low >= -1 and high <= 1:
        return "0..1" if low >= 0 else "-1..1"
    return "0..255" if low >= 0 and high <= 255 else None


def seen(levels: Tensor, binary: bool) -> Tensor:
    """Levels 0..255 as models see them: 0 or 1 of binary data, else in [-1, 1]."""
    return levels.float() / 255 if binary else levels.float() / 127.5 - 1


def refuse_black(brightest: int, what: str) -> None:
    """Raises DataError for pixels that are 0 and 1 and were meant to be black and white."""
    if brightest == 1:
        raise DataError(
            f"{what}: no pixel is brighter than 1 of 255, as where floats in [0, 1] are cast as they are: multiply by "
            "255 before the cast"
        )
