"""Bach's chorales in four parts, as the package music21 carries them: 405 of its 408 scores.

A chorale is one of many settings of a tune, and a setting may stand there twice, in two keys or under two numbers. So
tunes are found first: two chorales are of one tune where their sopranos share much of it, note by note on the beat and
in whatever key. All chorales of a tune are in one split: of tunes in the order of their lowest BWV number, of every
five, the third is valid and the fifth test.

Scores are read as they lie, without importing music21. Licence of the corpus: see music21's own.
"""

from __future__ import annotations

import importlib.metadata
import re
from collections import Counter
from collections.abc import Sequence
from functools import cache
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
from pydantic import NonNegativeInt

from bench import DataError, dataset
from bench.datasets._cache import cached
from bench.datasets._events import EventDataset
from bench.datasets._items import identity_of
from bench.datasets._musicxml import QUARTER, Part, read_score
from bench.datasets._pieces import Form, MusicStages, Piece, on_grid, prepare_pieces
from bench.datasets._rolls import RollDataset
from bench.probes.pulse import alive
from bench.protocols import SplitName

TEMPO = 1.5  # quarter notes a second
VOICES = ("soprano", "alto", "tenor", "bass")
GRAM, SHARED = 6, 0.3  # intervals in a row of a soprano, and the share of the shorter one's that makes one tune of two
SPLIT_OF: Sequence[SplitName] = ("train", "train", "valid", "train", "test")  # of tunes in their order
UNFIT = "are not in four parts of one length"
_HOW = 'pip install "genbench[music]"'


class Chorale(NamedTuple):
    """notes: ``(n, 4)`` int64 of beginning, end, MIDI pitch and voice, 0 the highest.   length: ticks.

    tune: the number of its tune, in the order of the first setting of each.
    """

    name: str
    notes: np.ndarray
    length: int
    fifths: int
    tune: int = 0


