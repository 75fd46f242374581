"""Inception v3 of 2015-12-05 behind the resizer of clean-fid (Parmar et al. 2022, arXiv:2104.11222).

Each channel is resized to 299 x 299 by Pillow's antialiased bicubic in floating point, cut to [0, 255] and not rounded,
then scaled to (x - 128) / 128. clean-fid runs these weights as TorchScript, here torch-fidelity's network runs them.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bench import Features, extractor
from metrics.extractors._image import ImageExtractor, grey_or_rgb, rgb
from metrics.extractors._resize import resize
from metrics.extractors._weights import Weights
from metrics.extractors.inception import WEIGHTS, load

SIDE = 299


class CleanInceptionExtractor(ImageExtractor):
    """2,048 features of the last pooling and 1,008 bias-free logits; grey images are repeated to RGB."""

    def __init__(self, path: Path, weights: Weights = WEIGHTS) -> None:
        super().__init__({"weights": weights.verify(path), "resize": f"pil-bicubic-{SIDE}"})
        net = load(path)
        # Its own forward would resize bytes; its layers, in the order they were made, take what was resized here.
        self.body = nn.Sequential(*[layer for layer in net.children() if layer is not net.fc], nn.Flatten())
        self.classes = net.get_parameter("fc.weight")

    def see(self, x: Tensor) -> Features:
        features = self.body((rgb(clean_resize(x)) - 128) / 128)
        return Features(features, features @ self.classes.T)


def clean_resize(x: Tensor) -> Tensor:
    """uint8 ``(n, channels, H, W)`` to float32 ``(n, channels, 299, 299)`` in [0, 255], not rounded."""
    return resize(x.to(torch.float32), (SIDE, SIDE), "bicubic").clamp(0, 255)


@extractor("inception-clean", fits=grey_or_rgb, locate=WEIGHTS.locate)
def inception_clean() -> CleanInceptionExtractor:
    """Inception v3 of 2015-12-05 with clean-fid's antialiased resizing: 2,048 features, 1,008 classes."""
    return CleanInceptionExtractor(WEIGHTS.found())
