"""What networks over pictures share: channels, scale, chunks and arithmetic."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval

from bench import DataSpec, Features, Omitted

# Mean and deviation of red, green and blue in [0, 1].
IMAGENET = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
CLIP = (0.48145466, 0.4578275, 0.40821073), (0.26862954, 0.26130258, 0.27577711)
CHUNK = 50  # pictures at a time: a transformer's activations for more do not fit into a small machine
MOST_PIXELS = 50 * 2**20  # at a time, before they are resized: fewer pictures where they are large


def grey_or_rgb(spec: DataSpec) -> bool:
    """Whether pictures have one channel or three."""
    return spec.modality == "image" and spec.shape[0] in (1, 3)


class ImageExtractor(nn.Module, ABC):
    """A frozen network over uint8 pictures ``(n, 1 or 3, H, W)``; ``protocol`` holds weights and preprocessing."""

    def __init__(self, protocol: Mapping[str, str]) -> None:
        super().__init__()
        self.protocol = protocol

    @abstractmethod
    def see(self, x: Tensor) -> Features:
        """Features of one chunk, uint8 ``(n, 1 or 3, H, W)``."""

    @torch.no_grad()
    def forward(self, x: Tensor) -> Features:
        """Features of pictures in their order. Raises Omitted for other than one or three channels."""
        if x.shape[1] not in (1, 3):
            raise Omitted(f"{type(self).__name__} reads grey or RGB; these images have {x.shape[1]} channels")
        with exact_arithmetic(x.device):
            at_a_time = max(1, min(CHUNK, MOST_PIXELS // max(1, x.shape[-2] * x.shape[-1])))
            parts = [self.see(chunk) for chunk in x.split(at_a_time)]
        logits = [part.logits for part in parts if part.logits is not None]
        return Features(torch.cat([part.features for part in parts]), torch.cat(logits) if logits else None)


def rgb(x: Tensor) -> Tensor:
    """``(n, 3, H, W)``: grey is repeated."""
    return x.expand(-1, 3, -1, -1)


def normalise(x: Tensor, statistics: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    """uint8 ``(n, 1 or 3, H, W)`` to float32 RGB in [0, 1], less the mean, over the deviation."""
    return standardised(rgb(x).float() / 255, statistics)


def standardised(x: Tensor, statistics: tuple[Sequence[float], Sequence[float]]) -> Tensor:
    """``(n, 3, H, W)``, each channel less its mean, over its deviation."""
    mean, deviation = (torch.tensor(s, dtype=torch.float32, device=x.device)[:, None, None] for s in statistics)
    return (x - mean) / deviation


def frozen(net: nn.Module) -> nn.Module:
    """In evaluation mode, float32, without gradients."""
    return net.float().eval().requires_grad_(False)


def folded(net: nn.Module) -> nn.Module:
    """A frozen network whose batch normalisations stand within the convolutions before them, in place.

    It says the same to float32's rounding; the product of both is taken in float64.
    """
    for layers in [module for module in net.modules() if isinstance(module, nn.Sequential)]:
        for (name, conv), (after, norm) in pairwise(list(layers.named_children())):
            if isinstance(conv, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(layers, name, fuse_conv_bn_eval(conv.double(), norm.double()).float())
                setattr(layers, after, nn.Identity())
    return net


@contextmanager
def exact_arithmetic(device: torch.device) -> Iterator[None]:
    """float32 products in float32: no TF32, no autocast, no algorithm chosen by a stopwatch."""
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest")
    try:
        with (
            torch.backends.cudnn.flags(enabled=True, benchmark=False, deterministic=True, allow_tf32=False),
            torch.autocast(device.type, enabled=False),
        ):
            yield
    finally:
        torch.set_float32_matmul_precision(before)
