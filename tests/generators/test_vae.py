"""What theory says of the variational autoencoder."""

from __future__ import annotations

import itertools
import math
from typing import Any, TypeVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import Batch, Dataset, DataSpec, Likelihood, Omitted, Trial
from bench.datasets.digits import digits
from bench.streams import stream
from bench.testing import GeneratorPromises
from generators.vae import IWAE, VAE, WIDEST, ConditionalVAE, kl_by_latent
from metrics.likelihood.bits_per_dim import bits_per_dim
from metrics.likelihood.membership import membership_auc

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=10)
BLACK = DataSpec("image", (1, 8, 8), "binary")


def grey(spec: DataSpec = GREY, n: int = 8) -> Tensor:
    return torch.rand(n, *spec.shape, generator=torch.Generator().manual_seed(7)) * 2 - 1


class TestOfBinaryImages(GeneratorPromises):
    """Where the Bernoulli decoder is a likelihood."""

    family = ("vae", "iwae")
    specs = {"binary image": BLACK}  # noqa: RUF012


@pytest.mark.slow
class TestOfConvolutions(GeneratorPromises):
    family = ("vae", "autoencoder")
    preset = "tiny"
    specs = {"colour": DataSpec("image", (3, 28, 28), "continuous")}  # noqa: RUF012


M = TypeVar("M", bound=VAE)


def bound(model: VAE, x: Tensor, label: Tensor | None = None) -> Tensor:
    return -model.example_loss(Batch(x, label))


def evidence(model: VAE, x: Tensor, label: Tensor | None = None, draws: int = 4000) -> Tensor:
    """log p(x), or log p(x|label), by importance sampling from q(z|x), ``(batch,)`` (Burda et al. 2016, Eq. 8)."""
    mu, log_var = model.encode(Batch(x, label))
    eps = torch.randn(draws, *mu.shape)
    z = mu + (0.5 * log_var).exp() * eps
    label = None if label is None else label.repeat(draws)
    out = model.decoder(z.flatten(0, 1), label)
    log_p = model.pixels.log_prob(x.repeat(draws, 1, 1, 1), out).view(draws, -1)
    posterior = torch.distributions.Normal(mu, (0.5 * log_var).exp()).log_prob(z).sum(2)
    prior = model.prior.log_prob(z.flatten(0, 1), label).view(draws, -1)
    log_p_x: Tensor = (log_p + prior - posterior).logsumexp(0) - math.log(draws)
    return log_p_x


def shaken(model: M) -> M:
    for parameter in model.parameters():
        nn.init.normal_(parameter, std=0.3)
    return model.eval()


