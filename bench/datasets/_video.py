"""Clips in memory or mapped: uint8 frames, all of one form. And a folder of files brought to that form, once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.datasets._clean import Looks, twins
from bench.datasets._content import Fingerprint
from bench.datasets._findings import Preparation, decide, findings_of
from bench.datasets._image import SPLITS, ImageSplit, Splits, counted_and_named
from bench.datasets._preparing import class_names
from bench.datasets._rows import Rows, write_npy
from bench.datasets._split import held_out, missing
from bench.errors import DataError, named
from bench.probes.pulse import alive
from bench.protocols import DataSpec, SplitName


class VideoDataset:
    """Three splits of clips ``(n, T, C, H, W)`` uint8, with labels or without.

    rate: frames a second, where it is known.   prepared: what was found and done.
    """

    def __init__(self, name: str, splits: Splits, about: Preparation, rate: float | None) -> None:
        shape = tuple(int(size) for size in splits["train"][0].shape[1:])
        classes, captions = counted_and_named(class_names(about))
        self.name, self.fingerprint, self.prepared = name, about.fingerprint, about
        self.spec = DataSpec("video", shape, "continuous", classes=classes, rate=rate, captions=captions)
        self.train, self.valid, self.test = (ImageSplit(*splits[s]) for s in SPLITS)


class Unusable(Exception):
    """A file of which no clip can be had. what: as a sentence goes on after "3 of 200"; why: of this one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(why)
        self.what = what


@dataclass(frozen=True)
class Film:
    """A file as it lies there. read: its clips ``(n, T, C, H, W)`` uint8; raises Unusable."""

    name: str
    read: Callable[[], np.ndarray]
    label: str | None
    split: SplitName | None


class Filming:
    """The passes over files: their clips to a file of rows, then those that stand once to the files of the splits.

    All clips of a file stay in one split.  work: the folder to fill.  shares: held out where nothing is set apart.
    """

    def __init__(self, name: str, work: Path, refuse: bool, shares: tuple[float, float]) -> None:
        self.name, self.work, self.refuse, self.shares = name, work, refuse, shares
        self.names, self.films = list[str](), list[Film]()  # of each clip
        self.keys = list[bytes]()
        self.bad: dict[str, list[tuple[str, str]]] = {}
        self.held = 0

    def run(self, films: Iterator[Film], remarks: Sequence[str], done: str) -> None:
        """Fill the folder. done: what is done to any clip, part of what they are known by. Raises DataError."""
        rows: Rows | None = None
        try:
            for film in alive(films):
                self.held += 1
                rows = self.take(film, rows)
            if rows is None:
                first = next(((what, *each[0]) for what, each in self.bad.items()), None)
                why = f": {named(first[1])} {first[0]} ({first[2]})" if first else ""
                raise DataError(f"{named(self.name)} holds no clip that can be read{why}")
            about = self.finish(rows, remarks, done)
        finally:
            if rows is not None:
                rows.close()
        (self.work / "manifest.json").write_text(about.model_dump_json(indent=1))

    def take(self, film: Film, rows: Rows | None) -> Rows | None:
        """Decode one file and put its clips behind the others."""
        try:
            clips = film.read()
        except Unusable as error:
            self.bad.setdefault(error.what, []).append((film.name, str(error)))
            return rows
        rows = rows or Rows(self.work / "rows", clips.shape[1:])
        key = hashlib.sha256(clips[0].tobytes()).digest()
        for place, clip in enumerate(clips):
            rows.append(clip)
            self.names.append(film.name if len(clips) == 1 else f"{film.name} #{place}")
            self.films.append(film)
            self.keys.append(key)
        return rows

    def finish(self, rows: Rows, remarks: Sequence[str], done: str) -> Preparation:
        """Clean, split and write what was read."""
        looks = Looks.of(rows.chunks(), len(rows), near=False)
        apart = [film.split for film in self.films if film.split]
        same = twins(looks, apart or None, None)
        findings = findings_of(
            self.bad, same, self.names, max(self.held, len(rows)), "refuse" if self.refuse else "drop"
        )
        decide(self.name, findings, "refuse" if self.refuse else "drop")
        left = np.setdiff1d(np.arange(len(rows)), [twin.row for twin in same])
        splits = self.split(left, looks)
        classes, labels = self.labels()
        return Preparation(
            fingerprint=self.written(rows, splits, labels, done),
            held=self.held,
            splits={split: len(splits[split]) for split in SPLITS},
            classes=classes,
            sizes={},
            steps={},
            findings=findings,
            remarks=(*remarks, *(finding.told for finding in findings)),
        )

    def split(self, left: np.ndarray, looks: Looks) -> Mapping[SplitName, np.ndarray]:
        """Rows by split: as they were set apart, and what is missing cut from the training set."""
        of = [self.films[row].split for row in left]
        given = {split: left[[each == split for each in of]] for split in SPLITS if split in of}
        pool = given.get("train", left)
        wanted = missing(self.name, given, *self.shares)
        cut = held_out(named(self.name), np.array(self.keys, "S32")[pool], looks.digests[pool], wanted)
        return {**given, **{split: pool[places] for split, places in cut.items()}}

    def labels(self) -> tuple[tuple[str, ...] | None, np.ndarray | None]:
        """Names of the classes and the number of each clip's; None unless every clip is of one."""
        words = [film.label for film in self.films]
        if None in words:
            return None, None
        classes, numbers = np.unique(np.array(words), return_inverse=True)
        return tuple(map(str, classes.tolist())), numbers.astype(np.int64)

    def written(self, rows: Rows, splits: Mapping[SplitName, np.ndarray], labels: np.ndarray | None, done: str) -> str:
        """The splits as files; returns their fingerprint."""
        total = Fingerprint()
        total.add(f"video/1/{done}")
        for split in SPLITS:
            order, shape = splits[split], (len(splits[split]), *rows.shape)
            total.add(split)
            with write_npy(self.work / f"{split}.npy", shape, (rows[row] for row in order.tolist())) as passing:
                total.add_rows(np.dtype(np.uint8), shape, passing)
            if labels is not None:
                np.save(self.work / f"{split}_labels.npy", labels[order])
                total.add(labels[order])
        return str(total)


def opened(name: str, folder: Path, rate: float | None) -> VideoDataset | None:
    """What a folder of the cache holds, mapped and not read; None where that is not whole."""
    try:
        about = Preparation.model_validate_json((folder / "manifest.json").read_text())
        splits: dict[SplitName, tuple[np.ndarray, np.ndarray | None]] = {}
        for split in SPLITS:
            clips: np.ndarray = np.load(folder / f"{split}.npy", mmap_mode="c")
            if len(clips) != about.splits[split]:
                return None
            splits[split] = clips, np.load(folder / f"{split}_labels.npy") if about.classes else None
        return VideoDataset(name, splits, about, rate)
    except (OSError, EOFError, ValueError):  # not there, cut off, or of another length
        return None
