"""Music on a page can be heard: as MIDI that another reader reads, and as sound of the right pitch."""

from __future__ import annotations

import io
import wave
from pathlib import Path

import mido
import numpy as np
import pytest
import torch

from bench.datasets._events import EventDataset, encoded
from bench.modalities import modality_of
from reports.previews._midi import midi_file, notes_of
from reports.previews._synthesiser import RATE, RELEASE, additive, heard
from reports.previews.music import LONGEST
from tests.reports.test_previews import npz, shown

CHORD = np.zeros((6, 88), np.uint8)
CHORD[:4, 48], CHORD[2:, 52] = 1, 1  # A above middle C for four frames, C sharp from the third on


def samples_of(sound: bytes) -> np.ndarray:
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (1, 2, RATE)
        return np.frombuffer(file.readframes(file.getnframes()), "<i2") / 32767


def test_notes_of_a_roll() -> None:
    assert notes_of(CHORD > 0).tolist() == [[0, 4, 69], [2, 6, 73]]
    assert notes_of(np.ones((2, 128), bool))[:, 2].tolist() == list(range(128))
    assert notes_of(np.ones((1, 12), bool))[[0, 11], 2].tolist() == [54, 65]


@pytest.mark.parametrize("rate", [0.1, 1.5, 3.0, 100.0])
def test_another_reader_reads_the_same_notes(rate: float) -> None:
    rng = np.random.default_rng(0)
    notes = notes_of(np.repeat(rng.random((30, 88)) < 0.1, rng.integers(1, 60, 30), axis=0))
    score = mido.MidiFile(file=io.BytesIO(midi_file(notes, rate)))
    found, down, now = [], dict[int, float](), 0.0
    for message in score:  # in seconds, by the tempo that the file names
        now += message.time
        if message.type == "note_off":
            found.append((down.pop(message.note), now, message.note))
        elif message.type == "note_on":
            down[message.note] = now
    expected = [(begin / rate, end / rate, pitch) for begin, end, pitch in notes.tolist()]
    assert score.type == 0 and not down
    np.testing.assert_allclose(sorted(found), sorted(expected), rtol=1e-4, atol=1e-6)


def test_a_note_has_its_pitch_and_dies_away() -> None:
    sound = additive(np.array([[0, 3, 69]]), 1.5, 10.0)
    assert len(sound) == round((2 + RELEASE) * RATE) and np.abs(sound).max() == pytest.approx(0.9)
    power = np.abs(np.fft.rfft(sound[:RATE]))
    assert power.argmax() == 440 and power[880] > 0.05 * power[440]
    early, late = (np.square(part).mean() for part in (sound[: RATE // 4], sound[RATE : RATE + RATE // 4]))
    assert late < early / 4 and abs(sound[-1]) < 1e-3


def test_what_is_seen_can_be_heard() -> None:
    found = shown("music", npz(samples=np.stack([CHORD, 0 * CHORD, CHORD]), rate=3.0))
    assert found.png and len(found.sounds) == len(found.midi) == 1  # of the first two, of which one is silent
    assert len(samples_of(found.sounds[0])) == round((2 + RELEASE) * RATE)
    assert mido.MidiFile(file=io.BytesIO(found.midi[0])).length == pytest.approx(2, rel=1e-5)


def test_a_page_stays_small() -> None:
    rng = np.random.default_rng(0)
    noise = (rng.random((1, LONGEST + 100, 88)) < 0.5).astype(np.uint8)
    found = shown("music", npz(samples=noise, rate=3.0))
    assert len(found.sounds[0]) <= 2**18 and len(found.midi[0]) <= 2**18


@pytest.mark.parametrize("rate", [float("nan"), float("inf"), -1.0, 0.0, 1e300])
def test_a_rate_that_is_none_does_no_harm(rate: float) -> None:
    assert shown("music", npz(samples=CHORD[None], rate=rate)).sounds


def test_events_are_kept_and_heard_as_rolls() -> None:
    pieces = [CHORD, np.roll(CHORD, 3, axis=1)]
    data = EventDataset("made", {"train": pieces, "valid": pieces[:1], "test": pieces[1:]}, rate=3.0)
    suffix, content = modality_of("music").packed(modality_of("music").held(data, "train"), data)
    with np.load(io.BytesIO(content)) as kept:
        assert suffix == ".npz" and np.array_equal(kept["samples"], pieces) and kept["rate"] == 3
    assert len(shown("music", io.BytesIO(content)).midi) == 2
    assert data.train.batch(torch.tensor([0])).data[0, : len(encoded(CHORD))].tolist() == encoded(CHORD).tolist()


PLAYER = """#!/bin/sh
while [ "$1" != -F ]; do shift; done
cat "$3" > /dev/null && cat "$4" > /dev/null && cp "{sound}" "$2"
"""


def test_fluidsynth_plays_where_it_and_a_soundfont_are(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Which program it is does not matter: it is handed a soundfont and a score, and leaves a sound."""
    notes = notes_of(CHORD > 0)
    midi = midi_file(notes, 3.0)
    own = heard(notes, midi, 3.0, 1.0)
    with wave.open(str(tmp_path / "made.wav"), "wb") as file:
        file.setparams((2, 2, RATE, 0, "NONE", ""))
        file.writeframes(np.full(2 * 3 * RATE, 1000, "<i2").tobytes())
    program = tmp_path / "fluidsynth"
    program.write_text(PLAYER.format(sound=tmp_path / "made.wav"))
    program.chmod(0o700)
    (tmp_path / "piano.sf2").write_bytes(b"RIFF")
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("GENBENCH_SOUNDFONT", str(tmp_path / "piano.sf2"))
    played = samples_of(heard(notes, midi, 3.0, 1.0))
    assert len(played) == RATE and np.allclose(played, 1000 / 32767, atol=1e-3)
    (tmp_path / "made.wav").unlink()  # a player that fails is as none
    assert heard(notes, midi, 3.0, 1.0) == own
