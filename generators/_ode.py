"""Ordinary differential equations dx/dt = f(x, t) over a grid of times, by methods of fixed steps.

    "euler"      x + h f(x, t)                                          order 1, one evaluation a step
    "midpoint"   x + h f(x + h/2 f(x, t), t + h/2)                      order 2, two
    "heun"       x + h/2 (f(x, t) + f(x + h f(x, t), t + h))            order 2, two; one in a last step to where f is
                                                                        not defined

A flow of points moves their density too, d log p(x_t) / dt = -div f(x_t, t) (Chen et al. 2018, arXiv:1806.07366,
Eq. 8), and the divergence is E e'(df/dx)e for any e of mean 0 and covariance I (Hutchinson's estimator, as in Grathwohl
et al. 2019, arXiv:1810.01367).
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor

Solver = Literal["euler", "midpoint", "heun"]
Field = Callable[[Tensor, Tensor], Tensor]


def solve(f: Field, x: Tensor, times: Tensor, solver: Solver, *, open_end: bool = False) -> Tensor:
    """x at the last of ``times`` ``(steps + 1,)``, from x ``(batch, ...)`` at the first. f is given t as ``(batch,)``.

    open_end: f is not defined at the last time: heun's last step is one of Euler.
    """
    for i, (t, end) in enumerate(pairwise(times)):
        h, at = end - t, t.expand(len(x))
        slope = f(x, at)
        if solver == "midpoint":
            slope = f(x + h / 2 * slope, at + h / 2)
        elif solver == "heun" and not (open_end and i == len(times) - 2):
            slope = (slope + f(x + h * slope, end.expand(len(x)))) / 2
        x = x + h * slope
    return x


def evaluations(steps: int, solver: Solver, *, open_end: bool = False) -> int:
    """How often ``solve`` evaluates f."""
    return steps if solver == "euler" else 2 * steps - (solver == "heun" and open_end)


def solve_with_density(f: Field, x: Tensor, times: Tensor, probe: Tensor, solver: Solver) -> tuple[Tensor, Tensor]:
    """As ``solve``; and the integral of div f along the way, ``(batch,)`` float64, by ``probe`` of the shape of x."""
    size = x[0].numel()

    def both(state: Tensor, t: Tensor) -> Tensor:
        with torch.enable_grad():
            at = state[:, :size].view_as(x).requires_grad_()
            slope = f(at, t)
            (pulled,) = torch.autograd.grad((slope * probe).sum(), at)
        divergence = (pulled * probe).flatten(1).sum(1, keepdim=True)
        return torch.cat([slope.detach().flatten(1), divergence], dim=1).double()

    start = torch.cat([x.flatten(1), x.new_zeros(len(x), 1)], dim=1).double()
    end = solve(lambda state, t: both(state.float(), t), start, times, solver)
    return end[:, :size].to(x).view_as(x), end[:, size]
