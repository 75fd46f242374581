"""Waveforms in memory or mapped: float32 in [-1, 1], all of one length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS, Splits, counted_and_named, parts_of
from bench.datasets._vector import VectorSplit
from bench.protocols import DataSpec

if TYPE_CHECKING:
    from bench.datasets._findings import Preparation


class AudioDataset:
    """Three splits of waveforms ``(n, T)`` or ``(n, T, channels)``, with labels or without.

    classes: how many there are, or what each is called.
    rate: samples a second, where it is known.   done: what was done to them, which is part of what they are known by.
    known: their fingerprint, where it is known already, so that arrays that are mapped need not be read.
    prepared: of sounds that went through the stages, what was found and done.
    """

    def __init__(
        self,
        name: str,
        splits: Splits,
        classes: int | Sequence[str] | None,
        rate: float | None,
        done: str = "",
        known: str | None = None,
    ) -> None:
        self.name = name
        count, captions = counted_and_named(classes)
        shape = splits["train"][0].shape[1:]
        self.spec = DataSpec("audio", shape, "continuous", classes=count, rate=rate, captions=captions)
        self.fingerprint = known or fingerprint(f"audio/1/{rate}{done}", *parts_of(splits))
        self.prepared: Preparation | None = None
        self.train, self.valid, self.test = (VectorSplit(*splits[s]) for s in SPLITS)
