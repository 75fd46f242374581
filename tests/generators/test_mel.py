"""Sounds as pictures and back, and the families that make them so."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, GenbenchError, Omitted, Unsupported
from bench.datasets.tones import tones
from generators._mel import FLOOR, LogMel, mel_filters
from generators.mel_flow import MelFlow
from generators.mel_vae import ConditionalMelVAE
from metrics.extractors.ear import ear_tones

SPEC = DataSpec("audio", (4096,), "continuous", classes=8, rate=8000.0)
SMALL: dict[str, Any] = {"bands": 16, "hop": 64, "window": 128}


def tone(pitch: float, level: float = 0.5, n: int = 4096) -> Tensor:
    return level * torch.sin(2 * math.pi * pitch * torch.arange(n) / 8000)[None]


def test_every_band_sees_something_and_every_pitch_is_seen() -> None:
    for bands, bins, rate in ((64, 257, 8000.0), (80, 129, 16000.0), (128, 65, 44100.0)):
        triangles = mel_filters(bands, bins, rate)
        assert torch.allclose(triangles.sum(1), torch.ones(bands)) and (triangles >= 0).all()
        assert (triangles.sum(0)[1:-1] > 0).all()


def test_a_picture_is_bright_where_a_tone_is() -> None:
    """By the band of its pitch; ten times quieter is 20 dB, a quarter of the scale of 80 dB, darker in [-1, 1]."""
    mel = LogMel(SPEC, bands=40, hop=128, window=512)
    loud, quiet = mel(tone(1000))[0, 0, :, 10], mel(tone(1000, level=0.05))[0, 0, :, 10]
    middle = 2595 * math.log10(1 + 1000 / 700) / (2595 * math.log10(1 + 4000 / 700)) * 41 - 1
    assert abs(int(loud.argmax()) - middle) < 1
    assert float(loud.max() - quiet.max()) == pytest.approx(2 * 20 / -FLOOR, abs=1e-3)


def test_silence_is_black_and_black_is_silent() -> None:
    mel = LogMel(SPEC, bands=40, hop=128, window=512)
    assert (mel(torch.zeros(1, 4096)) == -1).all()
    assert mel.heard(-torch.ones(1, 1, *mel.images.shape[1:])).abs().max() < 1e-2


def test_lengths_come_back_whatever_the_frames() -> None:
    for n in (300, 1024, 4096, 5000):
        spec = DataSpec("audio", (n,), "continuous", rate=8000.0)
        mel = LogMel(spec, **SMALL)
        assert mel.heard(mel(torch.zeros(2, n)), rounds=1).shape == (2, n)
        assert mel.images.shape[2] % 8 == 0


def test_more_rounds_come_nearer() -> None:
    mel = LogMel(SPEC, bands=64, hop=128, window=512)
    pictures = mel(tones().test.rows[:8])
    apart = [(mel(mel.heard(pictures, rounds)) - pictures).abs().mean() for rounds in (0, 4, 32)]
    assert apart[0] > 1.2 * apart[1] > 1.2 * apart[2]


def test_griffin_and_lim_keep_what_is_heard() -> None:
    """Whoever sees pictures of real sounds can make no better ones: their accuracy is the ceiling of the families."""
    data, hear = tones().test, ear_tones()
    mel = LogMel(SPEC, bands=64, hop=128, window=512)
    heard = hear(mel.heard(mel(data.rows[:48]))).logits
    assert heard is not None and data.labels is not None
    assert (heard.argmax(1) == data.labels[:48]).float().mean() > 0.85


@pytest.mark.parametrize(("window", "hop"), [(512, 128), (512, 200), (512, 256), (2048, 1024)])
def test_ends_are_as_loud_as_they_were(window: int, hop: int) -> None:
    """Of a tone to the end, and of one that stops before it, whatever frames overlap by."""
    mel = LogMel(SPEC, bands=64, hop=hop, window=window)
    stopped = tone(1000).index_fill(1, torch.arange(2000, 4096), 0)
    whole, silent = mel.heard(mel(torch.cat([tone(1000), stopped])))
    assert silent[-16:].abs().max() < 0.02
    for part in (slice(0, hop // 2), slice(-hop // 2, None)):
        assert 0.05 < whole[part].square().mean().sqrt() < 0.5 and whole[part].abs().max() < 0.9


def test_frames_that_leave_gaps_are_refused() -> None:
    with pytest.raises(GenbenchError, match="hop = 65: should be at most half of window, which is 128"):
        LogMel(SPEC, bands=16, hop=65, window=128)


def test_what_has_no_spectrogram_is_refused() -> None:
    for spec in (
        DataSpec("audio", (400, 2), "continuous", rate=8000.0),
        DataSpec("audio", (400,), "tokens", vocab=8, rate=8000.0),
        DataSpec("audio", (400,), "continuous"),
    ):
        with pytest.raises(Unsupported, match=r"waveforms \(T,\)|does not say its rate"):
            LogMel(spec, **SMALL)


def test_no_waveform_has_a_probability() -> None:
    model = MelFlow(SPEC, **SMALL, width=8, patch=4)
    with pytest.raises(Omitted, match="no waveform"):
        model.log_prob(Batch(tone(440)))


def test_a_flow_learns_spectrograms_as_they_are() -> None:
    """No noise is added: there are no levels that it would spread over their cells."""
    model = MelFlow(SPEC, **SMALL, width=8, patch=4)
    seen = model.mel.seen(Batch(tone(440)))
    assert torch.equal(model.encode(seen, torch.Generator().manual_seed(0))[0], seen.data)


def test_a_flow_ranks_sounds_by_few_steps_as_by_many() -> None:
    """After a second of training on tones of any pitch, each in noise as loud as its place says."""
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    spec = DataSpec("audio", (1024,), "continuous", rate=8000.0)
    model = MelFlow(spec, **SMALL, width=8, patch=4, lr=5e-3)
    x = torch.cat([tone(100 * (3 + i), 0.5, 1024) for i in range(32)])
    x = x + torch.linspace(0, 0.3, 32)[:, None] * torch.randn(x.shape, generator=rng)
    for _ in range(60):
        model.train_step(Batch(x), rng)
    losses = []
    for steps in (model.eval().measured_steps, 20):
        model.measured_steps = steps
        losses.append(model.example_loss(Batch(x)))
    few, many = (loss.argsort().argsort().double() for loss in losses)
    assert torch.corrcoef(torch.stack([few, many]))[0, 1] > 0.99


def test_a_vae_learns_what_it_is_told() -> None:
    """Two kinds of tone, high and low: after a second of training what it is asked for has the right pitch."""
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    spec = DataSpec("audio", (1024,), "continuous", classes=2, rate=8000.0)
    model = ConditionalMelVAE(spec, **SMALL, net="mlp", latent=2, width=32, lr=5e-3)
    x = torch.cat([tone(300, 0.5, 1024)] * 8 + [tone(2000, 0.5, 1024)] * 8)
    batch = Batch(x, torch.arange(2).repeat_interleave(8))
    for _ in range(150):
        model.train_step(batch, rng)
    made = model.eval().sample(8, rng, torch.tensor([0, 1] * 4))
    pitch = torch.fft.rfft(made).abs().argmax(1) * 8000 / 1024
    assert (pitch[::2] < 600).all() and (pitch[1::2] > 1400).all()
