"""Films, decoded by PyAV: MP4, WebM, GIF and what else it reads."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import IO, Any, NamedTuple

import numpy as np

from bench.errors import DataError
from bench.foreign import afford, decoding

ASKED = 100  # frames, after which it is asked again whether there is memory


class Frames(NamedTuple):
    """pixels: those that were taken, each ``(3, H, W)`` uint8.  said: how many the file says it has.  there: found.

    rate: how many it shows a second, on average; None where it does not say.
    """

    pixels: list[np.ndarray]
    said: int
    there: int
    rate: float | None


def pyav() -> Any:
    """PyAV. Raises DataError where it is missing."""
    try:
        import av
    except ImportError as error:
        raise DataError('films are read by PyAV: pip install "genbench[video]"') from error
    return av


def decode_film(file: IO[bytes], name: str, enough: float = math.inf, fps: float | None = None) -> Frames:
    """The first so many frames, of so many a second those that are shown then. Raises DataError for damage."""
    with decoding(name):
        if not file.read(1):
            raise ValueError("it is empty")
        file.seek(0)
        return _decoded(file, name, enough, fps)


def _decoded(file: IO[bytes], name: str, enough: float, fps: float | None) -> Frames:
    with pyav().open(file) as film:
        if not film.streams.video:
            return Frames([], 0, 0, None)
        stream = film.streams.video[0]
        rate = float(stream.average_rate or 0)
        said = stream.frames or round(float(film.duration or 0) / 1e6 * rate)
        taken, there = list[np.ndarray](), 0
        last: np.ndarray | None = None
        for frame in film.decode(stream):
            if last is not None and len(taken) < enough:
                taken += [last] * _shown(frame.time, len(taken), fps)
            if len(taken) >= enough:
                break
            there, last = there + 1, frame.to_ndarray(format="rgb24").transpose(2, 0, 1)
            if (there - 1) % ASKED == 0:
                afford(name, 2 * len(taken) * last.nbytes)  # they are copied once, to one array
        every = [*taken, *([] if last is None else [last])]
        return Frames(every[: int(min(enough, len(every)))], said, there, rate or None)


def _shown(until: float | None, taken: int, fps: float | None) -> int:
    """How often a frame is taken that is shown until this second: for each moment of ``fps`` that is not over yet."""
    if fps is None:
        return 1
    return max(0, math.ceil((until or 0.0) * fps - 1e-6) - taken)


def all_grey(frames: Iterable[np.ndarray]) -> bool:
    """Whether the channels of each, ``(C, H, W)``, are the same: films do not say that they are grey."""
    return all((frame == frame[:1]).all() for frame in frames)
