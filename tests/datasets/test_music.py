"""Music: chorales in MusicXML, folders of MIDI files, and events that spell piano rolls."""

from __future__ import annotations

import zipfile
from functools import cache
from pathlib import Path
from typing import Any

import mido
import numpy as np
import pytest
import torch

from bench import DataError, GenbenchError
from bench.datasets._events import END, OFF, ON, VOCAB, EventDataset, decoded, encoded
from bench.datasets._musicxml import QUARTER, read_score
from bench.datasets._pieces import normal_form, on_grid
from bench.datasets._rolls import KEYS, LOWEST, RollDataset
from bench.datasets.chorales import GRAM, _read, chorales, tunes_of
from bench.datasets.midi import midi, roll_of
from bench.registry import registry

# Events -------------------------------------------------------------------------------------------------------------


def roll(*frames: tuple[int, ...]) -> np.ndarray:
    found = np.zeros((len(frames), KEYS), np.uint8)
    for row, keys in zip(found, frames, strict=True):
        row[list(keys)] = 1
    return found


def test_a_roll_is_spelled_in_the_order_that_stands_there() -> None:
    """Keys come up before others go down, low ones first, and time passes in the longest steps."""
    found = encoded(roll((3, 5), (3, 5), (5, 2, 9), *[()] * 17)).tolist()
    assert found == [ON + 3, ON + 5, 2, OFF + 3, ON + 2, ON + 9, 1, OFF + 2, OFF + 5, OFF + 9, 16, 1, END]
    assert encoded(roll(())).tolist() == [1, END] and encoded(roll()).tolist() == [END]


def test_what_is_spelled_is_read_as_the_same() -> None:
    rng = np.random.default_rng(0)
    for density in (0.0, 0.02, 0.5, 1.0):
        for frames in (0, 1, 15, 16, 17, 70):
            x = np.repeat(rng.random((frames, KEYS)) < density, rng.integers(1, 20, frames), axis=0).astype(np.uint8)
            tokens = encoded(x)
            assert np.array_equal(decoded(tokens.tolist()), x) and (tokens == END).sum() == 1
            assert tokens.min() >= 0 and tokens.max() < VOCAB


def test_any_row_of_tokens_can_be_read() -> None:
    assert np.array_equal(decoded([OFF, ON, ON, 2, OFF, 1, END, ON, 5]), roll((0,), (0,), ()))
    for row in np.random.default_rng(1).integers(0, VOCAB, (20, 40)).tolist():
        x = decoded(row)
        assert np.array_equal(decoded(encoded(x).tolist()), x)


# MusicXML -----------------------------------------------------------------------------------------------------------

NOTE = "<note>{}<duration>{}</duration></note>"


def pitch(step: str, octave: int, alter: int = 0) -> str:
    return f"<pitch><step>{step}</step><alter>{alter}</alter><octave>{octave}</octave></pitch>"


def written(folder: Path, *measures: str, head: str = "") -> Path:
    """A score of one part, its measures given."""
    inside = "".join(f"<measure>{measure}</measure>" for measure in measures)
    listed = '<part-list><score-part id="P1"><part-name>Alto</part-name></score-part></part-list>'
    path = folder / "score.mxl"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("META-INF/container.xml", "<container/>")
        document = f'{head}<score-partwise>{listed}<part id="P1">{inside}</part></score-partwise>'
        archive.writestr("score.xml", f'<?xml version="1.0" encoding="UTF-8"?>{document}')
    return path


