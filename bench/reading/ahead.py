"""The shape of what a source holds, known before its examples are read."""

from __future__ import annotations

import math
from pathlib import Path

from bench.foreign import decoding, locate
from bench.reading.arrays import sample_form
from bench.reading.encoded import ORIENTATION, open_picture
from bench.reading.folders import PICTURES, RECORDINGS, kind_in, list_files
from bench.reading.sounds import decode_sound

Shape = tuple[int, ...]
_GREY = ("1", "L", "LA")
_ON_ITS_SIDE = (5, 6, 7, 8)  # EXIF orientations that lay the height along the width


def other_shape(source: str | Path, wanted: Shape) -> Shape | None:
    """The shape of the first example, where no order of its axes makes it ``wanted``; None where it may be so.

    Of a folder or .zip one picture is opened, of an array the header; of others nothing is known ahead. Pictures
    are ``(C, H, W)``; a grey one may be followed by others in RGB. Raises DataError for what is not there or damaged.
    """
    path = locate(source)
    suffix = path.suffix.lower()
    if path.is_dir() or suffix == ".zip":
        if kind_in(path) is not PICTURES:
            return None
        found = _of_first_picture(path)
        return found if found[1:] != wanted[1:] or found[0] > wanted[0] else None
    form = sample_form(path) if suffix in (".npy", ".npz") else None
    shape = form[0][1:] if form else wanted
    return shape if math.prod(shape) != math.prod(wanted) else None


def other_rate(source: str | Path, wanted: float | None) -> int | None:
    """Samples a second of the first sound in a folder, where data of ``wanted`` has others; None where it may be so.

    Raises DataError for what is not there or damaged.
    """
    path = locate(source)
    if wanted is None or not path.is_dir() or kind_in(path) is not RECORDINGS:
        return None
    listing = list_files(path, RECORDINGS)
    with listing.open(0) as file:
        rate = decode_sound(file, listing.names[0]).rate
    return rate if rate != wanted else None


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


def _of_first_picture(path: Path) -> Shape:
    listing = list_files(path)
    with decoding(listing.names[0]), listing.open(0) as file, open_picture(file) as image:
        size = image.size if image.getexif().get(ORIENTATION, 1) in _ON_ITS_SIDE else image.size[::-1]
        return (1 if image.mode in _GREY else 3, *size)
