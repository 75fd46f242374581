"""A folder of MIDI files, read by mido, which is Python alone: a damaged file is an error here and never a crash.

What is read is which keys of a piano sound, of all instruments together but drums. Loudness, pedals and tempo are not
kept: time is counted in quarter notes, of which two pass in a second, as in MIDI that names no tempo.
"""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePath
from typing import Any, NamedTuple

import numpy as np
from pydantic import PositiveInt

from bench import DataError, dataset
from bench.datasets._events import EventDataset
from bench.datasets._findings import UNDECODABLE
from bench.datasets._items import grouping, set_apart
from bench.datasets._pieces import MusicStages, Piece, on_grid, prepare_pieces
from bench.datasets._rolls import RollDataset
from bench.datasets._split import ALIASES
from bench.datasets._stages import staged
from bench.errors import named
from bench.foreign import decoding, locate
from bench.probes.pulse import alive

TEMPO = 2.0  # quarter notes a second
SUFFIXES = (".mid", ".midi")
DRUMS = 9  # the channel
LARGEST, LONGEST = 2**24, 2**17  # bytes of a file, frames of a piece
SILENT, DRUMS_ALONE, ENDLESS = "hold no notes", "hold drums alone", f"last for more than {LONGEST:,} frames"
_HOW = 'pip install "genbench[music]"'


class Unusable(Exception):
    """A file that can be read and is no piece of music. what: of ``Finding``.   why: of this one."""

    def __init__(self, what: str, why: str) -> None:
        super().__init__(why)
        self.what = what


@dataset("midi:", modality="music", locate=lambda: "midi:FOLDER")
@staged
def midi(path: str, stages: MusicStages, *, grid: PositiveInt = 4) -> RollDataset | EventDataset:
    """MIDI files below midi:FOLDER; sub-folders may be train, valid and test. Piano rolls or events.

    grid: frames a quarter note, to the nearest of which notes are moved; none is shorter than a frame.
    form: "roll" or "events".   window: frames of an example; 0: whole pieces.   clean: of files that cannot be read,
    hold no notes but drums, or stand twice, in whatever key: "drop", "refuse", or "keep" those that can be.
    group: a regular expression that is searched for in the path below the folder; its first group, or all
    that it finds, is the key.
    """
    place = locate(path)
    if not place.is_dir():
        raise DataError(f"{named(path)} is no folder: midi:FOLDER names one of MIDI files")
    if importlib.util.find_spec("mido") is None:
        raise DataError(f"MIDI is read by mido, which is not installed: {_HOW}")
    files = _files(place)
    if not files:
        raise DataError(f"{named(path)} holds no MIDI files ({', '.join(SUFFIXES)})")
    pieces, bad = list[Piece](), {what: list[tuple[str, str]]() for what in (UNDECODABLE, SILENT, DRUMS_ALONE, ENDLESS)}
    group_of, (apart, remarks) = grouping(stages.group), _apart(files, place)
    for file, split in alive(apart):
        name = str(file.relative_to(place))
        try:
            pieces.append(Piece(name, roll_of(file, grid), group_of(name), split))
        except DataError as error:
            bad[UNDECODABLE].append((name, str(error).partition(": ")[2]))
        except Unusable as error:
            bad[error.what].append((name, str(error)))
    return prepare_pieces(f"midi:{path}", pieces, stages, TEMPO * grid, bad, remarks)


def _files(place: Path) -> list[Path]:
    """In order of their names, links to folders left alone."""
    return sorted(file for file in place.rglob("*") if file.suffix.lower() in SUFFIXES and file.is_file())


def _apart(files: Sequence[Path], place: Path) -> tuple[list[tuple[Path, Any]], list[str]]:
    """Each with its split, by the folder that it lies in, where folders are named so."""
    first = [PurePath(file.relative_to(place)).parts[0] if file.parent != place else "" for file in files]
    return set_apart(files, first if {*first} & ALIASES.keys() - {"train"} else [""] * len(files))


class Note(NamedTuple):
    """In ticks."""

    begin: int
    end: int
    pitch: int
    channel: int


def roll_of(file: Path, grid: int) -> np.ndarray:
    """A roll ``(frames, 88)``. Raises DataError for a file that cannot be read, Unusable for one without notes."""
    import mido

    with decoding(file):
        if file.stat().st_size > LARGEST:
            raise ValueError(f"it holds {file.stat().st_size:,} bytes, more than a score has")
        score = mido.MidiFile(file)
        if score.type == 2 or not 0 < score.ticks_per_beat < 2**15:
            raise ValueError("it does not count in quarter notes")
        every = [note for track in score.tracks for note in _notes(track)]
    if not every:
        raise Unusable(SILENT, "")
    notes = np.array([note for note in every if note.channel != DRUMS], np.int64).reshape(-1, 4)
    if not len(notes):
        raise Unusable(DRUMS_ALONE, f"{len(every)} strokes")
    frame = score.ticks_per_beat / grid
    begin = np.rint(notes[:, 0] / frame).astype(np.int64)
    end = np.maximum(begin + 1, np.rint(notes[:, 1] / frame).astype(np.int64))
    if (frames := int(end.max())) > LONGEST:
        raise Unusable(ENDLESS, f"{frames:,}")
    return on_grid(np.stack([begin, end, notes[:, 2]], axis=1), 1, frames)


def _notes(track: Any) -> Iterator[Note]:
    """Of a track; what goes down twice comes up first, and what never comes up does so at the end."""
    down, now = dict[tuple[int, int], int](), 0
    for message in track:
        now += message.time
        if message.type not in ("note_on", "note_off"):
            continue
        key = (message.note, message.channel)
        if key in down:
            yield Note(down.pop(key), now, *key)
        if message.type == "note_on" and message.velocity:
            down[key] = now
    for key, begin in down.items():
        yield Note(begin, now, *key)
