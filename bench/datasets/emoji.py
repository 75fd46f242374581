"""Emoji with their names: pictures of a colour font, each with the words that Unicode has for it.

Every picture is a class of its own, so a model that is told more than a number is told it in words, and those held out
have names that nobody was told while training.
"""

from __future__ import annotations

import io
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
from annotated_types import Ge, Le
from PIL import Image, ImageDraw, ImageFont

from bench import DataError, dataset
from bench.datasets._content import find
from bench.datasets._format import resize
from bench.datasets._image import ImageDataset, Splits
from bench.errors import named
from bench.foreign import decoding, locate

_FONT = "NotoColorEmoji.ttf"
_SYSTEM = Path("/usr/share/fonts/truetype/noto", _FONT)
_HOW = f"install fonts-noto-color-emoji, say font = FILE, or point `root` or GENBENCH_DATA at a folder with {_FONT}"
_BLOCKS = (range(0x231A, 0x2C00), range(0x1F300, 0x1FB00))  # where Unicode has them
_PIXELS = 109  # the one size of the pictures in such a font
_CANVAS = 136
_NOBODY = "\U000f0000"  # of private use: what the font draws for it, it draws for all that it lacks
_SKINS = range(0x1F3FB, 0x1F400)  # colours of skin, which alone are no pictures
HELD_OUT = 10  # of so many one is for validation, and one for the test


@dataset("emoji", modality="image", locate=lambda: str(_font("", "")))
def emoji(*, root: str = "", font: str = "", size: Annotated[int, Ge(8), Le(128)] = 32) -> ImageDataset:
    """About 1,200 emoji of one code point each, RGB on white, 32x32; captions are their names; needs a colour font.

    size: pixels a side.   font: its file; left out: that of the system, or NotoColorEmoji.ttf in ``root``, the folder
    of data, left out: GENBENCH_DATA, or ``data`` here.
    """
    path = _font(root, font)
    with decoding(path, ": no font with pictures in colour, such as Noto Color Emoji"):
        # By its content: of a file that it cannot read Pillow takes another of that name among the system's.
        every = dict(_drawn(ImageFont.truetype(io.BytesIO(path.read_bytes()), _PIXELS), size))
    if len(every) < HELD_OUT:
        raise DataError(f"{named(str(path))} holds {len(every)} emoji: take a font such as {_FONT}")
    names, pixels = sorted(every), np.stack([every[name] for name in sorted(every)])
    labels = np.random.default_rng(0).permutation(len(names))
    ends = len(names) // HELD_OUT, 2 * (len(names) // HELD_OUT)
    test, valid, train = np.split(labels, ends)
    splits: Splits = {"train": (pixels[train], train), "valid": (pixels[valid], valid), "test": (pixels[test], test)}
    return ImageDataset("emoji", splits, names)


def _font(root: str, font: str) -> Path:
    """Raises DataError where there is none."""
    if font:
        return locate(font)
    return _SYSTEM if not root and _SYSTEM.is_file() else find("colour emoji", root, (_FONT,), _HOW)


def _drawn(font: ImageFont.FreeTypeFont, size: int) -> Iterator[tuple[str, np.ndarray]]:
    """Name and picture ``(3, size, size)`` uint8 of each that the font has."""
    lacking = _picture(font, _NOBODY)
    for code in (code for block in _BLOCKS for code in block if code not in _SKINS):
        name = unicodedata.name(chr(code), "").lower()
        picture = _picture(font, chr(code)) if name else lacking
        if (picture != lacking).any() and (picture != picture[..., :1, :1]).any() and _coloured(picture):
            yield name, resize(picture, size, size)


def _picture(font: ImageFont.FreeTypeFont, text: str) -> np.ndarray:
    """``(3, height, width)`` uint8, on white."""
    canvas = Image.new("RGB", (_CANVAS, _CANVAS), "white")
    ImageDraw.Draw(canvas).text((0, 0), text, font=font, embedded_color=True)
    return np.asarray(canvas).transpose(2, 0, 1)


def _coloured(picture: np.ndarray) -> bool:
    """Whether it is more than an outline in black, as the font has digits and signs in passing."""
    return bool((picture.max(0).astype(int) - picture.min(0) > 16).mean() > 0.01)
