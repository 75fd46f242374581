"""What theory says of the Wasserstein GAN with gradient penalty."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench import Batch
from bench.streams import stream
from bench.testing import made_up
from generators._schedule import descend
from generators.wgan_gp import WGANGP, distance_seen, generator_loss, gradient_penalty


class TestGradientPenalty:
    def test_the_norm_is_over_all_pixels_of_an_image(self) -> None:
        """f(x) = 3 x_1 + 4 x_2 has a gradient of norm 5 everywhere, whatever lies between: (5 - 1)^2."""
        weight = torch.zeros(1, 2, 2)
        weight[0, 0, 0], weight[0, 1, 1] = 3.0, 4.0
        found = gradient_penalty(
            lambda x: (weight * x).flatten(1).sum(1), torch.randn(5, 1, 2, 2), torch.randn(5, 1, 2, 2), torch.rand(5)
        )
        assert float(found.detach()) == pytest.approx(16)

    def test_there_is_one_alpha_an_image(self) -> None:
        """f(x) = |x|^2 / 2 has the gradient x: the penalty tells the norms of the points that it was taken at."""
        real, fake, alpha = torch.full((2, 1, 2, 2), 3.0), torch.full((2, 1, 2, 2), -1.0), torch.tensor([1.0, 0.25])
        seen: list[Tensor] = []

        def critic(x: Tensor) -> Tensor:
            seen.append(x.detach())
            return x.flatten(1).square().sum(1) / 2

        found = gradient_penalty(critic, real, fake, alpha)
        assert seen[0].flatten(1).tolist() == [[3.0] * 4, [0.0] * 4]
        assert float(found.detach()) == pytest.approx(((6 - 1) ** 2 + (0 - 1) ** 2) / 2)

    def test_its_gradient_is_that_of_the_slope(self) -> None:
        """Of f(x) = a x the penalty is (|a| - 1)^2, and its derivative 2 (a - 1)."""
        a = torch.tensor(3.0, requires_grad=True)
        gradient_penalty(lambda x: a * x[:, 0], torch.randn(4, 1), torch.randn(4, 1), torch.rand(4)).backward()
        assert a.grad is not None and float(a.grad) == pytest.approx(4)


class TestTheCritic:
    """It estimates a Wasserstein distance that is known: of two clouds of one form, the length of the shift."""

    def test_a_linear_critic_has_the_slope_of_the_closed_form(self) -> None:
        """L_f = -a d + lambda (a - 1)^2 is least at a = 1 + d / (2 lambda), in the direction of the shift."""
        torch.manual_seed(0)
        shift, weight = torch.tensor([0.6, 0.8]) * 2, 10.0
        critic = learned_critic(nn.Linear(2, 1, bias=False), shift, weight, steps=600)
        (a,) = critic.parameters()
        assert a[0].tolist() == pytest.approx(((1 + 2 / (2 * weight)) * shift / 2).tolist(), abs=0.02)

    def test_a_perceptron_sees_the_distance(self) -> None:
        torch.manual_seed(0)
        shift = torch.tensor([1.2, 1.6])
        net = nn.Sequential(nn.Linear(2, 32), nn.LeakyReLU(0.2), nn.Linear(32, 32), nn.LeakyReLU(0.2), nn.Linear(32, 1))
        critic = learned_critic(net, shift, 50.0, steps=500)
        cloud = torch.randn(20_000, 2)
        with torch.no_grad():
            found = float(distance_seen(critic, cloud + shift, cloud))
        assert found == pytest.approx(2.0, abs=0.15)

    def test_it_looks_at_each_image_alone(self) -> None:
        data = made_up("image")
        critic, x = WGANGP(data.spec, width=4, latent=4).discriminator.train(), data.train.data
        assert torch.allclose(critic(x)[:3], critic(x[:3]), atol=1e-6)


class TestSteps:
    def test_n_of_the_critic_and_then_one_of_the_generator(self) -> None:
        data = made_up("image")
        model = WGANGP(data.spec, width=4, latent=4, critic_steps=3)
        turns, updates = [], []
        for name, optimiser in (("critic", model.opt_d), ("generator", model.opt_g)):
            optimiser.register_step_post_hook(lambda *_, name=name: updates.append(name))
        for step in range(8):
            turns.append(model.train_step(Batch(data.train.data), stream(0, "train", step)))
        assert updates == ["critic", "critic", "critic", "generator"] * 2
        assert turns[3]["loss"] == turns[2]["loss"] and "loss_generator" in turns[3]

    def test_the_generator_raises_what_the_critic_says(self) -> None:
        assert float(generator_loss(lambda x: 2 * x, torch.tensor([1.0, 2.0]))) == -3


def learned_critic(net: nn.Module, shift: Tensor, weight: float, steps: int) -> nn.Sequential:
    """A critic of two normal clouds, one of them shifted, that has learned by Eq. 3."""
    rng, critic = torch.Generator().manual_seed(0), nn.Sequential(net, nn.Flatten(0))
    optimiser = torch.optim.Adam(critic.parameters(), lr=0.01, betas=(0.5, 0.9), fused=True)
    for step in range(steps):
        optimiser.param_groups[0]["lr"] = 0.01 * (1 - step / steps)
        fake = torch.randn(256, 2, generator=rng)
        real = fake.flip(0) + shift  # other partners, and exactly the shift between the means
        alpha = torch.rand(256, generator=rng)
        descend(optimiser, weight * gradient_penalty(critic, real, fake, alpha) - distance_seen(critic, real, fake))
    return critic
