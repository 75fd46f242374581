"""Recordings as data: what is done to them, what is found wrong, and the two sets that come with a name."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import torch

from bench import DataError
from bench.datasets._sounds import fitted, levelled, resampled, trimmed
from bench.datasets.fsdd import fsdd
from bench.datasets.sounds import sounds
from bench.datasets.tones import KINDS, RATE, tones
from bench.reading.sounds import decode_sound

Write = Callable[..., Path]


def tone(pitch: float, seconds: float = 0.5, rate: int = 8000, level: float = 0.5) -> np.ndarray:
    return level * np.sin(2 * np.pi * pitch * np.arange(round(seconds * rate)) / rate)


@pytest.fixture
def write(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Write:
    """Writes sounds into a folder of the test's."""
    monkeypatch.chdir(tmp_path)

    def written(name: str, wave: np.ndarray, rate: int = 8000, **how: Any) -> Path:
        path = tmp_path / "clips" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(path, wave, rate, **how)
        return path

    return written


def some(write: Write, n: int = 12) -> None:
    """Tones that are all right, in two classes."""
    for number in range(n):
        write(f"{'ab'[number % 2]}/{number}.wav", tone(200 + 40 * number))


class TestWhatIsDone:
    def test_a_tone_stays_itself_at_another_rate(self) -> None:
        """Away from the ends, where the filter sees silence."""
        found = resampled(tone(440, rate=44100).astype(np.float32), 44100, 8000)
        assert len(found) == 4000
        assert np.abs(found - tone(440))[200:-200].max() < 2e-3

    def test_what_the_new_rate_cannot_hold_is_taken_out(self) -> None:
        """A tone above half the rate would be heard as another one."""
        found = resampled(tone(6000, rate=44100).astype(np.float32), 44100, 8000)
        assert np.abs(found[200:-200]).max() < 0.01

    def test_silence_is_cut_off_at_both_ends_and_nowhere_else(self) -> None:
        wave = np.concatenate([np.full(100, 0.001), [0.5], np.zeros(300), [-0.4], np.full(50, 0.004)])
        assert len(trimmed(wave.astype(np.float32))) == 302

    def test_levels(self) -> None:
        wave = tone(100, level=0.02).astype(np.float32)
        assert np.abs(levelled(wave, "peak")).max() == pytest.approx(0.95)
        assert np.sqrt(np.square(levelled(wave, "rms")).mean()) == pytest.approx(0.1, rel=1e-4)
        spike = np.zeros(1000, np.float32)
        spike[3] = 0.5
        assert np.abs(levelled(spike, "rms")).max() == pytest.approx(0.95)  # and no more, however quiet the rest is
        assert (levelled(wave, "as_is") == wave).all()
        assert not levelled(np.zeros(5, np.float32), "peak").any()

    def test_lengths(self) -> None:
        wave = np.arange(5, dtype=np.float32)
        assert fitted(wave, 3).tolist() == [0, 1, 2]
        assert fitted(wave, 7).tolist() == [0, 1, 2, 3, 4, 0, 0]

    def test_a_folder_becomes_waveforms_of_one_form(self, write: Write) -> None:
        """Of any rate, channels and format; sub-folders are labels."""
        some(write)
        write("a/high.flac", tone(440, rate=44100), 44100)
        write("b/stereo.ogg", np.stack([tone(300, 1.5), tone(300, 1.5)], 1), format="OGG")
        data = sounds("clips", rate=8000)
        assert data.spec.shape == (8000,) and data.spec.rate == 8000 and data.spec.classes == 2
        everything = torch.cat([part.rows for part in (data.train, data.valid, data.test)])
        assert len(everything) == 14
        assert torch.allclose(everything.abs().amax(1), torch.tensor(0.95), atol=1e-6)
        assert data.prepared is not None
        assert data.prepared.remarks == (
            "1 of 14 sounds have several channels: they are mixed to one",
            "1 of 14 sounds are brought to 8,000 samples a second",
            "1 of 14 sounds are longer than 1 s: their ends are cut off",
        )
        assert data.prepared.rate == 8000 and max(data.prepared.steps.values()) == 14  # of how many, and no rate

    def test_a_rate_that_all_have_is_kept(self, write: Write) -> None:
        some(write)
        data = sounds("clips")
        assert data.prepared is not None and data.prepared.rate == data.spec.rate == 8000

    def test_what_is_done_is_part_of_the_fingerprint(self, write: Write) -> None:
        some(write)
        ways: tuple[dict[str, Any], ...] = ({}, {"trim": False}, {"level": "rms"}, {"seconds": 0.4}, {"rate": 4000})
        assert len({sounds("clips", **way).fingerprint for way in ways}) == len(ways)

    def test_a_zip_is_a_folder(self, write: Write, tmp_path: Path) -> None:
        some(write)
        with zipfile.ZipFile(tmp_path / "clips.zip", "w") as archive:
            for path in sorted((tmp_path / "clips").rglob("*.wav")):
                archive.write(path, path.relative_to(tmp_path / "clips"))
        assert sounds("clips.zip").fingerprint == sounds("clips").fingerprint

    def test_rates_that_differ_are_asked_about(self, write: Write) -> None:
        """But a few of another one than the first are left out, where what is wrong is dropped."""
        some(write)
        write("a/high.wav", tone(440, rate=16000), 16000)
        for clean in ("refuse", "keep"):
            with pytest.raises(DataError, match=r"rate: a/high.wav has 16,000 .* it 8,000: say with rate = 8000"):
                sounds("clips", clean=clean)
        data = sounds("clips")
        assert data.prepared is not None and sum(data.prepared.splits.values()) == 12 and data.spec.rate == 8000
        assert data.prepared.remarks == (
            "1 of 13 is of another rate than the first: a/high.wav (16,000 samples a second): dropped (rate brings all "
            "to one)",
        )
        for number in range(11):
            write(f"c/{number}.wav", tone(200 + 20 * number, rate=16000), 16000)
        with pytest.raises(DataError, match=r"rate: a/high.wav has 16,000"):
            sounds("clips")

    def test_no_split_is_left_out_for_its_rate(self, write: Write) -> None:
        for number in range(12):
            write(f"train/{number}.wav", tone(200 + 20 * number))
        write("test/0.wav", tone(440, rate=16000), 16000)
        with pytest.raises(DataError, match=r"rate: t.*/0.wav has .*: say with rate"):
            sounds("clips")


