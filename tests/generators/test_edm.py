"""EDM: its denoiser, samplers and likelihood against a mixture of Gaussians that is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import nn

from bench import DataSpec, GenbenchError, Rows
from bench.streams import stream
from generators.edm import EDM, denoised
from tests.generators.mixture import (
    Denoiser,
    Preconditioned,
    Says,
    drawn,
    exact_density,
    in_the_plane,
    log_density,
)

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=3)
PLANE = DataSpec("image", (1, 1, 2), "continuous")


def exact(net: nn.Module, **changes: Any) -> Any:
    """A model of points in the plane, of mean 0 and variance 1 in its eyes."""
    model = in_the_plane(EDM(PLANE, width=8, **{"sigma_max": 20.0, **changes}), net)
    model.unit = nn.BatchNorm1d(2, affine=False, momentum=None, eps=0.0)
    return model.eval()


def test_its_denoiser_is_made_of_the_net_as_in_table_1() -> None:
    x, sigma = torch.randn(50, 2, generator=stream(0, "x")), torch.rand(50, generator=stream(0, "s")) * 5 + 0.01
    torch.testing.assert_close(denoised(Preconditioned(), x, sigma, None), Denoiser()(x, sigma), atol=1e-4, rtol=1e-4)
    zero = Says(lambda x, t, label: torch.zeros_like(x))
    torch.testing.assert_close(denoised(zero, x, sigma, None), x / (sigma.square() + 1)[:, None])  # c_skip


@pytest.mark.parametrize(
    "changes",
    [{"steps": 40}, {"sampler": "langevin", "steps": 60, "langevin_steps": 10, "snr": 0.3, "sigma_min": 0.02}],
    ids=["heun", "langevin"],
)
def test_samplers_make_the_data(changes: dict[str, Any]) -> None:
    model = exact(Preconditioned(), **changes)
    made = model.draw(Rows(stream(0, "s"), 1000), 1000, None).double()
    expected = drawn(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(made.mean(0), expected.mean(0), atol=0.25, rtol=0)
    assert log_density(made).mean().item() == pytest.approx(log_density(expected).mean().item(), abs=0.2)


def test_heun_is_of_second_order_in_its_own_levels() -> None:
    ends = {steps: exact(Preconditioned(), steps=steps, sigma_min=0.1).draw(Rows(stream(0, "s"), 200), 200, None)
            for steps in (20, 40, 640)}  # fmt: skip
    errors = [(ends[steps] - ends[640]).norm(dim=1).mean() for steps in (20, 40)]
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.35)


class TestDensity:
    def test_it_is_that_of_the_mixture(self) -> None:
        model = exact(Preconditioned(), measured_steps=60, sigma_min=0.004, sigma_max=80.0)
        x = drawn(100, torch.Generator().manual_seed(1)).float()
        density = exact_density(model, x)
        assert (density - log_density(x)).abs().max() < 0.05
        assert density.mean().item() == pytest.approx(log_density(x).mean().item(), rel=0.01)

    @pytest.mark.parametrize("spread", [1.0, 0.3, 0.05])
    def test_twenty_steps_are_enough_for_narrow_data(self, spread: float) -> None:
        """Of N(0, s^2) with noise of sigma_min."""

        def net(w: torch.Tensor, c_noise: torch.Tensor, label: object) -> torch.Tensor:
            at = (4 * c_noise).exp()[:, None]
            x = w * (at.square() + 1).sqrt()
            clean = x * spread**2 / (spread**2 + at.square())
            return (clean - x / (at.square() + 1)) * (at.square() + 1).sqrt() / at

        model = exact(Says(net), measured_steps=20, sigma_max=160.0)
        wide = math.hypot(spread, model.sigma_min)
        x = wide * torch.randn(50, 2, generator=stream(0, "x"))
        expected = torch.distributions.Normal(0, wide).log_prob(x).sum(1).double()
        torch.testing.assert_close(exact_density(model, x), expected, atol=0.03, rtol=0)

    def test_data_of_another_scale_is_less_dense_by_it(self) -> None:
        model, x = exact(Preconditioned(), measured_steps=10), torch.randn(5, 2, generator=stream(0, "x"))
        before = exact_density(model, x)
        assert model.unit.running_var is not None and model.unit.running_mean is not None
        model.unit.running_var.fill_(9.0)
        model.unit.running_mean.fill_(1.0)
        torch.testing.assert_close(exact_density(model, 3 * x + 1), before - 2 * math.log(3), atol=1e-4, rtol=0)


def test_its_levels_are_those_of_the_paper() -> None:
    """sigma_max, sigma_min and 0 at the ends; in units of a sigma_data of 1/2 those of Eq. 5."""
    levels = EDM(GREY, width=8).levels(18)
    assert levels[0].item() == pytest.approx(160) and levels[-2].item() == pytest.approx(0.004)
    assert levels[-1] == 0 and len(levels) == 19
    half = (80 ** (1 / 7) + 8.5 / 17 * (0.002 ** (1 / 7) - 80 ** (1 / 7))) ** 7
    assert EDM(GREY, width=8).levels(35)[17].item() == pytest.approx(2 * half, rel=1e-4)


def test_data_of_any_scale_is_brought_to_one() -> None:
    model, x = EDM(GREY, width=8).train(), 0.3 * torch.randn(500, 1, 8, 8, generator=stream(0, "x")) - 0.7
    for part in x.split(50):
        model.to_unit(part)
    y = model.eval().to_unit(x)
    assert abs(y.mean()) < 0.01 and abs(y.std() - 1) < 0.02
    torch.testing.assert_close(model.from_unit(y), x)


def test_langevin_dynamics_that_cannot_follow_are_refused() -> None:
    with pytest.raises(GenbenchError, match="take more steps, more langevin_steps or a greater snr"):
        EDM(GREY, width=8, sampler="langevin", steps=10, langevin_steps=5, snr=0.1)


@pytest.mark.parametrize("sampler", ["flow", "langevin"])
def test_noise_that_would_not_fall_is_refused(sampler: Any) -> None:
    with pytest.raises(GenbenchError, match="take a sigma_min below it"):
        EDM(GREY, width=8, sampler=sampler, sigma_min=4.0, sigma_max=4.0)