def test_notes_of_a_score(tmp_path: Path) -> None:
    """Divisions that change, rests, chords, grace notes, voices behind one another, and a signature."""
    first = (
        "<attributes><divisions>2</divisions><key><fifths>-3</fifths></key></attributes>"
        + NOTE.format(pitch("C", 4), 2) + "<note><grace/>" + pitch("D", 4) + "</note>"
        + NOTE.format("<chord/>" + pitch("E", 4, -1), 2) + NOTE.format("<rest/>", 1) + NOTE.format(pitch("F", 4, 1), 1)
        + "<backup><duration>4</duration></backup><forward><duration>1</duration></forward>"
        + NOTE.format(pitch("C", 3), 3)
    )  # fmt: skip
    second = "<attributes><divisions>3</divisions></attributes>" + NOTE.format(pitch("B", 3, 1), 1)
    score = read_score(written(tmp_path, first, second))
    (part,), half = score.parts, QUARTER // 2
    assert score.fifths == -3 and part.name == "Alto" and part.length == 2 * QUARTER + QUARTER // 3
    assert part.notes.tolist() == [
        [0, QUARTER, 60], [0, QUARTER, 63], [half, 2 * QUARTER, 48], [3 * half, 2 * QUARTER, 66],
        [2 * QUARTER, 2 * QUARTER + QUARTER // 3, 60],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("head", "measure", "words"),
    [
        ('<!DOCTYPE s [<!ENTITY a "b">]>', NOTE.format(pitch("C", 4), 1), "declares entities, which no score does"),
        ("", NOTE.format("<rest/>", 1), "holds no note"),
        ("", NOTE.format(pitch("H", 4), 1), "cannot read .*score.mxl"),
        ("<a>", NOTE.format(pitch("C", 4), 1), "cannot read .*score.mxl"),
    ],
)
def test_scores_that_are_none(head: str, measure: str, words: str, tmp_path: Path) -> None:
    with pytest.raises(DataError, match=words):
        read_score(written(tmp_path, measure, head=head))


def test_archives_that_hold_no_score(tmp_path: Path) -> None:
    (tmp_path / "a.mxl").write_bytes(b"no archive")
    with pytest.raises(DataError, match=r"a\.mxl: it is no archive"):
        read_score(tmp_path / "a.mxl")
    with zipfile.ZipFile(tmp_path / "b.mxl", "w") as archive:
        archive.writestr("a.txt", "")
    with pytest.raises(DataError, match="holds no MusicXML"):
        read_score(tmp_path / "b.mxl")


# Chorales -----------------------------------------------------------------------------------------------------------


@cache
def embedded(form: Any = "roll", window: int = 32) -> Any:
    return chorales(form=form, window=window)


def test_tunes_are_known_in_any_key_and_by_a_part() -> None:
    rng = np.random.default_rng(0)
    first, second = rng.integers(1, 5, (2, 40))
    ornamented = first.copy()
    ornamented[[5, 20]] = 7
    every = [first, second, ornamented, second[10:30], rng.integers(1, 5, 40), first[: GRAM - 1]]
    assert tunes_of(every) == [0, 1, 0, 1, 2, 3]
    # What joins two tunes makes them one.
    assert tunes_of([first, second, np.concatenate([first, second])]) == [0, 0, 0]


def test_the_chorales_are_those_of_the_corpus() -> None:
    data = embedded()
    assert isinstance(data, RollDataset) and data.spec.shape == (32, 88) and data.spec.rate == 3
    about = data.prepared
    assert about is not None and about.held == 408 and about.splits == {"train": 228, "valid": 98, "test": 75}
    told = {finding.what: finding.count for finding in about.findings}
    assert told == {"are not in four parts of one length": 3, "stand there twice": 4}
    assert any("405 chorales are of 188 tunes, 70 of which" in line for line in about.remarks)
    gone = ("left out, as they are silent: 10 windows", "left out, as the same is held out, note for note: 1 window")
    assert {*gone} <= {*about.remarks}


def test_the_last_chord_of_a_chorale_is_where_it_is_printed() -> None:
    """BWV 269, "Aus meines Herzens Grunde": it begins and ends in G major, in four parts."""
    (piece,) = (each for each in _read()[0] if each.name == "bwv269")
    x = on_grid(piece.notes, QUARTER, piece.length // QUARTER)
    assert piece.fifths == 1 and piece.length == 63 * QUARTER
    assert (np.flatnonzero(x[0]) + LOWEST).tolist() == [43, 59, 62, 67]
    assert {int(key) % 12 for key in np.flatnonzero(x[-1]) + LOWEST} == {7, 11, 2}


def test_no_piece_of_one_split_is_in_another_in_whatever_key() -> None:
    data = embedded()
    seen = [{normal_form(x).tobytes() for x in part.rolls.numpy()} for part in (data.train, data.valid, data.test)]
    shared = [len(seen[0] & seen[1]), len(seen[0] & seen[2]), len(seen[1] & seen[2])]
    assert sum(shared) == 0, shared


def test_rolls_and_events_are_the_same_music() -> None:
    rolls, events = embedded(), embedded("events")
    assert isinstance(events, EventDataset) and events.frame_rate == rolls.spec.rate
    for split in ("train", "valid", "test"):
        one, other = getattr(rolls, split), getattr(events, split)
        found = events.rolls(other.batch(torch.arange(len(other))).data)
        assert torch.equal(found.data, one.rolls) and found.lengths.tolist() == one.lengths.tolist()


# MIDI ---------------------------------------------------------------------------------------------------------------


def play(path: Path, *notes: tuple[int, float, float], channel: int = 0, beat: int = 96) -> None:
    """A file of notes: pitch, beginning and end in quarter notes."""
    path.parent.mkdir(parents=True, exist_ok=True)
    score = mido.MidiFile(ticks_per_beat=beat)
    track, now = mido.MidiTrack(), 0.0
    events = [(end, 0, p) for p, _, end in notes] + [(begin, 1, p) for p, begin, _ in notes]
    for at, down, key in sorted(events):
        kind = "note_on" if down else "note_off"
        track.append(mido.Message(kind, note=key, velocity=64, channel=channel, time=round((at - now) * beat)))
        now = at
    score.tracks.append(track)
    score.save(path)


def melody(seed: int, up: int = 0) -> list[tuple[int, float, float]]:
    pitches = np.random.default_rng(seed).integers(50, 70, 40) + up
    return [(int(key), float(i), float(i + 1)) for i, key in enumerate(pitches)]


def test_notes_are_moved_to_the_grid(tmp_path: Path) -> None:
    play(tmp_path / "a.mid", (60, 0.02, 0.98), (64, 0.26, 0.27), (127, 0, 1), (21, 1.0, 1.5))
    found = roll_of(tmp_path / "a.mid", 4)
    assert [np.flatnonzero(row).tolist() for row in found] == [[39], [39, 43], [39], [39], [0], [0]]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed in range(20):
        play(tmp_path / "good" / f"{seed:02d}.mid", *melody(seed))
    play(tmp_path / "good" / "moved.midi", *melody(3, up=5))
    return tmp_path / "good"


def test_a_folder_of_midi(folder: Path) -> None:
    data = midi(str(folder))
    assert isinstance(data, RollDataset) and data.spec.rate == 8 and data.spec.shape == (32, 88)
    assert data.prepared and data.prepared.splits == {"train": 16, "valid": 2, "test": 2}
    assert [str(finding) for finding in data.prepared.findings] == ["1 of 21 stands there twice: moved.midi (03.mid)"]
    events = midi(str(folder), form="events")
    assert isinstance(events, EventDataset)
    assert torch.equal(events.rolls(events.test.batch(torch.tensor([0])).data).data, data.test.rolls[:1])


def test_what_cannot_be_used_is_told_by_name(folder: Path) -> None:
    play(folder / "drums.mid", (40, 0, 1), (41, 1, 2), channel=9)
    play(folder / "silent.mid")
    play(folder / "short.mid", (40, 0, 1))
    (folder / "cut.mid").write_bytes((folder / "00.mid").read_bytes()[:60])
    (folder / "empty.mid").write_bytes(b"")
    (folder / "text.mid").write_bytes(b"MThd no score at all")
    data = midi(str(folder), window=16)
    found = {finding.what: [name for name, _ in finding.examples] for finding in data.prepared.findings}  # type: ignore[union-attr]
    assert found == {
        "cannot be decoded": ["cut.mid", "empty.mid", "text.mid"],
        "hold no notes": ["silent.mid"],
        "hold drums alone": ["drums.mid"],
        "are shorter than a window": ["short.mid"],
        "stand there twice": ["moved.midi"],
    }
    with pytest.raises(DataError, match=r"3 of 27 cannot be decoded: cut\.mid .*; 1 of 27 holds no notes: silent\.mid"):
        midi(str(folder), window=16, clean="refuse")
    with pytest.raises(DataError, match=r"holds what cannot be kept: cut\.mid .*say clean = \"drop\""):
        midi(str(folder), window=16, clean="keep")


def test_groups_and_folders_decide_the_splits(folder: Path) -> None:
    by_group: Any = midi(str(folder), group=r"(\d)\.mid$")
    assert by_group.prepared.splits == {"train": 16, "valid": 2, "test": 2}
    known = {roll_of(file, 4)[:32].tobytes(): file.stem[1] for file in folder.glob("*.mid")}
    for part in (by_group.valid, by_group.test):  # of a group
        assert len({known[x.tobytes()] for x in part.rolls.numpy() if x.tobytes() in known}) == 1
    for name in ("train", "test"):
        for seed in range(12):
            play(folder.parent / "apart" / name / f"{seed}.mid", *melody(100 + seed + 11 * (name == "test")))
    data = midi(str(folder.parent / "apart"))
    assert data.prepared and data.prepared.splits == {"train": 10, "valid": 1, "test": 12}
    assert [str(f) for f in data.prepared.findings] == ["1 of 24 is in two splits: train/11.mid (test/0.mid)"]


def test_folders_that_hold_no_music(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"holds no MIDI files \(\.mid, \.midi\)"):
        registry.get("datasets", f"midi:{tmp_path}").make()
    play(tmp_path / "a.mid")
    with pytest.raises(DataError, match=r"holds no piece of music that can be used: a\.mid"):
        midi(str(tmp_path))
    with pytest.raises(GenbenchError, match=r"is no folder: midi:FOLDER names one of MIDI files"):
        midi(str(tmp_path / "a.mid"))
