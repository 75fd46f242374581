"""Drifting: the field is antisymmetric, stands still where samples are the data, and knows labels."""

from __future__ import annotations

import pytest
import torch

from bench import DataSpec, GenbenchError, Rows
from bench.streams import stream
from generators.drifting import Drifting, drift, field
from tests.generators.mixture import Says, in_the_plane

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=3)
PLANE = DataSpec("image", (1, 1, 2), "continuous")
X, Y, Z = torch.randn(3, 30, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_data_and_samples_changed_about_it_has_another_sign() -> None:
    near, apart = torch.cdist(X, Y), torch.cdist(X, Z)
    v = field(near, apart, Y, Z, 0.3)
    torch.testing.assert_close(v, -field(apart, near, Z, Y, 0.3))
    assert v.abs().max() > 0.01
    assert field(near, near, Y, Y, 0.3).abs().max() < 1e-12  # and where they are the same, it is 0


def test_it_is_the_sum_of_equation_11() -> None:
    near, apart, tau = torch.cdist(X, Y), torch.cdist(X, Z), 0.3
    kernel = torch.cat([-near / tau, -apart / tau], dim=1).exp()
    affinity = (kernel / kernel.sum(1, keepdim=True) * kernel / kernel.sum(0)).sqrt()
    a, b = affinity.split(30, dim=1)
    expected = torch.einsum("ni,nj,ijd->nd", a, b, Y[:, None] - Z[None])
    torch.testing.assert_close(field(near, apart, Y, Z, tau), expected)


def test_samples_go_towards_data_and_none_away_from_itself() -> None:
    x, y = torch.tensor([[0.0, 0.0], [0.0, 1e-3]]), torch.tensor([[1.0, 0.0]])
    v = drift(x, y, torch.cdist(x, y), torch.cdist(x, x), (1.0,))
    assert (v[:, 0] > 0).all() and v[1, 1] > v[0, 1]
    assert v.square().mean().item() == pytest.approx(1, rel=1e-4)


def test_a_sample_knows_its_own_label_alone() -> None:
    label = torch.tensor([0] * 15 + [1] * 15)
    moved, far = Y.clone(), Y.clone()
    far[15:] += 100
    for data in (moved, far):
        near = torch.cdist(X, data).masked_fill(label[:, None] != label, torch.inf)
        apart = torch.cdist(X, X).masked_fill(label[:, None] != label, torch.inf)
        data[:] = field(near, apart, data.clone(), X, 0.3)
    torch.testing.assert_close(moved[:15], far[:15])
    assert not torch.allclose(moved[15:], far[15:])


def test_a_generator_of_the_data_is_pushed_nowhere() -> None:
    """Its loss is what chance leaves of V, scaled to 1 a temperature; but on average V is nothing, and beside the data
    it points there.
    """
    means = []
    for shift in (0.0, 1.0):
        x, y = torch.randn(2, 1500, 2, generator=torch.Generator().manual_seed(1)).unbind(0)
        near, apart = torch.cdist(x + shift, y), torch.cdist(x, x).fill_diagonal_(torch.inf)
        means.append(field(near, apart, y, x + shift, 0.5).mean(0))
    assert means[0].norm() < 0.1 * means[1].norm() and (means[1] < 0).all()


def test_it_remembers_the_data_of_the_last_steps() -> None:
    model = in_the_plane(Drifting(PLANE, width=8, pool=5), Says(lambda x, t, label: x))
    model.pool = torch.zeros(5, 2)
    sizes = []
    for i in range(3):
        data, _ = model.remembered(torch.full((2, 2), float(i)), None)
        sizes.append(sorted(data[:, 0].tolist()))
    assert sizes == [[0, 0], [0, 0, 1, 1], [0, 1, 1, 2, 2]]


def test_a_sample_is_one_evaluation_of_noise_and_there_is_no_guidance() -> None:
    model = in_the_plane(Drifting(PLANE, width=8), Says(lambda x, t, label: 2 * x))
    made = model.draw(Rows(stream(0, "s"), 4), 4, None)
    assert torch.equal(made, 2 * Rows(stream(0, "s"), 4).normal(2))
    with pytest.raises(GenbenchError, match="knows no guidance"):
        Drifting(GREY, width=8, labels=True, guidance=2.0)