@dataset("chorales", modality="music", locate=lambda: _located())
def chorales(
    *,
    form: Form = "roll",
    grid: Literal[1, 2, 4] = 2,
    key: Literal["own", "common"] = "own",
    window: NonNegativeInt = 32,
) -> RollDataset | EventDataset:
    """Bach's chorales of music21; piano rolls of 88 keys or events. All settings of a tune are in one split.

    form: "roll", or "events" (tokens).   grid: frames a quarter note, of which 1.5 pass in a second.
    window: frames of an example, four bars of 4/4 by default; 0: whole chorales.
    key: "common" moves each to C major or A minor, by its signature.
    """
    found, unfit = _read()
    played = [in_common_key(each) if key == "common" else each.notes for each in found]
    rolls = [on_grid(n, QUARTER / grid, each.length * grid // QUARTER) for n, each in zip(played, found, strict=True)]
    pieces = [
        Piece(each.name, roll, str(each.tune), SPLIT_OF[each.tune % len(SPLIT_OF)])
        for each, roll in zip(found, rolls, strict=True)
    ]
    settings = Counter(each.tune for each in found)
    several = sum(count > 1 for count in settings.values())
    said = f"{len(found)} chorales are of {len(settings)} tunes, {several} of which stand there in several settings"
    stages = MusicStages(form=form, window=window)
    return prepare_pieces("chorales", pieces, stages, TEMPO * grid, {UNFIT: unfit}, [said])


def in_common_key(chorale: Chorale) -> np.ndarray:
    """Its notes moved to the key without signature, by at most six semitones."""
    up = (-7 * chorale.fifths + 5) % 12 - 5
    found: np.ndarray = chorale.notes + np.array([0, 0, up, 0])
    return found


def melody(chorale: Chorale) -> np.ndarray:
    """Intervals ``(n,)`` of the highest voice in semitones, from beat to beat, those of no width left out."""
    voice = chorale.notes[chorale.notes[:, 3] == 0]
    steps = np.diff(voice[voice[:, 0] % QUARTER == 0, 2])
    found: np.ndarray = steps[steps != 0]
    return found


def tunes_of(melodies: Sequence[np.ndarray]) -> list[int]:
    """A number of each melody, the same where they are of one tune, from 0 on in the order of the first of each."""
    grams = [{tuple(m[i : i + GRAM].tolist()) for i in range(len(m) - GRAM + 1)} for m in melodies]
    tune = list(range(len(grams)))
    for row, ours in enumerate(grams):
        least = [SHARED * max(1, min(len(ours), len(its))) for its in grams[:row]]
        near = {tune[i] for i, its in enumerate(grams[:row]) if len(ours & its) >= least[i]}
        if near:
            lowest = min(near)
            tune = [lowest if number in near or place == row else number for place, number in enumerate(tune)]
    _, first, places = np.unique(tune, return_index=True, return_inverse=True)
    numbers: list[int] = np.argsort(np.argsort(first))[places].tolist()
    return numbers


# Reading ------------------------------------------------------------------------------------------------------------


def _located() -> str:
    return str(_folder())


@cache
def _folder() -> Path:
    """Where the scores lie. Raises DataError saying how to get them."""
    try:
        files = importlib.metadata.files("music21") or []
    except importlib.metadata.PackageNotFoundError as error:
        raise DataError(f"the chorales come with music21, which is not installed: {_HOW}") from error
    for file in files:
        if file.match("music21/corpus/bach/*.mxl"):
            return Path(str(file.locate())).parent
    raise DataError("music21 is installed without its scores; pip install --force-reinstall music21")


def _read() -> tuple[list[Chorale], list[tuple[str, str]]]:
    """All chorales by BWV number, and what is none, by name and reason. Read once and kept in the cache."""
    files = sorted(_folder().glob("bwv*.mxl"), key=lambda file: _number(file.stem))
    return cached({"chorales": identity_of(files)}, lambda work: _write(files, work), _open)


def _number(name: str) -> tuple[list[int], str]:
    return [int(part) for part in re.findall(r"\d+", name)], name


def _write(files: Sequence[Path], work: Path) -> None:
    every, unfit = list[Chorale](), list[tuple[str, str]]()
    for file in alive(files):
        score = read_score(file)
        parts = voices(score.parts)
        lengths = {part.length for part in parts}
        if len(parts) == len(VOICES) and len(lengths) == 1:
            notes = np.concatenate([np.insert(part.notes, 3, i, axis=1) for i, part in enumerate(parts)])
            every.append(Chorale(file.stem, notes, parts[0].length, score.fifths))
        else:
            unfit.append((file.stem, ", ".join(part.name for part in score.parts)))
    tunes = tunes_of([melody(each) for each in every])
    np.savez(
        work / "chorales.npz",
        notes=np.concatenate([each.notes for each in every]),
        ends=np.cumsum([len(each.notes) for each in every]),
        about=np.array([(each.length, each.fifths, tune) for each, tune in zip(every, tunes, strict=True)]),
        names=np.array([each.name for each in every]),
        unfit=np.array(unfit, str).reshape(-1, 2),
    )
    (work / "manifest.json").write_text("{}")


def voices(parts: Sequence[Part]) -> list[Part]:
    """Of four parts all, of more those that are named after a voice."""
    if len(parts) == len(VOICES):
        return list(parts)
    return [part for part in parts if part.name.lower().split()[:1] in [[voice] for voice in VOICES]]


def _open(folder: Path) -> tuple[list[Chorale], list[tuple[str, str]]] | None:
    try:
        with np.load(folder / "chorales.npz") as found:
            parts = np.split(found["notes"], found["ends"][:-1])
            each = zip(found["names"].tolist(), parts, found["about"].tolist(), strict=True)
            every = [Chorale(name, notes, *about) for name, notes, about in each]
            return every, [(name, why) for name, why in found["unfit"].tolist()]
    except (OSError, EOFError, ValueError, KeyError):  # not there, cut off, or of another form
        return None
