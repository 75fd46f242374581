"""MobileNetV2 (Sandler et al. 2018, arXiv:1801.04381) with torchvision's ImageNet weights: small, 14 MB.

Its official preprocessing: the shorter side to 256 by Pillow's antialiased bilinear on bytes, the 224 x 224 in the
middle, ImageNet's mean and deviation. The outer eighth of a picture is not seen.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bench import Features, extractor
from metrics.extractors._image import IMAGENET, ImageExtractor, folded, frozen, grey_or_rgb, normalise
from metrics.extractors._resize import centre_crop, shorter_side
from metrics.extractors._weights import Weights, tensors

SIDE, CROP = 256, 224
WEIGHTS = Weights(
    name="mobilenet",
    file="mobilenet_v2-b0353104.pth",
    url="https://download.pytorch.org/models/mobilenet_v2-b0353104.pth",
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
)


class MobileNetExtractor(ImageExtractor):
    """1,280 features of the last pooling, logits of ImageNet's 1,000 classes; grey images are repeated to RGB."""

    def __init__(self, path: Path, weights: Weights = WEIGHTS) -> None:
        resized = f"pil-bilinear-{SIDE} centre-crop-{CROP}"
        super().__init__({"weights": weights.verify(path), "resize": resized, "normalisation": "imagenet"})
        net = folded(frozen(_load(path)))
        self.body = nn.Sequential(net.get_submodule("features"), nn.AdaptiveAvgPool2d(1), nn.Flatten())
        self.body.to(memory_format=torch.channels_last)  # with folded(), in two fifths of the time on a CPU
        self.classes = net.get_submodule("classifier")

    def see(self, x: Tensor) -> Features:
        features = self.body(normalise(centre_crop(shorter_side(x, SIDE, "bilinear"), CROP), IMAGENET))
        return Features(features, self.classes(features))


def _load(path: Path) -> nn.Module:
    from torchvision.models import mobilenet_v2  # seconds to import

    with torch.device("meta"):  # shapes only: weights come next, so none are drawn
        net: nn.Module = mobilenet_v2()
    net.load_state_dict(tensors(path), assign=True)
    return net


@extractor("mobilenet", fits=grey_or_rgb, locate=WEIGHTS.locate)
def mobilenet() -> MobileNetExtractor:
    """MobileNetV2: 1,280 features, ImageNet's 1,000 classes; a small network for real photographs."""
    return MobileNetExtractor(WEIGHTS.found())
