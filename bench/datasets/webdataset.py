"""Shards of WebDataset (Aizman et al. 2020, arXiv:2001.01858): tar files, in which what shares a key is one example.

``a/0001.jpg``, ``a/0001.cls`` and ``a/0001.json`` are one: a picture, its class, and what else is known of it. Shards
are read from their beginning to their end, as they are made to be.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path, PurePosixPath
from typing import Any

from bench import DataError, dataset
from bench.datasets._documents import Document, prepare_texts
from bench.datasets._image import ImageDataset
from bench.datasets._items import Item, Source, identity_of, set_apart, split_word
from bench.datasets._prepared import prepare
from bench.datasets._stages import AnyStages, staged
from bench.datasets._text import TextDataset
from bench.errors import named
from bench.foreign import afford, decoding, locate
from bench.protocols import SplitName
from bench.reading.encoded import Decoded, decode
from bench.reading.folders import SUFFIXES, hidden

_BRACES = re.compile(r"\{(\d+)\.\.(\d+)\}")
Example = Mapping[str, bytes]  # by the suffix, without its dot
Shard = tuple[Path, SplitName | None]


def modality_of(path: str) -> str:
    """Whether they hold pictures or texts, by the suffixes in the first example. Raises DataError for neither."""
    shards = _shards(path)
    _, first = next(_examples(shards[0]), ("", {}))
    if _picture_in(first):
        return "image"
    if "txt" in first:
        return "text"
    held = ", ".join(first) or "nothing"
    raise DataError(
        f"{named(shards[0])} holds {named(held)}: expected pictures ({', '.join(sorted(SUFFIXES))}) or .txt"
    )


@dataset("webdataset:", modality=modality_of, locate=lambda: "webdataset:PATH")
@staged
def webdataset(path: str, stages: AnyStages) -> ImageDataset | TextDataset:
    """Pictures (with .cls or .json) or texts (.txt) in tar shards: webdataset:PATH, train-{000..012}.tar or a folder.

    group: the name of a key in .json.   train, valid and test: by the names of shards.
    """
    every, name = _shards(path), f"webdataset:{path}"
    shards, remarks = set_apart(every, [split_word(PurePosixPath(*shard.parts[-2:])) for shard in every])
    if modality_of(path) == "text":
        documents, dropped = _documents(shards, stages)
        return prepare_texts(name, documents, stages, [*remarks, *dropped])
    items = partial(_items, shards, stages.group)
    return prepare(Source(name, identity_of(every), items, remarks=remarks), stages.of_pictures(name))


def _items(shards: Sequence[Shard], group: str) -> Iterator[Item]:
    for where, example, split in _every(shards):
        if suffix := _picture_in(example):
            about = _about(example, where)
            read = partial(_decoded, example[suffix], f"{where}.{suffix}")
            yield Item(where, read, _label(example, about), _key(about, group), split)


def _documents(shards: Sequence[Shard], stages: AnyStages) -> tuple[list[Document], list[str]]:
    """All texts, and a remark where bytes that are no UTF-8 were dropped. Raises DataError where they are not to be."""
    found, lost = list[Document](), 0
    for where, example, split in _every(shards):
        if "txt" in example:
            with decoding(f"{where}.txt"):
                text = example["txt"].decode("utf-8", "ignore" if stages.clean == "drop" else "strict")
            lost += len(example["txt"]) - len(text.encode())
            found.append(Document(where, text, _key(_about(example, where), stages.group), split))
    return found, [f"bytes that are no UTF-8 are dropped: {lost:,}"] if lost else []


def _every(shards: Sequence[Shard]) -> Iterator[tuple[str, Example, SplitName | None]]:
    """Every example, what messages call it, and the split that its shard was set apart for."""
    for shard, split in shards:
        for key, example in _examples(shard):
            yield f"{shard.name}: {key}", example, split


def _examples(shard: Path) -> Iterator[tuple[str, Example]]:
    """Key and parts of each example of a shard. Raises DataError for one that is damaged or cut off."""
    key, parts = "", dict[str, bytes]()
    with decoding(shard), tarfile.open(shard, "r|*") as archive:
        for member in archive:
            archive.members = []  # type: ignore[attr-defined]  # it keeps a list of all, and shards have very many
            path = PurePosixPath(member.name)
            if not member.isfile() or any(map(hidden, path.parts)):
                continue
            stem, _, suffix = path.name.partition(".")
            name = str(path.with_name(stem))
            if name != key and parts:
                yield key, parts
                parts = {}
            afford(f"{shard}: {member.name}", member.size)
            content = archive.extractfile(member)
            key, parts[suffix.lower()] = name, content.read() if content else b""
    if parts:
        yield key, parts


def _picture_in(example: Example) -> str:
    """The suffix of its picture; "" where it has none."""
    return next((suffix for suffix in example if f".{suffix.rpartition('.')[2]}" in SUFFIXES), "")


def _decoded(content: bytes, where: str) -> Decoded:
    return decode(io.BytesIO(content), where)


def _about(example: Example, where: str) -> Mapping[str, Any]:
    """What .json says. Raises DataError for what is no object."""
    with decoding(f"{where}.json"):
        found = json.loads(example.get("json", b"{}"))
    if not isinstance(found, dict):
        raise DataError(f"{named(where)}.json holds no object")
    return found


def _label(example: Example, about: Mapping[str, Any]) -> str | int | None:
    """Of .cls, or ``label`` or ``cls`` of .json; a number where it reads as one."""
    told = (
        example["cls"].decode("utf-8", "replace").strip() if "cls" in example else about.get("label", about.get("cls"))
    )
    if isinstance(told, str) and told.isdecimal():
        return int(told)
    return told if isinstance(told, str | int) else None


def _key(about: Mapping[str, Any], group: str) -> str | None:
    return str(about[group]) if group and group in about else None


def _shards(path: str) -> list[Path]:
    """Of a file, a folder, a pattern (``*``) or a range in braces, in order. Raises DataError for none."""
    written = str(Path(path).expanduser())
    if braces := _BRACES.search(written):
        first, last = braces.groups()
        numbers = range(int(first), int(last) + 1)
        return [locate(_BRACES.sub(f"{number:0{len(first)}d}", written, count=1)) for number in numbers]
    if "*" in written:
        found = sorted(Path(written).parent.glob(Path(written).name))
    else:
        place = locate(path)
        found = sorted(place.rglob("*.tar*")) if place.is_dir() else [place]
    if not found:
        raise DataError(f"{named(path)} holds no shard (.tar)")
    return found
