"""What the preparation of any source has in common: one pass decodes, and what it makes of an item goes to a file and
never lies in memory together with the others, so that memory stays flat whatever their number. A second looks for what
stands twice, a third writes the splits and takes their fingerprint. All is kept with the decoded data, and found again
without a file of the source being opened.
"""

from __future__ import annotations

import logging
import time
from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, ClassVar, TypeVar

import numpy as np

from bench.datasets._clean import Looks, keys_of, straddling, twins
from bench.datasets._content import Fingerprint
from bench.datasets._findings import UNDECODABLE, WRONG_MODE, Finding, Preparation, Twin, decide, findings_of, shown
from bench.datasets._image import SPLITS, Splits
from bench.datasets._items import Item, Source
from bench.datasets._rows import Rows, write_npy
from bench.datasets._split import grouped, parted
from bench.datasets._stages import FilmStages, SoundStages, Stages
from bench.errors import DataError, named
from bench.errors import shown as shown_value
from bench.probes.pulse import alive
from bench.protocols import SplitName
from bench.reading.encoded import WrongMode

T = TypeVar("T")
MANY = 2000  # examples from which it is said beforehand that they are decoded
PAUSE = 2.0  # seconds of decoding before it is said how far it is
_log = logging.getLogger("genbench")


def opened(folder: Path, build: Callable[[Preparation, Splits], T]) -> T | None:
    """What is built of a folder of the cache, mapped and not read; None where that is not whole."""
    try:
        about = Preparation.model_validate_json((folder / "manifest.json").read_text())
        splits: Splits = {split: (mapped(folder / f"{split}.npy"), _labels(folder, split, about)) for split in SPLITS}
        data = build(about, splits)
    except (OSError, EOFError, ValueError, DataError):  # not there, cut off, or of another length
        return None
    return data if all(len(splits[split][0]) == about.splits[split] for split in SPLITS) else None


def class_names(about: Preparation) -> tuple[str, ...] | int | None:
    """What the classes are called; how many they are where their names are numbers, which say nothing."""
    names = about.classes
    return len(names) if names and all(name.isdecimal() for name in names) else names or None


def mapped(path: Path) -> np.ndarray:
    found: np.ndarray = np.load(path, mmap_mode="c")  # what is done to it stays in this process
    return found


def _labels(folder: Path, split: SplitName, about: Preparation) -> np.ndarray | None:
    return np.load(folder / f"{split}_labels.npy") if about.classes else None


