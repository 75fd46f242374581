"""Small made-up datasets of every modality, for tests."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from bench import Batch, DataSpec
from bench.datasets._text import ByteDataset

SPECS = {
    "image": DataSpec("image", (1, 8, 8), "continuous", classes=4),
    "music": DataSpec("music", (16, 12), "binary", rate=4.0),
    "audio": DataSpec("audio", (400,), "continuous", rate=8000.0),
    "video": DataSpec("video", (6, 1, 8, 8), "continuous", rate=10.0),
    "vector": DataSpec("vector", (5,), "continuous"),
}


class Part:
    def __init__(self, data: Tensor, labels: Tensor | None = None, lengths: Tensor | None = None) -> None:
        self.data, self.labels, self.lengths = data, labels, lengths

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor) -> Batch:
        pick = lambda x: None if x is None else x[index]  # noqa: E731
        return Batch(self.data[index], pick(self.labels), pick(self.lengths))


class MadeUp:
    """Three splits of a spec; ``lengths`` of each example differ if asked for, and what lies behind is rubbish."""

    fingerprint = "made-up"

    def __init__(self, spec: DataSpec, n: int = 20, *, unequal: bool = False) -> None:
        self.spec = spec
        self.train, self.valid, self.test = (self._part(n, seed, unequal) for seed in range(3))

    def _part(self, n: int, seed: int, unequal: bool) -> Part:
        rng = torch.Generator().manual_seed(seed)
        u, spec = torch.rand(n, *self.spec.shape, generator=rng), self.spec
        if spec.kind == "tokens":
            data = (u * (spec.vocab or 0)).long()
        else:
            data = (u < 0.2).float() if spec.kind == "binary" else u.cumsum(1) / u.shape[1] * 2 - 1
        labels = torch.arange(n) % spec.classes if spec.classes else None
        if not unequal:
            return Part(data, labels)
        lengths = torch.randint(2, spec.shape[0] + 1, (n,), generator=rng)
        padding = torch.arange(spec.shape[0]) >= lengths[:, None]
        data[padding] = -7 if spec.kind == "tokens" else torch.nan
        return Part(data, labels, lengths)


def made_up(modality: str, **how: Any) -> Any:
    """A dataset of this modality."""
    if modality == "text":
        text = "In the beginning was the word, and the word was long. " * 20
        return ByteDataset("made up", {"train": text[3:], "valid": text[5:], "test": text}, window=16)
    return MadeUp(SPECS[modality], **how)
