"""What theory says of the variational autoencoder."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import Batch, Dataset, DataSpec, Likelihood, Omitted, Trial
from bench.datasets.digits import digits
from bench.streams import stream
from bench.testing import GeneratorPromises
from generators.vae import VAE, gaussian_kl
from metrics.likelihood.bits_per_dim import bits_per_dim
from metrics.likelihood.membership import membership_auc

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=10)
BLACK = DataSpec("image", (1, 8, 8), "binary")


def grey(spec: DataSpec = GREY, n: int = 8) -> Tensor:
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(7)) * 2 - 1


class TestOfBinaryImages(GeneratorPromises):
    """Where the Bernoulli decoder is a likelihood."""

    family = "vae"
    specs = {"binary image": BLACK}  # noqa: RUF012


class TestVAE:
    def test_kl_is_torchs(self) -> None:
        mu, log_var = torch.randn(6, 4), torch.randn(6, 4)
        normal = torch.distributions.Normal
        expected = torch.distributions.kl_divergence(normal(mu, (0.5 * log_var).exp()), normal(0.0, 1.0)).sum(1)
        torch.testing.assert_close(gaussian_kl(mu, log_var), expected)

    @pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
    def test_likelihood_is_torchs(self, decoder: Any) -> None:
        model, x, out = VAE(GREY, decoder=decoder), torch.rand(5, 64) * 2 - 1, torch.randn(5, 64)
        model.log_sigma.data.fill_(-0.3)
        if decoder == "gaussian":
            expected = torch.distributions.Normal(out.tanh(), math.exp(-0.3)).log_prob(x).sum(1)
        else:
            levels = torch.distributions.Bernoulli(logits=out, validate_args=False)
            expected = levels.log_prob((x + 1) / 2).sum(1)
        torch.testing.assert_close(model.log_likelihood(x, out), expected)

    @pytest.mark.parametrize("decoder", ["bernoulli", "gaussian"])
    def test_the_bound_is_one(self, decoder: Any) -> None:
        """E over eps of the bound stays below log p(x) by importance sampling (Burda et al. 2016, Eq. 8)."""
        spec = DataSpec("image", (1, 2, 2), "continuous")
        torch.manual_seed(0)
        model, x = VAE(spec, latent=2, width=8, decoder=decoder).eval(), grey(spec, 4)
        for parameter in model.parameters():
            nn.init.normal_(parameter, std=0.3)
        with torch.no_grad():
            eps = torch.randn(4000, 2)
            mu, log_var = (t.expand(4000, 4, 2) for t in model.encoder(x).chunk(2, dim=1))
            z = mu + (0.5 * log_var).exp() * eps[:, None]
            log_p = model.log_likelihood(x.flatten(1).repeat(4000, 1), model.decoder(z.flatten(0, 1))).view(4000, 4)
            prior = -0.5 * z.square().sum(2)
            posterior = -0.5 * eps[:, None].square().sum(2) - 0.5 * log_var.sum(2)
            evidence = (log_p + prior - posterior).logsumexp(0) - math.log(4000)
            bound = torch.stack([torch.sub(*model.terms(x, e.expand(4, 2))) for e in eps]).mean(0)
        assert VAE.bound and (bound < evidence).all()

    def test_log_prob_can_be_repeated(self) -> None:
        model = VAE(GREY, latent=3, width=8)
        x = grey()
        assert torch.equal(model.example_loss(Batch(x)), model.example_loss(Batch(x)))

    def test_grey_levels_have_no_probability_under_a_bernoulli_decoder(self) -> None:
        """Black and white have, and grey levels have a density under a Gaussian one; the loss is minus that bound."""
        x = Batch((grey() > 0).float())
        with pytest.raises(Omitted, match="gives grey levels no probability"):
            VAE(GREY, latent=3, width=8).log_prob(x)
        for spec, decoder in ((BLACK, "bernoulli"), (GREY, "gaussian")):
            model = VAE(spec, latent=3, width=8, decoder=decoder)  # type: ignore[arg-type]
            assert torch.equal(model.log_prob(x), -model.example_loss(x))
            assert (model.sample(3, stream(0, "s")) % 1 == 0).all() == (spec is BLACK)

    def test_all_binary_images_have_a_probability_of_one_together(self) -> None:
        """Of four pixels, by importance sampling over z: the Bernoulli decoder's mass sums to 1 at every z."""
        black = DataSpec("image", (1, 2, 2), "binary")
        model, every = VAE(black, latent=2, width=8), torch.tensor(list(itertools.product((0.0, 1.0), repeat=4)))
        out = model.decoder(torch.randn(2)).expand(16, 4)
        assert model.log_likelihood(every, out).exp().sum().item() == pytest.approx(1, rel=1e-5)

    def test_its_density_does_not_depend_on_the_neighbours(self) -> None:
        """Neither the noise that smooths grey levels nor its own draw of z."""
        data = digits()
        torch.manual_seed(0)
        model = VAE(data.spec, latent=3, width=8, decoder="gaussian").eval()
        assert model.log_prob_of == "density"
        found = [bits_per_dim(trial_of(model, data, batch)).value for batch in (7, 32, 1000)]
        assert found == pytest.approx([found[0]] * 3, rel=1e-6)

    def test_trained_to_death_on_a_few_digits_it_knows_them(self) -> None:
        data = digits()
        data.train.pixels, data.train.condition = data.train.pixels[:60], data.train.labels[:60]
        torch.manual_seed(0)
        model = VAE(data.spec, latent=8, width=128, lr=3e-3, decoder="gaussian")
        before = membership_auc(trial_of(model.eval(), data)).interval
        batch = data.train.batch(torch.arange(60))
        for step in range(500):
            model.train_step(batch, torch.Generator().manual_seed(step))
        after = membership_auc(trial_of(model.eval(), data)).interval
        assert before and after and before.lo < 0.5 < before.hi and after.lo > 0.9


def trial_of(model: VAE, data: Dataset, batch_size: int = 32) -> Trial[Likelihood]:
    return Trial(model, data, seed=0, n_samples=8, batch_size=batch_size, device=torch.device("cpu"))
