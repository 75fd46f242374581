"""Mean flow: its identity against finite differences and against a flow whose average velocity is known."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from bench import DataSpec, Rows
from bench.streams import stream
from generators.mean_flow import MeanFlow, velocity_error
from tests.generators.mixture import Says, in_the_plane

PLANE = DataSpec("image", (1, 1, 2), "continuous")
SCALE = 0.5  # of the data N(0, SCALE^2); noise at t = 1


def std(t: Tensor) -> Tensor:
    """Of z_t."""
    return ((1 - t).square() * SCALE**2 + t.square()).sqrt()


def exact(z: Tensor, r: Tensor, t: Tensor) -> Tensor:
    """The average velocity from r to t through z at t: a point keeps its place among those of its time."""
    apart = (t - r).abs() > 1e-9
    moved = z - z * (std(r) / std(t))[:, None]
    now = z * ((t - (1 - t) * SCALE**2) / std(t).square())[:, None]
    return torch.where(apart[:, None], moved / torch.where(apart, t - r, 1.0)[:, None], now)


def test_what_is_learned_keeps_the_identity_by_finite_differences() -> None:
    """V - v is 0 where u = v - (t - r) du/dt; and du/dt is what a small step along (v, 0, 1) gives."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(4, 32), nn.Tanh(), nn.Linear(32, 2)).double()

    def u(z: Tensor, r: Tensor, t: Tensor) -> Tensor:
        out: Tensor = net(torch.cat([z, r[:, None], t[:, None]], dim=1))
        return out

    z, v = torch.randn(2, 6, 2, dtype=torch.float64)
    r, t = torch.rand(2, 6, dtype=torch.float64).sort(0).values
    h = 1e-5
    slope = (u(z + h * v, r, t + h) - u(z - h * v, r, t - h)) / (2 * h)
    expected = u(z, r, t) + (t - r)[:, None] * slope - v
    torch.testing.assert_close(velocity_error(u, z, r, t, v, improved=False), expected, atol=1e-7, rtol=1e-5)


def test_the_exact_average_velocity_has_no_error() -> None:
    torch.manual_seed(0)
    z = torch.randn(50, 2, dtype=torch.float64)
    r, t = (0.05 + 0.9 * torch.rand(2, 50, dtype=torch.float64)).sort(0).values
    v = exact(z, t, t)
    for improved in (True, False):
        assert velocity_error(exact, z, r, t, v, improved=improved).abs().max() < 1e-6


@pytest.mark.parametrize("steps", [1, 3])
def test_by_it_one_step_goes_where_the_flow_goes(steps: int) -> None:
    net = Says(lambda z, told, label: exact(z, told[:, 0] - told[:, 1], told[:, 0]))
    model = in_the_plane(MeanFlow(PLANE, width=8, steps=steps), net)
    noise = Rows(stream(0, "s"), 20).normal(2)
    torch.testing.assert_close(model.draw(Rows(stream(0, "s"), 20), 20, None), SCALE * noise, atol=1e-4, rtol=1e-4)


def test_guidance_is_learned_where_a_label_is_told_and_nowhere_else() -> None:
    spec = DataSpec("image", (1, 8, 8), "continuous", classes=3)
    model = MeanFlow(spec, width=8, patch=2, labels=True, guidance=3.0)
    model.net = Says(lambda z, t, label: torch.ones_like(z))
    v, label = torch.full((4, 1, 8, 8), 5.0), torch.tensor([0, 1, 3, 3])
    learned = model.guided_velocity(v, torch.rand(4), v, label)
    assert learned[:, 0, 0, 0].tolist() == [3 * 5 - 2, 3 * 5 - 2, 5, 5]


def test_what_is_reported_is_the_error_and_not_its_weighed_form() -> None:
    model = in_the_plane(MeanFlow(PLANE, width=8, unequal=0.0), Says(lambda z, t, label: torch.zeros_like(z)))
    x = torch.full((20_000, 2), 3.0)
    assert model.loss(x, None, stream(0, "l")).item() == pytest.approx(2 * (1 + 9), rel=0.05)
