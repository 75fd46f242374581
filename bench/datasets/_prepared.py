"""From a source of pictures to a dataset: cleaned, denoised, brought to one form, split, and kept decoded on disk."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

import numpy as np

from bench.datasets._cache import cached
from bench.datasets._denoise import OF_PICTURES
from bench.datasets._findings import UNDECODABLE, WRONG_MODE, Finding, Preparation, converted
from bench.datasets._format import FILTER, fitted, in_mode
from bench.datasets._image import ImageDataset, Splits
from bench.datasets._items import Item, Source
from bench.datasets._preparing import Preparing, class_names, mapped, opened
from bench.datasets._rows import BYTE, Rows
from bench.datasets._stages import ArrayStages, Stages
from bench.errors import DataError, named
from bench.errors import shown as shown_value
from bench.modalities._pixels import MIDDLE
from bench.reading.encoded import several_remark, turned_remark


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
    return cached(
        about, lambda work: PreparingPictures(source, stages, work).run(), lambda folder: _opened(source, folder)
    )


def _opened(source: Source, folder: Path) -> ImageDataset | None:
    def build(about: Preparation, splits: Splits) -> ImageDataset:
        found = mapped(folder / "found.npy")
        data = ImageDataset(source.name, splits, class_names(about), known=about.fingerprint)
        data.prepared, data.found = about, found.reshape(-1, 2, *data.spec.shape)
        return data

    return opened(folder, build)


class PreparingPictures(Preparing):
    """Of pictures, decoded in eight bits."""

    one, many, dtype = "picture", "pictures", BYTE
    faults = (UNDECODABLE, WRONG_MODE)
    stages: Stages

    def __init__(self, source: Source, stages: Stages, work: Path) -> None:
        super().__init__(source, stages, work)
        self.modes, self.darkest = dict[str, list[int]](), 255

    @property
    def header(self) -> str:
        return "image/1"

    def asides(self, rows: Rows) -> Iterator[Finding]:
        return converted(self.modes, self.names, self.held, rows.shape[0])

    def take(self, item: Item) -> None:
        """Decode, denoise and format one picture, and put it behind the others."""
        if (found := self.decoded(item)) is None:
            return
        pixels, turned, several, mode, loss = found
        self.sizes[f"{pixels.shape[2]}x{pixels.shape[1]}"] += 1
        self.steps.update(turned=turned, several=several, grey=len(pixels) == 1)
        self.modes.setdefault(mode, []).append(len(self.names))
        self.darkest = min(self.darkest, int(pixels.min()))
        self.worth.append(4 * pixels[0].size - loss)  # larger first, then what saving cost less
        if self.stages.denoise:
            pixels = OF_PICTURES[self.stages.denoise](pixels)
        self.keep(self.formed(pixels, item.name))
        self.note(item)

    def formed(self, pixels: np.ndarray, name: str) -> np.ndarray:
        """Of the size and the mode that are asked for. Raises DataError where sizes differ and none is."""
        size, mode = self.stages.size, self.stages.mode
        if size is None and len(self.sizes) > 1:
            (first, n), (other, _) = self.sizes.most_common()
            before = f"the {n:,} before it are" if n > 1 else "the one before it is"
            raise DataError(
                f"{self.name}: pictures differ in size: {named(name)} is {other}, {before} {first}: say with size = "
                f"{min(map(int, first.split('x')))} what to bring them to"
            )
        found = fitted(pixels, size, self.stages.fit) if size else pixels
        self.steps["resized"] += found is not pixels
        return in_mode(found, mode) if mode else found

    def described(self) -> Iterator[str]:
        if self.stages.denoise:
            yield f"denoise/1/{self.stages.denoise}"
        if self.steps["resized"]:
            yield f"resize/1/{FILTER}/{self.stages.fit}/{self.stages.size}"

    def own_remarks(self) -> Iterator[str]:
        n, grey, resized = len(self.names), self.steps["grey"], self.steps["resized"]
        yield from turned_remark(self.steps["turned"], n)
        yield from several_remark(self.steps["several"])
        if resized:
            yield f"{resized:,} of {n:,} pictures are brought to {self.stages.size} pixels a side ({self.stages.fit})"
        if isinstance(self.stages, ArrayStages) and self.stages.values == "-1..1" and self.darkest > MIDDLE:
            yield 'no number is below 0, and values = "-1..1": where 0 is black, set values = "0..1"'
        if self.stages.mode is None and 0 < grey < n:
            yield f"{grey} of {n} pictures are grey, the others RGB: grey is repeated to RGB"
