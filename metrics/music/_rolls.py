"""What measures of music share: checked rolls, their notes, and distances of one side to the other.

A note is a key that sounds in frames one after another, since a roll does not tell a repeated note from a held one.
Measures do not ask which key is the lowest: all of them are the same of music that is moved up or down.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import numpy as np
import torch

from bench import (
    Comparison,
    Estimate,
    GenbenchError,
    Interval,
    Omitted,
    Sequences,
    TooFew,
    bounded_interval,
    difference_interval,
    normal_interval,
)

PITCH_CLASSES = 12
Side = Literal["samples", "reference", "train"]


@dataclass(frozen=True)
class Rolls:
    """Pieces as one row of frames. frames: ``(N, keys)`` bool.   lengths: of each piece, ``(pieces,)``."""

    frames: np.ndarray
    lengths: np.ndarray

    @cached_property
    def piece(self) -> np.ndarray:
        """Of each frame, ``(N,)``."""
        return np.repeat(np.arange(len(self.lengths)), self.lengths)

    @cached_property
    def first(self) -> np.ndarray:
        """Whether a frame is the first of its piece, ``(N,)``."""
        found: np.ndarray = np.diff(self.piece, prepend=-1) != 0
        return found

    @cached_property
    def onsets(self) -> np.ndarray:
        """Where notes begin, ``(N, keys)`` bool."""
        before = np.roll(self.frames, 1, axis=0) & ~self.first[:, None]
        found: np.ndarray = self.frames & ~before
        return found

    @cached_property
    def notes(self) -> np.ndarray:
        """Piece, key and length in frames of each, ``(notes, 3)``, key after key."""
        last = np.roll(self.first, -1)
        after = np.roll(self.frames, -1, axis=0) & ~last[:, None]
        key, begin = np.nonzero(self.onsets.T)
        end = np.nonzero((self.frames & ~after).T)[1]
        return np.stack([self.piece[begin], key, end - begin + 1], axis=1)

    def counts(self, kind: np.ndarray, kinds: int) -> np.ndarray:
        """How many notes of each kind a piece has, ``(pieces, kinds)``. kind: of each note, 0..kinds - 1."""
        flat = np.bincount(self.notes[:, 0] * kinds + kind, minlength=len(self.lengths) * kinds)
        return flat.reshape(-1, kinds)


def rolls_of(x: torch.Tensor | Sequences, what: str = "samples") -> Rolls:
    """Pieces ``(n, T, keys)`` of 0 and 1. Raises Omitted for other music, TooFew for fewer than two pieces."""
    data = x.data if isinstance(x, Sequences) else x
    if data.ndim != 3 or data.dtype != torch.uint8:
        raise Omitted("needs piano rolls of 0 and 1")
    if len(data) < 2:
        raise TooFew(f"{len(data)} pieces of music are too few on the side of {what}: at least 2 are needed")
    full = torch.full((len(data),), data.shape[1])
    lengths = (x.lengths if isinstance(x, Sequences) else full).numpy()
    inside = np.arange(data.shape[1]) < lengths[:, None]
    return Rolls(data.numpy()[inside] > 0, lengths)


def side_of(c: Comparison, side: Side) -> Rolls:
    """One side, made once for all measures. Raises as ``rolls_of``."""
    return c.once(_side, side)


def _side(c: Comparison, side: Side) -> Rolls:
    found = c.stored(side)
    if not isinstance(found, torch.Tensor | Sequences):
        raise Omitted("needs piano rolls of 0 and 1")
    return rolls_of(found, side)


def both(c: Comparison) -> tuple[Rolls, Rolls]:
    """Samples and held-out pieces. Raises GenbenchError where they have not as many keys."""
    ours, theirs = side_of(c, "samples"), side_of(c, "reference")
    same_keys(ours, theirs)
    return ours, theirs


def same_keys(ours: Rolls, theirs: Rolls) -> None:
    """Raises GenbenchError for rolls of other numbers of keys."""
    if ours.frames.shape[1] != theirs.frames.shape[1]:
        keys = f"{ours.frames.shape[1]} keys and {theirs.frames.shape[1]}"
        raise GenbenchError(f"piano rolls of {keys} do not compare: bring both sides to one range")


def histogram_distance(ours: np.ndarray, theirs: np.ndarray, *, ordered: bool = False, hi: float = 1.0) -> Estimate:
    """Total variation between two pooled histograms or, of ordered bins, the distance by which mass is moved (W_1).

    ours, theirs: counts of each piece, ``(pieces, bins)``. The interval, by the delta method over pieces, is of the
    expectation at this n: few notes look unlike each other, so that 0 is not reached.
    Raises GenbenchError where a side has no notes.
    """
    for counts, what in ((ours, "samples"), (theirs, "held-out pieces")):
        if not counts.sum():
            raise GenbenchError(f"there is no note in the {what}")
    apart = ours.sum(0) / ours.sum() - theirs.sum(0) / theirs.sum()
    # d of the distance in each bin: its sign, halved, or the sum of the signs from there on.
    slope = np.cumsum(np.sign(np.cumsum(apart))[::-1])[::-1] if ordered else np.sign(apart) / 2
    value = float(np.abs(np.cumsum(apart)).sum() if ordered else np.abs(apart).sum() / 2)
    error = math.hypot(_share_error(ours, slope), _share_error(theirs, slope))
    if not apart.any():  # the same on both sides, by chance or by copying: each bin may go either way
        each = np.tri(len(apart)) if ordered else np.eye(len(apart)) / 2
        error = sum(math.hypot(_share_error(ours, bin_), _share_error(theirs, bin_)) for bin_ in each)
    interval = normal_interval(value, error, "delta method over pieces; of the expectation at this n", lo=0, hi=hi)
    return Estimate(value=value, n=int(ours.sum()), interval=interval)


def _share_error(counts: np.ndarray, slope: np.ndarray) -> float:
    """Standard error of the pooled shares' product with ``slope``."""
    total, n = counts.sum(), len(counts)
    residual = counts @ slope - (counts.sum(0) @ slope) / total * counts.sum(1)
    return math.sqrt(n / (n - 1) * float((residual**2).sum())) / float(total)