class TestVAE:
    def test_kl_is_torchs(self) -> None:
        mu, log_var = torch.randn(6, 4), torch.randn(6, 4)
        normal = torch.distributions.Normal
        expected = torch.distributions.kl_divergence(normal(mu, (0.5 * log_var).exp()), normal(0.0, 1.0))
        torch.testing.assert_close(kl_by_latent(mu, log_var), expected)

    @pytest.mark.parametrize("decoder", ["bernoulli", "gaussian", "logistic"])
    @pytest.mark.parametrize("prior", ["normal", "gmm"])
    @pytest.mark.parametrize("family", [VAE, ConditionalVAE])
    @torch.no_grad()
    def test_the_bound_is_one(self, family: type[VAE], decoder: Any, prior: Any) -> None:
        """Its mean over draws stays below log p(x), by no more than q(z|x) differs from the posterior."""
        spec, label = DataSpec("image", (1, 2, 2), "continuous", classes=2), torch.tensor([0, 1, 1, 0])
        torch.manual_seed(0)
        model, x = shaken(family(spec, latent=2, width=8, decoder=decoder, prior=prior, components=3)), grey(spec, 4)
        if prior == "gmm":
            model.prior.fit(torch.randn(200, 2) * 0.7 + 0.2, torch.arange(200) % 2, stream(0, "fit"))
        repeated = torch.stack([bound(model, x + 1e-6 * i, label) for i in range(300)]).mean(0)
        found = evidence(model, x, label)
        assert VAE.bound and (repeated < found).all() and (repeated > found - 2).all()

    @torch.no_grad()
    def test_more_draws_tighten_the_bound(self) -> None:
        torch.manual_seed(0)
        x = (grey(n=64) > 0).float()
        model = shaken(IWAE(BLACK, latent=2, width=8, measured_draws=1))
        found = []
        for draws in (1, 10, 500):
            model.measured_draws = draws
            found.append(bound(model, x).mean())
        assert found[0] < found[1] < found[2] < evidence(model, x).mean() + 0.05
        one = VAE(BLACK, latent=2, width=8)
        one.load_state_dict(model.state_dict())
        repeated = torch.stack([bound(one, x * (1 + 1e-6 * i)) for i in range(100)]).mean()
        assert found[0] == pytest.approx(repeated.item(), abs=0.5)

    def test_a_tighter_bound_is_to_be_had_of_as_many_logistics(self) -> None:
        spec = DataSpec("image", (3, 8, 8), "continuous")
        maps = [IWAE(spec, decoder="logistic", logistics=2, linked=linked).pixels.maps for linked in (True, False)]
        assert maps == [2 * (1 + 3 + 3 + 3), 2 * (1 + 3 + 3)]

    def test_a_fitted_prior_expects_held_out_digits_better(self) -> None:
        """After a short training, for which N(0, I) is not where the encoder puts data."""
        data = digits()
        torch.manual_seed(0)
        model = VAE(data.spec, latent=4, width=64, decoder="gaussian", prior="gmm", components=10, beta=0.05, lr=3e-3)
        for step in range(200):
            index = torch.randperm(len(data.train), generator=stream(0, "batch", step))[:64]
            model.train_step(data.train.batch(index), stream(0, "train", step))
        held_out = data.test.batch(torch.arange(len(data.test))).data
        before = bound(model, held_out).mean()
        model.refit(data.train, stream(0, "fit"))
        assert bound(model, held_out).mean() > before + 1

    @torch.no_grad()
    def test_a_latent_that_is_not_used_costs_nothing_under_a_fitted_prior(self) -> None:
        """q(z|x) = N(0, I) whatever the image: fitted to its means alone, a prior would be a point."""
        model, data = VAE(GREY, latent=2, width=8, prior="gmm", components=1), digits()
        for parameter in model.encoder.parameters():
            nn.init.zeros_(parameter)
        model.refit(data.train, stream(0, "fit"))
        assert model.prior.log_prob(torch.zeros(1, 2)).item() == pytest.approx(-math.log(2 * math.pi), abs=0.1)

    def test_a_width_that_jumps_ends_no_training(self) -> None:
        """Whatever the encoder says, KL stays a number that a step can lower; of nothing said it is 0."""
        model, batch = VAE(GREY, latent=2, width=8), digits().train.batch(torch.arange(8))
        last = [*model.encoder.parameters()][-1]
        for said in (0.0, 300.0, -50.0):
            with torch.no_grad():
                for parameter in model.encoder.parameters():
                    parameter.zero_()
                last[2:] = said
            _, log_var = model.encode(batch)
            assert log_var.max() <= WIDEST and (said != 0 or log_var.abs().max() < 1e-6)
            assert math.isfinite(model.train_step(batch, stream(0, "t"))["loss"])

    def test_the_loss_of_several_draws_is_that_computed_by_hand(self) -> None:
        """-log 1/k sum_i w_i (Burda et al. 2016, Eq. 8), which is not the mean of the bounds of one draw."""
        torch.manual_seed(0)
        model, batch = shaken(IWAE(BLACK, latent=2, width=8, draws=3)), Batch((grey(n=5) > 0).float())
        eps = torch.randn(3, 5, 2, generator=torch.Generator().manual_seed(0))
        weights = model.log_weights(batch, eps, *model.encode(batch)).double()
        expected = -weights.exp().mean(0).log().mean().item()
        losses = model.train_step(batch, torch.Generator().manual_seed(0))
        assert losses["loss"] == pytest.approx(expected, rel=1e-5)
        assert losses["loss_one_draw"] == pytest.approx(-weights.mean().item(), rel=1e-5)
        assert losses["loss"] < losses["loss_one_draw"] - 0.01

    def test_free_bits_cost_nothing(self) -> None:
        """A latent whose KL, on average over the batch, is below them costs as much as they are, whatever it is."""
        torch.manual_seed(0)
        model, batch = VAE(GREY, latent=4, width=8), Batch(grey())
        nn.init.normal_([*model.encoder.parameters()][-2], std=0.3)  # the weights of its last layer
        kl = kl_by_latent(*model.encode(batch)).mean(0).detach()
        free = float(kl.mean())  # between that of one latent and another
        losses = []
        for model.free_bits in (free, 0.0):
            model.optimiser = torch.optim.SGD(model.parameters(), lr=0.0)  # type: ignore[assignment]
            losses.append(model.train_step(batch, torch.Generator().manual_seed(0)))
        paid = float(kl.clamp(min=free).sum())
        assert losses[0]["loss"] - losses[1]["loss"] == pytest.approx(paid - float(kl.sum()), rel=1e-3)
        assert losses[0]["kl"] == losses[1]["kl"] and paid > 1.2 * float(kl.sum())

    def test_below_free_bits_the_encoder_hears_of_pixels_alone(self) -> None:
        torch.manual_seed(0)
        model, batch = VAE(GREY, latent=2, width=8, free_bits=1e3), Batch(grey())
        mu, log_var = model.encode(batch)
        eps = torch.randn(8, 2, generator=torch.Generator().manual_seed(0))
        pixels = model.pixels.log_prob(batch.data, model.decoder(mu + (0.5 * log_var).exp() * eps)).mean()
        expected = torch.autograd.grad(-pixels, [*model.encoder.parameters()])
        found: list[Tensor | None] = []
        model.optimiser.register_step_pre_hook(lambda *_: found.extend(p.grad for p in model.encoder.parameters()))
        model.train_step(batch, torch.Generator().manual_seed(0))
        torch.testing.assert_close(tuple(found), expected)

    def test_beta_weighs_the_divergence(self) -> None:
        torch.manual_seed(0)
        one, four = (VAE(GREY, latent=2, width=8, beta=beta) for beta in (1.0, 4.0))
        four.load_state_dict(one.state_dict())
        batch = Batch(grey())
        first, second = (m.train_step(batch, torch.Generator().manual_seed(0)) for m in (one, four))
        assert second["loss"] - first["loss"] == pytest.approx(3 * first["kl"], rel=1e-3)

    @pytest.mark.slow
    def test_a_linear_one_reaches_the_optimum_of_probabilistic_pca(self) -> None:
        """Of data from a known Gaussian the best Gaussian decoder's evidence is known (Tipping & Bishop 1999)."""
        rng = np.random.default_rng(0)
        basis = rng.normal(size=(16, 2))
        rows = 0.03 * (rng.normal(size=(4000, 2)) @ basis.T) + 0.02 * rng.normal(
            size=(4000, 16)
        )  # where tanh is a line
        x = torch.from_numpy(rows).float().view(-1, 1, 4, 4)
        values = np.linalg.eigvalsh(np.cov(rows.T))[::-1]
        noise = values[2:].mean()
        best = -0.5 * (16 * math.log(2 * math.pi) + np.log(values[:2]).sum() + 14 * math.log(noise) + 16)
        torch.manual_seed(0)
        model = VAE(DataSpec("image", (1, 4, 4), "continuous"), latent=2, decoder="gaussian", lr=1e-2)
        model.encoder.head, model.decoder.head = nn.Linear(16, 4), nn.Linear(2, 16)  # type: ignore[assignment]
        model.optimiser = torch.optim.Adam(model.parameters(), lr=1e-2)
        for step in range(3000):
            model.pace(step / 3000)
            model.train_step(Batch(x[torch.randperm(4000)[:200]]), torch.Generator().manual_seed(step))
        found = bound(model, x).mean().item()
        assert best - 0.1 < found < best + 0.02

    def test_a_label_moves_what_is_made(self) -> None:
        model = shaken(ConditionalVAE(GREY, latent=2, width=8))
        made = [model.sample(3, stream(0, "s"), torch.full((3,), label)) for label in (0, 0, 1)]
        assert torch.equal(made[0], made[1]) and not torch.equal(made[0], made[2])
        x, labels = grey(n=3), torch.tensor([0, 1, 2])
        assert not torch.equal(model.example_loss(Batch(x, labels)), model.example_loss(Batch(x, labels + 1)))

    def test_log_prob_can_be_repeated(self) -> None:
        model = VAE(GREY, latent=3, width=8)
        x = grey()
        assert torch.equal(bound(model, x), bound(model, x))

    def test_grey_levels_have_no_probability_under_a_bernoulli_decoder(self) -> None:
        """Black and white have, and grey levels have a density under a Gaussian one; the loss is minus that bound."""
        x = Batch((grey() > 0).float())
        with pytest.raises(Omitted, match=r'decoder is Bernoulli .*set decoder = "logistic"'):
            VAE(GREY, latent=3, width=8).log_prob(x)
        for spec, decoder in ((BLACK, "bernoulli"), (GREY, "gaussian")):
            model = VAE(spec, latent=3, width=8, decoder=decoder)  # type: ignore[arg-type]
            assert torch.equal(model.log_prob(x), -model.example_loss(x))
            assert (model.sample(3, stream(0, "s")) % 1 == 0).all() == (spec is BLACK)

    @torch.no_grad()
    def test_all_binary_images_have_a_probability_of_one_together(self) -> None:
        """Of four pixels, by importance sampling over z; their bounds sum to less."""
        torch.manual_seed(0)
        model = shaken(VAE(DataSpec("image", (1, 2, 2), "binary"), latent=2, width=8))
        every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).view(16, 1, 2, 2)
        assert evidence(model, every).exp().sum().item() == pytest.approx(1, abs=0.02)
        bounds = torch.stack([bound(model, every + 1e-6 * i) for i in range(300)])  # by other draws each
        assert bounds.mean(0).exp().sum() < 1

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
