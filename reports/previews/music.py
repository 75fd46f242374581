"""Music: piano rolls as pictures, time to the right and pitch upwards, as MIDI and as sound; tokens as numbers."""

from __future__ import annotations

import math
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray

from bench import preview
from reports.previews._files import Beginning, Shape, beginning
from reports.previews._midi import midi_file, notes_of
from reports.previews._pictures import grid, png
from reports.previews._shown import Shown
from reports.previews._synthesiser import heard

PIECES, TEXTS, PLAYED = 6, 3, 2
STEPS = 256  # of a roll that are drawn
TOKENS = 64  # of a piece that are listed
SECONDS = 11.5  # of a piece that are heard: a page carries a quarter of a megabyte of each
LONGEST, MOST = 4096, 2**14  # frames and notes of a piece that are played
RATES = (0.1, 100.0)  # frames a second that can be played
FRAMES = 2.0  # a second, of what does not say how fast it is


@preview("music")
def show(file: BinaryIO) -> Shown:
    """Piano rolls ``(n, T, pitches)``, uint8 0 and 1 or float32 in [-1, 1], or tokens ``(n, T)`` int64."""
    found = beginning(file, PIECES, "music", _fits, lambda shape: math.prod(shape[1:]))
    if found.samples.ndim == 2:
        return Shown(texts=tuple(_listed(found)))
    rolls = _levels(found.samples[:, :STEPS]).transpose(0, 2, 1)[:, ::-1]  # (n, pitches, T), high notes first
    pieces = zip(found.samples[:PLAYED], found.lengths, strict=False)
    played = [_played(roll[: min(length, LONGEST)], found.rate) for roll, length in pieces]
    sounding = [both for both in played if both[1]]
    return Shown(
        png=png(grid(rolls[:, None], columns=2)),
        sounds=tuple(sound for _, sound in sounding),
        midi=tuple(midi for midi, _ in sounding),
    )


def _played(roll: NDArray[np.generic], rate: float | None) -> tuple[bytes, bytes]:
    """As MIDI and as a WAV file, both empty where nothing sounds."""
    speed = min(max(rate or FRAMES, RATES[0]), RATES[1]) if rate is None or math.isfinite(rate) else FRAMES
    notes = notes_of(np.nan_to_num(np.asarray(roll, np.float32)) > 0)[:MOST]
    if not len(notes):
        return b"", b""
    midi = midi_file(notes, speed)
    return midi, heard(notes, midi, speed, SECONDS)


def _fits(shape: Shape, dtype: np.dtype) -> bool:
    return (len(shape) == 3 and dtype in (np.uint8, np.float32)) or (len(shape) == 2 and dtype == np.int64)


def _levels(rolls: NDArray[np.generic]) -> NDArray[np.uint8]:
    if rolls.dtype == np.uint8:
        return np.where(rolls, 255, 0).astype(np.uint8)
    loud: NDArray[np.uint8] = np.rint((np.nan_to_num(rolls).clip(-1, 1) + 1) * 127.5).astype(np.uint8)
    return loud


def _listed(found: Beginning) -> list[str]:
    pieces = zip(found.samples[:TEXTS], found.lengths, strict=False)
    shown = [piece[: min(length, TOKENS)].tolist() for piece, length in pieces]
    return [" ".join(map(str, piece)) for piece in shown]
