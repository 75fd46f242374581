"""A folder of films as a dataset of clips, decoded by PyAV."""

from __future__ import annotations

import importlib.metadata
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge
from pydantic import PositiveFloat, PositiveInt

from bench import DataError, dataset
from bench.datasets._cache import cached
from bench.datasets._format import Fit, Mode, fitted, in_mode
from bench.datasets._items import identity_of, set_apart
from bench.datasets._split import ALIASES, Share
from bench.datasets._video import Film, Filming, Unusable, VideoDataset, opened
from bench.errors import named
from bench.foreign import fault, locate
from bench.reading.films import decode_film, pyav
from bench.reading.folders import FILMS

UNDECODABLE, EMPTY, SHORT, CUT = "cannot be decoded", "hold no frame", "are too short", "are cut short"
LACKING = 0.05  # of the frames that a file says it has, so many may be missing: rates are rounded, and last frames left


@dataset("clips:", modality="video", locate=lambda: "clips:PATH")
def clips(
    path: str,
    *,
    frames: Annotated[int, Ge(2)] = 16,
    size: PositiveInt = 32,
    fps: PositiveFloat | None = None,
    fit: Fit = "crop",
    mode: Mode = "RGB",
    most: PositiveInt = 8,
    clean: Literal["drop", "refuse"] = "drop",
    valid: Share = 0.1,
    test: Share = 0.1,
) -> VideoDataset:
    """Films in a folder (MP4, WebM, GIF ...): clips:PATH; sub-folders are labels, or train, valid and test with labels.

    frames: of a clip; a longer film gives several, one behind the other, ``most`` of them, which stay in one split.
    size, fit, mode: of a frame, as of folder:. fps: frames a second that are taken, each the one that is shown then;
    left out: all. clean: films that are damaged, cut short, empty or shorter than a clip, and clips that stand twice,
    are dropped, and told with counts and names, or refuse the whole. valid, test: shares held out where none is apart.
    """
    place, _ = locate(path), pyav()
    if not place.is_dir():
        raise DataError(f"{named(path)} is no folder of films")
    files, other = _listed(place)
    if not files:
        raise DataError(f"{named(path)} holds no films ({', '.join(sorted(FILMS.suffixes))})")
    films, remarks = _films(
        place, files, partial(_clips, frames=frames, size=size, fps=fps, fit=fit, mode=mode, most=most)
    )
    done = f"{frames}/{size}/{fps}/{fit}/{mode}/{most}"
    about = [
        "clips",
        str(place.absolute()),
        identity_of(files),
        done,
        clean,
        valid,
        test,
        importlib.metadata.version("av"),
    ]
    remarks += [f"{other} other files are passed by"] if other else []

    def make(work: Path) -> None:
        Filming(f"clips:{path}", work, clean == "refuse", (valid, test)).run(iter(films), remarks, done)

    return cached(about, make, lambda folder: opened(f"clips:{path}", folder, fps))


def _listed(place: Path) -> tuple[list[Path], int]:
    """The films below a folder in order of their names, and how many other files lie there; hidden ones are none."""
    every = [file for file in sorted(place.rglob("*")) if file.is_file()]
    shown = [file for file in every if not any(part.startswith(".") for part in file.relative_to(place).parts)]
    films = [file for file in shown if file.suffix.lower() in FILMS.suffixes]
    return films, len(shown) - len(films)


def _films(place: Path, files: list[Path], read: Any) -> tuple[list[Film], list[str]]:
    """Each with its label and its split, by the folders that it lies in; and remarks."""
    below = [file.relative_to(place) for file in files]
    words = [path.parts[0] if len(path.parts) > 1 else "" for path in below]
    if set(words) > {"train"} == set(words) & ALIASES.keys():  # one class of several, as cars and trains are
        words = [""] * len(words)
    apart, remarks = set_apart(below, words)
    found = []
    for path, split in apart:
        folders = path.parts[1 if split else 0 : -1]
        found.append(Film(str(path), partial(read, place / path), folders[0] if folders else None, split))
    return found, remarks


def _clips(path: Path, *, frames: int, size: int, fps: float | None, fit: Fit, mode: Mode, most: int) -> np.ndarray:
    """The clips of a film, ``(n, frames, C, size, size)`` uint8. Raises Unusable."""
    try:
        pixels, said, there = decode_film(path, frames * most, fps)
    except DataError as error:
        raise Unusable(
            UNDECODABLE, fault(error.__cause__) if isinstance(error.__cause__, Exception) else str(error)
        ) from error
    if not there:
        raise Unusable(EMPTY, "no frame in it")
    if len(pixels) < frames * most and there < said - max(1, LACKING * said):
        raise Unusable(CUT, f"{there} of {said} frames are there")
    if len(pixels) < frames:
        raise Unusable(SHORT, f"{len(pixels)} frames, and a clip has {frames}")
    whole = len(pixels) // frames
    formed = [in_mode(fitted(frame, size, fit), mode) for frame in pixels[: whole * frames]]
    return np.stack(formed).reshape(whole, frames, *formed[0].shape)
