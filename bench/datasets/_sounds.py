"""From a source of recordings to a dataset of waveforms: one channel, one rate, one length, cleaned and split.

What is done to a recording, in this order: channels are mixed to one, noise is taken out where that is asked for, the
rate is changed by a polyphase filter, silence at both ends is cut off, the level is set, and the length.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bench.datasets._audio import AudioDataset
from bench.datasets._cache import cached
from bench.datasets._denoise import spectral_gating
from bench.datasets._findings import CLIPPED, OTHER_RATE, SILENT, UNDECODABLE, Preparation
from bench.datasets._image import Splits
from bench.datasets._items import Item, Source
from bench.datasets._preparing import Preparing, class_names, opened
from bench.datasets._rows import Rows
from bench.datasets._stages import Level, SoundStages
from bench.errors import DataError, named
from bench.protocols import SplitName
from bench.reading.sounds import Recording

Wave = NDArray[np.float32]
QUIETEST = 1e-3  # of full scale, -60 dB: what never reaches it is silent
FULL, MANY = 0.999, 0.005  # of full scale, and the share of samples there that is clipped
AUDIBLE = 10 ** (-40 / 20)  # of the loudest sample
PEAK, RMS = 0.95, 0.1  # levels of full scale


def prepare_sounds(source: Source[Recording], stages: SoundStages) -> AudioDataset:
    """The dataset of a source. Raises DataError for what cannot be used, and for what ``clean`` refuses.

    What was found and done stands in ``prepared``.
    """
    kind = source.name.partition(":")[0]
    about: dict[str, Any] = {"sounds": f"{kind} {source.identity}", "remarks": source.remarks, **asdict(stages)}
    about |= {"classes": source.classes, "labels": source.labels}
    return cached(about, lambda work: PreparingSounds(source, stages, work).run(), lambda at: _opened(source, at))


def _opened(source: Source[Recording], folder: Path) -> AudioDataset | None:
    def build(about: Preparation, splits: Splits) -> AudioDataset:
        data = AudioDataset(source.name, splits, class_names(about), about.rate, known=about.fingerprint)
        data.prepared = about
        return data

    return opened(folder, build)


class PreparingSounds(Preparing):
    """Of recordings, as float32. rate: samples a second of all that is kept, known with the first of them."""

    one, many, dtype = "sound", "sounds", np.dtype(np.float32)
    faults = (UNDECODABLE, SILENT, CLIPPED, OTHER_RATE)
    stages: SoundStages
    rate: int = 0
    differing: str = ""  # the first of another rate, as an error says it

    def __init__(self, source: Source[Recording], stages: SoundStages, work: Path) -> None:
        super().__init__(source, stages, work)
        self.odd = list[SplitName | None]()  # of each that is of another rate, its split

    def finish(self, rows: Rows) -> Preparation:
        """Raises DataError where the first one's rate is not that of most, or a whole split is of another."""
        if self.differing and (len(self.odd) >= len(rows) or not {*self.odd} <= {*self.apart}):
            raise DataError(self.differing)
        return super().finish(rows).model_copy(update={"rate": float(self.rate)})

    @property
    def header(self) -> str:
        return f"audio/1/{float(self.rate)}"

    def take(self, item: Item[Recording]) -> None:
        if (found := self.decoded(item)) is None:
            return
        wave = found.samples.mean(1)
        loudest, clipped = float(np.abs(wave).max()), float((np.abs(found.samples) >= FULL).mean())
        if loudest < QUIETEST and self.wrong(SILENT, item.name, f"at most {loudest:.2g} of full scale"):
            return
        if clipped > MANY and self.wrong(CLIPPED, item.name, f"{clipped:.1%} of its samples"):
            return
        if self.of_another_rate(item, found.rate):
            return
        self.seen(found)
        self.keep(self.formed(wave, found.rate))
        self.note(item)

    def of_another_rate(self, item: Item[Recording], rate: int) -> bool:
        """Whether it is left out since its rate is not the first one's and none is asked for.

        Raises DataError where nothing is to be dropped.
        """
        self.rate = self.stages.rate or self.rate or rate
        if self.stages.rate or rate == self.rate:
            return False
        self.differing = self.differing or (
            f"{self.name}: sounds differ in rate: {named(item.name)} has {rate:,} samples a second, those before "
            f"it {self.rate:,}: say with rate = {self.rate} what to bring them to"
        )
        if self.stages.clean != "drop":
            raise DataError(self.differing)
        self.odd.append(item.split)
        return self.wrong(OTHER_RATE, item.name, f"{rate:,} samples a second")

    def seen(self, found: Recording) -> None:
        """Count a recording's form."""
        channels = found.samples.shape[1]
        self.sizes[f"{found.rate:,} Hz, {'mono' if channels == 1 else f'{channels} channels'}"] += 1
        self.steps.update(mixed=channels > 1, resampled=found.rate != self.rate)

    def formed(self, wave: Wave, rate: int) -> Wave:
        """``(T,)`` as models will see it."""
        if self.stages.denoise:
            wave = spectral_gating(wave)
        wave = resampled(wave, rate, self.rate)
        wave = trimmed(wave) if self.stages.trim else wave
        length = max(1, round(self.stages.seconds * self.rate))
        self.steps.update(cut=len(wave) > length, padded=len(wave) < length)
        return fitted(levelled(wave, self.stages.level), length)

    def described(self) -> Iterator[str]:
        stages = self.stages
        yield f"sound/1/{stages.seconds:g}/{'trimmed' if stages.trim else 'whole'}/{stages.level}"
        if stages.denoise:
            yield f"denoise/1/{stages.denoise}"
        if self.steps["resampled"]:
            yield "resample/1/polyphase"

    def own_remarks(self) -> Iterator[str]:
        n, steps = len(self.names), self.steps
        if steps["mixed"]:
            yield f"{steps['mixed']:,} of {n:,} sounds have several channels: they are mixed to one"
        if steps["resampled"]:
            yield f"{steps['resampled']:,} of {n:,} sounds are brought to {self.rate:,} samples a second"
        if steps["cut"]:
            yield f"{steps['cut']:,} of {n:,} sounds are longer than {self.stages.seconds:g} s: their ends are cut off"


def resampled(wave: Wave, rate: int, to: int) -> Wave:
    """``(T,)`` at another rate, by a polyphase filter, without what the new rate cannot hold."""
    if rate == to:
        return wave
    from scipy.signal import resample_poly

    found: Wave = resample_poly(wave.astype(np.float64), to, rate).astype(np.float32)  # which reduces the fraction
    return found


def trimmed(wave: Wave) -> Wave:
    """Without what lies before and behind all that is within 40 dB of the loudest."""
    loud = np.flatnonzero(np.abs(wave) >= AUDIBLE * np.abs(wave).max())
    return wave[loud[0] : loud[-1] + 1]


def levelled(wave: Wave, level: Level) -> Wave:
    """At the level that is asked for; silence stays silence, and nothing leaves [-1, 1]."""
    loudest = float(np.abs(wave).max())
    if level == "as_is" or not loudest:
        return wave.clip(-1, 1)
    scale = PEAK / loudest
    if level == "rms":
        scale = min(scale, RMS / float(np.sqrt(np.square(wave, dtype=np.float64).mean())))
    return wave * np.float32(scale)


def fitted(wave: Wave, length: int) -> Wave:
    """``(length,)``: the beginning of what is longer, silence behind what is shorter."""
    return np.pad(wave[:length], (0, max(0, length - len(wave))))
