"""Encoded pictures: which formats are decoded, how large one may be, and what eight bits of grey or RGB can hold.

This is the one place that asks Pillow to open a file. Left to itself Pillow goes by the content, whatever the name
says, and has plugins that start other programs: PostScript is handed to Ghostscript.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO, NamedTuple

import numpy as np
from PIL import Image, ImageOps

from bench.errors import DataError, named
from bench.foreign import decoding

FORMATS = ("PNG", "JPEG", "BMP", "GIF", "WEBP", "TIFF", "PPM")
MOST_PIXELS = 89_478_485  # of one picture: Pillow's own bound, beyond which it warns of a trap
ORIENTATION = 0x0112  # EXIF
_MODES = ("1", "L", "LA", "P", "RGB", "RGBA", "CMYK", "YCbCr")
_LOSSLESS = ("PNG", "BMP", "TIFF", "PPM", "GIF")  # a WebP may be either, and does not say


class WrongMode(DataError):
    """Raised for a picture that is whole, and whose values eight bits of grey or RGB cannot hold."""


class Decoded(NamedTuple):
    """``(C, H, W)`` uint8, grey or RGB, upright.

    turned: whether its EXIF orientation had to be followed.  several: whether others are in the file behind it.
    mode: as it was saved, in Pillow's words; "" where nothing was saved.   loss: what saving may have cost it: 0
    nothing, 1 all colours but those of a palette, 2 what a lossy compression takes.
    """

    pixels: np.ndarray
    turned: bool = False
    several: bool = False
    mode: str = ""
    loss: int = 0


def open_picture(file: IO[bytes]) -> Image.Image:
    """A picture whose pixels are not decoded yet. Raises what Pillow raises, also for every other format."""
    return Image.open(file, formats=FORMATS)


def load(image: Image.Image, name: str) -> None:
    """Decode the pixels. Raises DataError for too many, and for another format; for damage what Pillow raises."""
    if image.width * image.height > MOST_PIXELS:
        raise DataError(f"{named(name)} claims {image.width}x{image.height}, more than {MOST_PIXELS:,} pixels")
    # A JPEG of several pictures calls itself MPO; one that was made or converted in memory is of no format.
    if image.format not in (None, "MPO", *FORMATS):
        raise DataError(
            f"{named(name)} is {named(image.format)}; decoded are {', '.join(FORMATS)}: give image.convert('RGB')"
        )
    image.load()


def is_turned(image: Image.Image) -> bool:
    """Whether its EXIF orientation says that it is to be seen otherwise than its pixels lie."""
    return bool(image.getexif().get(ORIENTATION, 1) != 1)


def turned_remark(turned: int, of: int) -> Iterator[str]:
    """Said of pictures that were turned."""
    if turned:
        yield f"{turned} of {of} pictures are turned as their EXIF orientation says"


def several_remark(several: int) -> Iterator[str]:
    """Said of files with more pictures than are read."""
    if several:
        yield f"{several} files hold more than one picture: the first is read"


def pixels_of(image: Image.Image, name: str) -> np.ndarray:
    """``(C, H, W)`` uint8, grey or RGB, upright.

    Raises DataError as ``load``, for damage, and, as WrongMode, for what these cannot hold.
    """
    with decoding(name):
        load(image, name)
        image = ImageOps.exif_transpose(image) if is_turned(image) else image
        if image.mode not in _MODES:
            raise WrongMode(f"{named(name)} has mode {image.mode}: save it with eight bits a channel, grey or RGB")
        if image.has_transparency_data and image.convert("RGBA").getchannel("A").getextrema()[0] != 255:
            raise WrongMode(f"{named(name)} is transparent in places: lay it on a background first")
        grey = image.mode in ("1", "L", "LA")
        pixels = np.asarray(image.convert("L" if grey else "RGB"))
    return pixels[None] if grey else pixels.transpose(2, 0, 1)


def decode(file: IO[bytes], name: str) -> Decoded:
    """The picture in a file. Raises DataError as ``pixels_of``."""
    with decoding(name), open_picture(file) as image:
        pixels = pixels_of(image, name)
        return Decoded(pixels, is_turned(image), getattr(image, "n_frames", 1) > 1, image.mode, _loss(image))


def _loss(image: Image.Image) -> int:
    if image.format not in _LOSSLESS or image.info.get("compression") == "jpeg":  # a TIFF may hold a JPEG
        return 2
    return int(image.mode == "P")
