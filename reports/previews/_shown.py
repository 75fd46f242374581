"""What a page can show of samples."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Shown:
    """A picture (PNG bytes) and the first few of what is in it in one line, texts, or sounds (WAV bytes).

    moving: what moves, as an animated PNG that loops; it stands below the picture, which says the same in stillness.
    midi: scores (MIDI bytes) of the sounds.
    """

    png: bytes | None = None
    moving: bytes | None = None
    first: bytes | None = None
    texts: tuple[str, ...] = ()
    sounds: tuple[bytes, ...] = ()
    midi: tuple[bytes, ...] = ()
