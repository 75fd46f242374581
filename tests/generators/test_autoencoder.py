"""What is fitted to an autoencoder's latents, and what its loss is."""

from __future__ import annotations

import pytest
import torch

from bench import Batch, DataSpec
from bench.datasets.digits import digits
from bench.streams import stream
from generators.autoencoder import Autoencoder

GREY = DataSpec("image", (1, 8, 8), "continuous")


def test_the_loss_is_the_squared_error_and_the_size_of_z() -> None:
    torch.manual_seed(0)
    model = Autoencoder(GREY, latent=2, net="mlp", width=8, beta=0.5)
    x = torch.rand(4, 1, 8, 8) * 2 - 1
    z = model.encoder(x)
    error = (x - model.reconstruct(Batch(x))).square().sum((1, 2, 3))
    torch.testing.assert_close(model.example_loss(Batch(x)), error)
    losses = model.train_step(Batch(x), torch.Generator())
    assert losses["loss"] == pytest.approx((error + 0.5 * z.square().sum(1) / 2).mean().item(), rel=1e-5)


def test_at_the_end_the_law_of_its_latents_is_found() -> None:
    """One Gaussian of the mean and the covariance that the latents of training images have."""
    data = digits()
    torch.manual_seed(0)
    model = Autoencoder(data.spec, latent=3, net="mlp", width=8, prior="gaussian")
    z = model.encoder(data.train.batch(torch.arange(len(data.train))).data).detach().double()
    model.refit(data.train, stream(0, "fit"))
    (mean,), (scale,) = model.prior.means, model.prior.scales
    torch.testing.assert_close(mean, z.mean(0))
    torch.testing.assert_close(scale @ scale.T, z.T.cov(correction=0), atol=2e-4, rtol=0)  # and 1e-4 on its diagonal


def test_noise_is_added_to_what_is_seen_and_not_to_what_is_asked() -> None:
    torch.manual_seed(0)
    clean, noisy = (Autoencoder(GREY, latent=2, net="mlp", width=8, beta=0, noise=noise) for noise in (0.0, 0.3))
    noisy.load_state_dict(clean.state_dict())
    x = torch.rand(4, 1, 8, 8) * 2 - 1
    seen = x + 0.3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(1))
    expected = (x - clean.pixels.mean(clean.decoder(clean.encoder(seen)))).square().sum((1, 2, 3)).mean().item()
    assert noisy.train_step(Batch(x), torch.Generator().manual_seed(1))["loss"] == pytest.approx(expected, rel=1e-5)
