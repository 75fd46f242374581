"""CLIP ViT-L/14 at 336 pixels (Radford et al. 2021, arXiv:2103.00020), the space of CMMD (arXiv:2401.09603).

Preprocessing is that of CMMD's published code: the square in the middle, Pillow's antialiased bicubic to 336 x 336 on
bytes, CLIP's mean and deviation. torch-fidelity's network is fed directly; its own preprocessing resizes with
TensorFlow 1's aliased bilinear. Embeddings are as projected, not scaled to unit length: that is the metric's to do.
"""

from __future__ import annotations

import warnings
from pathlib import Path

from torch import Tensor

from bench import Features, extractor
from metrics.extractors._image import CLIP, ImageExtractor, grey_or_rgb, normalise
from metrics.extractors._resize import centre_square, resize
from metrics.extractors._weights import Weights

MODEL = "clip-vit-l-14-336px"
SHA256 = "3035c92b350959924f9f00213499208652fc7ea050643e8b385c2dac08641f02"
WEIGHTS = Weights(
    name="clip",
    file=f"{MODEL}-{SHA256}.pt",  # where torch-fidelity keeps it too
    url=f"https://openaipublic.azureedge.net/clip/models/{SHA256}/ViT-L-14-336px.pt",
    sha256=SHA256,
)


class CLIPExtractor(ImageExtractor):
    """Image embeddings, 768 features; grey images are repeated to RGB."""

    def __init__(self, path: Path, weights: Weights = WEIGHTS) -> None:
        from torch_fidelity.feature_extractor_clip import FeatureExtractorCLIP  # seconds to import

        digest = weights.verify(path)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)  # TorchScript is deprecated; OpenAI published nothing else
            network = FeatureExtractorCLIP(MODEL, ["clip"], feature_extractor_weights_path=str(path))
        side: int = network.resolution
        resized = f"centre-square pil-bicubic-{side}"
        super().__init__({"weights": digest, "resize": resized, "normalisation": "clip"})
        self.side, self.net = side, network.model.visual

    def see(self, x: Tensor) -> Features:
        square = resize(centre_square(x), (self.side, self.side), "bicubic")
        return Features(self.net(normalise(square, CLIP)), None)


@extractor("clip", fits=grey_or_rgb, locate=WEIGHTS.locate)
def clip() -> CLIPExtractor:
    """CLIP ViT-L/14 at 336 pixels: 768 features, preprocessed as for CMMD."""
    return CLIPExtractor(WEIGHTS.found())
