"""Recurrent families: each cell as its equations say against torch's layer, and the recurrences that are linear."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench import DataSpec
from bench.registry import registry
from generators._recurrent import Recurrent
from generators._scan import scan
from generators.gru import GRU
from generators.lstm import LSTM
from generators.mamba import recurrence
from generators.rnn import RNN

SMALL: dict[str, dict[str, Any]] = {
    "mamba": {"width": 8, "layers": 1, "head": 8},
    "tcn": {"width": 8, "layers": 1},
}
CELLS: tuple[type[Recurrent], ...] = (RNN, GRU, LSTM)


def equations(family: type[Recurrent], x: Tensor, h: Tensor, state: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    """As they stand at the head of each family's file; x = W x_t + b and h = U h_{t-1} + d of all gates."""
    if family is RNN:
        return ((x + h).tanh(),)
    if family is LSTM:
        i, f, g, o = (x + h).chunk(4, -1)
        cell = f.sigmoid() * state[1] + i.sigmoid() * g.tanh()
        return o.sigmoid() * cell.tanh(), cell
    (x_r, x_z, x_n), (h_r, h_z, h_n) = x.chunk(3, -1), h.chunk(3, -1)
    z = (x_z + h_z).sigmoid()
    return ((1 - z) * (x_n + (x_r + h_r).sigmoid() * h_n).tanh() + z * state[0],)


@pytest.mark.parametrize("family", CELLS)
@torch.no_grad()
def test_each_cell_is_its_equations(family: type[Recurrent]) -> None:
    net: Any = family(DataSpec("text", (9,), "tokens", vocab=5), width=7, embedding=4).net
    ((w, u, b, d),) = net.layers.all_weights
    x, state = torch.randn(3, 4), tuple(torch.randn(3, 7) for _ in range(2 if family is LSTM else 1))
    expected = equations(family, x @ w.T + b, state[0] @ u.T + d, state)
    torch.testing.assert_close(family.cell(x, state, w, u, b, d), expected)


@pytest.mark.parametrize("family", CELLS)
@torch.no_grad()
def test_each_cell_is_torchs(family: type[Recurrent]) -> None:
    """Step by step, as torch's layers run over all steps; states too."""
    torch.manual_seed(0)
    net = family(DataSpec("text", (9,), "tokens", vocab=5), width=7, embedding=4, layers=2).eval().net
    x, parts = torch.randn(3, 9, 4), 2 if family is LSTM else 1
    state: Any = [tuple(torch.zeros(3, 7) for _ in range(parts))] * 2
    expected, last = net.layers(x)  # type: ignore[operator]
    found = []
    for step in x.unbind(1):
        out, state = net.step(step, state)
        found.append(out)
    torch.testing.assert_close(torch.stack(found, dim=1), expected)
    for ours, torchs in zip(zip(*state, strict=True), last if parts > 1 else (last,), strict=True):
        torch.testing.assert_close(torch.stack(ours), torchs)


@pytest.mark.parametrize("steps", [1, 2, 7, 8, 33])
@pytest.mark.parametrize("start", [None, torch.randn(2, 3, dtype=torch.float64)])
def test_doubling_is_the_recurrence(steps: int, start: Tensor | None) -> None:
    a, b = torch.rand(2, steps, 3, dtype=torch.float64), torch.randn(2, steps, 3, dtype=torch.float64)
    h, expected = torch.zeros(2, 3, dtype=torch.float64) if start is None else start, []
    for t in range(steps):
        h = a[:, t] * h + b[:, t]
        expected.append(h)
    torch.testing.assert_close(scan(a, b, start), torch.stack(expected, dim=1))


@pytest.mark.parametrize("steps", [1, 5, 8, 13])
@pytest.mark.parametrize("chunk", [1, 4, 32])
def test_chunks_are_the_recurrence(steps: int, chunk: int) -> None:
    """Mamba-2's chunked form, step by step: S = exp(log a) S + dt B x', y = C' S."""
    rng = torch.Generator().manual_seed(0)
    x, b, c = (torch.randn(2, steps, *shape, generator=rng, dtype=torch.float64) for shape in ((3, 5), (4,), (4,)))
    dt, log_a = (torch.rand(2, steps, 3, generator=rng, dtype=torch.float64) for _ in range(2))
    state = start = torch.randn(2, 3, 4, 5, generator=rng, dtype=torch.float64)
    expected = []
    for t in range(steps):
        fed = torch.einsum("bn,bhp->bhnp", b[:, t], x[:, t] * dt[:, t, :, None])
        state = state * (-log_a[:, t]).exp()[..., None, None] + fed
        expected.append(torch.einsum("bn,bhnp->bhp", c[:, t], state))
    y, last = recurrence(x, dt, -log_a, b, c, chunk, start)
    torch.testing.assert_close(y, torch.stack(expected, dim=1))
    torch.testing.assert_close(last, state)


def test_a_steep_decay_leaves_gradients_finite() -> None:
    """What lies ahead of a step would have grown without bound, were it not left out before the exponential."""
    x, dt = torch.randn(1, 64, 1, 2), torch.full((1, 64, 1), 50.0, requires_grad=True)
    y, _ = recurrence(x, dt, -dt, torch.randn(1, 64, 3), torch.randn(1, 64, 3), 64)
    y.sum().backward()
    assert dt.grad is not None and dt.grad.isfinite().all()


@pytest.mark.parametrize("family", ["mamba", "tcn"])
def test_memory_is_linear_in_the_length(family: str) -> None:
    """What is kept for the gradient of a text of 16,384 tokens is four times that of 4,096."""

    def kept(steps: int) -> int:
        model: Any = registry.get("generators", family).make(DataSpec("text", (8,), "tokens", vocab=4), **SMALL[family])
        storages: dict[int, int] = {}

        def keep(x: Tensor) -> Tensor:
            storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
            return x

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda x: x):
            model(torch.zeros(1, steps, dtype=torch.int64))
        return sum(storages.values())

    assert kept(16384) / kept(4096) == pytest.approx(4, rel=0.05)
