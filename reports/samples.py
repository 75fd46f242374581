"""What the generators made, side by side: picture grids and texts of one seed, read from the run folder.

Sample files are other people's data: checked, never unpickled, and shown as text or pixels only.
"""

from __future__ import annotations

import io
import json
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from bench import DataError, RunRecord
from reports.leaderboard import Board, Row

COLUMNS, ROWS = 6, 5
TEXTS, LONGEST = 3, 420
_TILE = 56  # pixels a tile should have on the page
_INVISIBLE = frozenset({"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"})  # Unicode categories
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
    sample = Sample(row.name, record.seed)
    try:
        path = _path(run_folder, record.samples or "")
        if path.suffix == ".json":
            return replace(sample, texts=tuple(map(visible, read_texts(path)[:TEXTS])))
        return replace(sample, png=png(grid(read_images(path))))
    except DataError as error:
        return replace(sample, problem=str(error))


def _path(run_folder: Path, name: str) -> Path:
    """A record names a file of its own folder and no other."""
    if Path(name).name != name:
        raise DataError(f"{name!r} is no file name")
    return run_folder / "samples" / name


def read_images(path: Path) -> Pixels:
    """``(n, C, H, W)`` uint8 with one or three channels. Raises DataError for anything else."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            images = file["samples"]
    # A damaged archive fails in as many ways as zip, zlib and numpy have, and none may take the page down.
    except Exception as error:
        raise _unreadable(path, error) from error
    if images.ndim != 4 or images.dtype != np.uint8 or images.shape[1] not in (1, 3) or not images.size:
        raise DataError(f"{path.name} holds no pictures: shape {images.shape}, {images.dtype}")
    return np.asarray(images, np.uint8)


def read_texts(path: Path) -> list[str]:
    """A JSON list of strings. Raises DataError for anything else."""
    try:
        texts = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise _unreadable(path, error) from error
    if not isinstance(texts, list) or not texts or not all(isinstance(text, str) for text in texts):
        raise DataError(f"{path.name} holds no list of texts")
    return texts


def _unreadable(path: Path, error: Exception) -> DataError:
    if isinstance(error, FileNotFoundError):
        return DataError(f"{path.name} is not in the run folder")
    return DataError(f"{path.name} cannot be read ({type(error).__name__})")


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
    """One picture as RGBA, at least 56 pixels high in whole multiples, at most 112."""
    height, width = image.shape[1:]
    colour = np.broadcast_to(image, (3, height, width)).transpose(1, 2, 0)
    picture = Image.fromarray(np.ascontiguousarray(colour)).convert("RGBA")
    if height > 2 * _TILE:
        small = (max(1, width * 2 * _TILE // height), 2 * _TILE)
        return np.asarray(picture.resize(small, Image.Resampling.LANCZOS))
    factor = max(1, round(_TILE / height))
    return np.asarray(picture.resize((width * factor, height * factor), Image.Resampling.NEAREST))


def png(pixels: Any) -> bytes:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def visible(text: str) -> str:
    """The beginning of a text, with everything that would act rather than show written out."""
    shown = "".join(map(_visible, text[:LONGEST]))
    return shown + ("…" if len(text) > LONGEST else "")


def _visible(character: str) -> str:
    """Control characters and other invisible ones by number; line breaks stay."""
    if character == "\n" or unicodedata.category(character) not in _INVISIBLE:
        return character
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{{{code:x}}}"


def missing(samples: Iterable[Sample]) -> Sequence[str]:
    """A line for every sample that could not be shown."""
    return [f"{sample.name}, seed {sample.seed}: {sample.problem}" for sample in samples if sample.problem]
