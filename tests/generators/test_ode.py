"""Solvers against a flow that is known: of straight lines from noise to a mixture of two Gaussians."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch

from generators._ode import Solver, evaluations, solve, solve_with_density
from tests.generators.mixture import Velocity, drawn, log_density

NOISE = torch.randn(200, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def ends(solver: Solver, steps: int) -> torch.Tensor:
    return solve(Velocity(), NOISE, torch.linspace(0, 1, steps + 1, dtype=torch.float64), solver)


@pytest.mark.parametrize(("solver", "order"), [("euler", 1), ("midpoint", 2), ("heun", 2)])
def test_twice_the_steps_leave_an_error_of_its_order(solver: Any, order: int) -> None:
    exact = ends("midpoint", 2000)
    errors = [(ends(solver, steps) - exact).norm(dim=1).mean() for steps in (40, 80, 160)]
    ratios = [float(a / b) for a, b in itertools.pairwise(errors)]
    assert ratios == pytest.approx([2.0**order] * 2, rel=0.15)


@pytest.mark.parametrize("solver", ["euler", "midpoint", "heun"])
@pytest.mark.parametrize("open_end", [False, True])
def test_evaluations_are_counted(solver: Any, open_end: bool) -> None:
    calls = []

    def field(x: torch.Tensor, t: torch.Tensor) -> torch.Tensor:
        calls.append(t[0].item())
        return x

    solve(field, NOISE[:1], torch.linspace(1, 0, 6), solver, open_end=open_end)
    assert len(calls) == evaluations(5, solver, open_end=open_end)
    assert not (open_end and solver == "heun") or 0.0 not in calls


def test_the_density_at_the_end_of_the_flow_is_that_of_the_data() -> None:
    x = drawn(100, torch.Generator().manual_seed(1))
    probe = torch.randn(x.shape, generator=torch.Generator().manual_seed(2), dtype=torch.float64).sign()
    found = torch.zeros(len(x), dtype=torch.float64)
    for sign in (1, -1):  # with e_1 + e_2 and e_1 - e_2 the trace of a matrix of two rows is exact
        probe = torch.ones_like(x)
        probe[:, 1] = sign
        noise, spread = solve_with_density(
            Velocity(), x, torch.linspace(1, 0, 101, dtype=torch.float64), probe, "midpoint"
        )
        log_n = torch.distributions.Normal(0, 1).log_prob(noise).sum(1)
        found += (log_n + spread) / 2
    assert (found - log_density(x)).abs().max() < 0.01 * log_density(x).abs().max()
    assert found.mean().item() == pytest.approx(log_density(x).mean().item(), rel=0.01)