def mean_gap(ours: np.ndarray, theirs: np.ndarray, what: str) -> Estimate:
    """How far the means of a number in [0, 1] of each piece lie apart; NaN where a piece has none.

    Raises GenbenchError where fewer than two pieces of a side have one, saying ``what`` they lack.
    """
    first, second = (_mean(side[~np.isnan(side)], what) for side in (ours, theirs))
    found = difference_interval(first, second, "Newcombe, from Wilson's of both sides")
    return folded(first.value - second.value, first.n, found)


def _mean(values: np.ndarray, what: str) -> Estimate:
    if len(values) < 2:
        raise TooFew(f"{len(values)} pieces of a side have {what}: at least 2 are needed")
    mean, error = float(values.mean()), float(values.std(ddof=1)) / len(values) ** 0.5
    return Estimate(value=mean, n=len(values), interval=bounded_interval(mean, error, len(values), "Wilson"))


def folded(signed: float, n: int, interval: Interval | None) -> Estimate:
    """The distance of a difference to 0."""
    if interval is not None:
        lo, hi = sorted((abs(interval.lo), abs(interval.hi)))
        interval = interval.model_copy(update={"lo": 0.0 if interval.lo <= 0 <= interval.hi else lo, "hi": hi})
    return Estimate(value=abs(signed), n=n, interval=interval)


def gap_of(c: Comparison, of_each: Callable[[Rolls], np.ndarray], what: str) -> Estimate:
    """``mean_gap`` of samples and held-out pieces. of_each: a number of each piece, ``(pieces,)``."""
    ours, theirs = both(c)
    return mean_gap(of_each(ours), of_each(theirs), what)