class TestWhatIsWrong:
    @pytest.fixture
    def wrong(self, write: Write) -> Path:
        """Twelve that are all right, and one of each fault."""
        some(write)
        write("a/silent.wav", np.zeros(4000))
        write("a/clipped.wav", np.clip(4 * tone(220), -1, 1))
        write("a/empty.wav", np.zeros(0))
        write("b/twice.wav", tone(240))
        whole = write("b/whole.wav", tone(777))
        whole.with_name("cut.wav").write_bytes(whole.read_bytes()[:3000])
        whole.rename(whole.with_name("last.wav"))
        (whole.parent / "broken.wav").write_bytes(b"RIFF and nothing else")
        return whole.parent.parent

    def test_it_is_named_counted_and_left_out(self, wrong: Path) -> None:
        data = sounds("clips")
        assert data.prepared is not None
        assert data.prepared.held == 19 and sum(data.prepared.splits.values()) == 12 + 1
        told = {finding.what: dict(finding.examples) for finding in data.prepared.findings}
        assert set(told["cannot be decoded"]) == {"a/empty.wav", "b/broken.wav", "b/cut.wav"}
        assert told["cannot be decoded"]["b/cut.wav"].startswith("it is cut off: it claims 8,000 bytes")
        assert set(told["are silent"]) == {"a/silent.wav"} and set(told["are clipped"]) == {"a/clipped.wav"}
        assert set(told["stand there twice"]) == {"b/twice.wav"}
        assert any("1 of 19 is silent: a/silent.wav (at most 0 of full scale)" in r for r in data.prepared.remarks)

    def test_it_is_refused_where_that_is_asked_for(self, wrong: Path) -> None:
        with pytest.raises(DataError, match=r"3 of 19 cannot be decoded.*1 of 19 is silent.*1 of 19 is clipped"):
            sounds("clips", clean="refuse")

    def test_what_can_be_kept_is_kept(self, wrong: Path) -> None:
        with pytest.raises(DataError, match="it holds no sample"):
            sounds("clips", clean="keep")
        for name in ("a/empty.wav", "b/broken.wav", "b/cut.wav"):
            (wrong / name).unlink()
        data = sounds("clips", clean="keep")
        assert data.prepared is not None and sum(data.prepared.splits.values()) == 16
        assert {finding.what: finding.dropped for finding in data.prepared.findings}["are silent"] is False

    def test_damage_within_a_flac_is_seen(self, write: Write) -> None:
        path = write("a.flac", tone(440, 2.0))
        for damaged in (path.read_bytes()[: path.stat().st_size // 2], b"fLaC", b""):
            with pytest.raises(DataError, match=r"x\.flac"):
                decode_sound(io.BytesIO(damaged), "x.flac")

    @pytest.mark.parametrize("form", [("OGG", "VORBIS"), ("OGG", "OPUS"), ("RF64", "PCM_16"), ("WAV", "FLOAT")])
    def test_what_is_cut_off_is_seen_in_every_format(self, form: tuple[str, str]) -> None:
        """Of which libsndfile makes a shorter sound without a word: within a page or a chunk, and between two pages."""
        whole, wave = io.BytesIO(), tone(440, 4.0) + 0.1 * np.random.default_rng(0).normal(size=32000)
        soundfile.write(whole, wave, 8000, format=form[0], subtype=form[1])
        content = whole.getvalue()
        assert len(decode_sound(io.BytesIO(content), "x").samples) == 32000
        for end in (len(content) - 9, 2 * len(content) // 3, content.rfind(b"OggS")):
            with pytest.raises(DataError, match="x: it is cut off"):
                decode_sound(io.BytesIO(content[:end]), "x")

    def test_a_place_without_sounds_says_what_was_looked_for(self, tmp_path: Path) -> None:
        (tmp_path / "notes.txt").write_text("la la la")
        with pytest.raises(DataError, match=r"no sounds \(.flac, .ogg, .wav\).*1 not named as sounds \(notes.txt\)"):
            sounds(str(tmp_path))


class TestTones:
    def test_kinds_are_balanced_and_audible(self) -> None:
        data = tones()
        assert data.spec.classes == len(KINDS) == 8 and data.spec.rate == RATE
        for part in (data.train, data.valid, data.test):
            assert part.labels is not None and len(set(part.labels.bincount().tolist())) == 1
            assert part.rows.abs().amax(1).min() > 0.39 and part.rows.abs().max() < 0.96

    def test_kinds_sound_as_they_are_called(self) -> None:
        """A chirp rises and a laser falls; a kick is low and a snare is not."""
        data = tones()
        spectra = np.abs(np.fft.rfft(data.test.rows.numpy().reshape(400, 4, 1024), axis=2))
        centre = (spectra * np.arange(513)).sum(2) / spectra.sum(2)  # (sounds, quarters)
        of = {name: centre[data.test.labels.numpy() == i] for i, name in enumerate(KINDS)}  # type: ignore[union-attr]
        assert (of["chirp"][:, 2] > 1.3 * of["chirp"][:, 0]).mean() > 0.9
        assert (of["laser"][:, 2] < 0.7 * of["laser"][:, 0]).mean() > 0.9
        assert np.median(of["kick"][:, 1]) < 0.5 * np.median(of["snare"][:, 1])


@pytest.mark.shared
class TestSpokenDigits:
    def test_splits_are_by_take(self) -> None:
        data = fsdd()
        assert (len(data.train), len(data.valid), len(data.test)) == (2400, 300, 300)
        assert data.spec.captions and data.spec.captions[3] == "a three" and len(data.spec.captions) == 10
        assert data.spec.classes == 10 and data.spec.shape == (8000,) and data.spec.rate == 8000
        for part in (data.train, data.valid, data.test):
            assert part.labels is not None and len(set(part.labels.bincount().tolist())) == 1

    def test_nothing_is_wrong_with_them(self) -> None:
        found = fsdd(clean="refuse").prepared
        assert found is not None and not found.findings
