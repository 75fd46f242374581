"""What theory and the authors say of R3GAN."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bench.testing import made_up
from generators.r3gan import R3GAN, cosine, discriminator_loss, generator_loss
from tests.generators.ring import ON_A_CIRCLE, Perceptron, learned, modes, on_modes


def first(x: Tensor) -> Tensor:
    return x[:, 0]


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


class TestLosses:
    def test_they_compare_the_images_of_a_pair(self) -> None:
        real, fake = torch.tensor([[2.0], [0.0]]), torch.tensor([[1.0], [3.0]])
        found = [discriminator_loss(first, real, fake, 0.0), generator_loss(first, real, fake)]
        expected = (softplus(-1) + softplus(3)) / 2, (softplus(1) + softplus(-3)) / 2
        assert [float(x.detach()) for x in found] == pytest.approx(expected)

    def test_penalties_are_of_squared_norms_over_all_pixels(self) -> None:
        """f(x) = |x|^2 / 2 has the gradient x: gamma / 2 times the mean of |x|^2 and of |G(z)|^2."""
        real, fake = torch.randn(2, 3, 1, 2, 2, dtype=torch.float64)

        def critic(x: Tensor) -> Tensor:
            return x.flatten(1).square().sum(1) / 2

        found = discriminator_loss(critic, real, fake, 0.7) - discriminator_loss(critic, real, fake, 0.0)
        expected = 0.35 * (real.flatten(1).square().sum(1).mean() + fake.flatten(1).square().sum(1).mean())
        assert float(found.detach()) == pytest.approx(float(expected))

    def test_penalties_have_a_gradient(self) -> None:
        """Of f(x) = a x they are gamma / 2 (a^2 + a^2), and the derivative 2 gamma a."""
        a = torch.tensor(3.0, requires_grad=True)
        x = torch.zeros(4, 1)
        discriminator_loss(lambda x: a * x[:, 0], x, x, 0.5).backward()
        assert a.grad is not None and float(a.grad) == pytest.approx(3)


def test_it_covers_a_ring_of_eight_gaussians() -> None:
    """Of four seeds 0.67 to 0.72 of the points lie on modes; on a circle that knows none it would be 0.51."""
    torch.manual_seed(0)
    points = learned(R3GAN(made_up("image").spec, width=4, net="conv", gamma=0.1), Perceptron(1), steps=1000)
    assert modes(points) == 8 and on_modes(points) > 0.63 > ON_A_CIRCLE


class TestSchedules:
    def test_they_go_from_the_authors_first_to_their_last_values(self) -> None:
        model = R3GAN(made_up("image").spec, width=4, latent=4, lr=2e-4, gamma=0.05, floor=0.25)
        found = []
        for share in (0.0, 0.5, 1.0):
            model.pace(share)
            group = model.opt_d.param_groups[0]
            found.append((group["lr"], model.gamma, *group["betas"]))
        expected = [(2e-4, 0.05, 0.0, 0.9), (1.25e-4, 0.0275, 0.0, 0.945), (5e-5, 0.005, 0.0, 0.99)]
        assert [x for row in found for x in row] == pytest.approx([x for row in expected for x in row])

    def test_a_cosine_is_flat_at_both_ends(self) -> None:
        assert cosine(1, 0, 0.01) > 0.999 and cosine(1, 0, 0.99) < 0.001
