"""Measures of sound, and the network that it is seen through: closed forms, and what they must tell apart."""

from __future__ import annotations

import math
from typing import cast

import pytest
import torch
from torch import Tensor

from bench import GenbenchError, TooFew, Trial, evaluate
from bench.datasets._audio import AudioDataset
from bench.datasets._image import SPLITS
from bench.datasets.fsdd import fsdd
from bench.datasets.tones import tones
from bench.registry import registry
from metrics.audio.clipping_share import clipping_share
from metrics.audio.log_spectral_distance import decibels, log_spectral_distance
from metrics.audio.silence_share import silence_share, silence_share_of
from metrics.extractors.ear import TONES, ear, ear_tones
from metrics.features.kad import bandwidth, kernel_audio_distance

RATE = 8000
MEASURES = (
    clipping_share,
    lambda waves: silence_share(waves, RATE),
    lambda waves: log_spectral_distance(waves, waves),
)


def trial_of(data: AudioDataset) -> Trial:
    model = registry.get("generators", "real").make(data)
    return Trial(model, data, seed=0, n_samples=8, batch_size=8, device=torch.device("cpu"))


def tone(pitch: float = 500.0, level: float = 0.5, n: int = 4000) -> Tensor:
    return level * torch.sin(2 * math.pi * pitch * torch.arange(n) / RATE)


class TestShares:
    def test_clipping_is_the_share_at_full_scale(self) -> None:
        waves = torch.zeros(4, 1000)
        waves[0, :100], waves[1, :50] = 1.0, -1.0
        assert clipping_share(waves).value == pytest.approx((0.1 + 0.05) / 4)
        assert clipping_share([tone(level=0.99), tone(level=0.5, n=77)]).value == 0

    def test_silence_is_what_is_40_db_below_the_loudest(self) -> None:
        half = tone()
        half[2000:] = 0.0
        quiet = tone()
        quiet[960:] *= 0.02  # 34 dB below, and heard
        assert silence_share([half, quiet], RATE).value == pytest.approx(0.25)
        quiet[960:] *= 0.25  # 46 dB below
        assert silence_share([half, quiet], RATE).value == pytest.approx((0.5 + 0.76) / 2)

    def test_what_is_never_heard_is_silent_all_over(self) -> None:
        assert silence_share([torch.zeros(4000), tone(level=5e-4)], RATE).value == 1
        assert silence_share([tone(level=5e-3), tone(n=50)], RATE).value == 0

    @pytest.mark.parametrize("rate", [8000, 16000, 44100])
    def test_a_moment_is_of_10_ms_at_any_rate(self, rate: int) -> None:
        """A pause at the beginning of every 20 ms fills the first of two moments if it lasts 12 ms, and not if 8 ms."""
        time = torch.arange(rate) / rate
        for pause, share in ((0.008, 0.0), (0.012, 0.5)):
            sound = torch.sin(2 * math.pi * 500 * time).where(time % 0.02 >= pause, 0.0)
            assert silence_share([sound, sound], rate).value == pytest.approx(share, abs=0.02)

    def test_what_does_not_say_its_rate_has_no_number(self) -> None:
        waves = torch.stack([tone(), tone(700), tone(900)]).numpy()
        found = evaluate(waves, waves, modality="audio", metrics=["silence_share", "clipping_share"])
        reason = found.set_index("metric").reason["silence_share"]
        assert found.value.isna().tolist() == [True, False] and "does not say its rate" in reason

    def test_a_model_is_measured_at_the_rate_of_its_data(self) -> None:
        rows = torch.sin(torch.arange(4000) / 4).where(torch.arange(4000) % 320 >= 192, 0.0).expand(20, -1).numpy()
        for rate, share in ((8000.0, 0.5), (16000.0, 0.5), (32000.0, 0.0)):
            data = AudioDataset("pauses", dict.fromkeys(SPLITS, (rows, None)), None, rate)
            found = silence_share_of(trial_of(data)).value
            assert found == pytest.approx(share, abs=0.03), rate

    def test_channels_are_one_sound(self) -> None:
        both = torch.stack([tone(), torch.zeros(4000)], dim=1)
        assert silence_share([both, both], RATE).value == 0


class TestLogSpectralDistance:
    def test_a_level_is_as_far_as_its_decibels(self) -> None:
        """White noise at a tenth is 20 dB away at each frequency and each moment."""
        noise = 0.3 * torch.randn(3, 4000, generator=torch.Generator().manual_seed(0)).clamp(-3, 3)
        assert log_spectral_distance(0.1 * noise, noise).value == pytest.approx(20, abs=0.1)
        assert log_spectral_distance(noise, noise).value == 0

    def test_it_does_not_hear_phases_and_hears_pitches(self) -> None:
        """A tone turned over is the same tone."""
        x = torch.stack([tone(), tone(700)])
        assert log_spectral_distance(-x, x).value < 1e-4
        assert log_spectral_distance(x.flip(0), x).value > 5

    def test_silence_is_80_db_below_full_scale_and_no_further(self) -> None:
        silent = torch.zeros(2, 4000)
        assert (decibels(silent) == -80).all()
        assert log_spectral_distance(silent + 1e-9, silent).value == 0
        assert float(decibels(tone(1000, level=1.0)[None])[0, 64, 5:20].mean()) == pytest.approx(0, abs=0.01)

    def test_channels_and_lengths_are_pairs_each(self) -> None:
        """Several channels count as their mean distance, whatever else is of another length."""
        x = torch.stack([tone(), tone(700)], dim=1)
        found = [log_spectral_distance([0.1 * a, a[:900]], [a, a[:900]]).value for a in (x, x[:, 0], x[:, 1])]
        assert found[0] == pytest.approx((found[1] + found[2]) / 2, rel=1e-5)

    def test_pairs_are_pairs(self) -> None:
        with pytest.raises(GenbenchError, match="pairs of one shape"):
            log_spectral_distance(torch.zeros(2, 100), torch.zeros(2, 101))


