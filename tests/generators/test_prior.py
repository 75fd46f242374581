"""The prior that is fitted to latents: against scipy, and against what was put there."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.stats import multivariate_normal

from bench import Rows
from bench.datasets.digits import digits
from bench.streams import stream
from generators._prior import MixturePrior, latents


def clusters(n: int) -> torch.Tensor:
    """Two thirds about (-3, 0), one about (3, 1), each with a covariance of its own."""
    rng = np.random.default_rng(0)
    first = rng.multivariate_normal([-3.0, 0.0], np.array([[1, 0.8], [0.8, 1]]), 2 * n // 3)
    second = rng.multivariate_normal([3.0, 1.0], np.diag([0.3, 2]), n // 3)
    return torch.from_numpy(np.concatenate([first, second]))


class TestMixturePrior:
    def test_before_it_is_fitted_it_is_normal(self) -> None:
        prior, z = MixturePrior(3, 4), torch.randn(5, 3)
        torch.testing.assert_close(prior.log_prob(z), torch.distributions.Normal(0, 1).log_prob(z.double()).sum(1))
        drawn = prior.draw(Rows(stream(0, "s"), 2000))
        assert drawn.mean(0).abs().max() < 0.1 and (drawn.T.cov() - torch.eye(3)).abs().max() < 0.15

    def test_it_finds_what_is_there(self) -> None:
        prior = MixturePrior(2, 2)
        prior.fit(clusters(6000), None, stream(0, "fit"))
        order = prior.means[:, 0].argsort()
        torch.testing.assert_close(prior.weights[0, order], torch.tensor([2 / 3, 1 / 3]).double(), atol=0.02, rtol=0)
        torch.testing.assert_close(prior.means[order], torch.tensor([[-3, 0], [3, 1]]).double(), atol=0.1, rtol=0)
        found = (prior.scales @ prior.scales.mT)[order]
        expected = torch.tensor([[[1, 0.8], [0.8, 1]], [[0.3, 0], [0, 2]]]).double()
        torch.testing.assert_close(found, expected, atol=0.15, rtol=0)

    def test_its_density_is_scipys(self) -> None:
        prior, z = MixturePrior(2, 2), clusters(30)
        prior.fit(clusters(600), None, stream(0, "fit"))
        parts = [
            weight * multivariate_normal(mean, scale @ scale.T).pdf(z.numpy())
            for weight, mean, scale in zip(
                prior.weights[0].numpy(), prior.means.numpy(), prior.scales.numpy(), strict=True
            )
        ]
        assert prior.log_prob(z).numpy() == pytest.approx(np.log(sum(parts)), rel=1e-9)

    def test_its_draws_are_of_its_density(self) -> None:
        prior, given = MixturePrior(2, 2), clusters(6000)
        prior.fit(given, None, stream(0, "fit"))
        drawn = prior.draw(Rows(stream(0, "s"), 6000)).double()
        torch.testing.assert_close(drawn.mean(0), given.mean(0), atol=0.12, rtol=0)
        torch.testing.assert_close(drawn.T.cov(), given.T.cov(), atol=0.4, rtol=0)
        assert (drawn[:, 0] > 0).double().mean().item() == pytest.approx(1 / 3, abs=0.03)

    def test_a_draw_is_its_components_mean_and_its_own_noise_whatever_the_batch(self) -> None:
        """Of the two clusters: the noise of a row, multiplied by the scale of one of them, and moved to its mean."""
        prior = MixturePrior(2, 2)
        prior.fit(clusters(600), None, stream(0, "fit"))
        rows = Rows(stream(0, "s"), 40)
        which = (rows.uniform().double() >= prior.weights[0, 0]).long()
        moved = (prior.scales[which] @ rows.normal(2).double()[:, :, None]).squeeze(2)
        expected = (prior.means[which] + moved).float()
        rng = stream(0, "s")
        parts = torch.cat([prior.draw(Rows(rng, n)) for n in (1, 32, 7)])
        assert 5 < which.sum() < 35
        torch.testing.assert_close(prior.draw(Rows(stream(0, "s"), 40)), expected)
        torch.testing.assert_close(parts, expected)

    def test_each_class_has_a_mixture_of_its_own(self) -> None:
        """Labels split one line of points: what is drawn for a label, and what is likely, is of that label."""
        z, label = torch.linspace(-3, 3, 600)[:, None].double(), torch.arange(600) // 300
        label[0] = 2  # of the last class there is one example, which is not enough
        prior = MixturePrior(1, 4, classes=3)
        prior.fit(z, label, stream(0, "fit"))
        drawn = [prior.draw(Rows(stream(0, "s"), 500), torch.full((500,), y)) for y in range(3)]
        assert [round(float(x.mean()), 1) for x in drawn] == pytest.approx([-1.5, 1.5, 0], abs=0.2)
        left, right, unknown = (prior.log_prob(torch.tensor([[-2.0]]), torch.tensor([y])).item() for y in range(3))
        assert left > unknown > right

    def test_few_latents_have_few_components(self) -> None:
        prior = MixturePrior(2, 50)
        prior.fit(clusters(60), None, stream(0, "fit"))
        assert (prior.weights > 0).sum() == 3 and prior.weights.sum().item() == pytest.approx(1)
        assert torch.isfinite(prior.log_prob(clusters(30))).all()


def test_latents_are_those_of_different_training_images_with_their_labels() -> None:
    data = digits()
    found, label = latents(lambda batch: batch.data.flatten(1), data.train, stream(0, "x"), torch.device("cpu"))
    whole = data.train.batch(torch.arange(len(data.train)))
    every = whole.data.flatten(1)
    places = [int((every == row).all(1).nonzero()[0]) for row in found[:20]]
    assert whole.condition is not None and label is not None and torch.equal(label[:20], whole.condition[places])
    assert torch.equal(found.sort(0).values, every.sort(0).values) and not torch.equal(found, every)
