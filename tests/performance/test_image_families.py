"""Image families beside public packages, step by step and call by call: ``make test-performance``.

Both sides have the same nets (theirs copies of ours where their package takes any), sizes, batch and threads, and each
has the optimiser that comes with it: of pythae and torchgan that is Adam as PyTorch has it by default.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from pythae.models import AE, IWAE, VAE, VQVAE, AEConfig, BaseAE, IWAEConfig, VAEConfig, VQVAEConfig
from pythae.models.base.base_utils import ModelOutput
from pythae.models.nn import BaseDecoder, BaseEncoder
from pythae.samplers import (
    GaussianMixtureSampler,
    GaussianMixtureSamplerConfig,
    NormalSampler,
    PixelCNNSampler,
)
from torch import Tensor, nn
from torchgan import losses as torchgan
from torchgan.models import DCGANDiscriminator, DCGANGenerator
from vector_quantize_pytorch import FSQ as FiniteScalars
from vector_quantize_pytorch import VectorQuantize

import generators.vae
import generators.vq_vae
from bench import Batch, DataSpec, Trainable
from bench.streams import stream
from bench.testing.made_up import Part
from generators._prior import MixturePrior, latents
from generators._tokeniser import FSQ, Codebook
from generators.autoencoder import Autoencoder
from generators.dcgan import DCGAN
from generators.wgan_gp import WGANGP
from tests.performance.timing import Call, times_as_fast

pytestmark = pytest.mark.performance
SPEC, LATENT, WIDTH = DataSpec("image", (1, 32, 32), "continuous"), 16, 32
BATCH, MADE, STEPS = 64, 500, 20


def as_usual(net: nn.Module) -> nn.Module:
    """A copy of it whose weights are laid out as PyTorch has them by default."""
    return copy.deepcopy(net).to(memory_format=torch.contiguous_format)


class Coder(BaseEncoder):  # type: ignore[misc]
    """An encoder of ours as pythae calls one; ``parts`` are the names of what it gives."""

    def __init__(self, net: nn.Module, *parts: str) -> None:
        super().__init__()
        self.net, self.parts = as_usual(net), parts

    def forward(self, x: Tensor) -> ModelOutput:
        return ModelOutput(**dict(zip(self.parts, self.net(x).chunk(len(self.parts), dim=1), strict=True)))


class Shares(BaseDecoder):  # type: ignore[misc]
    """A decoder of ours as pythae calls one, with pixels in [0, 1]."""

    def __init__(self, net: nn.Module) -> None:
        super().__init__()
        self.net = as_usual(net)

    def forward(self, z: Tensor) -> ModelOutput:
        return ModelOutput(reconstruction=self.net(z).sigmoid())


def pictures(n: int = BATCH) -> Tensor:
    """Grey levels in [-1, 1], ``(n, 1, 32, 32)``."""
    return 2 * torch.rand(n, *SPEC.shape, generator=stream(0, "pictures")) - 1


def ours(model: Trainable, updates: int = 1) -> Call:
    """So many of its training steps."""
    batch, rng = Batch(pictures()), stream(0, "steps")

    def step() -> None:
        for _ in range(updates):
            model.train_step(batch, rng)

    return step


def pythae(model: BaseAE) -> Call:
    """A step as its trainer takes one."""
    x, optimiser = (pictures() + 1) / 2, torch.optim.Adam(model.parameters())
    model.train()

    def step() -> None:
        loss = model({"data": x}).loss
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        loss.item()

    return step


def autoencoder() -> tuple[Autoencoder, BaseAE]:
    mine = Autoencoder(SPEC, latent=LATENT, width=WIDTH)
    config = AEConfig(input_dim=SPEC.shape, latent_dim=LATENT)
    return mine, AE(config, Coder(mine.encoder, "embedding"), Shares(mine.decoder))


def vae() -> tuple[generators.vae.VAE, BaseAE]:
    mine = generators.vae.VAE(SPEC, latent=LATENT, net="conv", width=WIDTH)
    config = VAEConfig(input_dim=SPEC.shape, latent_dim=LATENT, reconstruction_loss="bce")
    return mine, VAE(config, Coder(mine.encoder, "embedding", "log_covariance"), Shares(mine.decoder))


def iwae() -> tuple[generators.vae.IWAE, BaseAE]:
    mine = generators.vae.IWAE(SPEC, latent=LATENT, net="conv", width=WIDTH, draws=5)
    config = IWAEConfig(input_dim=SPEC.shape, latent_dim=LATENT, reconstruction_loss="bce", number_samples=5)
    return mine, IWAE(config, Coder(mine.encoder, "embedding", "log_covariance"), Shares(mine.decoder))


def vq_vae(ema: bool = True) -> tuple[generators.vq_vae.VQVAE, BaseAE]:
    """Without a prior, which pythae trains by itself, later; its sampler of codes knows no moving averages."""
    mine = generators.vq_vae.VQVAE(SPEC, quantiser="ema", width=WIDTH, decoder="gaussian")
    mine.pace(0)
    config = VQVAEConfig(input_dim=SPEC.shape, latent_dim=LATENT, num_embeddings=256, use_ema=ema)
    return mine, VQVAE(config, Coder(mine.encoder, "embedding"), Shares(mine.decoder))


def torchgans(penalty: float = 0.0) -> tuple[nn.Module, nn.Module, Call]:
    """Its DCGAN for such pictures, and a step of both nets; with a penalty those of WGAN-GP."""
    g = DCGANGenerator(64, 32, 1, step_channels=WIDTH)
    d = DCGANDiscriminator(32, 1, step_channels=WIDTH, batchnorm=not penalty)
    opt_g, opt_d = torch.optim.Adam(g.parameters()), torch.optim.Adam(d.parameters())
    x, cpu = pictures(), torch.device("cpu")
    of_g: torchgan.GeneratorLoss = torchgan.MinimaxGeneratorLoss()
    of_d: list[torchgan.DiscriminatorLoss] = [torchgan.MinimaxDiscriminatorLoss()]
    if penalty:
        of_g = torchgan.WassersteinGeneratorLoss()
        of_d = [torchgan.WassersteinDiscriminatorLoss(), torchgan.WassersteinGradientPenalty(lambd=penalty)]

    def step() -> None:
        for loss in of_d:
            loss.train_ops(g, d, opt_d, x, cpu)
        of_g.train_ops(g, d, opt_g, cpu, BATCH)

    return g, d, step


@pytest.mark.parametrize("pair", [autoencoder, vae, iwae, vq_vae], ids=lambda pair: pair.__name__)
def test_a_training_step_beside_pythae(
    pair: Callable[[], tuple[Trainable, BaseAE]], benchmark: BenchmarkFixture
) -> None:
    mine, theirs = pair()
    assert times_as_fast(benchmark, ours(mine), pythae(theirs), STEPS) > 1


def test_a_training_step_of_dcgan_beside_torchgan(benchmark: BenchmarkFixture) -> None:
    *_, theirs = torchgans()
    assert times_as_fast(benchmark, ours(DCGAN(SPEC, latent=64, width=WIDTH)), theirs, STEPS) > 1


def test_an_update_of_both_nets_of_wgan_gp_beside_torchgan(benchmark: BenchmarkFixture) -> None:
    *_, theirs = torchgans(penalty=10.0)
    mine = WGANGP(SPEC, latent=64, width=WIDTH, critic_steps=1)
    assert times_as_fast(benchmark, ours(mine, updates=2), theirs, STEPS) > 1


def test_learning_a_codebook_beside_vector_quantize_pytorch(benchmark: BenchmarkFixture) -> None:
    """Choosing codes, their moving averages and dead ones; 64 images of 16 places, 256 codes of 64 numbers."""
    z, rng = torch.randn(BATCH, 16, 64), stream(0, "codes")
    mine = Codebook(256, 64)
    theirs = VectorQuantize(64, 256, decay=0.99, threshold_ema_dead_code=1).train()

    def learn() -> None:
        mine.revive(z, rng)
        _, codes = mine(z)
        mine.learn(z, codes)

    assert times_as_fast(benchmark, learn, lambda: theirs(z), STEPS) > 1


def test_finite_scalars_beside_vector_quantize_pytorch(benchmark: BenchmarkFixture) -> None:
    levels, z = (8, 6, 5), torch.randn(BATCH, 16, 3)
    theirs = FiniteScalars([*levels]).train()
    mine = FSQ(levels)
    assert times_as_fast(benchmark, lambda: mine(z), lambda: theirs(z), STEPS) > 1


def drawing(model: Any) -> Call:
    """Each row from a stream of its own, so that no batch changes it; theirs are drawn all at once."""
    model.eval()
    return lambda: model.sample(MADE, stream(0, "samples"))


@torch.no_grad()
def test_sampling_an_autoencoder_beside_pythae(benchmark: BenchmarkFixture) -> None:
    """Through a mixture of ten Gaussians fitted to its latents."""
    mine, theirs = autoencoder()
    x, rng = pictures(500), stream(0, "fit")
    mine.prior = MixturePrior(LATENT, 10)
    mine.prior.fit(*latents(lambda batch: mine.encoder(batch.data), Part(x), rng, torch.device("cpu")), rng)
    sampler = GaussianMixtureSampler(theirs.eval(), GaussianMixtureSamplerConfig(n_components=10))
    sampler.fit((x - x.min()) / (x.max() - x.min()))
    assert times_as_fast(benchmark, drawing(mine), lambda: sampler.sample(MADE)) > 1


@torch.no_grad()
def test_sampling_a_vae_beside_pythae(benchmark: BenchmarkFixture) -> None:
    mine, theirs = vae()
    sampler = NormalSampler(theirs.eval())
    assert times_as_fast(benchmark, drawing(mine), lambda: sampler.sample(MADE)) > 1


@torch.no_grad()
def test_sampling_a_vq_vae_beside_pythae(benchmark: BenchmarkFixture) -> None:
    """Sixteen codes of 256: our transformer, which keeps what it has read, beside the PixelCNN of pythae."""
    mine, theirs = vq_vae(ema=False)
    sampler = PixelCNNSampler(theirs.eval())
    sampler.is_fitted = True
    assert times_as_fast(benchmark, drawing(mine), lambda: sampler.sample(MADE)) > 1


@torch.no_grad()
def test_sampling_a_dcgan_beside_torchgan(benchmark: BenchmarkFixture) -> None:
    g, *_ = torchgans()
    g.eval()
    mine = DCGAN(SPEC, latent=64, width=WIDTH)
    assert times_as_fast(benchmark, drawing(mine), lambda: g(torch.randn(MADE, 64))) > 1
