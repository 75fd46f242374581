"""Distributions of pixels: masses sum to 1, densities are torch's, means are means."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
import torch.nn.functional as F

from bench import DataSpec, Omitted, Unsupported
from generators._pixels import Bernoulli, Gaussian, Logistic, Square, _log_sigmoid, pixels_of

LEVELS = torch.linspace(-1, 1, 256)


class TestLogistic:
    @pytest.mark.parametrize("spread", [0.1, 1.0, 5.0, 50.0])
    def test_the_masses_of_all_levels_sum_to_one(self, spread: float) -> None:
        """Of one grey pixel, whatever the net says of it: far from all levels, and narrower than one."""
        head = Logistic(1)
        out = spread * torch.randn(1, head.maps, 1, 1, generator=torch.Generator().manual_seed(0))
        log_p = head.log_prob(LEVELS.view(256, 1, 1, 1), out.expand(256, -1, 1, 1))
        assert log_p.double().exp().sum().item() == pytest.approx(1, rel=1e-5)

    def test_the_masses_of_two_channels_sum_to_one(self) -> None:
        """Of which the second moves with the first."""
        head = Logistic(2)
        out = torch.randn(1, head.maps, 1, 1, generator=torch.Generator().manual_seed(0))
        pairs = torch.cartesian_prod(LEVELS, LEVELS).view(-1, 2, 1, 1)
        log_p = head.log_prob(pairs, out.expand(len(pairs), -1, 1, 1))
        assert log_p.double().exp().sum().item() == pytest.approx(1, rel=1e-5)

    @pytest.mark.parametrize("spread", [0.3, 3.0, 300.0])
    def test_a_linked_channel_is_moved_by_the_mean_of_the_one_before(self, spread: float) -> None:
        """Which is what a grey pixel of that logistic would have, however far its own mean lies."""
        head, one = Logistic(2, components=1), Logistic(1, components=1)
        out = spread * torch.randn(64, head.maps, 1, 1, generator=torch.Generator().manual_seed(0))
        first = one.mean(out[:, [0, 1, 3]])
        alone = torch.cat([out[:, :1], out[:, 2:3] + out[:, 5:6].tanh() * first, out[:, 4:5]], dim=1)
        torch.testing.assert_close(head.mean(out), torch.cat([first, one.mean(alone)], dim=1))
        rough = head.mean(out.bfloat16())
        assert rough.abs().max() <= 1 and rough.dtype == torch.float32

    def test_channels_that_are_not_linked_are_independent_given_their_logistic(self) -> None:
        """Of one logistic the mass of a colour is the product of its channels'."""
        head, rng = Logistic(3, components=1, linked=False), torch.Generator().manual_seed(0)
        out, x = torch.randn(8, head.maps, 1, 1, generator=rng), LEVELS[torch.randint(256, (8, 3, 1, 1), generator=rng)]
        apart = [Logistic(1, components=1).log_prob(x[:, c : c + 1], out[:, [0, 1 + c, 4 + c]]) for c in range(3)]
        torch.testing.assert_close(head.log_prob(x, out), sum(apart))
        torch.testing.assert_close(head.mean(out)[:, 1:2], Logistic(1, components=1).mean(out[:, [0, 2, 5]]))

    def test_it_is_the_integral_of_a_mixture_of_logistics(self) -> None:
        head = Logistic(1, components=3)
        out = torch.randn(1, head.maps, 1, 1, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
        weights, mean, log_scale = out.view(3, 3).double()
        half = 1 / 255

        def below(x: torch.Tensor) -> torch.Tensor:
            shares: torch.Tensor = ((x - mean[:, None]) / log_scale.exp()[:, None]).sigmoid()
            return torch.mv(shares.T, weights.softmax(0))

        expected = below(LEVELS.double() + half) - below(LEVELS.double() - half)
        found = head.log_prob(LEVELS.double().view(256, 1, 1, 1), out.expand(256, -1, 1, 1)).exp()
        torch.testing.assert_close(found[1:-1], expected[1:-1])

    @pytest.mark.parametrize("spread", [0.1, 1.0, 5.0, 50.0])
    def test_its_mean_is_that_of_all_levels(self, spread: float) -> None:
        """To half a level, where levels are rounded to."""
        head = Logistic(1)
        out = spread * torch.randn(1, head.maps, 1, 1, generator=torch.Generator().manual_seed(0))
        p = head.log_prob(LEVELS.view(256, 1, 1, 1), out.expand(256, -1, 1, 1)).exp()
        assert head.mean(out).item() == pytest.approx((p * LEVELS).sum().item(), abs=1 / 255)

    def test_gradients_are_finite_wherever_the_net_is(self) -> None:
        head = Logistic(3)
        out = (100 * torch.randn(4, head.maps, 2, 2)).requires_grad_()
        head.log_prob(LEVELS[torch.randint(256, (4, 3, 2, 2))], out).sum().backward()
        assert out.grad is not None and torch.isfinite(out.grad).all()


def test_log_sigmoid_is_torchs() -> None:
    """And its slope, far beyond what float32 has exponents for."""
    x = torch.cat([torch.linspace(-300, 300, 2001), torch.linspace(-1, 1, 201)]).requires_grad_()
    torch.testing.assert_close(_log_sigmoid(x), F.logsigmoid(x), atol=2e-7, rtol=1e-6)
    ours, theirs = (torch.autograd.grad(f(x).sum(), x)[0] for f in (_log_sigmoid, F.logsigmoid))
    torch.testing.assert_close(ours, theirs, atol=2e-7, rtol=1e-5)


def test_a_gaussian_is_torchs() -> None:
    head, x, out = Gaussian(1), torch.rand(5, 1, 8, 8) * 2 - 1, torch.randn(5, 1, 8, 8)
    head.log_sigma.data.fill_(-0.3)
    expected = torch.distributions.Normal(out.tanh(), math.exp(-0.3)).log_prob(x).flatten(1).sum(1)
    torch.testing.assert_close(head.log_prob(x, out), expected)


def test_grey_levels_are_read_as_probabilities() -> None:
    x, out = torch.rand(5, 1, 8, 8) * 2 - 1, torch.randn(5, 1, 8, 8)
    expected = torch.distributions.Bernoulli(logits=out, validate_args=False).log_prob((x + 1) / 2)
    torch.testing.assert_close(Bernoulli(1, False).log_prob(x, out), expected.flatten(1).sum(1))
    with pytest.raises(Omitted, match=r'^its decoder is Bernoulli .* set decoder = "logistic"$'):
        Bernoulli(1, False).check()


def test_the_masses_of_binary_images_sum_to_one() -> None:
    every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=4))).view(16, 1, 2, 2)
    out = torch.randn(1, 1, 2, 2).expand(16, -1, -1, -1)
    assert Bernoulli(1, True).log_prob(every, out).exp().sum().item() == pytest.approx(1, rel=1e-5)


def test_a_square_is_a_loss_alone() -> None:
    x, out = torch.rand(5, 3, 2, 2) * 2 - 1, torch.randn(5, 3, 2, 2)
    torch.testing.assert_close(-Square(3).log_prob(x, out), (x - out.tanh()).square().sum((1, 2, 3)))
    with pytest.raises(Omitted, match="gives no image a probability"):
        Square(3).check()


def test_binary_pixels_have_one_distribution() -> None:
    with pytest.raises(Unsupported, match="binary pixels have no logistic distribution: take decoder = 'bernoulli'"):
        pixels_of(DataSpec("image", (1, 4, 4), "binary"), "logistic")
