"""Notes of piano rolls, and files of MIDI (format 0: one track of one piano)."""

from __future__ import annotations

import struct

import numpy as np
from numpy.typing import NDArray

TICKS = 480  # a quarter note
LOUD, PIANO_KEYS, PIANO_LOWEST, ALL_KEYS, MIDDLE = 80, 88, 21, 128, 60


def notes_of(roll: NDArray[np.bool_]) -> NDArray[np.int64]:
    """``(notes, 3)`` of beginning, end (in frames) and MIDI pitch of a roll ``(frames, keys)``, in order of time.

    A key that sounds in frames one after another is one note. 88 keys are a piano's, 128 all that MIDI has, others lie
    around middle C.
    """
    edges = np.diff(roll.T.astype(np.int8), prepend=0, append=0, axis=1)  # (keys, frames + 1)
    (key, first), (_, last) = np.nonzero(edges > 0), np.nonzero(edges < 0)
    keys = roll.shape[1]
    lowest = {PIANO_KEYS: PIANO_LOWEST, ALL_KEYS: 0}.get(keys, max(0, MIDDLE - keys // 2))
    found = np.stack([first, last, key + lowest], axis=1)
    return found[np.lexsort((found[:, 2], found[:, 0]))]


def midi_file(notes: NDArray[np.int64], rate: float) -> bytes:
    """The notes as a file, frames as quarter notes of which ``rate`` pass in a second; of MIDI's pitches, 0..127."""
    heard = notes[notes[:, 2] < ALL_KEYS]
    # At one time keys come up before others go down.
    events = sorted(
        [(int(end), 0x80, int(pitch), 0) for _, end, pitch in heard]
        + [(int(begin), 0x90, int(pitch), LOUD) for begin, _, pitch in heard]
    )
    track, now = bytearray(b"\0\xff\x51\x03" + struct.pack(">I", min(round(1e6 / rate), 2**24 - 1))[1:]), 0
    for at, *message in events:
        track += _variable((at - now) * TICKS) + bytes(message)
        now = at
    track += b"\0\xff\x2f\0"
    return b"MThd" + struct.pack(">IHHH", 6, 0, 1, TICKS) + b"MTrk" + struct.pack(">I", len(track)) + bytes(track)


def _variable(number: int) -> bytes:
    """Seven bits a byte, the highest first; all but the last are marked."""
    found = [number & 0x7F]
    while number := number >> 7:
        found.append(number & 0x7F | 0x80)
    return bytes(reversed(found))
