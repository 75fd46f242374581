"""A folder or .zip of files as a source: sub-folders are labels, or train, valid and test with labels in them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import IO, TypeVar

from bench import DataError
from bench.datasets._items import Item, Source, grouping, identity_of, set_apart
from bench.datasets._split import ALIASES
from bench.errors import named
from bench.foreign import decoding, locate
from bench.reading.folders import Kind, Listing, list_files

T = TypeVar("T")
Decode = Callable[[IO[bytes], str], T]  # of a file and the name that messages call it by


def folder_source(name: str, kind: Kind, group: str, decode: Decode[T]) -> Source[T]:
    """The files of a kind below what stands behind the colon of a dataset's name.

    group: a regular expression, as ``Stages`` has it. Raises DataError for no such place, and for no such files.
    """
    path = name.partition(":")[2]
    place = locate(path)
    if not place.is_dir() and place.suffix.lower() != ".zip":
        raise DataError(f"{named(path)} is neither a folder nor a .zip of {kind.many}")
    listing = list_files(place, kind, in_order=False)
    # Paths are labels and splits below this place, and others below another.
    identity = f"{place.absolute()} {identity_of(sorted(listing.names) if place.is_dir() else [place])}"
    _, remarks = set_apart(listing.names, _words(_below(place, listing)))
    remarks += [listing.skipped] if listing.skipped else []
    items = partial(_items, place, kind, grouping(group), decode)
    return Source(name, identity, items, remarks=remarks, count=len(listing.names))


def _items(place: Path, kind: Kind, group_of: Callable[[str], str | None], decode: Decode[T]) -> Iterator[Item[T]]:
    listing = list_files(place, kind)
    below = _below(place, listing)
    for (row, path), split in set_apart(list(enumerate(map(PurePosixPath, below))), _words(below))[0]:
        label = _first(path.parts[1 if split else 0 : -1])
        read = partial(_read, listing, row, str(path), decode)
        yield Item(str(path), read, label or None, group_of(str(path)), split)


def _below(place: Path, listing: Listing) -> list[str]:
    return [name.removeprefix(f"{place}/").removeprefix(f"{place}: ") for name in listing.names]


def _words(below: Sequence[str]) -> list[str]:
    """The folder that each lies in; "" for all where ``train`` is but one class of several, as cars and planes are."""
    words = [path.partition("/")[0] if "/" in path else "" for path in below]
    return [""] * len(words) if set(words) > {"train"} == set(words) & ALIASES.keys() else words


def _first(folders: Sequence[str]) -> str:
    return folders[0] if folders else ""


def _read(listing: Listing, row: int, name: str, decode: Decode[T]) -> T:
    with decoding(name), listing.open(row) as file:
        return decode(file, name)
