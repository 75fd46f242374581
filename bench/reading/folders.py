"""Folders and archives of pictures, in natural order of their names: 0, 1, 2, 10.

Links to folders are followed, each folder is read once, and whatever is skipped is named with its count. Pictures are
turned as their EXIF orientation says; eight bits of grey or RGB are kept, and what those cannot hold is refused.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import IO, NamedTuple

import numpy as np

from bench.errors import DataError, named
from bench.foreign import Say, decoding
from bench.modalities._pictures import Pictures
from bench.reading.arrays import refuse_bomb
from bench.reading.encoded import decode, several_remark, turned_remark

SUFFIXES = frozenset({".png", ".jpg", ".jpeg", ".bmp", ".webp", ".tif", ".tiff", ".ppm", ".pgm"})
EXAMPLES = 3  # names in a remark


class Kind(NamedTuple):
    """What is looked for: what messages call it, and the suffixes that it is known by."""

    many: str
    suffixes: frozenset[str]


PICTURES = Kind("pictures", SUFFIXES)
RECORDINGS = Kind("sounds", frozenset({".wav", ".flac", ".ogg"}))
FILMS = Kind("films", frozenset({".mp4", ".m4v", ".mov", ".webm", ".mkv", ".avi", ".gif"}))


class Listing(NamedTuple):
    """Files that lie somewhere, in order: what messages call them, how one is opened, and what was passed by."""

    names: Sequence[str]
    open: Callable[[int], IO[bytes]]
    skipped: str


def list_files(source: Path, kind: Kind = PICTURES, *, in_order: bool = True) -> Listing:
    """The pictures, sounds or films below a folder or in a .zip file, none of them opened yet.

    in_order: natural order of names takes as long as finding them; who only wants to know what is there need not wait.
    Raises DataError for none, and for a folder or an archive that cannot be read.
    """
    skipped = _Skipped(kind)
    order = _in_order if in_order else list
    names, open_ = (_in_folder if source.is_dir() else _in_archive)(source, skipped, order)
    if not names:
        found = f"; skipped: {skipped}" if skipped.names else ""
        other = f" but {kind_in(source).many}" if kind_in(source) is not PICTURES else ""
        raise DataError(f"{named(source)} holds no {kind.many} ({', '.join(sorted(kind.suffixes))}){other}{found}")
    return Listing(names, open_, f"skipped: {skipped}" if skipped.names else "")


def kind_in(source: Path) -> Kind:
    """That of which a folder holds most, pictures where none is there; of a .zip file pictures."""
    if not source.is_dir():
        return PICTURES
    every = Kind("samples", PICTURES.suffixes | RECORDINGS.suffixes | FILMS.suffixes)
    found = Counter(name[name.rfind(".") :].lower() for name in _walk(source, _Skipped(every)))
    return max((PICTURES, RECORDINGS, FILMS), key=lambda kind: sum(found[suffix] for suffix in kind.suffixes))


def read_pictures(source: Path, say: Say) -> Pictures:
    """As ``list_files``, each decoded when it is looked at. Raises DataError for one that cannot be."""
    names, open_, skipped = list_files(source)
    decoder = _Decoder(names, open_)
    pictures = Pictures(names, decoder.read)
    for remark in filter(None, (*decoder.remarks(), *size_remarks(pictures), skipped)):
        say(f"{named(source)}: {remark}")
    return pictures


Order = Callable[[Iterable[str]], list[str]]


def _in_folder(folder: Path, skipped: _Skipped, order: Order) -> tuple[list[str], Callable[[int], IO[bytes]]]:
    names = [f"{folder}/{name}" for name in order(_walk(folder, skipped))]
    return names, lambda i: Path(names[i]).open("rb")


def _in_archive(path: Path, skipped: _Skipped, order: Order) -> tuple[list[str], Callable[[int], IO[bytes]]]:
    with decoding(path):
        archive = zipfile.ZipFile(path)  # closed with the last reference to it, for pictures are read later
    parts = dict[str, zipfile.ZipInfo]()
    for part in archive.infolist():
        if not part.is_dir() and skipped.passes(part.filename):
            if part.filename in parts:
                skipped.skip("names that stand twice", part.filename)
            parts[part.filename] = part  # the last counts, as in any archive that was added to
    names = order(parts)
    for name in names:
        refuse_bomb(parts[name], f"{path}: {name}")
    return [f"{path}: {name}" for name in names], lambda i: archive.open(parts[names[i]])


class _Skipped:
    """Names that are not what is looked for, by the reason."""

    def __init__(self, kind: Kind) -> None:
        self.kind, self.names = kind, dict[str, list[str]]()

    def passes(self, name: str) -> bool:
        """Whether a path below the folder is that of one; if not, it is written down."""
        if any(map(hidden, name.split("/"))):
            return self.skip("hidden", name)
        stem, dot, suffix = name.rpartition("/")[2].rpartition(".")
        if not stem or (dot + suffix).lower() not in self.kind.suffixes:
            return self.skip(f"not named as {self.kind.many}", name)
        return True

    def skip(self, why: str, name: str) -> bool:
        self.names.setdefault(why, []).append(name)
        return False

    def __str__(self) -> str:
        """Each reason with its count and the first names."""
        reasons = []
        for why, names in self.names.items():
            some = [*map(named, names[:EXAMPLES]), *(["..."] if len(names) > EXAMPLES else [])]
            reasons.append(f"{len(names)} {why} ({', '.join(some)})")
        return "; ".join(reasons)


def _walk(folder: Path, skipped: _Skipped) -> list[str]:
    """Paths of files below a folder, relative to it. Links to folders are followed, each folder once."""
    found, seen, waiting = list[str](), set[tuple[int, int]](), deque([""])
    while waiting:
        below = waiting.pop()
        with decoding(folder / below):
            about, entries = (folder / below).stat(), sorted(os.scandir(folder / below), key=lambda entry: entry.name)
            folders = {entry.name for entry in entries if entry.is_dir()}
        if (about.st_dev, about.st_ino) in seen:
            skipped.skip("folders reached before", below)
            continue
        seen.add((about.st_dev, about.st_ino))
        for entry in entries:
            name = f"{below}/{entry.name}" if below else entry.name
            if entry.name in folders and not hidden(entry.name):
                # Links last, so that a folder goes by its own name if it has one here.
                waiting.appendleft(name) if entry.is_symlink() else waiting.append(name)
            elif skipped.passes(name):
                if not entry.is_file():
                    raise DataError(f"{named(folder / name)} is no file: a link to nothing, a pipe or a device")
                found.append(name)
    return found


def hidden(name: str) -> bool:
    """Whether a file or folder of this name is not meant to be seen: Unix's dot, and what macOS adds to archives."""
    return name.startswith(".") or name == "__MACOSX"


