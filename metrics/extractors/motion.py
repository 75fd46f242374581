"""Motion: a small network over space and time that knows moving digits, its weights shipped.

Trained by ``python -m metrics.extractors._train_motion`` (recipe, accuracy and seed stand there) to tell which digits a
clip of Moving MNIST shows, in which directions they go and how fast. Features are the 64 activations before the last
layer. Each rests on up to nine frames in a row, so that what frames say together counts: the Fréchet distance in this
space is a Fréchet video distance (Unterthiner et al. 2018, arXiv:1812.01717) on an embedding of its own, and not on
I3D's, which the plain name stands for. It has seen digits only: its distances rank models of moving digits and mean
little for other clips.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from bench import DataError, DataSpec, Features, Omitted, extractor, sha256
from metrics.extractors._image import exact_arithmetic

WEIGHTS = Path(__file__).with_name("motion.safetensors")
SHA256 = "329d11e63eb4e935736c49ab92549fbe71717a8e6ac3db5ce9e6838967bd10df"
SIDE, FEATURES, CHUNK = 32, 64, 64
DIGITS, DIRECTIONS, SPEEDS = 10, 8, 4  # what it tells of a clip


class MotionNet(nn.Module):
    """Grey clips ``(n, 1, T, 32, 32)`` in [0, 1] -> 64 features, and logits of digits, directions and speeds."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv3d(1, 12, (3, 5, 5), stride=(1, 2, 2), padding=(1, 2, 2)), nn.BatchNorm3d(12), nn.ReLU(),
            nn.Conv3d(12, 24, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(24), nn.ReLU(),
            nn.Conv3d(24, 48, 3, stride=(1, 2, 2), padding=1), nn.BatchNorm3d(48), nn.ReLU(),
            nn.Conv3d(48, 48, 3, padding=1), nn.BatchNorm3d(48), nn.ReLU(),  # 48 x T x 4 x 4
        )  # fmt: skip
        self.neck = nn.Sequential(nn.Flatten(), nn.Linear(48 * 16, FEATURES), nn.ReLU())
        self.head = nn.Linear(FEATURES, DIGITS + DIRECTIONS + SPEEDS)

    def forward(self, x: Tensor) -> Features:
        features = self.neck(self.body(x).mean(2))  # the mean over time, of what each frame says among its neighbours
        return Features(features, self.head(features))


class MotionExtractor(nn.Module):
    """Extractor over the shipped weights; frames of other sizes are resized to means of areas."""

    protocol: Mapping[str, str] = {"weights": f"sha256:{SHA256}", "resize": "area"}

    def __init__(self) -> None:
        super().__init__()
        if (found := sha256(WEIGHTS)) != SHA256:
            raise DataError(f"{WEIGHTS} has SHA-256 {found}, expected {SHA256}; reinstall genbench")
        self.net = MotionNet().eval().requires_grad_(False)
        self.net.load_state_dict({name: x.float() if x.is_floating_point() else x for name, x in read().items()})

    def forward(self, x: Tensor | Sequence[Tensor]) -> Features:
        """uint8 clips ``(n, T, 1, H, W)``, or a list of such of unequal length. Raises Omitted for colour."""
        if not isinstance(x, Tensor):
            return Features(torch.cat([self(clip[None]).features for clip in x]), None)
        if x.shape[2] != 1:
            raise Omitted(f"motion reads grey clips; these have {x.shape[2]} channels")
        with exact_arithmetic(x.device):
            found: list[Tensor] = [self.net(sized(part)).features for part in x.split(CHUNK)]
        return Features(torch.cat(found), None)  # it answers several questions at once: no classes of a clip


def read() -> dict[str, Tensor]:
    return load_file(WEIGHTS)


def sized(x: Tensor) -> Tensor:
    """What the net reads, float32 ``(n, 1, T, 32, 32)``, of uint8 ``(n, T, 1, H, W)``."""
    n, frames = x.shape[:2]
    grey = x.flatten(0, 1).float() / 255
    if grey.shape[-2:] != (SIDE, SIDE):
        grey = F.interpolate(grey, size=(SIDE, SIDE), mode="area")
    return grey.view(n, frames, 1, SIDE, SIDE).transpose(1, 2)


def grey(spec: DataSpec) -> bool:
    """Whether frames have one channel."""
    return spec.modality == "video" and spec.shape[1] == 1


@extractor("motion", on={"video"}, fits=grey, default_for={"video"}, classic={"fd": "fvd_motion"}, lead=1)
def motion() -> MotionExtractor:
    """Network over space and time that knows moving digits, 64 features; weights shipped."""
    return MotionExtractor()
