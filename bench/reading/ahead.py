"""The shape of what a source holds, known before its examples are read."""

from __future__ import annotations

import math
from pathlib import Path

from bench.foreign import decoding, locate
from bench.reading.arrays import read_rate, sample_form
from bench.reading.encoded import ORIENTATION, open_picture
from bench.reading.films import all_grey, decode_film
from bench.reading.folders import FILMS, PICTURES, RECORDINGS, kind_in, list_files
from bench.reading.sounds import Recording, decode_sound

Shape = tuple[int, ...]
_GREY = ("1", "L", "LA")
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that lay the height along the width


def other_shape(source: str | Path, wanted: Shape) -> Shape | None:
    """The shape of the first example, where no order of its axes makes it ``wanted``; None where it may be so.

    Of a folder or .zip the first file is opened, of an array the header; of others nothing is known ahead. Pictures are
    ``(C, H, W)``, films ``(T, C, H, W)``; a grey one may be followed by others in RGB. Raises DataError for what is not
    there or damaged.
    """
    path = locate(source)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".zip":
        return _of_first(path, wanted)
    form = sample_form(path) if suffix in (".npy", ".npz") else None
    shape = form[0][1:] if form else wanted
    return shape if math.prod(shape) != math.prod(wanted) else None


def modality_ahead(source: str | Path) -> str | None:
    """Of what a folder holds; None for other sources. Raises DataError for what is not there, or holds no samples."""
    if not (path := locate(source)).is_dir():
        return None
    list_files(path, kind := kind_in(path), in_order=False)
    return {PICTURES: "image", RECORDINGS: "audio", FILMS: "video"}[kind]


def rate_ahead(source: object) -> float | None:
    """Samples a second of the first sound in a folder, or the ``rate`` that an .npz says, of whatever it holds.

    None for others. Raises DataError for what is not there or damaged.
    """
    if not isinstance(source, str | Path):
        return None
    path = locate(source)
    if path.is_dir():
        return float(_first_sound(path).rate) if kind_in(path) is RECORDINGS else None
    return read_rate(path) if path.suffix.lower() == ".npz" else None


def count_ahead(source: str | Path) -> int | None:
    """How many examples a folder, a .zip of pictures or an array holds, none of them read; None for other files.

    Raises DataError for what is not there or damaged.
    """
    path = locate(source)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".zip":
        return len(list_files(path, kind_in(path), in_order=False).names)
    form = sample_form(path) if suffix in (".npy", ".npz") else None
    return form[0][0] if form and form[0] else None


def _of_first(path: Path, wanted: Shape) -> Shape | None:
    kind = kind_in(path)
    if kind is RECORDINGS:
        samples = _first_sound(path).samples
        found: Shape = samples.shape if samples.shape[1] > 1 else samples.shape[:1]
        return found if found != wanted else None
    if kind is FILMS:
        listing = list_files(path, FILMS)
        with listing.open(0) as file:
            frames = decode_film(file, Path(listing.names[0]).name).pixels
        found = (len(frames), *(frames[0].shape if frames else ()))
        grey = bool(frames) and all_grey(frames)
        return found if found != wanted and not (grey and (found[0], 1, *found[2:]) == wanted) else None
    found = _of_first_picture(path)
    return found if found[1:] != wanted[1:] or found[0] > wanted[0] else None


def _first_sound(path: Path) -> Recording:
    listing = list_files(path, RECORDINGS)
    with listing.open(0) as file:
        return decode_sound(file, listing.names[0])


def _of_first_picture(path: Path) -> Shape:
    listing = list_files(path)
    with decoding(listing.names[0]), listing.open(0) as file, open_picture(file) as image:
        size = image.size if image.getexif().get(ORIENTATION, 1) in _ON_ITS_SIDE else image.size[::-1]
        return (1 if image.mode in _GREY else 3, *size)