class Preparing(ABC):
    """The passes over one source.

    rows: what could be read, as models will see it, in its order; names and the rest in the same.
    bad: names of what is left out, with the reason.   flawed: of what stays all the same.
    worth: of two that are nearly the same that of the higher stays; empty where nobody can tell.
    held: items of the source so far, those that were left out too.
    one, many: what messages call it.   examples: what they call rows, where an item gives several.
    faults: what is looked for in each.   dtype: of a row.
    """

    one: ClassVar[str]
    many: ClassVar[str]
    examples: ClassVar[str] = ""
    faults: ClassVar[Sequence[str]]
    dtype: ClassVar[np.dtype]
    stages: Stages | SoundStages | FilmStages

    def __init__(self, source: Source[Any], stages: Stages | SoundStages | FilmStages, work: Path) -> None:
        self.source, self.stages, self.work, self.name = source, stages, work, named(source.name)
        self.rows: Rows | None = None
        self.held = 0
        self.names, self.groups = list[str](), list[str | None]()
        self.labels, self.apart = list[str | int | None](), list[SplitName | None]()
        self.sizes, self.steps, self.worth = Counter[str](), Counter[str](), list[int]()
        self.bad: dict[str, list[tuple[str, str]]] = {what: [] for what in self.faults}
        self.flawed: dict[str, list[tuple[str, str]]] = {what: [] for what in self.faults}

    def run(self) -> None:
        """Fill the folder. Raises DataError."""
        try:
            for item in alive(self.counted()):
                self.held += 1
                self.take(item)
            if self.rows is None:
                why = next((f": {name} ({why})" for bad in self.bad.values() for name, why in bad), "")
                raise DataError(f"{self.name} holds no {self.one} that can be read{why}")
            about = self.finish(self.rows)
        finally:
            if self.rows is not None:
                self.rows.close()
        (self.work / "manifest.json").write_text(about.model_dump_json(indent=1))

    def finish(self, rows: Rows) -> Preparation:
        """Clean, split and write what was read."""
        grouped(self.name, self.stages.group, self.groups)
        looks = Looks.of(rows.chunks(), len(rows), self.stages.near)
        apart = [split for split in self.apart if split]
        labels = self.label_names()
        same = twins(looks, apart or None, lambda some: rows.take(some.tolist()), self.worth, labels)
        same += straddling(self.groups, apart, {twin.row for twin in same})
        findings = findings_of(self.told(), same, self.names, self.held, self.stages.clean, labels, self.compared)
        decide(self.source.name, findings, self.stages.clean)
        findings += tuple(self.asides(rows))
        gone = [twin.row for twin in same] if self.stages.clean == "drop" else []
        left, shares = np.setdiff1d(np.arange(len(rows)), gone), (self.stages.valid, self.stages.test)
        splits = parted(self.name, self.one, left, self.apart, self.keys(looks, same), looks.digests, shares)
        classes = self.classes()
        np.save(self.work / "found.npy", rows.take(shown(same)))
        return Preparation(
            fingerprint=self.written(rows, splits, classes is not None),
            held=self.held,
            splits={split: len(splits[split]) for split in SPLITS},
            classes=classes,
            sizes=dict(self.sizes.most_common()),
            steps=dict(self.steps),
            findings=findings,
            remarks=tuple(self.remarks(findings)),
        )

    def counted(self) -> Iterator[Item[Any]]:
        """The items. Where they take long it is said how many there were so far, and ever less often."""
        if self.source.count and self.source.count >= MANY:
            _log.info("%s: %s %s are decoded, once: they are kept", self.name, f"{self.source.count:,}", self.many)
        said, pause, of = time.monotonic(), PAUSE, f" of {self.source.count:,}" if self.source.count else ""
        for number, item in enumerate(self.source.items()):
            if time.monotonic() - said > pause:
                _log.info("%s: %s decoded: %s%s", self.name, self.many, f"{number:,}", of)
                said, pause = time.monotonic(), 2 * pause
            yield item

    def told(self) -> dict[str, list[tuple[str, str]]]:
        """All that is wrong with single items, by what it is."""
        return {what: [*self.bad[what], *self.flawed[what]] for what in self.faults}

    def wrong(self, what: str, name: str, why: str) -> bool:
        """Note a fault; whether the item is left out for it."""
        left_out = self.stages.clean != "keep"
        (self.bad if left_out else self.flawed)[what].append((name, why))
        return left_out

    def decoded(self, item: Item[T]) -> T | None:
        """What an item holds; None for one that cannot be read, which is noted. Raises DataError where all is kept."""
        try:
            return item.read()
        except DataError as error:
            if self.stages.clean == "keep":
                raise DataError(f"{self.name}: {error}") from error
            why = str(error).partition(named(item.name))[2].lstrip(": ") or str(error)
            self.bad[WRONG_MODE if isinstance(error, WrongMode) else UNDECODABLE].append((item.name, why))
            return None

    def note(self, item: Item[Any]) -> None:
        """What is known of the row that was just put behind the others."""
        self.names.append(item.name)
        self.labels.append(item.label)
        self.groups.append(item.group)
        self.apart.append(item.split)

    def label_names(self) -> list[str | None]:
        """What each is labelled as; None where it is not."""
        known = self.source.classes
        if known is None:
            return [None if label is None else str(label) for label in self.labels]
        return [known[label] if isinstance(label, int) and 0 <= label < len(known) else None for label in self.labels]

    def keep(self, row: np.ndarray) -> None:
        """Put it behind the others; grey among RGB is repeated to RGB, whichever came first."""
        self.rows = self.rows or Rows(self.work / "rows", row.shape, self.dtype)
        shape = np.broadcast_shapes(self.rows.shape, row.shape)
        if shape != self.rows.shape:
            self.rows = self.rows.repeated(shape)
        self.rows.append(np.broadcast_to(row, shape))

    @property
    def compared(self) -> int:
        """Of how many it is told which stand twice."""
        return self.held

    def keys(self, looks: Looks, same: Sequence[Twin]) -> np.ndarray:
        """``(rows,)``: what decides where a row goes."""
        return keys_of(looks, self.groups, same)

    def classes(self) -> tuple[str, ...] | None:
        """Names of the labels, which become numbers of them; None unless every one has some."""
        known = self.source.classes
        if known is not None:
            self.labels = [label if label in range(len(known)) else None for label in self.labels]
        self.steps["labelled"] = sum(label is not None for label in self.labels)
        if self.source.labels and not self.steps["labelled"]:
            raise DataError(
                f"{self.name}: label = {shown_value(self.source.labels)} holds no label: name another column"
            )
        if self.steps["labelled"] < len(self.labels):
            return None
        if known is not None:
            return tuple(known)
        names, numbers = np.unique(np.array(self.labels), return_inverse=True)
        self.labels = numbers.tolist()
        return tuple(map(str, names.tolist()))

    def written(self, rows: Rows, splits: Mapping[SplitName, np.ndarray], labelled: bool) -> str:
        """The splits as files; returns their fingerprint: that of the same rows in memory, and what was done."""
        total = Fingerprint()
        total.add(self.header)
        for split in SPLITS:
            order = splits[split]
            shape = (len(order), *rows.shape)
            total.add(split)
            taken = (rows[row] for row in order.tolist())
            with write_npy(self.work / f"{split}.npy", shape, taken, self.dtype) as passing:
                total.add_rows(self.dtype, shape, passing)
            if labelled:
                labels = np.array([self.labels[row] for row in order.tolist()], np.int64)
                np.save(self.work / f"{split}_labels.npy", labels)
                total.add(labels)
        for step in self.described():
            total.add(step)
        return str(total)

    def remarks(self, findings: Sequence[Finding]) -> Iterator[str]:
        """What is to be known of the set, a sentence each."""
        n = len(self.names)
        yield from self.source.remarks
        yield from self.own_remarks()
        if 0 < self.steps["labelled"] < n:
            what = self.examples or self.many
            yield f"{n - self.steps['labelled']:,} of {n:,} {what} have no label: those of the others are left out"
        for finding in findings:
            yield finding.told

    def asides(self, rows: Rows) -> Iterator[Finding]:
        """What is told of them that is no fault."""
        return iter(())

    @property
    @abstractmethod
    def header(self) -> str:
        """What a fingerprint begins with."""

    @abstractmethod
    def take(self, item: Item[Any]) -> None:
        """Decode one item, do to it what was asked for, and put it behind the others."""

    @abstractmethod
    def described(self) -> Iterator[str]:
        """What was done to any of them: they are known by it, too, whatever came of it."""

    @abstractmethod
    def own_remarks(self) -> Iterator[str]:
        """What was done to how many, a sentence each."""