def test_what_is_no_waveform_is_refused() -> None:
    for measure in MEASURES:
        for waves in (torch.zeros(3, 10, dtype=torch.int16), torch.zeros(3, 2, 2, 2), torch.full((3, 10), torch.nan)):
            with pytest.raises(GenbenchError, match="waveform 0"):
                measure(waves)
        with pytest.raises(TooFew):
            measure(torch.zeros(1, 1000))


class TestKernelAudioDistance:
    def test_it_is_the_mean_of_all_pairs(self) -> None:
        rng = torch.Generator().manual_seed(0)
        x, y = (torch.randn(n, 3, generator=rng, dtype=torch.float64) + shift for n, shift in ((40, 0.3), (50, 0.0)))
        s = torch.pdist(y).median()

        def kernel(a: Tensor, b: Tensor) -> Tensor:
            return torch.exp(-torch.cdist(a, b).square() / (2 * s**2))

        own = ((kernel(x, x).sum() - 40) / (40 * 39)) + ((kernel(y, y).sum() - 50) / (50 * 49))
        expected = 100 * float(own - 2 * kernel(x, y).mean())
        assert kernel_audio_distance(x, y).value == pytest.approx(expected, rel=1e-9)

    def test_its_width_is_of_the_reference_and_follows_its_scale(self) -> None:
        y = torch.randn(60, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
        assert bandwidth(3 * y) == pytest.approx(3 * bandwidth(y))
        x = y + 0.5
        assert kernel_audio_distance(3 * x, 3 * y).value == pytest.approx(kernel_audio_distance(x, y).value)

    def test_rows_that_stand_twice_do_not_narrow_it_to_nothing(self) -> None:
        """Of three in four that stand in one place, most pairs are 0 apart."""
        y = torch.zeros(200, 5, dtype=torch.float64)
        y[150:] = 1
        assert bandwidth(y) == pytest.approx(math.sqrt(5))
        with pytest.raises(GenbenchError, match="features of all reference sounds are the same"):
            bandwidth(y[:150])


class TestEar:
    def test_it_knows_the_kinds_of_tones(self) -> None:
        data = tones().test
        assert data.labels is not None
        assert tones().spec.captions == TONES
        found = ear_tones()(data.rows[:160])
        assert found.features.shape == (160, 64) and found.logits is not None
        assert (found.logits.argmax(1) == data.labels[:160]).float().mean() > 0.93

    @pytest.mark.shared
    def test_it_knows_spoken_digits(self) -> None:
        data = fsdd().test
        logits = ear()(data.rows).logits
        assert logits is not None and data.labels is not None
        assert (logits.argmax(1) == data.labels).float().mean() == pytest.approx(0.9933, abs=0.004)

    def test_a_list_of_lengths_and_channels_are_heard_as_sounds_are(self) -> None:
        rows = tones().test.rows[:3]
        one = ear()(rows)
        both = ear()(torch.stack([rows, rows], dim=2))
        listed = ear()([*rows[:2], rows[2][:50]])
        assert torch.allclose(both.features, one.features, atol=1e-5)
        assert torch.allclose(listed.features[:2], one.features[:2], atol=1e-5)
        assert torch.isfinite(listed.features).all()

    def test_every_measure_can_look_through_it(self) -> None:
        """None of its settings goes by a name that a measure needs for one of its own."""
        data = tones()
        fake, real = (part.rows[:40].numpy() for part in (data.valid, data.test))
        found = evaluate(fake, real, modality="audio").set_index("metric")
        assert {"fd", "kad", "c2st_nn", "precision"} <= set(found.index[found.value.notna()])

    def test_distances_rank_damage(self) -> None:
        """Held-out sounds, the same with hiss, the same with their samples shuffled: further each time."""
        data, rng = tones(), torch.Generator().manual_seed(0)
        real, held = data.test.rows[:120], data.valid.rows[:120]
        hiss = (held + 0.05 * torch.randn(held.shape, generator=rng)).clamp(-1, 1)
        mixed = held[:, torch.randperm(held.shape[1], generator=rng)]
        found = [
            evaluate(x.numpy(), real.numpy(), modality="audio", metrics=["fad_ear", "kad_ear", "kid_ear"])
            for x in (held, hiss, mixed)
        ]
        for name in ("fad_ear", "kad_ear", "kid_ear"):
            values = [cast(float, table.set_index("metric").value[name]) for table in found]
            assert values[0] < values[1] < values[2], name
