"""What a source yields: one item after another, each read when its turn comes, so that memory does not grow with them.

A source knows where its items lie and what they are called. What is done to them is the same for every source: they
are cleaned (``_clean``, ``_alike``), denoised (``_denoise``) and brought to one form (``_format``).
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path, PurePath
from typing import Generic

from typing_extensions import TypeVar

from bench.datasets._split import ALIASES
from bench.errors import DataError, named, shown
from bench.protocols import SplitName
from bench.reading.encoded import Decoded

T = TypeVar("T")
D = TypeVar("D", default=Decoded)


@dataclass(frozen=True)
class Item(Generic[D]):
    """One picture or sound as it lies in its source.

    name: what messages call it.   read: what it holds; raises DataError, WrongMode for what eight bits cannot hold.
    label: of its class; None where it has none.   group: what shares one stays in one split.
    split: the one it was set apart for; None where a source sets nothing apart.
    """

    name: str
    read: Callable[[], D]
    label: str | int | None = None
    group: str | None = None
    split: SplitName | None = None


@dataclass(frozen=True)
class Source(Generic[D]):
    """A set of pictures or sounds that can be gone through again and again.

    name: as people ask for it.   identity: tells it from other places, and from what it was before it changed, without
        reading it.
    classes: names of the labels 0, 1, 2, ..., where the source numbers them itself.
    remarks: what was noticed before anything was read.   count: of the items, where it is known.
    labels: where somebody said that labels are to be found; "" where nobody did.
    """

    name: str
    identity: str
    items: Callable[[], Iterable[Item[D]]]
    classes: Sequence[str] | None = None
    remarks: Sequence[str] = ()
    count: int | None = None
    labels: str = ""


def identity_of(paths: Iterable[str | Path]) -> str:
    """Of files, in this order, by names, sizes and the times at which they were changed; none of them is opened."""
    total = sha256()
    for path in paths:
        about = os.stat(path)  # noqa: PTH116 (of 200,000 files, a Path for each would take seconds)
        line = f"{os.path.abspath(path)}\0{about.st_size} {about.st_mtime_ns}\0"  # noqa: PTH100 (as above)
        total.update(line.encode("utf-8", "surrogateescape"))
    return total.hexdigest()


def grouping(pattern: str) -> Callable[[str], str | None]:
    """What finds the key of a group in a path: the first group of a regular expression, or all that it finds.

    None where it finds nothing, and in every path where there is no pattern. Raises DataError for one that is none.
    """
    try:
        wanted = re.compile(pattern) if pattern else None
    except re.error as error:
        raise DataError(f"group = {shown(pattern)} is no regular expression: {error}") from error

    def group_of(path: str) -> str | None:
        found = wanted.search(path) if wanted else None
        return (found[1] if found.re.groups else found[0]) if found else None

    return group_of


def split_word(path: PurePath) -> str:
    """The word for a split in the name of a file, or of the folders it lies in: ``train-00000-of-00002.parquet``."""
    words = (word for part in reversed(path.parts) for word in re.split("[^a-z]+", part.lower()))
    return next((word for word in words if word in ALIASES), "")


def set_apart(every: Sequence[T], words: Sequence[str]) -> tuple[list[tuple[T, SplitName | None]], list[str]]:
    """Each with the split that its word names, and remarks: what has a word that names none is left out.

    None for all of them where no word names one, or all are of one that is held out: nothing is apart from it.
    """
    splits = [ALIASES.get(word) for word in words]
    if set(splits) in ({None}, {"valid"}, {"test"}):
        remarks = [f"all is set apart as {split}: it is split anew" for split in set(splits) if split]
        return [(each, None) for each in every], remarks
    other = sorted({named(word) or "no word" for word, split in zip(words, splits, strict=True) if not split})
    remarks = [f"what is set apart neither as train, valid nor test is left out: {', '.join(other)}"] if other else []
    return [(each, split) for each, split in zip(every, splits, strict=True) if split], remarks
