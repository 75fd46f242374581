"""Music as events, as a performance is played: keys go down, keys come up, time passes (Oore et al. 2018,
arXiv:1808.03715, section 3, without loudness).

    0                    END
    1 .. 16              SHIFT   so many frames pass
    17 .. 104            ON      a key goes down, the lowest of the piano first
    105 .. 192           OFF     a key comes up

Of a frame first the keys that come up stand there, then those that go down, each from low to high; time passes in the
longest steps that there are; END comes once, at the end, and what still sounds ends there. So a piano roll is spelled
in one way, and is what its events are read as, exactly: as a roll, they do not tell a repeated note from a held one.
Any row of tokens can be read: what goes down twice is down, and behind the first END nothing counts.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from bench.datasets._content import fingerprint
from bench.datasets._image import SPLITS
from bench.datasets._rolls import KEYS, Rolls, longest_of
from bench.modalities._sequences import Sequences
from bench.protocols import Batch, DataSpec

if TYPE_CHECKING:
    from bench.datasets._findings import Preparation

END, SHIFTS = 0, 16
ON = 1 + SHIFTS
OFF = ON + KEYS
VOCAB = OFF + KEYS


def encoded(roll: np.ndarray) -> np.ndarray:
    """Events ``(tokens,)`` int64 of a roll ``(frames, 88)`` of 0 and 1."""
    return np.fromiter(_spelled(roll.astype(np.int8)), np.int64)


def _spelled(roll: np.ndarray) -> Iterator[int]:
    waiting, before = 0, np.zeros(KEYS, np.int8)
    for frame in roll:
        turned = frame - before
        if turned.any():
            yield from _passing(waiting)
            yield from (OFF + np.flatnonzero(turned < 0)).tolist()
            yield from (ON + np.flatnonzero(turned > 0)).tolist()
            waiting = 0
        waiting, before = waiting + 1, frame
    yield from _passing(waiting)
    yield END


def _passing(frames: int) -> Iterator[int]:
    yield from [SHIFTS] * (frames // SHIFTS)
    if frames % SHIFTS:
        yield frames % SHIFTS


def decoded(tokens: Sequence[int]) -> np.ndarray:
    """The roll ``(frames, 88)`` uint8 of any row of tokens in 0..192."""
    parts, down = [np.zeros((0, KEYS), np.uint8)], np.zeros(KEYS, np.uint8)
    for token in tokens:
        if token == END:
            break
        if token < ON:
            parts.append(np.tile(down, (token, 1)))
        elif token < OFF:
            down[token - ON] = 1
        else:
            down[token - OFF] = 0
    return np.concatenate(parts)


class EventSplit:
    """Pieces as events side by side, END behind each up to the longest of all splits."""

    def __init__(self, pieces: Sequence[np.ndarray], longest: int) -> None:
        self.events = torch.full((len(pieces), longest), END)
        self.lengths = torch.tensor([len(piece) for piece in pieces])
        for row, piece in zip(self.events, pieces, strict=True):
            row[: len(piece)] = torch.from_numpy(piece)

    def __len__(self) -> int:
        return len(self.events)

    def batch(self, index: Tensor) -> Batch:
        return Batch(self.events[index], lengths=self.lengths[index])


class EventDataset:
    """The pieces of a ``RollDataset`` as events. Raises DataError for a split that is empty.

    frame_rate: frames a second of what the events are read as.
    """

    def __init__(self, name: str, pieces: Rolls, rate: float | None = None) -> None:
        longest_of(name, pieces)
        events = {split: [encoded(roll) for roll in pieces[split]] for split in SPLITS}
        longest = longest_of(name, events)
        self.name, self.frame_rate = name, rate
        self.spec = DataSpec("music", (longest,), "tokens", vocab=VOCAB)
        self.fingerprint = fingerprint("events/1", *(part for s in SPLITS for part in (s, *events[s])))
        self.train, self.valid, self.test = (EventSplit(events[s], longest) for s in SPLITS)
        self.prepared: Preparation | None = None

    def rolls(self, stored: Tensor | Sequences) -> Sequences:
        """Each row of tokens as the piano roll that it is read as."""
        return Sequences.of(torch.from_numpy(decoded(row.tolist())) for row in stored)
