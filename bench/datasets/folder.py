"""A folder or .zip of pictures as a dataset."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path, PurePosixPath

from bench import DataError, dataset
from bench.datasets._image import ImageDataset
from bench.datasets._items import Item, Source, grouping, identity_of, set_apart
from bench.datasets._prepared import prepare
from bench.datasets._split import ALIASES
from bench.datasets._stages import Stages, staged
from bench.errors import named
from bench.foreign import decoding, locate
from bench.reading.encoded import Decoded, decode
from bench.reading.folders import Listing, list_pictures


@dataset("folder:", modality="image", locate=lambda: "folder:PATH")
@staged
def folder(path: str, stages: Stages) -> ImageDataset:
    """Pictures in a folder or .zip: folder:PATH; sub-folders are labels, or train, valid and test with labels in them.

    size: what every picture is brought to, so many pixels a side; needed where sizes differ.
    group: a regular expression that is searched for in the path below the folder; its first group, or all that it
    finds, is the key.   valid, test: shares that are held out where the folder sets none apart.
    """
    place = locate(path)
    if not place.is_dir() and place.suffix.lower() != ".zip":
        raise DataError(f"{named(path)} is neither a folder nor a .zip of pictures")
    listing = list_pictures(place, in_order=False)
    # Paths are labels and splits below this place, and others below another.
    identity = f"{place.absolute()} {identity_of(sorted(listing.names) if place.is_dir() else [place])}"
    _, remarks = set_apart(listing.names, _words(_below(place, listing)))
    remarks += [listing.skipped] if listing.skipped else []
    items = partial(_items, place, grouping(stages.group))
    return prepare(Source(f"folder:{path}", identity, items, remarks=remarks, count=len(listing.names)), stages)


def _items(place: Path, group_of: Callable[[str], str | None]) -> Iterator[Item]:
    listing = list_pictures(place)
    below = _below(place, listing)
    for (row, path), split in set_apart(list(enumerate(map(PurePosixPath, below))), _words(below))[0]:
        label = _first(path.parts[1 if split else 0 : -1])
        yield Item(str(path), partial(_read, listing, row, str(path)), label or None, group_of(str(path)), split)


def _below(place: Path, listing: Listing) -> list[str]:
    return [name.removeprefix(f"{place}/").removeprefix(f"{place}: ") for name in listing.names]


def _words(below: Sequence[str]) -> list[str]:
    """The folder that each lies in; "" for all where ``train`` is but one class of several, as cars and planes are."""
    words = [path.partition("/")[0] if "/" in path else "" for path in below]
    return [""] * len(words) if set(words) > {"train"} == set(words) & ALIASES.keys() else words


def _first(folders: Sequence[str]) -> str:
    return folders[0] if folders else ""


def _read(listing: Listing, row: int, name: str) -> Decoded:
    with decoding(name), listing.open(row) as file:
        return decode(file, name)
