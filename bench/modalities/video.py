"""Video: ``(T, C, H, W)``, frames as images are; ``DataSpec.rate`` in frames a second."""

from __future__ import annotations

from torch import Tensor

from bench.errors import DataError
from bench.modalities._examples import Examples
from bench.modalities._pixels import Pixels
from bench.registry import modality


@modality("video")
class Video(Pixels):
    """Frames in order, grey or RGB, of one size."""

    ordered = True
    examples, one = "videos", "video"
    form = "(n, T, C, H, W)"

    def looks_like(self, examples: Examples) -> bool:
        return isinstance(examples, Tensor) and examples.ndim == 5

    def check_array(self, x: Tensor, what: str) -> Tensor:
        if x.ndim != 5:
            raise DataError(f"{what}: videos must be {self.form}, got {tuple(x.shape)}")
        return super().check_array(x, what)
