"""Inception v3 as TensorFlow published it on 2015-12-05, through torch-fidelity (its resizer and its arithmetic)."""

from __future__ import annotations

from pathlib import Path

from torch import Tensor, nn

from bench import Features, extractor
from metrics.extractors._image import ImageExtractor, grey_or_rgb, rgb
from metrics.extractors._weights import Weights

WEIGHTS = Weights(
    name="inception",
    file="weights-inception-2015-12-05-6726825d.pth",
    url="https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth",
    sha256="6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
)


class InceptionExtractor(ImageExtractor):
    """2,048 features of the last pooling and 1,008 bias-free logits; grey images are repeated to RGB."""

    def __init__(self, path: Path, weights: Weights = WEIGHTS) -> None:
        super().__init__({"weights": weights.verify(path), "resize": "tf1-bilinear-299"})
        self.net = load(path)

    def see(self, x: Tensor) -> Features:
        return Features(*self.net(rgb(x)))


def load(path: Path) -> nn.Module:
    """torch-fidelity's network over weights that were verified (it unpickles them)."""
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3  # seconds to import

    net: nn.Module = FeatureExtractorInceptionV3(
        "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
    )
    return net


@extractor("inception", fits=grey_or_rgb, locate=WEIGHTS.locate, default_for={"image"}, lead=1)
def inception() -> InceptionExtractor:
    """Inception v3 of 2015-12-05: 2,048 features, 1,008 classes; TensorFlow 1's aliased bilinear resizing."""
    return InceptionExtractor(WEIGHTS.found())
