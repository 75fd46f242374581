"""Inception v3 as TensorFlow published it on 2015-12-05, through torch-fidelity (its resizer and its arithmetic).

No package carries the weights: they are looked for where torch.hub keeps them, and never fetched unasked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn
from torch_fidelity.feature_extractor_inceptionv3 import URL_INCEPTION_V3, FeatureExtractorInceptionV3

from bench import DataError, Features, Omitted, extractor
from metrics.extractors.weights import sha256

FILE = "weights-inception-2015-12-05-6726825d.pth"
SHA256_STARTS = "6726825d"


def locate() -> str:
    """Where the weights are. Raises DataError with the way to get them."""
    path = Path(torch.hub.get_dir()) / "checkpoints" / FILE
    if not path.is_file():
        shown = str(path).replace(str(Path.home()), "~", 1)  # reasons stand on pages that people share
        raise DataError(f"Inception weights are not at {shown}; download {URL_INCEPTION_V3} to there")
    return str(path)


class InceptionExtractor(nn.Module):
    """2,048 features of the last pooling and 1,008 bias-free logits; grey images are repeated to RGB."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        digest = sha256(path)
        # Checked before loading: the file is a pickle, and only these weights may call their distance FID.
        if not digest.startswith(SHA256_STARTS):
            raise Omitted(
                f"{path} has SHA-256 {digest[:8]}..., not {SHA256_STARTS}...: not the weights FID is defined by"
            )
        self.protocol: Mapping[str, str] = {"weights": f"sha256:{digest}", "resize": "tf1-bilinear-299"}
        self.net = FeatureExtractorInceptionV3(
            "inception", ["2048", "logits_unbiased"], feature_extractor_weights_path=str(path)
        )

    def forward(self, x: Tensor) -> Features:
        """uint8 ``(n, 1 or 3, H, W)``."""
        rgb = x.expand(-1, 3, -1, -1) if x.shape[1] == 1 else x
        features, logits = self.net(rgb)
        return Features(features, logits)


@extractor("inception", locate=locate)
def inception() -> InceptionExtractor:
    """Inception v3 of 2015-12-05: 2,048 features, 1,008 classes; weights from torch.hub's folder."""
    try:
        path = locate()
    except DataError as error:
        raise Omitted(str(error)) from error
    return InceptionExtractor(Path(path))
