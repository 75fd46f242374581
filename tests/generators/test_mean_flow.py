"""Mean flow: its identity against finite differences and against a flow whose average velocity is known."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import DataSpec, GenbenchError, Rows, Unsupported
from bench.streams import stream
from generators._ode import solve
from generators.flow_matching import FlowMatching
from generators.mean_flow import MeanFlow, told, velocity_error
from tests.generators.mixture import Says, Velocity, in_the_plane

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


class TestOfTheMixture:
    """Beside the flow itself, which ``generators/_ode.py`` follows finely from r = t back; noise is at t = 1."""

    @staticmethod
    def average(z: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The average velocity from r to t through z at t, of which a share s of the way is at t + s (r - t)."""
        velocity, back = Velocity(), r - t
        end = solve(
            lambda x, s: -back[:, None] * velocity(x, 1 - t - s * back), z, torch.linspace(0, 1, 81).to(z), "midpoint"
        )
        apart = back.abs() > 1e-9
        moved = (end - z) / torch.where(apart, back, 1.0)[:, None]
        return torch.where(apart[:, None], moved, -velocity(z, 1 - t))

    def test_its_average_has_no_error_and_another_has(self) -> None:
        torch.manual_seed(0)
        z = torch.randn(40, 2, dtype=torch.float64)
        r, t = (0.05 + 0.9 * torch.rand(2, 40, dtype=torch.float64)).sort(0).values
        v = self.average(z, t, t)
        for improved in (True, False):
            right = velocity_error(self.average, z, r, t, v, improved=improved)
            wrong = velocity_error(lambda z, r, t: 1.1 * self.average(z, r, t), z, r, t, v, improved=improved)
            assert right.abs().max() < 0.02 and wrong.abs().mean() > 10 * right.abs().mean()

    def test_one_step_comes_where_the_flow_ends(self) -> None:
        """Of each noise, not only on average."""
        net = Says(lambda z, told, label: self.average(z, told[:, 0] - told[:, 1], told[:, 0]))
        made = in_the_plane(MeanFlow(PLANE, width=8), net).draw(Rows(stream(0, "s"), 200), 200, None)
        flow = in_the_plane(FlowMatching(PLANE, width=8, solver="heun", steps=200), Velocity())
        torch.testing.assert_close(made, flow.draw(Rows(stream(0, "s"), 200), 200, None), atol=0.02, rtol=0)


class TestGuidanceThatIsTold:
    """Labels 0 and 1 are N(m, SCALE^2) with such a mean m, the net of no label is that of N(0, SCALE^2): guided by w,
    the velocity is that of N(w m, SCALE^2), of which each average is known.
    """

    spec = DataSpec("image", (1, 1, 2), "continuous", classes=2)
    means = torch.tensor([[1.0, -2.0], [0.5, 3.0], [0.0, 0.0]], dtype=torch.float64)

    @staticmethod
    def around(mean: Tensor, z: Tensor, r: Tensor, t: Tensor) -> Tensor:
        """The average velocity of data around such a mean."""
        return exact(z - (1 - t)[:, None] * mean, r, t) - mean

    def model(self, **changes: Any) -> Any:
        def net(z: Tensor, numbers: Tensor, label: Tensor | None) -> Tensor:
            assert label is not None
            t, w = numbers[:, 0], 1 / (1 - numbers[:, 2])
            mean = w[:, None] * self.means[label].to(z)
            return self.around(mean, z, t - numbers[:, 1], t)

        return in_the_plane(MeanFlow(self.spec, width=8, labels=True, guidance_to=5.0, **changes), Says(net))

    def test_the_exact_average_has_no_error(self) -> None:
        torch.manual_seed(0)
        z, label = torch.randn(60, 2, dtype=torch.float64), torch.arange(60) % 3
        r, t = (0.05 + 0.9 * torch.rand(2, 60, dtype=torch.float64)).sort(0).values
        w = torch.where(label == 2, 1.0, 1 + 4 * torch.rand(60, dtype=torch.float64))
        model = self.model()
        learned = model.guided_velocity(z, t, self.around(self.means[label], z, t, t), label, w)
        torch.testing.assert_close(learned, self.around(w[:, None] * self.means[label], z, t, t))
        error = velocity_error(
            lambda z, r, t: model.net(z, told(t, r, w), label), z, r, t, learned, improved=True
        )  # fmt: skip
        assert error.abs().max() < 1e-6

    @pytest.mark.parametrize("guidance", [1.0, 3.0])
    def test_sampling_says_which(self, guidance: float) -> None:
        rows = Rows(stream(0, "s"), 4)
        label = rows.labels(2, torch.tensor([0, 1, 1, 0]))
        expected = (guidance * self.means[label] + SCALE * rows.normal(2)).float()
        made = self.model(sample_guidance=guidance).draw(Rows(stream(0, "s"), 4), 4, label)
        torch.testing.assert_close(made, expected, atol=1e-4, rtol=1e-4)

    def test_it_is_drawn_evenly_by_its_logarithm_for_labels_alone(self) -> None:
        label = torch.arange(30_000) % 3
        w = self.model().weights(label, stream(0, "w"))
        assert (w[label == 2] == 1).all() and w.max() <= 5
        log_w = w[label < 2].log() / math.log(5)
        assert log_w.mean().item() == pytest.approx(1 / 2, abs=0.01)
        assert log_w.var().item() == pytest.approx(1 / 12, abs=0.002)

    def test_a_weight_that_is_not_told_is_refused(self) -> None:
        for changes, words in (
            ({"sample_guidance": 2.0}, "guidance_to, which is left out: set it"),
            ({"labels": True, "guidance_to": 2.0, "sample_guidance": 3.0}, "guidance_to, which is 2"),
            ({"guidance_to": 2.0}, "take labels = true"),
            ({"labels": True, "guidance_to": 2.0, "guidance": 2.0}, "leave guidance out"),
            ({"labels": True, "guidance_to": 2.0, "objective": "original"}, 'objective = "improved"'),
        ):
            settings: dict[str, Any] = changes
            with pytest.raises(GenbenchError, match=words):
                MeanFlow(self.spec, width=8, **settings)
        with pytest.raises(Unsupported, match="the data has none"):
            MeanFlow(PLANE, width=8, labels=True, guidance_to=2.0, sample_guidance=2.0)


def test_what_is_reported_is_the_error_and_not_its_weighed_form() -> None:
    model = in_the_plane(MeanFlow(PLANE, width=8, unequal=0.0), Says(lambda z, t, label: torch.zeros_like(z)))
    x = torch.full((20_000, 2), 3.0)
    assert model.loss(x, None, stream(0, "l")).item() == pytest.approx(2 * (1 + 9), rel=0.05)
