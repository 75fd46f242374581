"""From a source of films to a dataset of clips: uint8 frames, all of one form, cleaned and split."""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import numpy as np

from bench.datasets._cache import cached
from bench.datasets._clean import Looks, keys_of
from bench.datasets._findings import UNDECODABLE, Preparation, Twin
from bench.datasets._format import fitted, in_mode
from bench.datasets._image import SPLITS, ImageSplit, Splits, counted_and_named
from bench.datasets._items import Item, Source
from bench.datasets._preparing import Preparing, class_names, opened
from bench.datasets._rows import BYTE, Rows
from bench.datasets._stages import FilmStages
from bench.errors import DataError, named
from bench.protocols import DataSpec
from bench.reading.films import Frames, all_grey

EMPTY, SHORT, CUT = "hold no frame", "are too short", "are cut short"
LACKING = 0.05  # of the frames that a file says it has, so many may be missing: rates are rounded, and last frames left
ALIKE = 0.01  # by so large a share rates may differ that are one: those of a phone's films waver


class VideoDataset:
    """Three splits of clips ``(n, T, C, H, W)`` uint8, with labels or without. prepared: what was found and done."""

    def __init__(self, name: str, splits: Splits, about: Preparation) -> None:
        shape = tuple(int(size) for size in splits["train"][0].shape[1:])
        classes, captions = counted_and_named(class_names(about))
        self.name, self.fingerprint, self.prepared = name, about.fingerprint, about
        self.spec = DataSpec("video", shape, "continuous", classes=classes, rate=about.rate, captions=captions)
        self.train, self.valid, self.test = (ImageSplit(*splits[s]) for s in SPLITS)


def prepare_films(source: Source[Frames], stages: FilmStages) -> VideoDataset:
    """The dataset of a source. Raises DataError for what cannot be used, and for what ``clean`` refuses.

    What was found and done stands in ``prepared``.
    """
    kind = source.name.partition(":")[0]
    about: dict[str, Any] = {"films": f"{kind} {source.identity}", "remarks": source.remarks, **asdict(stages)}
    about |= {"classes": source.classes, "labels": source.labels, "av": importlib.metadata.version("av")}

    def build(found: Preparation, splits: Splits) -> VideoDataset:
        return VideoDataset(source.name, splits, found)

    return cached(about, lambda work: PreparingFilms(source, stages, work).run(), lambda folder: opened(folder, build))


class PreparingFilms(Preparing):
    """Of films, cut to clips, which stay in one split. first: of each clip the row of its film's first."""

    one, many, examples, dtype = "film", "films", "clips", BYTE
    faults = (UNDECODABLE, EMPTY, CUT, SHORT)
    stages: FilmStages

    def __init__(self, source: Source[Frames], stages: FilmStages, work: Path) -> None:
        super().__init__(source, stages, work)
        self.first, self.rates = list[int](), Counter[float | None]()

    def finish(self, rows: Rows) -> Preparation:
        return super().finish(rows).model_copy(update={"rate": self.stages.fps or one_rate(self.rates)})

    @property
    def header(self) -> str:
        stages, channels = self.stages, self.rows.shape[1] if self.rows else 0
        mode = stages.mode or ("L" if channels == 1 else "RGB")
        return f"video/1/{stages.frames}/{stages.size}/{stages.fps}/{stages.fit}/{mode}/{stages.most}"

    @property
    def compared(self) -> int:
        return len(self.names)

    def keys(self, looks: Looks, same: Sequence[Twin]) -> np.ndarray:
        return keys_of(looks._replace(digests=looks.digests[self.first]), self.groups, same)

    def take(self, item: Item[Frames]) -> None:
        if (found := self.decoded(item)) is None:
            return
        frames, there, said, stages = found.pixels, found.there, found.said, self.stages
        if not there:
            self.useless(EMPTY, item.name, "no frame in it")
            return
        cut = len(frames) < stages.frames * stages.most and there < said - max(1, LACKING * said)
        if cut and self.wrong(CUT, item.name, f"{there} of {said} frames are there"):
            return
        if len(frames) < stages.frames:
            self.useless(SHORT, item.name, f"{len(frames)} frames, and a clip has {stages.frames}")
            return
        self.sizes[f"{frames[0].shape[2]}x{frames[0].shape[1]}"] += 1
        self.rates[found.rate] += 1
        first, clips = len(self.names), self.formed(frames)
        for place, clip in enumerate(clips):
            self.keep(clip)
            self.note(item if len(clips) == 1 else replace(item, name=f"{item.name} #{place}"))
            self.first.append(first)

    def useless(self, what: str, name: str, why: str) -> None:
        """Note one that gives no clip. Raises DataError where all is kept."""
        if self.stages.clean == "keep":
            raise DataError(
                f'{self.name}: {named(name)} gives no clip ({why}): mend or remove it, or say clean = "drop"'
            )
        self.bad[what].append((name, why))

    def formed(self, frames: Sequence[np.ndarray]) -> np.ndarray:
        """``(n, frames, C, size, size)``: what is left behind the last whole clip is left out."""
        stages, whole = self.stages, len(frames) // self.stages.frames
        used = frames[: whole * stages.frames]
        grey = all_grey(used)
        self.steps["grey"] += grey
        every = [fitted(frame[:1] if grey else frame, stages.size, stages.fit) for frame in used]
        every = [in_mode(frame, stages.mode) for frame in every] if stages.mode else every
        return np.stack(every).reshape(whole, stages.frames, *every[0].shape)

    def described(self) -> Iterator[str]:
        return iter(())  # it stands in the header

    def own_remarks(self) -> Iterator[str]:
        n, grey = sum(self.sizes.values()), self.steps["grey"]
        if self.stages.fps is None and one_rate(self.rates) is None:
            some = ", ".join("not said" if rate is None else f"{rate:g}" for rate, _ in self.rates.most_common(3))
            yield f"films share no number of frames a second ({some}), so that of clips is not known: fps sets one"
        if self.stages.mode is None and 0 < grey < n:
            yield f"{grey} of {n} films are grey, the others RGB: grey is repeated to RGB"


def one_rate(rates: Counter[float | None]) -> float | None:
    """That of most films where all have one, but for so little that it is rounding; None where they differ."""
    known = [rate for rate in rates if rate is not None]
    if len(known) < len(rates) or max(known) > (1 + ALIKE) * min(known):
        return None
    return rates.most_common(1)[0][0]
