"""Consistency models: their boundary, their schedule, and that one evaluation goes to the end of the flow."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

from bench import DataSpec, GenbenchError, Rows
from bench.streams import stream
from generators._ode import solve
from generators.consistency import Consistency, earlier
from generators.edm import EDM
from tests.generators.mixture import Denoiser, Preconditioned, Says, in_the_plane

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=3)
PLANE = DataSpec("image", (1, 1, 2), "continuous")
SPREAD = 0.5  # of the data N(0, SPREAD^2)


def end_of_path(w: torch.Tensor, c_noise: torch.Tensor, label: object) -> torch.Tensor:
    """F of the function that takes each point x of the flow of N(0, s^2) to its end, x s / sqrt(s^2 + sigma^2)."""
    at = (4 * c_noise).exp()[:, None]
    x = w * (at.square() + 1).sqrt()
    end = x * SPREAD / (SPREAD**2 + at.square()).sqrt()
    return (end - x / (at.square() + 1)) * (at.square() + 1).sqrt() / at


def plane(net: nn.Module, **changes: Any) -> Consistency:
    model: Consistency = in_the_plane(Consistency(PLANE, width=8, **changes), net)
    model.unit = nn.BatchNorm1d(2, affine=False, momentum=None)
    return model.eval()


def test_stages_bring_the_earlier_point_nearer() -> None:
    t = torch.tensor([0.01, 1.0, 50.0])
    gaps = torch.stack([t - earlier(t, stage, 2.0) for stage in range(8)])
    assert (gaps > 0).all() and (gaps.diff(dim=0) <= 0).all() and (gaps[-1] < 0.04 * t).all()
    assert earlier(t, 0, 2.0)[0] == 0  # at first the earlier point is the image
    half = 1.0 * (1 - 2.0**-4 * (1 + 8 / (1 + 2.718281828)))  # of the paper's, whose t is half of ours
    assert earlier(torch.tensor([2.0]), 3, 2.0).item() == pytest.approx(2 * half, rel=1e-6)


def test_at_no_noise_it_is_the_identity() -> None:
    torch.manual_seed(0)
    model, y = Consistency(GREY, width=8, patch=2), torch.randn(3, 1, 8, 8)
    for parameter in model.net.parameters():
        nn.init.normal_(parameter, std=0.1)
    said = model.said(y, torch.randn(3, 1, 8, 8), torch.full((3,), 1e-6), None)
    torch.testing.assert_close(said, y, atol=1e-4, rtol=0)


def test_the_ends_of_paths_are_a_function_that_is_consistent() -> None:
    """Two points of one path of the flow have one answer; the loss compares points of one line of noise, and is small
    where they are near.
    """
    model = plane(Says(end_of_path))
    model.stage = 7
    y = SPREAD * torch.randn(2000, 2, generator=stream(0, "y"))
    near = model.loss(y, None, stream(0, "l")).item()
    model.net = Says(lambda w, c, label: end_of_path(w, c, label) + 0.5 * torch.sin(40 * c)[:, None])
    assert near < model.loss(y, None, stream(0, "l")).item() / 2


def test_one_evaluation_comes_where_the_flow_of_the_mixture_ends() -> None:
    """Of each noise, not only on average: beside EDM's sampler, with the ends of paths that a finer one finds."""
    low, high = 0.002, 20.0

    def net(w: torch.Tensor, c_noise: torch.Tensor, label: object) -> torch.Tensor:
        at = (4 * c_noise).exp()[:, None]
        x, falls = w * (at.square() + 1).sqrt(), (low / at).log()  # sigma falls to low by even factors
        end = solve(
            lambda x, s: falls * (x - Denoiser()(x, at[:, 0] * (s * falls[:, 0]).exp())),
            x, torch.linspace(0, 1, 301), "midpoint",
        )  # fmt: skip
        return (end - x / (at.square() + 1)) * (at.square() + 1).sqrt() / at

    flow: Any = in_the_plane(EDM(PLANE, width=8, steps=200, sigma_min=low, sigma_max=high), Preconditioned())
    flow.unit = nn.BatchNorm1d(2, affine=False, momentum=None, eps=0.0)
    made = plane(Says(net), sigma_max=high).draw(Rows(stream(0, "s"), 200), 200, None)
    torch.testing.assert_close(made, flow.eval().draw(Rows(stream(0, "s"), 200), 200, None), atol=0.02, rtol=0)


@pytest.mark.parametrize("steps", [1, 2])
def test_by_them_one_evaluation_makes_the_data(steps: int) -> None:
    model = plane(Says(end_of_path), steps=steps, sigma_max=80.0, middle=1.0)
    made = model.draw(Rows(stream(0, "s"), 4000), 4000, None)
    assert made.std().item() == pytest.approx(SPREAD, rel=0.03 if steps == 1 else 0.15) and model.nfe == steps


def test_first_it_denoises_and_then_it_is_tuned_each_with_its_own_rate() -> None:
    model = Consistency(GREY, width=8, patch=2, denoising_share=0.5, stages=4, lr=1.0)
    seen = []
    for share in (0.0, 0.49, 0.5, 0.7, 1.0):
        model.pace(share)
        seen.append((model.stage, round(model.optimiser.param_groups[0]["lr"], 3)))
    assert seen == [(-1, 1.0), (-1, 0.033), (0, 1.0), (1, 1.0), (3, 0.0)]


def test_both_points_have_one_draw_of_dropout() -> None:
    """Else what they differ by would be chance."""
    model = Consistency(GREY, width=8, patch=2, dropout=0.5, base=1e4, stages=1).train()
    torch.manual_seed(0)
    for parameter in model.net.parameters():
        nn.init.normal_(parameter, std=0.2)
    model.stage = 0  # r is t but for a thousandth
    assert model.loss(torch.rand(16, 1, 8, 8, generator=stream(0, "x")), None, stream(0, "l")).item() < 100


def test_a_second_step_from_no_less_noise_than_the_first_is_refused() -> None:
    assert Consistency(GREY, width=8, sigma_max=1.0).nfe == 1  # where there is none, nothing is wrong
    with pytest.raises(GenbenchError, match="take a middle below it"):
        Consistency(GREY, width=8, steps=2, sigma_max=1.6)
