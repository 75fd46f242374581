"""WaveGAN: lengths, the shuffle of phases, and that it comes to make what it hears."""

from __future__ import annotations

import math

import pytest
import torch

from bench import Batch, DataSpec, Rows, Unsupported
from generators.wavegan import WaveCritic, WaveGAN, WaveGenerator, shuffled


@pytest.mark.parametrize("shape", [(16384,), (8000,), (300,), (17,), (400, 2)])
def test_sounds_have_the_length_of_the_data(shape: tuple[int, ...]) -> None:
    spec = DataSpec("audio", shape, "continuous", rate=8000.0)
    made = WaveGenerator(spec, latent=4, width=2)(torch.randn(3, 4))
    assert made.shape == (3, *shape) and made.abs().max() <= 1
    assert WaveCritic(spec, width=2, shuffle=2)(made).shape == (3,)


def test_a_second_of_the_paper_has_its_layers() -> None:
    """16,384 samples are 16 doubled five times by four (Tables 2 and 3)."""
    net = WaveGenerator(DataSpec("audio", (16384,), "continuous"), latent=100, width=64)
    assert net.coarse == 16 and [layer.out_channels for layer in net.grow] == [512, 256, 128, 64, 1]
    assert net.head.out_features == 16 * 1024


def test_a_shuffle_moves_and_mirrors() -> None:
    h, seen = torch.arange(6.0)[None, None], set()
    torch.manual_seed(0)
    for _ in range(60):
        seen.add(tuple(shuffled(h, 2).flatten().int().tolist()))
    assert seen == {
        (2, 1, 0, 1, 2, 3), (1, 0, 1, 2, 3, 4), (0, 1, 2, 3, 4, 5), (1, 2, 3, 4, 5, 4), (2, 3, 4, 5, 4, 3),
    }  # fmt: skip


@torch.no_grad()
def test_a_critic_hears_no_shuffle_outside_training() -> None:
    critic = WaveCritic(DataSpec("audio", (1024,), "continuous"), width=2, shuffle=2)
    x = torch.randn(2, 1024)
    assert len({float(critic.train()(x)[0]) for _ in range(9)}) > 1
    assert len({float(critic.eval()(x)[0]) for _ in range(9)}) == 1


def test_noise_is_uniform_in_training_and_in_samples() -> None:
    model, rng = WaveGAN(DataSpec("audio", (64,), "continuous"), latent=4, width=2), torch.Generator().manual_seed(0)
    for z in (model.draw(2000, rng), model.draw_rows(Rows(rng, 2000))):
        assert z.shape == (2000, 4) and z.abs().max() <= 1
        assert (z.square().mean(0) - 1 / 3).abs().max() < 0.03 and z.mean(0).abs().max() < 0.05


def test_it_comes_to_make_the_pitch_that_it_hears() -> None:
    torch.manual_seed(0)
    rng = torch.Generator().manual_seed(0)
    spec = DataSpec("audio", (256,), "continuous", rate=8000.0)
    model = WaveGAN(spec, latent=4, width=8, critic_steps=1, lr=3e-3, ema_decay=0.9)
    for _ in range(100):
        phase = 2 * math.pi * torch.rand(16, 1, generator=rng)
        wave = 0.8 * torch.sin(2 * math.pi * 1000 * torch.arange(256) / 8000 + phase)
        model.train_step(Batch(wave), rng)
    power = torch.fft.rfft(model.eval().sample(16, rng)).abs().square().mean(0)
    assert float(power[28:37].sum() / power.sum()) > 0.5  # bin 32 is 1000 Hz


def test_what_is_no_waveform_is_refused() -> None:
    with pytest.raises(Unsupported, match="WaveGAN makes waveforms"):
        WaveGAN(DataSpec("audio", (400,), "tokens", vocab=256))
