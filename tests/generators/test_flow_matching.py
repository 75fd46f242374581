"""Flow matching and its reflow, against a mixture of Gaussians whose velocity is known."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch

from bench import Batch, DataSpec, Omitted, Rows
from bench.streams import stream
from generators._ode import solve
from generators.flow_matching import FlowMatching, RectifiedFlow, nearest
from tests.generators.mixture import Says, Velocity, drawn, exact_density, in_the_plane, log_density

PLANE = DataSpec("image", (1, 1, 2), "continuous")


class TestSamples:
    def test_they_follow_the_velocity_to_the_data(self) -> None:
        model = in_the_plane(FlowMatching(PLANE, width=8, solver="heun", steps=50), Velocity())
        made = model.draw(Rows(stream(0, "s"), 4000), 4000, None).double()
        expected = drawn(4000, torch.Generator().manual_seed(0))
        torch.testing.assert_close(made.mean(0), expected.mean(0), atol=0.08, rtol=0)
        torch.testing.assert_close(made.T.cov(), expected.T.cov(), atol=0.12, rtol=0)

    @pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
    def test_a_net_that_says_the_data_leads_to_what_it_says(self, solver: Any) -> None:
        model = FlowMatching(PLANE, width=8, predict="x", steps=7, solver=solver)
        model = in_the_plane(model, Says(lambda x, t, label: torch.full_like(x, 0.3)))
        torch.testing.assert_close(model.draw(Rows(stream(0, "s"), 5), 5, None), torch.full((5, 2), 0.3))


def scaled(by: float) -> Callable[[torch.Tensor, torch.Tensor, object], torch.Tensor]:
    """The exact velocity, times a number."""
    return lambda x, t, label: by * Velocity()(x, t)


class TestLoss:
    def test_the_best_velocity_has_the_least(self) -> None:
        """What the exact one leaves is the spread of lines through a point; any other leaves more."""
        x, losses = drawn(4000, torch.Generator().manual_seed(0)).float(), []
        for by in (1.0, 0.9, 1.1):
            net = Says(scaled(by))
            losses.append(in_the_plane(FlowMatching(PLANE, width=8), net).loss(x, None, stream(0, "l")).item())
        assert losses[0] < min(losses[1:])

    def test_a_velocity_is_read_from_data_that_the_net_says(self) -> None:
        model = FlowMatching(PLANE, width=8, predict="x")
        (x0, x1), t = torch.randn(2, 5, 2, generator=stream(0, "x")), torch.linspace(0, 0.9, 5)
        seen = (1 - t[:, None]) * x0 + t[:, None] * x1
        torch.testing.assert_close(model.velocity(x1, seen, t), x1 - x0, atol=1e-4, rtol=1e-4)

    def test_times_of_a_logit_normal_law_are_more_often_in_the_middle(self) -> None:
        seen: list[torch.Tensor] = []

        def note(x: torch.Tensor, t: torch.Tensor, label: object) -> torch.Tensor:
            seen.append(t)
            return x

        for law in ("uniform", "logit_normal"):
            model = in_the_plane(FlowMatching(PLANE, width=8, time_law=law), Says(note))
            model.loss(torch.zeros(20_000, 2), None, stream(0, "t"))
        inner = [((t > 0.25) & (t < 0.75)).double().mean().item() for t in seen]
        assert inner == pytest.approx([0.5, 0.728], abs=0.01)  # 2 Phi(ln 3) - 1

    def test_they_are_of_that_law_on_pairs_of_the_flow_too(self) -> None:
        seen: list[torch.Tensor] = []

        def note(x: torch.Tensor, t: torch.Tensor, label: object) -> torch.Tensor:
            seen.append(t)
            return x

        model = in_the_plane(RectifiedFlow(PLANE, width=8, time_law="logit_normal", pool=4, fresh=1), Says(note))
        model.pairs, model.teacher, model.straightening = torch.zeros(2, 4, 2), Velocity(), True
        model.loss(torch.zeros(20_000, 2), None, stream(0, "t"))
        assert ((seen[-1] > 0.25) & (seen[-1] < 0.75)).double().mean().item() == pytest.approx(0.728, abs=0.01)


class TestCoupling:
    def test_pairs_of_a_batch_have_the_shortest_lines(self) -> None:
        rng = torch.Generator().manual_seed(0)
        x, order = torch.randn(20, 2, generator=rng), torch.randperm(20, generator=rng)
        noise = x[order] + 0.01 * torch.randn(20, 2, generator=rng)
        assert torch.equal(order[nearest(noise, x)], torch.arange(20))

    def test_they_are_among_one_label(self) -> None:
        rng = torch.Generator().manual_seed(0)
        x, noise, label = torch.randn(20, 2, generator=rng), torch.randn(20, 2, generator=rng), torch.arange(20) % 3
        order = nearest(noise, x, label)
        assert torch.equal(label[order], label) and torch.equal(order.sort().values, torch.arange(20))

    def test_with_them_lines_through_a_point_agree_more(self) -> None:
        x, left = drawn(500, torch.Generator().manual_seed(0)).float(), []
        for coupling in ("independent", "optimal_transport"):
            still: Any = Says(lambda x, t, label: 0 * x)
            model = in_the_plane(FlowMatching(PLANE, width=8, coupling=coupling), still)
            left.append(model.loss(x, None, stream(0, "l")).item())
        assert left[1] < left[0] / 2  # mean squared lengths


class TestDensity:
    def test_it_is_that_of_the_mixture(self) -> None:
        model = in_the_plane(FlowMatching(PLANE, width=8, measured_steps=100), Velocity())
        x = drawn(100, torch.Generator().manual_seed(1)).float()
        density = exact_density(model, x)
        assert (density - log_density(x)).abs().max() < 0.02
        assert density.mean().item() == pytest.approx(log_density(x).mean().item(), rel=0.01)

    @pytest.mark.parametrize("spread", [1.0, 0.3, 0.0023])
    def test_twenty_steps_are_enough_for_narrow_data(self, spread: float) -> None:
        """Of N(0, s^2), also of a pixel that is always the same but for its dequantisation."""

        def velocity(x: torch.Tensor, t: torch.Tensor, label: object) -> torch.Tensor:
            t = t[:, None]
            return x * (t * spread**2 - (1 - t)) / ((1 - t) ** 2 + (t * spread) ** 2)

        model = in_the_plane(FlowMatching(PLANE, width=8, measured_steps=20), Says(velocity))
        x = spread * torch.randn(2000, 2, generator=stream(0, "x"))
        expected = torch.distributions.Normal(0, spread).log_prob(x).sum(1).double()
        assert (exact_density(model, x) - expected).mean().abs() < 0.05  # of two numbers

    def test_a_net_that_says_the_data_has_none(self) -> None:
        with pytest.raises(Omitted, match='set predict = "v"'):
            FlowMatching(PLANE, width=8, predict="x").log_prob(Batch(torch.zeros(2, 1, 1, 2)))


class TestReflow:
    def test_pairs_are_ends_of_the_flow_as_it_was(self) -> None:
        model = in_the_plane(RectifiedFlow(PLANE, width=8, pool=40, fresh=10, teacher_steps=50), Velocity())
        model.pairs, model.teacher = torch.zeros(2, 40, 2), Velocity()
        model.make_pairs(None, stream(0, "p"))
        first = model.pairs.clone()
        ends = solve(Velocity(), first[0], torch.linspace(0, 1, 51), "midpoint")
        assert model.made == 40 and not torch.equal(first[0], first[1])
        torch.testing.assert_close(first[1], ends)
        model.make_pairs(None, stream(1, "p"))
        changed = (model.pairs != first).any(0).any(1)
        assert changed.tolist() == [True] * 10 + [False] * 30

    def test_it_begins_when_its_share_is_over_and_each_part_has_its_own_rate(self) -> None:
        model, rates = RectifiedFlow(PLANE, width=8, first_share=0.5, lr=1.0), []
        for share in (0.0, 0.49, 0.5, 1.0):
            model.pace(share)
            rates.append(model.optimiser.param_groups[0]["lr"])
            assert model.straightening == (share >= 0.5)
        assert rates == pytest.approx([1.0, 0.02 / 0.6, 1.0, 0.0], abs=1e-6)

    def test_a_straight_flow_needs_one_step(self) -> None:
        """Of the pairs of a line, x_1 = 2 x_0, the velocity that leaves no loss carries noise to its end at once."""

        def velocity(x: torch.Tensor, t: torch.Tensor, label: object) -> torch.Tensor:
            return x / (1 + t[:, None])

        model = in_the_plane(RectifiedFlow(PLANE, width=8, steps=1, pool=30), Says(velocity))
        noise = torch.randn(30, 2, generator=stream(0, "n"))
        assert model.error(noise, 2 * noise, torch.rand(30, generator=stream(0, "t")), None) < 1e-10
        made = model.draw(Rows(stream(0, "s"), 6), 6, None)
        torch.testing.assert_close(made, 2 * Rows(stream(0, "s"), 6).normal(2))


def test_a_density_of_gaussian_noise_costs_nothing() -> None:
    """Where nothing moves it is that of the noise."""
    model = in_the_plane(FlowMatching(PLANE, width=8), Says(lambda x, t, label: 0 * x))
    x = torch.randn(5, 2, generator=stream(0, "x"))
    expected = -0.5 * (x.double().square() + math.log(2 * math.pi)).sum(1)
    torch.testing.assert_close(exact_density(model, x), expected)
