"""WaveNet: the mu-law, what a layer sees, cached sampling, densities, and labels."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, Unsupported
from generators.wavenet import CELLS, Stacks, WaveNet, cell_edges, cells_of, samples_of

SPEC = DataSpec("audio", (64,), "continuous", classes=2, rate=8000.0)


def small(**how: object) -> WaveNet:
    torch.manual_seed(0)
    return WaveNet(SPEC, **{"width": 8, "skip": 16, "layers": 3, "stacks": 2, "lr": 1e-2, **how})  # type: ignore[arg-type]


def test_mu_law_as_it_is_defined() -> None:
    """f(1/255) is ln 2 / ln 256, an eighth; each cell holds its own sample, and cells fill [-1, 1]."""
    assert cells_of(torch.tensor([-1.0, 1.0, 1e-9, -1e-9])).tolist() == [0, 255, 128, 127]
    assert cells_of(torch.tensor([1.0001 / 255, 0.9999 / 255])).tolist() == [144, 143]  # 128 (1 + 1/8)
    every = torch.arange(CELLS)
    assert torch.equal(cells_of(samples_of(every)), every)
    edges = cell_edges()
    assert edges[[0, -1]].tolist() == pytest.approx([-1, 1]) and (edges.diff() > 0).all()
    x = torch.rand(1000, generator=torch.Generator().manual_seed(0), dtype=torch.float64) * 2 - 1
    assert torch.equal(torch.bucketize(x, edges, right=True) - 1, cells_of(x))


def test_quiet_samples_are_kept_finely() -> None:
    """The error is never above a cell's half: 2 % of the sample, or a hundredth of a per cent of full scale."""
    x = torch.linspace(-1, 1, 10001, dtype=torch.float64)
    assert ((samples_of(cells_of(x)) - x).abs() <= 0.0225 * x.abs() + 1e-4).all()


def test_a_feature_sees_as_far_back_as_the_dilations_reach_and_no_further() -> None:
    """Two stacks of 1, 2 and 4: 14 samples before its own."""
    torch.manual_seed(0)
    net, x = Stacks(4, 8, layers=3, stacks=2, classes=None), torch.randn(1, 40, 8, requires_grad=True)
    net(x)[0][0, 30].sum().backward()
    assert x.grad is not None
    assert x.grad[0].abs().sum(1).nonzero().flatten().tolist() == list(range(16, 31))


def test_sample_by_sample_is_all_at_once() -> None:
    """Also where a state goes on from the middle of the rings, and from a stretch read at once."""
    torch.manual_seed(0)
    net, x = Stacks(4, 8, layers=3, stacks=2, classes=2), torch.randn(2, 40, 8)
    model = WaveNet(SPEC, width=4, skip=8, layers=3, stacks=2)
    start = model.told(torch.tensor([0, 1]))
    with torch.no_grad():
        whole, _ = net(x, start)
        state, found = start, []
        for t in range(13):
            out, state = net.step(x[:, t], state)
            found.append(out)
        stretch, state = net(x[:, 13:31], state)
        found += stretch.unbind(1)
        for t in range(31, 40):
            out, state = net.step(x[:, t], state)
            found.append(out)
    assert torch.allclose(torch.stack(found, 1), whole, atol=1e-5)


def test_densities_integrate_to_one() -> None:
    """Of the first sample, over a grid of points each as wide as the next."""
    model = small().eval()
    points = (torch.arange(40_000, dtype=torch.float64) + 0.5) / 20_000 - 1
    said, _ = model.step_log_prob(Batch(points[:, None].float(), torch.zeros(40_000, dtype=torch.long)))
    assert float(said[:, 0].exp().mean()) * 2 == pytest.approx(1, abs=2e-3)


def test_it_learns_a_tone_and_which_is_asked_for() -> None:
    """A slow and a fast square wave by label: what it is asked for has the right number of turns."""
    rng = torch.Generator().manual_seed(0)
    model = small()
    t = torch.arange(64)
    waves = torch.stack([0.5 * torch.sign(torch.sin(2 * math.pi * (t + 0.5) / period)) for period in (32, 8)])
    for share in range(110):
        model.pace(share / 110)
        model.train_step(Batch(waves.repeat(4, 1), torch.arange(2).repeat(4)), rng)
    made = model.eval().sample(12, rng, torch.arange(12) % 2)
    assert isinstance(made, Tensor)
    turns = (made[:, 1:].sign() != made[:, :-1].sign()).sum(1)  # of the data 3 and 15
    assert turns[::2].max() < 12 and turns[1::2].min() > 9 and turns[1::2].sum() > 1.5 * turns[::2].sum()
    with torch.no_grad():
        right = model.log_prob(Batch(waves, torch.arange(2)))
        wrong = model.log_prob(Batch(waves, 1 - torch.arange(2)))
    assert (right > wrong + 10).all()


def test_what_is_no_waveform_is_refused() -> None:
    for spec in (DataSpec("audio", (40, 2), "continuous"), DataSpec("audio", (40,), "tokens", vocab=9)):
        with pytest.raises(Unsupported, match=r"WaveNet makes waveforms \(T,\)"):
            WaveNet(spec)
    with pytest.raises(Unsupported, match="leave out stop"):
        small(stop=(3,))
