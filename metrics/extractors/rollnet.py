"""RollNet: a small convolutional network over piano rolls of 88 keys, its weights shipped.

It was trained on Bach's chorales to tell what was done to a piece: nothing, or that its frames were shuffled, played
backwards, its notes moved, its lower voices shifted in time, its end taken from another piece, or notes were added and
left out; and to name its key signature. What tells these apart are chords, how they follow, and which keys are at home:
so music that is as the chorales in these lies near them. Features are the 32 activations before the last layer, as
log(1 + x).

Trained by ``python -m metrics.extractors._train_rollnet`` (recipe, accuracy and seed stand there), on those of the
chorales that the data set ``chorales`` trains on, in frames of quarter and of eighth notes. So training data may lie
nearer to held-out data than other held-out data does: what copies is found out by measures of novelty. Of other music
its distances rank less than they would if it had been trained on that.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path

import torch
import torch.nn.functional as F
from safetensors.torch import load_file
from torch import Tensor, nn

from bench import DataError, DataSpec, Features, Omitted, extractor, sha256

WEIGHTS = Path(__file__).with_name("rollnet.safetensors")
SHA256 = "6f18afc569840eda5ecfe3498c53537ba23ad583e6e34defa2d1bba041aff65c"
KEYS, WIDTH, SIZE, KINDS, SIGNATURES, LAYERS, KERNEL = 88, 64, 32, 7, 12, 3, 5
BATCH = 64


class RollNet(nn.Module):
    """Rolls ``(n, T, 88)``, each of so many frames -> 32 features; logits of what was done, and of the signature."""

    def __init__(self) -> None:
        super().__init__()
        widths = [KEYS] + [WIDTH] * LAYERS
        self.layers = nn.ModuleList(
            nn.Conv1d(one, other, KERNEL, padding=KERNEL // 2) for one, other in pairwise(widths)
        )
        self.body = nn.Linear(2 * WIDTH, SIZE)
        self.kind, self.signature = nn.Linear(SIZE, KINDS), nn.Linear(SIZE, SIGNATURES)

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        inside = (torch.arange(x.shape[1], device=x.device) < lengths[:, None])[:, None]  # (n, 1, T)
        h = x.transpose(1, 2)
        for layer in self.layers:
            h = F.relu(layer(h)) * inside  # what lies behind an end is 0, as what lies beyond the last frame
        mean = h.sum(2) / lengths.clamp(min=1)[:, None]
        features = F.relu(self.body(torch.cat([mean, h.amax(2)], dim=1)))  # (n, 32)
        return features, self.kind(features), self.signature(features)


class RollNetExtractor(nn.Module):
    """Extractor over the shipped weights."""

    protocol: Mapping[str, str] = {"weights": f"sha256:{SHA256}", "features": "log1p"}

    def __init__(self) -> None:
        super().__init__()
        if (found := sha256(WEIGHTS)) != SHA256:
            raise DataError(f"{WEIGHTS} has SHA-256 {found}, expected {SHA256}; reinstall genbench")
        self.net = RollNet().eval().requires_grad_(False)
        self.net.load_state_dict(load_file(WEIGHTS))

    def forward(self, rolls: Tensor | Sequence[Tensor]) -> Features:
        """uint8 ``(n, T, 88)``, or n of ``(T, 88)``. Raises Omitted for other music."""
        every = list(rolls)
        if any(roll.ndim != 2 or roll.shape[1] != KEYS or roll.dtype != torch.uint8 for roll in every):
            raise Omitted(f"rollnet reads piano rolls of {KEYS} keys that are 0 or 1, and no other music")
        parts = [self._seen(every[start : start + BATCH]) for start in range(0, len(every), BATCH)]
        return Features(torch.cat(parts), None)

    def _seen(self, rolls: Sequence[Tensor]) -> Tensor:
        x = nn.utils.rnn.pad_sequence(list(rolls), batch_first=True).float()
        x = F.pad(x, (0, 0, 0, max(0, 1 - x.shape[1])))  # a piece without a frame is one of silence
        lengths = torch.tensor([len(roll) for roll in rolls], device=x.device)
        features: Tensor = self.net(x, lengths)[0].log1p()  # noise, of ten times as many notes, else lies out of sight
        return features


def piano(spec: DataSpec) -> bool:
    """Whether music is, or can be written out as, rolls of 88 keys."""
    rolls = spec.kind == "binary" and len(spec.shape) == 2 and spec.shape[1] == KEYS
    return spec.modality == "music" and (rolls or spec.kind == "tokens")


@extractor("rollnet", on={"music"}, fits=piano, default_for={"music"}, lead=1)
def rollnet() -> RollNetExtractor:
    """Piano rolls of 88 keys, trained on chorales, 32 features; weights shipped."""
    return RollNetExtractor()
