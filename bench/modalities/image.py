"""Images: ``(C, H, W)``, float32 in [-1, 1] to models, uint8 levels where they are stored and measured."""

from __future__ import annotations

import torch
from torch import Tensor

from bench.errors import DataError
from bench.modalities._examples import Examples
from bench.modalities._pictures import Pictures
from bench.modalities._pixels import Pixels, refuse_black
from bench.registry import modality


@modality("image")
class Image(Pixels):
    """Pictures, grey or RGB, of one size or, where somebody brings them, of several."""

    resizes = True
    examples, one = "images", "image"
    form = "(n, C, H, W)"

    def looks_like(self, examples: Examples) -> bool:
        return isinstance(examples, Pictures) or (isinstance(examples, Tensor) and examples.ndim == 4)

    def advice(self, examples: Examples) -> str:
        is_grey = isinstance(examples, Tensor) and examples.ndim == 3
        return "of grey pictures (n, H, W) say image, or give x[:, None]" if is_grey else ""

    def check(self, examples: Examples, what: str) -> Examples:
        if isinstance(examples, Pictures):
            refuse_black(examples.brightest, what)
            return examples
        if not isinstance(examples, Tensor) or examples.ndim not in (3, 4):
            found = tuple(examples.shape) if isinstance(examples, Tensor) else "text"
            raise DataError(f"{what}: images must be {self.form}, got {found}")
        return self.check_array(examples, what)

    def check_array(self, x: Tensor, what: str) -> Tensor:
        """Grey ones may be ``(n, H, W)``, unless that may as well be one picture with its channels."""
        if x.ndim == 3 and x.dtype == torch.uint8:
            if {x.shape[0], x.shape[-1]} & {1, 3, 4}:
                raise DataError(
                    f"{what}: images must be {self.form}, got {tuple(x.shape)}: of grey pictures (n, H, W) give "
                    "x[:, None]; a single picture is no set"
                )
            x = x[:, None]
        return super().check_array(x, what)
