"""What the generators made, side by side: picture grids and texts of one seed, read from the run folder.

Sample files are other people's data: checked, never unpickled, no link followed, shown as text or pixels only. What
is not shown is not read, so a page takes the same memory for a hundred samples and for a million.
"""

from __future__ import annotations

import codecs
import io
import json
import math
import re
import warnings
import zipfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import IO, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import DataError, RunRecord, open_plain
from bench.results.board import Board, Row
from reports._escaping import visible

COLUMNS, ROWS = 6, 5
TEXTS, LONGEST = 3, 420
_TILE = 56  # pixels a tile should have on the page
_WIDEST = 8 * _TILE
_MOST_PIXELS = 2**24  # of one picture
_MOST_TEXT = 2**22  # bytes of a file of texts that are read
_PIECE = 2**20  # bytes that are read at once
_FIRST, _NEXT = re.compile(r'\s*\[\s*(?=")'), re.compile(r'\s*,\s*(?=")')  # before a text in a JSON list
Pixels = NDArray[np.uint8]


@dataclass(frozen=True)
class Sample:
    """What one generator made at one seed: a picture (PNG bytes), texts, or why neither can be shown."""

    name: str
    seed: int
    png: bytes | None = None
    texts: tuple[str, ...] = ()
    problem: str = ""


def gallery(board: Board, run_folder: Path) -> list[Sample]:
    """One sample a pictured generator, real data first and noise last, at the lowest seed that all of them have."""
    rows = [row for row in _in_order(board.pictured) if _with_samples(row)]
    common = set.intersection(*({r.seed for r in _with_samples(row)} for row in rows)) if rows else set()
    return [_sample(row, _pick(row, common), run_folder) for row in rows]


def _in_order(rows: Iterable[Row]) -> list[Row]:
    """Real data first; the rest as the board has it."""
    return sorted(rows, key=lambda row: not (row.group.control and row.group.first.family == "real"))


def _with_samples(row: Row) -> list[RunRecord]:
    return [record for record in row.group.records if record.samples]


def _pick(row: Row, common: set[int]) -> RunRecord:
    found = _with_samples(row)
    return next((r for r in found if r.seed == min(common, default=None)), found[0])


def _sample(row: Row, record: RunRecord, run_folder: Path) -> Sample:
    sample, name = Sample(row.name, record.seed), record.samples or ""
    try:
        with _open(run_folder, name) as file:
            if name.endswith(".json"):
                return replace(sample, texts=tuple(visible(text, LONGEST) for text in first_texts(file, TEXTS)))
            return replace(sample, png=png(grid(first_images(file, COLUMNS * ROWS))))
    except DataError as error:
        return replace(sample, problem=f"{visible(name, 80)} {error}")


def _open(run_folder: Path, name: str) -> BinaryIO:
    """A record names a file of its own folder and no other. Raises DataError."""
    if Path(name).name != name:
        raise DataError("is no file name")
    if (run_folder / "samples").is_symlink():
        raise DataError("lies behind a link, samples/, which is not followed")
    return open_plain(run_folder / "samples" / name)


