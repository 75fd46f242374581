"""Scores in compressed MusicXML (``.mxl``), as far as their notes go: when each begins and ends, and how high it is.

A score is a ZIP archive with one document of parts, measures and notes. What is read is what sounds: repeats are not
played, grace notes have no length and are left out, and a note that is tied to the next is two notes side by side.
Times are in ticks, of which a quarter note has ``QUARTER``. No entity of a document is ever expanded.
"""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import NamedTuple
from xml.etree import ElementTree

import numpy as np

from bench.errors import DataError, named
from bench.foreign import decoding

QUARTER = 960  # ticks; whole ones for everything down to 64ths and for triplets
LARGEST = 2**24  # bytes of a document
_SEMITONES = {"C": 0, "D": 2, "E": 4, "F": 5, "G": 7, "A": 9, "B": 11}


class Part(NamedTuple):
    """One voice. notes: ``(n, 3)`` int64 of beginning, end and MIDI pitch, in order.   length: ticks to its end."""

    name: str
    notes: np.ndarray
    length: int


class Score(NamedTuple):
    """fifths: sharps of the key signature at the beginning, flats below 0."""

    parts: list[Part]
    fifths: int


def read_score(file: Path) -> Score:
    """The parts of a score. Raises DataError naming a file that holds none."""
    with decoding(file):
        root = ElementTree.fromstring(_document(file))
        names = {part.get("id"): part.findtext("part-name") or "" for part in root.iter("score-part")}
        parts = [_part(names.get(part.get("id")) or "", part) for part in root.findall("part")]
        fifths = int(root.findtext(".//key/fifths") or 0)
    if not any(len(part.notes) for part in parts):
        raise DataError(f"{named(str(file))} holds no note")
    return Score(parts, fifths)


def _document(file: Path) -> str:
    """The text of the one document. Raises DataError for a large one, and for one that declares entities."""
    with zipfile.ZipFile(file) as archive:
        inside = [info for info in archive.infolist() if not info.filename.startswith("META-INF/")]
        content = next((info for info in inside if info.filename.endswith((".xml", ".musicxml"))), None)
        if content is None:
            raise DataError(f"{named(str(file))} holds no MusicXML")
        if content.file_size > LARGEST:
            raise DataError(f"{named(str(file))} holds {content.file_size:,} bytes, more than a score has")
        with archive.open(content) as stream:
            text = stream.read(LARGEST).decode("utf-8-sig")
    if "<!ENTITY" in text:
        raise DataError(f"{named(str(file))} declares entities, which no score does")
    return text


def _part(name: str, part: ElementTree.Element) -> Part:
    notes: list[tuple[int, int, int]] = []
    at, ticks = 0, float(QUARTER)  # of one division
    for measure in part.findall("measure"):
        end = begun = at
        for element in measure:
            if divisions := element.findtext("divisions"):
                ticks = QUARTER / int(divisions)
            length = round(int(element.findtext("duration") or 0) * ticks)
            if element.tag == "backup":
                at -= length
            elif element.tag == "forward":
                at += length
            elif element.tag == "note" and element.find("grace") is None:
                begun = begun if element.find("chord") is not None else at
                if (pitch := _pitch(element)) is not None:
                    notes.append((begun, begun + length, pitch))
                at = max(at, begun + length)
            end = max(end, at)
        at = end
    return Part(name, np.array(sorted(notes), np.int64).reshape(-1, 3), at)


def _pitch(note: ElementTree.Element) -> int | None:
    """MIDI's number; None of a rest."""
    step = note.findtext("pitch/step")
    if step is None:
        return None
    octave, alter = int(note.findtext("pitch/octave") or 0), float(note.findtext("pitch/alter") or 0)
    return 12 * (octave + 1) + _SEMITONES[step] + round(alter)