def _in_order(names: Iterable[str]) -> list[str]:
    """Natural order, folder by folder: numbers in names count as numbers."""
    return sorted(names, key=lambda name: ([_natural(part) for part in _parts(name)], name))


def _parts(name: str) -> list[str]:
    """Folders, and the name of the file without its suffix."""
    return name.rpartition(".")[0].split("/")


def _natural(name: str) -> list[tuple[int, str]]:
    """Text and numbers in turn, numbers by their length and digits, since they may be longer than an int can be."""
    pieces = re.split("([0-9]+)", name)
    return [(len(p.lstrip("0")), p.lstrip("0")) if place % 2 else (0, p) for place, p in enumerate(pieces)]


def size_remarks(pictures: Pictures) -> Iterator[str]:
    """What is done to pictures that are not like the rest."""
    n, ((height, width), most) = len(pictures), next(iter(pictures.sizes.items()))
    if len(pictures.sizes) > 1:
        yield (
            f"{n - most} of {n} pictures are not {width}x{height} like the other {most}: each is resized from its own "
            "size"
        )
    if pictures.grey:
        yield f"{pictures.grey} of {n} pictures are grey, the others RGB: grey is repeated to RGB"


class _Decoder:
    """Decodes encoded pictures; notes which of them are turned, and which hold more than one."""

    def __init__(self, names: Sequence[str], open_: Callable[[int], IO[bytes]]) -> None:
        self._names, self._open = names, open_
        self._turned, self._several = set[int](), set[int]()

    def read(self, index: int) -> np.ndarray:
        """``(C, H, W)`` uint8, grey or RGB."""
        with decoding(name := self._names[index]), self._open(index) as file:
            found = decode(file, name)
        if found.several:
            self._several.add(index)
        if found.turned:
            self._turned.add(index)
        return found.pixels

    def remarks(self) -> Iterator[str]:
        """What was done to how many."""
        yield from turned_remark(len(self._turned), len(self._names))
        yield from several_remark(len(self._several))