class _InPieces:
    """A file that gives at most ``_PIECE`` bytes at once: an archive's table of contents may claim any length."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self.seekable, self._file = file.seek, file.tell, file.seekable, file

    def read(self, size: int | None = -1) -> bytes:
        return self._file.read(_PIECE if size is None or size < 0 else min(size, _PIECE))


def first_images(file: BinaryIO, count: int) -> Pixels:
    """Up to ``count`` pictures from the .npz of a run, ``(n, C, H, W)`` uint8 with one or three channels.

    Only they are unpacked, once the sizes that the file claims are checked. Raises DataError for anything else.
    """
    try:
        with warnings.catch_warnings(action="error"), zipfile.ZipFile(_InPieces(file)) as archive:
            member = archive.getinfo("samples.npy")
            if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                raise DataError("cannot be read (packed in a way that no run packs)")
            with archive.open(member) as stream:
                shape = _shape(stream, member.file_size)
                return _read(stream, (min(count, shape[0]), *shape[1:]))
    except DataError:
        raise
    # A damaged archive fails in as many ways as zip, zlib and numpy have, and none may take the page down.
    except Exception as error:
        raise DataError(f"cannot be read ({type(error).__name__})") from error


def _shape(stream: IO[bytes], size: int) -> tuple[int, ...]:
    """The shape of an array of pictures that fills the ``size`` bytes of the stream, its header read."""
    if np.lib.format.read_magic(stream) != (1, 0):
        raise DataError("cannot be read (an array as no run writes it)")
    shape, by_columns, dtype = np.lib.format.read_array_header_1_0(stream)
    claim = visible(f"{shape}, {dtype}", 120)
    if len(shape) != 4 or dtype != np.uint8 or shape[1] not in (1, 3) or min(shape) < 1 or by_columns:
        raise DataError(f"holds no pictures: shape {claim}")
    if math.prod(shape) != size - stream.tell():
        raise DataError(f"is damaged: shape {claim} in {size - stream.tell():,} bytes")
    if shape[2] * shape[3] > _MOST_PIXELS:
        raise DataError(f"holds pictures too large to be shown: shape {claim}")
    return shape


def _read(stream: IO[bytes], shape: tuple[int, ...]) -> Pixels:
    data = bytearray()
    while len(data) < math.prod(shape):
        piece = stream.read(min(math.prod(shape) - len(data), _PIECE))
        if not piece:
            raise DataError("is cut short")
        data += piece
    return np.frombuffer(data, np.uint8).reshape(shape)


def first_texts(file: BinaryIO, count: int) -> list[str]:
    """Up to ``count`` texts from the beginning of a JSON list of strings. Raises DataError for anything else."""
    data = file.read(_MOST_TEXT)
    whole = len(data) < _MOST_TEXT
    texts: list[str] = []
    try:
        # What is read of a long file may end within a text, and within a character.
        content = codecs.getincrementaldecoder("utf-8")().decode(data, whole)
        place = _FIRST.match(content)
        while place and len(texts) < count:
            text, end = json.JSONDecoder().raw_decode(content, place.end())
            texts.append(text)
            place = _NEXT.match(content, end)
    except ValueError as error:
        if whole or not texts:
            raise DataError(f"cannot be read ({type(error).__name__})") from error
    if not texts:
        raise DataError("holds no list of texts")
    return texts


def grid(images: Pixels, columns: int = COLUMNS, rows: int = ROWS) -> NDArray[np.uint8]:
    """The first images as tiles, ``(height, width, 4)``, gaps clear; small ones are enlarged."""
    tiles = [_tile(image) for image in images[: columns * rows]]
    size, gap = tiles[0].shape[:2], max(2, tiles[0].shape[0] // 24)
    lines = -(-len(tiles) // columns)
    across = min(columns, len(tiles))
    sheet = np.zeros((lines * (size[0] + gap) - gap, across * (size[1] + gap) - gap, 4), np.uint8)
    for number, tile in enumerate(tiles):
        top, left = (number // columns) * (size[0] + gap), (number % columns) * (size[1] + gap)
        sheet[top : top + size[0], left : left + size[1]] = tile
    return sheet


def _tile(image: Pixels) -> NDArray[np.uint8]:
    """One picture as RGBA, at least 56 pixels high in whole multiples, at most 112, and at most 448 wide."""
    height, width = image.shape[1:]
    picture = Image.fromarray(image[0] if len(image) == 1 else np.ascontiguousarray(image.transpose(1, 2, 0)))
    shrink = max(height / (2 * _TILE), width / _WIDEST)
    if shrink > 1:
        small = (max(1, int(width / shrink)), max(1, int(height / shrink)))
        # Reduced in whole steps first, or a picture a million wide would need a filter as long.
        return np.asarray(picture.resize(small, Image.Resampling.LANCZOS, reducing_gap=3.0).convert("RGBA"))
    factor = max(1, min(round(_TILE / height), _WIDEST // width))
    return np.asarray(picture.convert("RGBA").resize((width * factor, height * factor), Image.Resampling.NEAREST))


def png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def missing(samples: Iterable[Sample]) -> Sequence[str]:
    """A line for every sample that could not be shown."""
    return [f"{sample.name}, seed {sample.seed}: {sample.problem}" for sample in samples if sample.problem]
