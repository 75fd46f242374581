"""LeNet: a small digit classifier after LeNet-5 (LeCun et al. 1998, section II-B), its weights shipped.

Trained by ``python -m metrics.extractors._train_lenet`` (recipe, accuracy and seed stand there). Features are the 84
activations before the last layer; logits are of the ten digits. It has seen digits only: its distances rank models
of digits and mean nothing for other pictures.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from bench import DataError, DataSpec, Features, Omitted, extractor, sha256
from metrics.extractors._digits import are_digits
from metrics.extractors._image import exact_arithmetic

WEIGHTS = Path(__file__).with_name("lenet.safetensors")
SHA256 = "74f811384d19ee93ffdc1a7f0c86d4d66c193542adbf5235a888845e1a34fb24"


class LeNet(nn.Module):
    """28x28 grey in [0, 1] -> 84 features, 10 logits."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),  # 6 x 14 x 14
            nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2),  # 16 x 5 x 5
            nn.Flatten(), nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(),
        )  # fmt: skip
        self.head = nn.Linear(84, 10)

    def forward(self, x: Tensor) -> Features:
        features = self.body(x)  # (batch, 84)
        return Features(features, self.head(features))


class LeNetExtractor(nn.Module):
    """Extractor over the shipped weights; images of other sizes are resized bilinearly, antialiased."""

    protocol: Mapping[str, str] = {"weights": f"sha256:{SHA256}", "resize": "bilinear-antialias"}

    def __init__(self) -> None:
        super().__init__()
        if (found := sha256(WEIGHTS)) != SHA256:
            raise DataError(f"{WEIGHTS} has SHA-256 {found}, expected {SHA256}; reinstall genbench")
        self.net = LeNet().eval().requires_grad_(False)
        self.net.load_state_dict(load_file(WEIGHTS))

    def forward(self, x: Tensor) -> Features:
        """uint8 ``(n, 1, H, W)``. Raises Omitted for images with other than one channel."""
        if x.shape[1] != 1:
            raise Omitted(f"lenet reads grey digits; these images have {x.shape[1]} channels")
        grey = x.to(torch.float32) / 255
        if grey.shape[-2:] != (28, 28):
            grey = F.interpolate(grey, size=(28, 28), mode="bilinear", antialias=True)
        with exact_arithmetic(x.device):
            found: Features = self.net(grey)
        return found


def grey(spec: DataSpec) -> bool:
    """Whether pictures have one channel."""
    return spec.modality == "image" and spec.shape[0] == 1


@extractor("lenet", fits=grey, knows=are_digits, lead=2)
def lenet() -> LeNetExtractor:
    """Digit classifier with 84 features and 10 classes; weights shipped."""
    return LeNetExtractor()
