"""From pieces of music to a dataset: cleaned, split, cut into windows, and as piano rolls or as events.

Two pieces are the same where one is the other moved up or down: a copy in another key is a copy.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, NamedTuple

import numpy as np
from pydantic import NonNegativeInt

from bench.datasets._clean import Looks, keys_of, straddling, twins
from bench.datasets._events import EventDataset
from bench.datasets._findings import Preparation, decide, findings_of
from bench.datasets._image import SPLITS
from bench.datasets._rolls import KEYS, LOWEST, RollDataset
from bench.datasets._split import Share, grouped, parted
from bench.datasets._stages import Clean
from bench.errors import DataError, counted, named
from bench.protocols import SplitName

Form = Literal["roll", "events"]
SHORT = "are shorter than a window"


class Piece(NamedTuple):
    """A roll ``(frames, 88)`` uint8 of 0 and 1. group: what shares one stays in one split.   split: as set apart."""

    name: str
    roll: np.ndarray
    group: str | None = None
    split: SplitName | None = None


@dataclass(frozen=True)
class MusicStages:
    """What is done to pieces of any source.

    clean: what cannot be read, has no notes, stands twice or is in training and held out at once is dropped, refused
        or, where it can be, kept.
    form: piano rolls, or events as tokens.   window: frames of an example; 0: whole pieces.
    group: where a source finds the key of a group, which stays in one split; "" where there is none.
    valid, test: shares that are held out where nothing was set apart.
    """

    clean: Clean = "drop"
    form: Form = "roll"
    window: NonNegativeInt = 32
    group: str = ""
    valid: Share = 0.1
    test: Share = 0.1


def on_grid(notes: np.ndarray, frame: float, frames: int) -> np.ndarray:
    """A roll ``(frames, 88)``: a key sounds in a frame if one of its notes does as the frame begins.

    notes: ``(n, 3)`` of beginning, end and MIDI pitch, in the unit of ``frame``. A piano has no key for others.
    """
    roll = np.zeros((frames, KEYS), np.uint8)
    first = np.ceil(notes[:, 0] / frame - 1e-6).astype(int)
    last = np.ceil(notes[:, 1] / frame - 1e-6).astype(int)
    for begin, end, key in zip(first, last, notes[:, 2].astype(int) - LOWEST, strict=True):
        if 0 <= key < KEYS:
            roll[begin:end, key] = 1
    return roll


def prepare_pieces(
    name: str,
    pieces: Sequence[Piece],
    stages: MusicStages,
    rate: float,
    bad: Mapping[str, Sequence[tuple[str, str]]],
    remarks: Sequence[str] = (),
) -> RollDataset | EventDataset:
    """The dataset of pieces. rate: frames a second.   bad: what could not be used, by name, with the reason.

    Raises DataError where nothing is left, for a group that no piece is of, and for what ``clean`` refuses.
    """
    short = [(p.name, f"{len(p.roll)} frames") for p in pieces if len(p.roll) < stages.window]
    kept = [piece for piece in pieces if len(piece.roll) >= stages.window]
    bad, held = {**bad, SHORT: short}, len(pieces) + sum(map(len, bad.values()))
    first = next((f": {what} ({why})" for those in bad.values() for what, why in those), "")
    if not kept:
        raise DataError(f"{named(name)} holds no piece of music that can be used{first}")
    if first and stages.clean == "keep":
        raise DataError(f'{named(name)} holds what cannot be kept{first}: mend or remove it, or say clean = "drop"')
    digests = [hashlib.sha256(normal_form(piece.roll).tobytes()).digest() for piece in kept]
    looks = Looks(np.array(digests, "S32"), np.empty(0, np.uint64), np.empty((0, 64), np.uint8))
    apart = [piece.split for piece in kept if piece.split]
    groups = [piece.group for piece in kept]
    grouped(named(name), stages.group, groups)
    same = twins(looks, apart or None, None)
    same += straddling(groups, apart, {twin.row for twin in same})
    findings = findings_of(bad, same, [piece.name for piece in kept], held, stages.clean)
    decide(name, findings, stages.clean)
    gone = {twin.row for twin in same} if stages.clean == "drop" else set()
    left = np.array([row for row in range(len(kept)) if row not in gone])
    keys, shares = keys_of(looks, groups, same), (stages.valid, stages.test)
    rows = parted(named(name), "piece", left, [piece.split for piece in kept], keys, keys, shares)
    rolls, cut = _windows({split: [kept[row].roll for row in rows[split]] for split in SPLITS}, stages.window)
    kinds: Mapping[Form, Callable[..., RollDataset | EventDataset]] = {"roll": RollDataset, "events": EventDataset}
    data = kinds[stages.form](named(name), rolls, rate)
    data.prepared = Preparation(
        fingerprint=data.fingerprint,
        held=held,
        splits={split: len(rows[split]) for split in SPLITS},
        classes=None,
        sizes={},
        steps={},
        findings=findings,
        remarks=(*remarks, *cut, *(finding.told for finding in findings)),
    )
    return data


def normal_form(roll: np.ndarray) -> np.ndarray:
    """The same of a piece in every key: its lowest note on the lowest key, silence at both ends left out."""
    sounds = np.flatnonzero(roll.any(1))
    if not len(sounds):
        return roll[:0]
    inside = roll[sounds[0] : sounds[-1] + 1]
    return np.ascontiguousarray(np.roll(inside, -int(np.flatnonzero(inside.any(0))[0]), axis=1))


def _windows(
    pieces: Mapping[SplitName, Sequence[np.ndarray]], size: int
) -> tuple[dict[SplitName, list[np.ndarray]], list[str]]:
    """Pieces cut into windows of so many frames end to end, and remarks on what was left out.

    That is: the rest of a piece, silence, and windows that stand in one that is held out before, note for note.
    """
    if not size:
        return {split: list(pieces[split]) for split in SPLITS}, []
    found, known = dict[SplitName, list[np.ndarray]](), set[bytes]()
    silent = copies = rest = 0
    order: Sequence[SplitName] = ("test", "valid", "train")
    for split in order:
        every = [p[i : i + size] for p in pieces[split] for i in range(0, len(p) - size + 1, size)]
        rest += sum(len(piece) % size for piece in pieces[split])
        sounding = [window for window in every if window.any()]
        silent += len(every) - len(sounding)
        found[split] = [window for window in sounding if window.tobytes() not in known]
        copies += len(sounding) - len(found[split])
        known.update(window.tobytes() for window in found[split])
    remarks = [f"pieces are cut into windows of {size} frames; {rest:,} frames behind the last ones are left out"]
    if silent:
        remarks.append(f"left out, as they are silent: {counted(silent, 'window')}")
    if copies:
        remarks.append(f"left out, as the same is held out, note for note: {counted(copies, 'window')}")
    return found, remarks
