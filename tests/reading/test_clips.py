"""Folders of sounds and of films, as somebody's model made them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import soundfile
import torch
from torch import Tensor

from bench import DataError, DataSpec, count_ahead, evaluate, examples_in, rate_ahead
from bench.modalities._sequences import Sequences
from bench.registry import registry
from bench.testing._models import make, sampled
from bench.testing.made_up import made_up
from tests.datasets.test_video import film, shades

WAVES = 0.5 * np.sin(np.arange(6 * 400).reshape(6, 400) / 7)


def sounds(folder: Path, rate: int = 8000, n: int = 6) -> Path:
    folder.mkdir(exist_ok=True)
    for i in range(n):
        soundfile.write(folder / f"{i}.wav", WAVES[i], rate, subtype="FLOAT")
    return folder


def films(folder: Path, n: int = 6, frames: int = 4) -> Path:
    for i in range(n):
        film(folder / f"{i}.gif", shades(i, frames, side=16))
    return folder


@pytest.mark.filterwarnings("ignore::bench.DataWarning")
class TestSounds:
    def test_they_are_as_they_lie_there_in_natural_order(self, tmp_path: Path) -> None:
        found = examples_in(sounds(tmp_path), "audio")
        assert isinstance(found, Tensor) and np.abs(found.numpy() - WAVES).max() < 1e-6
        soundfile.write(tmp_path / "7.flac", WAVES[0, :100], 8000)
        longer = examples_in(tmp_path, "audio")
        assert isinstance(longer, Sequences) and longer.lengths.tolist() == [400] * 6 + [100]
        assert count_ahead(tmp_path) == 7

    def test_what_differs_in_rate_or_channels_is_named(self, tmp_path: Path) -> None:
        soundfile.write(sounds(tmp_path) / "9.wav", np.stack([WAVES[0]] * 2, 1), 16000)
        with pytest.raises(DataError, match=r"9\.wav is of 16,000 Hz, 2 channels, those before it of 8,000 Hz, 1 chan"):
            examples_in(tmp_path, "audio")

    def test_they_stand_beside_models(self, tmp_path: Path) -> None:
        """At the rate of the data alone."""
        spec = DataSpec("audio", (400,), "continuous", rate=8000.0)
        family = registry.get("generators", f"samples:{sounds(tmp_path)}")
        family.fits(spec)
        assert sampled(make(family, made_up(spec)), [6]).data.shape == (6, 400)
        assert rate_ahead(tmp_path) == 8000 and rate_ahead(np.zeros((3, 9))) is None
        (tmp_path / "cover.png").write_bytes(b"no matter what")
        family.fits(spec)
        with pytest.raises(DataError, match=r"samples are \(400,\), the data is \(500,\)"):
            family.fits(DataSpec("audio", (500,), "continuous", rate=8000.0))
        with pytest.raises(DataError, match="samples are of 8,000 Hz, the data is of 16,000: resample one"):
            family.fits(DataSpec("audio", (400,), "continuous", rate=16000.0))

    def test_they_are_measured(self, tmp_path: Path) -> None:
        """By what their files say of their rate: one in ten moments is silent if a moment has 40 samples."""
        for folder in (tmp_path / "a", tmp_path / "b"):
            for path in sounds(folder).iterdir():
                wave, _ = soundfile.read(path)
                wave[40:80] = 0
                soundfile.write(path, wave, 4000, subtype="FLOAT")
        names = ["clipping_share", "silence_share"]
        table = evaluate(tmp_path / "a", tmp_path / "b", metrics=names, modality="audio")
        assert table.value.tolist() == pytest.approx([0.0, 0.1])
        waves = examples_in(tmp_path / "a", "audio")
        assert isinstance(waves, Tensor)
        for name, rate in (("a", 4000), ("b", 4000), ("c", 8000)):
            np.savez(tmp_path / f"{name}.npz", samples=waves.numpy(), rate=np.float64(rate))
        again = evaluate(tmp_path / "a.npz", tmp_path / "b.npz", metrics=names, modality="audio")
        assert again.value.tolist() == table.value.tolist()
        for none in (np.float64("nan"), np.float64(0), np.array("4 kHz"), np.array([4000.0])):
            np.savez(tmp_path / "d.npz", samples=waves.numpy(), rate=none)
            assert rate_ahead(tmp_path / "d.npz") is None and rate_ahead(tmp_path / "a.npz") == 4000
        with pytest.raises(DataError, match="reference are of 8,000 Hz, samples of 4,000 Hz: resample one of them"):
            evaluate(tmp_path / "a.npz", tmp_path / "c.npz", metrics=names, modality="audio")

    def test_none_is_measured_at_a_rate_that_it_does_not_have(self, tmp_path: Path) -> None:
        """Nor beside sounds of another one."""
        for name, rate in (("a", 16000), ("b", 16000), ("c", 8000)):
            sounds(tmp_path / name, rate)
        names = ["fad_ear", "clipping_share"]
        table = evaluate(tmp_path / "a", tmp_path / "b", metrics=names, modality="audio").set_index("metric")
        assert table.value["clipping_share"] == 0.0 and np.isnan(table.value["fad_ear"])
        assert table.reason["fad_ear"] == "ear is not for such sounds: they are of 16,000 Hz"
        with pytest.raises(DataError, match="reference are of 8,000 Hz, samples of 16,000 Hz: resample one of them"):
            evaluate(tmp_path / "a", tmp_path / "c", metrics=names, modality="audio")

    def test_what_a_lossy_decoder_puts_beyond_full_scale_is_cut(self, tmp_path: Path) -> None:
        square = 0.97 * np.sign(np.sin(np.arange(8000) / 9))
        for name in "abc":
            soundfile.write(tmp_path / f"{name}.ogg", square, 8000)
        found = examples_in(tmp_path, "audio")
        assert isinstance(found, Tensor) and found.abs().max() == 1


class TestFilms:
    def test_frames_of_each_are_a_clip(self, tmp_path: Path) -> None:
        found = examples_in(films(tmp_path), "video")
        assert isinstance(found, Tensor) and found.shape == (6, 4, 3, 16, 32) and found.dtype == torch.uint8
        assert np.abs(found[0].permute(0, 2, 3, 1).numpy() - shades(0, 4, side=16).astype(float)).max() < 6
        film(tmp_path / "9.gif", shades(9, 7, side=16))
        longer = examples_in(tmp_path, "video")
        assert isinstance(longer, Sequences) and longer.lengths.tolist() == [4] * 6 + [7]

    def test_grey_ones_are_grey(self, tmp_path: Path) -> None:
        for i in range(3):
            film(tmp_path / f"{i}.gif", np.repeat(shades(i, 4, side=16)[..., 1:2], 3, axis=3))
        found = examples_in(tmp_path, "video")
        assert isinstance(found, Tensor) and found.shape == (3, 4, 1, 16, 32)

    def test_sizes_that_differ_are_named(self, tmp_path: Path) -> None:
        film(films(tmp_path) / "9.gif", shades(9, 4, side=24))
        with pytest.raises(DataError, match=r"9\.gif is 40x24, those before it 32x16: bring all to one size"):
            examples_in(tmp_path, "video")

    def test_one_that_is_none_is_named(self, tmp_path: Path) -> None:
        (films(tmp_path) / "9.gif").write_bytes(b"GIF89a no film")
        with pytest.raises(DataError, match=r"cannot read 9\.gif"):
            examples_in(tmp_path, "video")

    def test_they_stand_beside_models(self, tmp_path: Path) -> None:
        spec = DataSpec("video", (4, 3, 16, 32), "continuous", rate=10.0)
        family = registry.get("generators", f"samples:{films(tmp_path)}")
        family.fits(spec)
        assert family.holds() == 6
        assert sampled(make(family, made_up(spec)), [6]).data.shape == (6, 4, 3, 16, 32)
        with pytest.raises(DataError, match=r"samples are \(4, 3, 16, 32\), the data is \(8, 3, 16, 32\)"):
            family.fits(DataSpec("video", (8, 3, 16, 32), "continuous", rate=10.0))
