"""DDPM: schedules, steps back against the posterior, and the bound against the exact value."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import DataSpec, GenbenchError, Rows
from bench.streams import stream
from generators.ddpm import DDPM, alpha_bars
from tests.generators.mixture import SPREAD, Denoiser, Says, drawn, in_the_plane, log_density

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=3)
PLANE = DataSpec("image", (1, 1, 2), "continuous")


def test_schedules_are_those_of_the_papers() -> None:
    linear, cosine = alpha_bars(1000, "linear"), alpha_bars(1000, "cosine")
    betas = torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)
    torch.testing.assert_close(1 - linear[1:] / linear[:-1], betas)
    f = [math.cos((t / 1000 + 0.008) / 1.008 * math.pi / 2) ** 2 for t in (0, 500)]
    assert cosine[500].item() == pytest.approx(f[1] / f[0])
    assert (1 - cosine[1:] / cosine[:-1]).max().item() == pytest.approx(0.999)
    assert linear[0] == cosine[0] == 1 and (linear.diff() < 0).all() and (cosine.diff() < 0).all()


def exact(predict: Any, **changes: Any) -> Any:
    """A model whose net knows the mean of x_0 given x_t."""
    model: Any = DDPM(PLANE, width=8, predict=predict, measured_steps=5, **changes)
    model.vae = object()  # points of the plane are no pixels, which would be clipped

    def net(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
        signal, noise = model.scales((t * model.noise_steps).round().long(), x)
        x0 = Denoiser()(x / signal, (noise / signal).flatten())
        eps = (x - signal * x0) / noise
        v: Tensor = signal * eps - noise * x0
        return eps if predict == "eps" else v

    return in_the_plane(model, Says(net))


@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize(
    "changes",
    [
        {"steps": 100, "eta": 0.0},
        {"steps": 200, "eta": 1.0},
        {"steps": 200, "eta": 1.0, "variance": "large"},
        {"steps": 100, "eta": 0.0, "schedule": "cosine"},
    ],
    ids=["ddim", "ddpm", "ddpm of large steps", "ddim, cosine"],
)
def test_samplers_make_the_data(predict: str, changes: dict[str, Any]) -> None:
    model = exact(predict, noise_steps=1000, **changes)
    made = model.generate(Rows(stream(0, "s"), 1500), 1500, None).double()
    expected = drawn(20_000, torch.Generator().manual_seed(0))
    torch.testing.assert_close(made.mean(0), expected.mean(0), atol=0.15, rtol=0)
    assert log_density(made, 1.0, SPREAD).mean().item() == pytest.approx(log_density(expected).mean().item(), abs=0.2)


@pytest.mark.parametrize("predict", ["eps", "v"])
@pytest.mark.parametrize("eta", [1.0, 0.0])
def test_eta_one_has_the_moments_of_the_posterior(predict: Any, eta: float) -> None:
    """q(x_{t-1} | x_t, x_0) of Eqs. 6 and 7, where the net tells of one x_0; and eta = 0 has no chance."""
    t, where = 30, 0.4
    model = DDPM(PLANE, width=8, noise_steps=40, steps=40, measured_steps=2, predict=predict, eta=eta)
    kept, before = model.alpha_bar[t], model.alpha_bar[t - 1]
    x, at, s = torch.full((20_000, 1, 1, 2), 0.3), torch.full((20_000,), t), torch.tensor([t - 1])
    signal, noise = kept.sqrt().float(), (1 - kept).sqrt().float()
    eps = (x - signal * where) / noise
    x0 = model.x0(eps if predict == "eps" else signal * eps - noise * where, x, at)
    torch.testing.assert_close(x0, torch.full_like(x, where), atol=1e-4, rtol=0)
    small, _ = model.variances(torch.tensor([t]), s, None)
    stepped = model.step_back(x, x0, torch.tensor([t]), s, small, small, Rows(stream(0, "s"), len(x)))
    beta = 1 - kept / before
    mean = before.sqrt() * beta / (1 - kept) * where + (1 - beta).sqrt() * (1 - before) / (1 - kept) * 0.3
    if eta:
        assert stepped.mean().item() == pytest.approx(mean.item(), abs=0.01)
        assert stepped.var().item() == pytest.approx(((1 - before) / (1 - kept) * beta).item(), rel=0.05)
    else:
        assert stepped.var().item() < 1e-9


class TestBound:
    """Of one pixel and four steps, whose densities a grid integrates."""

    spec = DataSpec("image", (1, 1, 1), "continuous")
    cells = torch.linspace(-1, 1, 256)

    def model(self, **changes: Any) -> Any:
        model: Any = DDPM(self.spec, width=8, noise_steps=4, steps=4, measured_steps=3, **changes)
        model.average = Says(lambda x, t, label: (0.5 * x - t.view(-1, 1, 1, 1)).sin() + x)
        return model.eval()

    def masses(self, model: Any) -> Tensor:
        """log p of every level, ``(256,)``."""
        grid = torch.linspace(-6, 6, 3001, dtype=torch.float64)
        step, log_p = float(grid[1] - grid[0]), -0.5 * grid.square() - 0.5 * math.log(2 * math.pi)  # of x_4
        for t in (4, 3, 2, 1):
            x, at = grid.float().view(-1, 1, 1, 1), torch.full((len(grid),), t)
            x0 = model.x0(model.average(x, at / 4, None), x, at).flatten().double()
            kept, before = model.alpha_bar[t], model.alpha_bar[t - 1]
            beta = 1 - kept / before
            mean = (before.sqrt() * beta * x0 + (1 - beta).sqrt() * (1 - before) * grid) / (1 - kept)
            var = model.variances(torch.tensor([t]), torch.tensor([t - 1]), None)[1]
            if t == 1:
                cells = model.log_cell(self.cells[:, None].double(), mean[None], var)
                log_mass: Tensor = (cells + log_p).logsumexp(1) + math.log(step)
                return log_mass
            moved = -0.5 * (grid[:, None] - mean).square() / var - 0.5 * (2 * math.pi * var).log()
            log_p = (moved + log_p).logsumexp(1) + math.log(step)
        raise AssertionError

    @pytest.mark.parametrize(("variance", "gap"), [("small", 40), ("large", 3)])
    def test_it_is_below_the_exact_value_and_masses_sum_to_one(self, variance: str, gap: float) -> None:
        model = self.model(variance=variance)
        exact = self.masses(model)
        assert exact.exp().sum().item() == pytest.approx(1, abs=1e-3)
        x, rng = self.cells[::5].view(-1, 1, 1, 1), torch.Generator().manual_seed(0)
        noise = (torch.randn(len(x), model.own_draws, generator=rng) for _ in range(300))
        with torch.no_grad():
            bounds = torch.stack([model.density(x, None, part) for part in noise])
        error = bounds.std(0) / 300**0.5
        assert (bounds.mean(0) - 3 * error < exact[::5]).all()
        assert (exact[::5] - bounds.mean(0)).mean() < gap, "a bound that says nothing is below everything"


def test_a_learned_variance_learns_by_the_bound_alone() -> None:
    """Its share moves with the gradient of the bound, and that of the mean does not."""
    torch.manual_seed(0)
    model = DDPM(GREY, width=8, patch=2, noise_steps=20, steps=5, measured_steps=3, variance="learned")
    nn_out = torch.randn(6, 2, 8, 8, requires_grad=True)
    model.net = Says(lambda x, t, label: nn_out)
    model.loss(torch.rand(6, 1, 8, 8, generator=stream(0, "x")) * 2 - 1, None, stream(0, "l")).backward()
    assert nn_out.grad is not None and (nn_out.grad[:, 1] != 0).any()
    with_bound = nn_out.grad[:, :1].clone()
    plain = DDPM(GREY, width=8, patch=2, noise_steps=20, steps=5, measured_steps=3)
    plain.net = Says(lambda x, t, label: nn_out[:, :1])
    nn_out.grad = None
    plain.loss(torch.rand(6, 1, 8, 8, generator=stream(0, "x")) * 2 - 1, None, stream(0, "l")).backward()
    assert nn_out.grad is not None
    torch.testing.assert_close(with_bound, nn_out.grad[:, :1])


def test_more_steps_than_there_are_are_refused() -> None:
    with pytest.raises(GenbenchError, match="at most so many"):
        DDPM(GREY, noise_steps=10, steps=20)


def test_an_error_in_eps_that_would_blow_up_among_latents_is_refused() -> None:
    """Of the cosine schedule; pixels are clipped."""
    with pytest.raises(GenbenchError, match='take predict = "v"'):
        DDPM(GREY, width=8, space="latent", schedule="cosine")
    for changes in ({"predict": "v"}, {"schedule": "linear"}, {"space": "pixels"}):
        settings: dict[str, Any] = {"space": "latent", "schedule": "cosine", **changes}
        assert DDPM(GREY, width=8, **settings).nfe == 50
