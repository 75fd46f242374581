"""Videos: a film strip each, frames from the first to the last; and the clips themselves, looping."""

from __future__ import annotations

import io
import math
from typing import BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import preview
from reports.previews._files import Beginning, Shape, beginning
from reports.previews._pictures import COLUMNS, FIRST, ROWS, grid, png
from reports.previews._shown import Shown

RATE, RATES = 10.0, (2.0, 30.0)  # frames a second where nobody says, and those that are shown
LONGEST = 64  # frames that are played
LARGEST = 2**19  # bytes of moving pictures that a page carries of one model


@preview("video")
def show(file: BinaryIO) -> Shown:
    """Clips of uint8 frames ``(n, T, C, H, W)`` with one or three channels."""
    found = beginning(file, ROWS, "videos", _fits, lambda shape: math.prod(shape[1:]))
    columns = min(COLUMNS, found.samples.shape[1])
    strips = [
        clip[np.linspace(0, max(0, length - 1), columns).round().astype(int)]
        for clip, length in zip(found.samples, found.lengths, strict=True)
    ]
    first = png(grid(strips[0], columns=FIRST, rows=1))
    return Shown(png=png(grid(np.concatenate(strips), columns=columns)), moving=_loops(found), first=first)


def _fits(shape: Shape, dtype: np.dtype) -> bool:
    return len(shape) == 5 and dtype == np.uint8 and shape[2] in (1, 3)


def _loops(found: Beginning) -> bytes | None:
    """The clips beside each other, an animated PNG, of as many of them as a page carries; None of one frame."""
    if found.samples.shape[1] < 2:
        return None
    many = len(found.samples)
    while many:
        loop = _looped(found.samples[:many], found.lengths[:many], found.rate)
        if len(loop) <= LARGEST:
            return loop
        many //= 2
    return None


def _looped(clips: NDArray[np.uint8], lengths: NDArray[np.int64], rate: float | None) -> bytes:
    """One that is shorter than the others stands still at its end."""
    at = np.minimum(np.arange(min(clips.shape[1], LONGEST))[:, None], np.maximum(lengths - 1, 0))  # (frames, clips)
    frames = [Image.fromarray(grid(clips[np.arange(len(clips)), now], columns=len(clips), rows=1)) for now in at]
    seconds = 1 / min(max(rate or RATE, RATES[0]), RATES[1])
    buffer, about = io.BytesIO(), {"duration": round(1000 * seconds), "loop": 0, "default_image": False}
    frames[0].save(buffer, "PNG", save_all=True, append_images=frames[1:], **about)
    return buffer.getvalue()
