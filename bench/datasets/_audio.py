"""Waveforms in memory: float32 in [-1, 1], all of one length."""

from __future__ import annotations

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS, Splits, parts_of
from bench.datasets._vector import VectorSplit
from bench.protocols import DataSpec


class AudioDataset:
    """Three splits of waveforms ``(n, T)`` or ``(n, T, channels)``, with labels or without.

    rate: samples a second, where it is known.   done: what was done to them, which is part of what they are known by.
    """

    def __init__(self, name: str, splits: Splits, classes: int | None, rate: float | None, done: str = "") -> None:
        self.name = name
        self.spec = DataSpec("audio", splits["train"][0].shape[1:], "continuous", classes=classes, rate=rate)
        self.fingerprint = fingerprint(f"audio/1/{rate}{done}", *parts_of(splits))
        self.train, self.valid, self.test = (VectorSplit(*splits[s]) for s in SPLITS)
