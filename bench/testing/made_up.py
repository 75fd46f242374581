"""Small made-up data of every modality, for tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from bench.datasets._text import TextDataset
from bench.errors import GenbenchError, hint
from bench.protocols import Batch, DataSpec

SPECS: Mapping[str, DataSpec] = {
    "image": DataSpec("image", (1, 8, 8), "continuous", classes=4),
    "text": DataSpec("text", (16,), "tokens", vocab=256),
    "music": DataSpec("music", (16, 12), "binary", rate=4.0),
    "audio": DataSpec("audio", (160,), "continuous", rate=8000.0),
    "video": DataSpec("video", (6, 1, 8, 8), "continuous", rate=10.0),
    "vector": DataSpec("vector", (5,), "continuous"),
}
# Other forms that data of a modality may take.
VARIANTS: Mapping[str, DataSpec] = {
    "colour image": DataSpec("image", (3, 32, 32), "continuous", classes=10),
    "sound with labels": DataSpec("audio", (120,), "continuous", classes=3, rate=8000.0),
    "stereo sound": DataSpec("audio", (120, 2), "continuous", rate=8000.0),
    "music as tokens": DataSpec("music", (12,), "tokens", vocab=11),
    "colour video with labels": DataSpec(
        "video", (4, 3, 8, 8), "continuous", classes=3, rate=10.0, captions=("it falls", "it rises", "it stands")
    ),
}
# Forms that few families make, or that are nearly one of those above: metrics are asked for them besides.
UNUSUAL: Mapping[str, DataSpec] = {
    "text of few tokens": DataSpec("text", (12,), "tokens", vocab=11),
    "binary image": replace(SPECS["image"], kind="binary"),
    "video of larger frames": replace(SPECS["video"], shape=(4, 1, 16, 16)),
}
BYTES = 256
SENTENCE = "In the beginning was the word, and the word was long. "


class Part:
    """A split that lies in memory."""

    def __init__(self, data: Tensor, labels: Tensor | None = None, lengths: Tensor | None = None) -> None:
        self.data, self.labels, self.lengths = data, labels, lengths

    def __len__(self) -> int:
        return len(self.data)

    def batch(self, index: Tensor) -> Batch:
        return Batch(*(x if x is None else x[index] for x in (self.data, self.labels, self.lengths)))  # type: ignore[arg-type]


class MadeUp:
    """Three splits of ``n`` random examples each, of any spec.

    unequal: their lengths differ, and what lies behind them is rubbish.
    """

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


def made_up(what: DataSpec | str, **how: Any) -> Any:
    """A small dataset of this form, or of this modality; sequences of bytes are text that can be written out.

    Raises GenbenchError for a modality of which nothing is known but its name: give a DataSpec.
    """
    if isinstance(what, str) and what not in SPECS:
        raise GenbenchError(f"there is no made-up data of the modality {what!r}{hint(what, SPECS)}: give a DataSpec")
    spec = SPECS[what] if isinstance(what, str) else what
    if spec.kind == "tokens" and spec.vocab == BYTES and len(spec.shape) == 1:
        text = SENTENCE * (20 + spec.shape[0])
        return TextDataset("made up", {"train": text[3:], "valid": text[5:], "test": text}, window=spec.shape[0])
    return MadeUp(spec, **how)


def specs_of(modalities: frozenset[str]) -> dict[str, DataSpec]:
    """Every form of made-up data that is of one of these modalities."""
    return {label: spec for label, spec in {**SPECS, **VARIANTS}.items() if spec.modality in modalities}
