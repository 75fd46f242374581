"""Free Spoken Digit Dataset (Jackson et al., github.com/Jakobovski/free-spoken-digit-dataset, CC BY-SA 4.0)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from pydantic import PositiveFloat

from bench import DataError, dataset
from bench.datasets._audio import AudioDataset
from bench.datasets._content import find
from bench.datasets._image import DIGITS
from bench.datasets._items import Item, Source, identity_of
from bench.datasets._sounds import prepare_sounds
from bench.datasets._stages import Clean, Level, Rate, SoundStages
from bench.foreign import decoding
from bench.protocols import SplitName
from bench.reading.sounds import Recording, decode_sound

_PLACES = ("fsdd", "audio/fsdd", "free-spoken-digit-dataset/recordings")
_HOW = (
    "get github.com/Jakobovski/free-spoken-digit-dataset and point `root` or GENBENCH_DATA at the folder that holds it"
)
_NAME = re.compile(r"(\d)_([a-z]+)_(\d+)\.wav")


@dataset("fsdd", modality="audio", locate=lambda: str(find("FSDD", "", _PLACES, _HOW)))
def fsdd(
    *,
    root: str = "",
    rate: Rate = 8000,
    seconds: PositiveFloat = 1.0,
    trim: bool = True,
    level: Level = "peak",
    clean: Clean = "drop",
) -> AudioDataset:
    """Spoken digits by six speakers, 8 kHz, a second each: of 50 takes 0-4 test, 5-9 valid, the rest train (2,400).

    root: the folder that holds it.   rate, seconds: samples a second, and the length of all.
    trim: whether silence at both ends is cut off.   level: "peak", "rms" or "as_is".
    clean: what becomes of recordings that are damaged, silent or clipped: "drop", "refuse" or "keep".
    """
    files = files_of(root)
    identity = f"{files[0].parent.absolute()} {identity_of(files)}"
    stages = SoundStages(clean=clean, rate=rate, trim=trim, level=level, seconds=seconds)
    source = Source("fsdd", identity, partial(_items, files), classes=DIGITS, count=len(files))
    return prepare_sounds(source, stages)


def files_of(root: str) -> list[Path]:
    """The recordings, in order of their names. Raises DataError where there are none."""
    folder = find("FSDD", root, _PLACES, _HOW)
    files = sorted(path for path in folder.iterdir() if _NAME.fullmatch(path.name))
    if not files:
        raise DataError(f"{folder.absolute()} holds no recording named as 7_jackson_32.wav; {_HOW}")
    return files


def _items(files: list[Path]) -> Iterator[Item[Recording]]:
    for path in files:
        yield Item(path.name, partial(_read, path), int(path.name[0]), split=split_of(path))


def split_of(path: Path) -> SplitName:
    """The set's own: the first five takes of each digit by each speaker are tested on."""
    take = int(path.stem.rpartition("_")[2])
    return "test" if take < 5 else "valid" if take < 10 else "train"


def _read(path: Path) -> Recording:
    with decoding(path.name), path.open("rb") as file:
        return decode_sound(file, path.name)
