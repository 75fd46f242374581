"""VGG-16 (Simonyan & Zisserman 2015, arXiv:1409.1556), the space of improved precision and recall (arXiv:1904.06991).

As in torch-fidelity: torchvision's ImageNet weights, TensorFlow 1's bilinear to 224 x 224, ImageNet's mean and
deviation, the second fully connected layer after its ReLU.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from bench import Features, extractor
from metrics.extractors._image import IMAGENET, ImageExtractor, frozen, grey_or_rgb, rgb, standardised
from metrics.extractors._weights import Weights, tensors

SIDE = 224
WEIGHTS = Weights(
    name="vgg16",
    file="vgg16-397923af.pth",
    url="https://download.pytorch.org/models/vgg16-397923af.pth",
    sha256="397923af8e79cdbb6a7127f12361acd7a2f83e06b05044ddf496e83de57a5bf0",
)


class VGG16Extractor(ImageExtractor):
    """4,096 features; no logits, as in torch-fidelity; grey images are repeated to RGB."""

    def __init__(self, path: Path, weights: Weights = WEIGHTS) -> None:
        resized = f"tf1-bilinear-{SIDE}"
        super().__init__(
            {"weights": weights.verify(path), "resize": resized, "normalisation": "imagenet", "layer": "fc2_relu"}
        )
        from torch_fidelity.interpolate_compat_tensorflow import interpolate_bilinear_2d_like_tensorflow1x

        self.resize = interpolate_bilinear_2d_like_tensorflow1x
        self.net = frozen(_load(path))

    def see(self, x: Tensor) -> Features:
        resized = self.resize(rgb(x).float(), size=(SIDE, SIDE), align_corners=False)
        mean, deviation = ([255 * value for value in part] for part in IMAGENET)
        return Features(self.net(standardised(resized, (mean, deviation))), None)


def _load(path: Path) -> nn.Module:
    from torchvision.models import vgg16  # seconds to import

    with torch.device("meta"):  # shapes only: weights come next, so none are drawn
        net: nn.Module = vgg16()
    net.load_state_dict(tensors(path), assign=True)
    upto_second_relu = list(net.get_submodule("classifier").children())[:5]
    net.classifier = nn.Sequential(*upto_second_relu)
    return net


@extractor("vgg16", fits=grey_or_rgb, locate=WEIGHTS.locate)
def vgg16_extractor() -> VGG16Extractor:
    """VGG-16: 4,096 features of its second fully connected layer, as torch-fidelity takes them."""
    return VGG16Extractor(WEIGHTS.found())
