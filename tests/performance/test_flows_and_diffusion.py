"""Flows, diffusion and pixel models beside public packages, step by step and call by call: ``make test-performance``.

Both sides have nets of as many parameters, the same batch, threads and evaluations of the net, and each the optimiser
that comes with it: of the others that is Adam as PyTorch has it by default.
"""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
import zuko
from diffusers import DDIMScheduler, DDPMScheduler, UNet2DModel
from pytest_benchmark.fixture import BenchmarkFixture
from pythae.models.normalizing_flows import MAF as PythaesMAF
from pythae.models.normalizing_flows import MAFConfig, PixelCNNConfig
from pythae.models.normalizing_flows import PixelCNN as PythaesPixelCNN
from torch import Tensor, nn

from bench import DataSpec, Rows
from bench.streams import stream
from generators.ddpm import DDPM
from generators.made import MAF
from generators.neural_spline_flow import NeuralSplineFlow
from generators.pixelcnn import PixelCNN
from generators.realnvp import RealNVP
from tests.performance.timing import Call, seconds, times_as_fast

pytestmark = pytest.mark.performance
SPEC, DIGITS = (DataSpec("image", (1, side, side), "continuous") for side in (32, 28))
BATCH, SIZE, MADE = 64, 16, 500


def numbers(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def latents() -> Tensor:
    return torch.randn(256, SIZE, generator=stream(0, "latents"))


def trained_by_adam(loss: Any, module: nn.Module) -> Call:
    """A step down a loss as a user of the package would write it."""
    optimiser = torch.optim.Adam(module.parameters())

    def step() -> None:
        optimiser.zero_grad()
        value = loss()
        value.backward()
        optimiser.step()
        value.item()

    return step


class TestDiffusion:
    """DDPM and DDIM beside diffusers."""

    @staticmethod
    def pair(**changes: Any) -> tuple[DDPM, Any]:
        mine = DDPM(SPEC, width=40, **{"steps": 10, **changes})
        theirs: Any = UNet2DModel(
            sample_size=32, in_channels=1, out_channels=1, block_out_channels=(32, 64, 64), layers_per_block=1,
            norm_num_groups=8, down_block_types=("DownBlock2D",) * 3, up_block_types=("UpBlock2D",) * 3,
            attention_head_dim=64,
        )  # fmt: skip
        assert numbers(mine.net) == pytest.approx(numbers(theirs), rel=0.05)
        return mine, theirs

    def test_a_training_step(self, benchmark: BenchmarkFixture) -> None:
        mine, theirs = self.pair()
        x, rng = 2 * torch.rand(BATCH, *SPEC.shape) - 1, stream(0, "steps")
        scheduler: Any = DDPMScheduler()

        def loss() -> Tensor:
            eps, t = torch.randn(x.shape), torch.randint(0, 1000, (len(x),))
            out: Tensor = theirs(scheduler.add_noise(x, eps, t), t).sample
            return F.mse_loss(out, eps)

        assert times_as_fast(benchmark, lambda: mine.learn(x, None, rng), trained_by_adam(loss, theirs)) > 1

    @pytest.mark.parametrize("sampler", ["ddim", "ddpm"])
    def test_sampling(self, sampler: str, benchmark: BenchmarkFixture) -> None:
        """Ten evaluations each: ten steps of a T of 1,000 without noise, or all ten of a T of 10, each with noise."""
        changes: dict[str, Any] = {"noise_steps": 10, "measured_steps": 2, "eta": 1.0} if sampler == "ddpm" else {}
        mine, theirs = self.pair(**changes)
        scheduler: Any = (
            DDPMScheduler(num_train_timesteps=10) if sampler == "ddpm" else DDIMScheduler(timestep_spacing="trailing")
        )
        scheduler.set_timesteps(10)

        @torch.no_grad()
        def their_samples() -> None:
            x = torch.randn(BATCH, *SPEC.shape)
            for t in scheduler.timesteps:
                x = scheduler.step(theirs(x, t).sample, t, x).prev_sample

        mine.eval()
        assert mine.nfe == len(scheduler.timesteps) == 10
        assert times_as_fast(benchmark, lambda: mine.sample(BATCH, stream(0, "s")), their_samples) > 1


@pytest.mark.parametrize("what", ["a training step", "back from noise", "log_prob"])
@pytest.mark.parametrize("family", ["realnvp", "neural_spline_flow"])
def test_flows_beside_zuko(family: str, what: str, benchmark: BenchmarkFixture) -> None:
    """Couplings of vectors of 16 numbers. The way back is from noise that is given: ours draws it for each sample from
    a stream of its own, which zuko's does not; what it is with that is noted, and asserted by nobody.
    """
    mine: Any
    if family == "realnvp":
        mine = RealNVP(SPEC, space="latent", latent=SIZE, couplings=8, width=128)
        theirs = zuko.flows.RealNVP(SIZE, transforms=8, hidden_features=(128, 128))
    else:
        mine = NeuralSplineFlow(SPEC, space="latent", latent=SIZE, depth=4, width=128)
        theirs = zuko.flows.NSF(SIZE, transforms=4, passes=2, hidden_features=(88, 88))
    assert numbers(mine.scales) == pytest.approx(numbers(theirs), rel=0.05)
    x, rng = latents(), stream(0, "steps")
    if what == "back from noise":
        z = torch.randn(MADE, SIZE)
        ours = torch.no_grad()(lambda: mine.from_noise(z))
        whole = torch.no_grad()(lambda: mine.draw(Rows(stream(0, "s"), MADE), MADE, None))
        benchmark.extra_info["with noise"] = seconds(torch.no_grad()(lambda: theirs().sample((MADE,)))) / seconds(whole)
        assert times_as_fast(benchmark, ours, torch.no_grad()(lambda: theirs().transform.inv(z)), calls=5) > 1
    elif what == "log_prob":
        ours = torch.no_grad()(lambda: mine.log_p(x))
        assert times_as_fast(benchmark, ours, torch.no_grad()(lambda: theirs().log_prob(x)), calls=5) > 1
    else:
        step = trained_by_adam(lambda: -theirs().log_prob(x).mean(), theirs)
        assert times_as_fast(benchmark, lambda: mine.learn(x, None, rng), step, calls=5) > 1


@pytest.mark.parametrize("what", ["a training step", "sampling"])
def test_maf_beside_pythae(what: str, benchmark: BenchmarkFixture) -> None:
    mine = MAF(SPEC, space="latent", latent=SIZE, blocks=5, width=128)
    theirs = PythaesMAF(MAFConfig(input_dim=(SIZE,), n_made_blocks=5, n_hidden_in_made=2, hidden_size=128))
    assert numbers(mine.scales) == pytest.approx(numbers(theirs), rel=0.05)
    x, rng = latents(), stream(0, "steps")
    if what == "sampling":
        theirs.eval()
        ours = torch.no_grad()(lambda: mine.draw(Rows(stream(0, "s"), MADE), MADE, None))
        assert times_as_fast(benchmark, ours, torch.no_grad()(lambda: theirs.inverse(torch.randn(MADE, SIZE)))) > 1
    else:

        def loss() -> Tensor:
            out = theirs(x)
            log_n = -0.5 * out.out.square().sum(1)
            value: Tensor = -(log_n + out.log_abs_det_jac).mean()
            return value

        assert times_as_fast(benchmark, lambda: mine.learn(x, None, rng), trained_by_adam(loss, theirs), calls=5) > 1


class TestPixelByPixel:
    """28x28 pixels; ours keeps what it has computed, pythae's sampler asks the whole net for each pixel."""

    @staticmethod
    def model() -> PixelCNN:
        return PixelCNN(DIGITS, width=24, layers=3).eval()

    def test_sampling_beside_the_whole_net_for_each_pixel(self, benchmark: BenchmarkFixture) -> None:
        model, n = self.model(), 16

        @torch.no_grad()
        def naive() -> None:
            """Of one row, which is a 28th of the image."""
            x, u = torch.zeros(n, *DIGITS.shape), Rows(stream(0, "s"), n).uniform(*DIGITS.shape)
            for column in range(28):
                x[:, :, 14, column] = model.pixel(model.average(x)[:, :, 14, column], u[:, :, 14, column], 1)

        ratio = times_as_fast(benchmark, lambda: model.sample(n, stream(0, "s")), naive)
        benchmark.extra_info["times as fast"] = 28 * ratio
        assert 28 * ratio > 20

    def test_sampling_beside_pythae(self, benchmark: BenchmarkFixture) -> None:
        """Its seven masked layers of 64 channels, 256 levels; asked as its sampler does, for one row."""
        model, n = self.model(), 16
        theirs = PythaesPixelCNN(PixelCNNConfig(input_dim=(1, 28, 28), n_embeddings=256, n_layers=7)).eval()

        @torch.no_grad()
        def their_row() -> None:
            x = torch.zeros(n, *DIGITS.shape)
            for column in range(28):
                out = theirs({"data": x}).out
                probabilities = F.softmax(out[:, :, :, 14, column], dim=1)
                x[:, 0, 14, column] = torch.multinomial(probabilities[:, :, 0], 1).squeeze(1).float()

        ratio = times_as_fast(benchmark, lambda: model.sample(n, stream(0, "s")), their_row)
        benchmark.extra_info["times as fast"] = 28 * ratio
        assert 28 * ratio > 1
