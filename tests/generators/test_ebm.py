"""Energy-based models: the dynamics sample an energy that is known, and samples are fresh chains."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench import Batch, DataSpec, Rows
from bench.streams import stream
from generators.ebm import EBM

GREY = DataSpec("image", (1, 8, 8), "continuous")


class Quadratic(nn.Module):
    """f of which exp(-f(z)) N(z; 0, I) is N(1, 1/2), number by number: f = z^2/2 - 2z."""

    def forward(self, z: Tensor) -> Tensor:
        return (0.5 * z.square() - 2 * z).sum(1)


def test_chains_of_a_latent_space_sample_the_density() -> None:
    model = EBM(GREY, space="latent", latent=2, width=8, step=0.05, sample_steps=300).eval()
    model.average = Quadratic()  # type: ignore[assignment]
    z = model.draw(Rows(stream(0, "s"), 4000), 4000, None)
    assert z.mean().item() == pytest.approx(1, abs=0.03)
    assert z.var().item() == pytest.approx(0.5, rel=0.06)  # and a step of .05 has 1/39 more


def test_chains_at_the_pixels_go_down_within_their_range() -> None:
    model = EBM(GREY, width=8, sample_steps=50, step=0.5, noise=0.0, clip=10.0).eval()
    model.average = Downhill()  # type: ignore[assignment]
    x = model.draw(Rows(stream(0, "s"), 3), 3, None)
    torch.testing.assert_close(x, torch.full_like(x, 0.5), atol=1e-3, rtol=0)
    model.clip = 1e-3
    slow = model.draw(Rows(stream(0, "s"), 3), 3, None) - model.start(Rows(stream(0, "s"), 3).uniform(1, 8, 8))
    assert slow.abs().max() <= 50 * 0.25 * 1e-3 + 1e-6


class Downhill(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return (x - 0.5).square().flatten(1).sum(1)


def test_training_lowers_energies_of_data_beside_those_of_chains() -> None:
    torch.manual_seed(0)
    model = EBM(GREY, width=8, steps=5, buffer=32, lr=3e-3).train()
    x = 0.2 * torch.randn(32, 1, 8, 8, generator=stream(0, "x")).clamp(-2, 2) + 0.5
    for step in range(60):
        model.train_step(Batch(x), stream(0, "t", step))
    with torch.no_grad():
        on_data, on_noise = model.net(x).mean(), model.net(2 * torch.rand(32, 1, 8, 8) - 1).mean()
    assert on_data < on_noise - 0.1


def test_samples_do_not_come_out_of_the_buffer() -> None:
    model = EBM(GREY, width=8, steps=2, sample_steps=2, buffer=8).eval()
    before = model.sample(3, stream(0, "s"))
    model.buffer.fill_(1.0)
    assert torch.equal(model.sample(3, stream(0, "s")), before)
