"""From a source of pictures to a dataset: cleaned, denoised, brought to one form, split, and kept decoded on disk.

One pass decodes; the pixels go to a file and never lie in memory together, so that it stays flat whatever their number.
A second looks for what stands twice, a third writes the splits and takes their fingerprint. All is kept with the
decoded data, and found again without a file of the source being opened.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.datasets._cache import cached
from bench.datasets._clean import Looks, keys_of, straddling, twins
from bench.datasets._content import Fingerprint
from bench.datasets._denoise import OF_PICTURES
from bench.datasets._findings import (
    UNDECODABLE,
    WRONG_MODE,
    Finding,
    Preparation,
    converted,
    decide,
    findings_of,
    shown,
)
from bench.datasets._format import FILTER, fitted, in_mode
from bench.datasets._image import SPLITS, ImageDataset, Splits
from bench.datasets._items import Item, Source
from bench.datasets._rows import Rows, write_npy
from bench.datasets._split import grouped, held_out, missing
from bench.datasets._stages import Stages
from bench.errors import DataError, named
from bench.errors import shown as shown_value
from bench.probes.pulse import alive
from bench.protocols import SplitName
from bench.reading.encoded import WrongMode, several_remark, turned_remark

MANY = 2000  # pictures from which it is said beforehand that they are decoded
PAUSE = 2.0  # seconds of decoding before it is said how far it is
_log = logging.getLogger("genbench")


def prepare(source: Source, stages: Stages) -> ImageDataset:
    """The dataset of a source. Raises DataError for what cannot be used, and for what ``clean`` refuses.

    What was found and done stands in ``prepared``.
    """
    if stages.denoise and stages.denoise not in OF_PICTURES:
        known = " or ".join(OF_PICTURES)
        raise DataError(
            f"{named(source.name)}: denoise = {shown_value(stages.denoise)} is not for pictures: say {known}"
        )
    kind = source.name.partition(":")[0]
    about = {"pictures": f"{kind} {source.identity}", "classes": source.classes, "remarks": source.remarks}
    about |= {"labels": source.labels, **asdict(stages)}
    return cached(about, lambda work: _Preparing(source, stages, work).run(), lambda folder: _opened(source, folder))


def _opened(source: Source, folder: Path) -> ImageDataset | None:
    """What a folder of the cache holds, mapped and not read; None where that is not whole."""
    try:
        about = Preparation.model_validate_json((folder / "manifest.json").read_text())
        splits: Splits = {split: (_mapped(folder / f"{split}.npy"), _labels(folder, split, about)) for split in SPLITS}
        found = _mapped(folder / "found.npy")
        data = ImageDataset(source.name, splits, _names(about.classes), known=about.fingerprint)
        data.prepared, data.found = about, found.reshape(-1, 2, *data.spec.shape)
    except (OSError, EOFError, ValueError, DataError):  # not there, cut off, or of another length
        return None
    return data if all(len(splits[split][0]) == about.splits[split] for split in SPLITS) else None


def _names(classes: tuple[str, ...] | None) -> tuple[str, ...] | int | None:
    """What the classes are called; how many they are where their names are numbers, which say nothing."""
    return len(classes) if classes and all(name.isdecimal() for name in classes) else classes or None


def _mapped(path: Path) -> np.ndarray:
    found: np.ndarray = np.load(path, mmap_mode="c")  # what is done to it stays in this process
    return found


def _labels(folder: Path, split: SplitName, about: Preparation) -> np.ndarray | None:
    return np.load(folder / f"{split}_labels.npy") if about.classes else None


class _Preparing:
    """The passes over one source.

    rows: the pictures that could be read, as models will see them, in their order; names and the rest in the same.
    bad: names of those that could not, with the reason.
    """

    def __init__(self, source: Source, stages: Stages, work: Path) -> None:
        self.source, self.stages, self.work, self.name = source, stages, work, named(source.name)
        self.rows: Rows | None = None
        self.names, self.groups = list[str](), list[str | None]()
        self.labels, self.apart = list[str | int | None](), list[SplitName | None]()
        self.sizes, self.steps = Counter[str](), Counter[str]()
        self.modes, self.worth = dict[str, list[int]](), list[int]()
        self.bad: dict[str, list[tuple[str, str]]] = {UNDECODABLE: [], WRONG_MODE: []}

    def run(self) -> None:
        """Fill the folder. Raises DataError."""
        try:
            for item in alive(self.counted()):
                self.take(item)
            if self.rows is None:
                why = next((f": {name} ({why})" for bad in self.bad.values() for name, why in bad), "")
                raise DataError(f"{self.name} holds no picture that can be read{why}")
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
        findings = findings_of({**self.bad}, same, self.names, self.held, self.stages.clean, labels)
        decide(self.source.name, findings, self.stages.clean)
        findings += tuple(converted(self.modes, self.names, self.held, rows.shape[0]))
        gone = [twin.row for twin in same] if self.stages.clean == "drop" else []
        splits = self.split(np.setdiff1d(np.arange(len(rows)), gone), keys_of(looks, self.groups, same), looks)
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

    def counted(self) -> Iterator[Item]:
        """The items. Where they take long it is said how many there were so far, and ever less often."""
        if self.source.count and self.source.count >= MANY:
            _log.info("%s: %s pictures are decoded, once: they are kept", self.name, f"{self.source.count:,}")
        said, pause, of = time.monotonic(), PAUSE, f" of {self.source.count:,}" if self.source.count else ""
        for number, item in enumerate(self.source.items()):
            if time.monotonic() - said > pause:
                _log.info("%s: pictures decoded: %s%s", self.name, f"{number:,}", of)
                said, pause = time.monotonic(), 2 * pause
            yield item

    def label_names(self) -> list[str | None]:
        """What each is labelled as; None where it is not."""
        known = self.source.classes
        if known is None:
            return [None if label is None else str(label) for label in self.labels]
        return [known[label] if isinstance(label, int) and 0 <= label < len(known) else None for label in self.labels]

    @property
    def held(self) -> int:
        """Pictures in the source, those that could not be read too."""
        return len(self.names) + sum(map(len, self.bad.values()))

    def take(self, item: Item) -> None:
        """Decode, denoise and format one picture, and put it behind the others."""
        try:
            pixels, turned, several, mode, loss = item.read()
        except DataError as error:
            if self.stages.clean == "keep":
                raise DataError(f"{self.name}: {error}") from error
            why = str(error).partition(named(item.name))[2].lstrip(": ") or str(error)
            self.bad[WRONG_MODE if isinstance(error, WrongMode) else UNDECODABLE].append((item.name, why))
            return
        self.sizes[f"{pixels.shape[2]}x{pixels.shape[1]}"] += 1
        self.steps.update(turned=turned, several=several, grey=len(pixels) == 1)
        self.modes.setdefault(mode, []).append(len(self.names))
        self.worth.append(4 * pixels[0].size - loss)  # larger first, then what saving cost less
        if self.stages.denoise:
            pixels = OF_PICTURES[self.stages.denoise](pixels)
        self.keep(self.formed(pixels))
        self.names.append(item.name)
        self.labels.append(item.label)
        self.groups.append(item.group)
        self.apart.append(item.split)

    def formed(self, pixels: np.ndarray) -> np.ndarray:
        """Of the size and the mode that are asked for. Raises DataError where sizes differ and none is."""
        size, mode = self.stages.size, self.stages.mode
        if size is None and len(self.sizes) > 1:
            some = ", ".join(self.sizes)
            raise DataError(f"{self.name}: pictures differ in size ({some}): say with size = 64 what to bring them to")
        found = fitted(pixels, size, self.stages.fit) if size else pixels
        self.steps["resized"] += found is not pixels
        return in_mode(found, mode) if mode else found

    def keep(self, pixels: np.ndarray) -> None:
        """Grey among RGB is repeated to RGB, whichever came first."""
        if self.rows is None:
            self.rows = Rows(self.work / "rows", pixels.shape)
        elif len(pixels) > self.rows.shape[0]:
            self.rows = self.rows.repeated(len(pixels))
        self.rows.append(np.broadcast_to(pixels, self.rows.shape))

    def classes(self) -> tuple[str, ...] | None:
        """Names of the labels, which become numbers of them; None unless every picture has one."""
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

    def split(self, left: np.ndarray, keys: np.ndarray, looks: Looks) -> dict[SplitName, np.ndarray]:
        """Rows by split: as they were set apart, and what is missing cut from the training set."""
        given = {split: left[[self.apart[row] == split for row in left]] for split in SPLITS if split in self.apart}
        if empty := next((split for split, rows in given.items() if not len(rows)), ""):
            raise DataError(f"{self.name}, {empty}: no picture is left")
        pool = given.get("train", left)
        wanted = missing(self.name, given, self.stages.valid, self.stages.test)
        gone = len(keys) - len(left)
        what = f"{self.name}, of {len(keys)} without {gone} that are dropped," if gone else self.name
        cut = held_out(what, keys[pool], looks.digests[pool], wanted)
        return {**given, **{split: pool[places] for split, places in cut.items()}}

    def written(self, rows: Rows, splits: Mapping[SplitName, np.ndarray], labelled: bool) -> str:
        """The splits as files; returns their fingerprint: that of the same pictures in memory, and what was done."""
        total = Fingerprint()
        total.add("image/1")
        for split in SPLITS:
            order = splits[split]
            shape = (len(order), *rows.shape)
            total.add(split)
            with write_npy(self.work / f"{split}.npy", shape, (rows[row] for row in order.tolist())) as passing:
                total.add_rows(np.dtype(np.uint8), shape, passing)
            if labelled:
                labels = np.array([self.labels[row] for row in order.tolist()], np.int64)
                np.save(self.work / f"{split}_labels.npy", labels)
                total.add(labels)
        for step in self.described():
            total.add(step)
        return str(total)

    def described(self) -> Iterator[str]:
        """What was done to any pixels: they are known by it, too, whatever came of it."""
        if self.stages.denoise:
            yield f"denoise/1/{self.stages.denoise}"
        if self.steps["resized"]:
            yield f"resize/1/{FILTER}/{self.stages.fit}/{self.stages.size}"

    def remarks(self, findings: Sequence[Finding]) -> Iterator[str]:
        """What is to be known of the pictures, a sentence each."""
        n, grey, resized = len(self.names), self.steps["grey"], self.steps["resized"]
        yield from self.source.remarks
        yield from turned_remark(self.steps["turned"], n)
        yield from several_remark(self.steps["several"])
        if resized:
            yield f"{resized:,} of {n:,} pictures are brought to {self.stages.size} pixels a side ({self.stages.fit})"
        if self.stages.mode is None and 0 < grey < n:
            yield f"{grey} of {n} pictures are grey, the others RGB: grey is repeated to RGB"
        if 0 < self.steps["labelled"] < n:
            yield f"{n - self.steps['labelled']:,} of {n:,} pictures have no label: those of the others are left out"
        for finding in findings:
            yield finding.told
