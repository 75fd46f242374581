"""Drifting: the field is antisymmetric, stands still where samples are the data, and knows labels."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bench import DataSpec, GenbenchError, Rows
from bench.streams import stream
from generators.drifting import Besides, Drifting, drift, field, weight_of_data
from tests.generators.mixture import Says, in_the_plane

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=3)
PLANE = DataSpec("image", (1, 1, 2), "continuous")
X, Y, Z = torch.randn(3, 30, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


class Always(nn.Module):
    """A generator that makes these."""

    def __init__(self, made: nn.Parameter) -> None:
        super().__init__()
        self.made = made

    def forward(self, x: torch.Tensor, t: object, label: object) -> torch.Tensor:
        return self.made


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


class TestGuidance:
    """In training: of labels 0 and 1, of which 0 is asked for."""

    label = torch.tensor([0] * 12 + [1] * 18)

    def besides(self, guidance: float, data: torch.Tensor) -> Besides:
        return Besides(torch.cdist(X, data), weight_of_data(self.label, len(data), guidance), self.label)

    def distances(self, of_data: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        near = torch.cdist(X, Y).masked_fill(self.label[:, None] != of_data, torch.inf)
        return near, torch.cdist(X, X).masked_fill(self.label[:, None] != self.label, torch.inf)

    def test_data_is_its_share_of_what_a_sample_leaves(self) -> None:
        weight = weight_of_data(self.label, 30, 3.0)
        left = torch.tensor([11.0] * 12 + [17.0] * 18)[:, None]  # a sample does not leave itself
        torch.testing.assert_close(30 * weight / (left + 30 * weight), torch.full((30, 1), 2 / 3))

    def test_without_it_nothing_has_changed(self) -> None:
        """To the last bit, and data that counts nothing is as if it were not there."""
        near, apart = self.distances(torch.arange(30) % 2)
        before, apart_from_itself = torch.zeros_like(X), apart.clone().fill_diagonal_(torch.inf)
        for tau in (0.3, 1.0):
            logits = -torch.cat([near, apart_from_itself], dim=1) / tau
            affinity = (logits.softmax(1) * logits.softmax(0).nan_to_num()).sqrt().nan_to_num()
            towards, away = affinity.split([30, 30], dim=1)
            v = (towards * away.sum(1, keepdim=True)) @ Y - (away * towards.sum(1, keepdim=True)) @ X
            before += v / v.square().mean().sqrt()
        assert torch.equal(drift(X, Y, near, apart, (0.3, 1.0)), before)
        torch.testing.assert_close(drift(X, Y, near, apart, (0.3, 1.0), self.besides(1.0, Y)), before)

    def test_a_whole_weight_is_so_many_copies(self) -> None:
        """And labels are as if each was alone."""
        near, apart = self.distances(torch.arange(30) % 2)
        apart.fill_diagonal_(torch.inf)
        far = torch.cdist(X, Z)
        weight = torch.cat([torch.ones(30, 30), torch.where(self.label[:, None] == 0, 2.0, 3.0).expand(30, 30)], dim=1)
        found = field(near, torch.cat([apart, far], dim=1), Y, torch.cat([X, Z]), 0.3, weight.double(), self.label)
        for label, copies in ((0, 2), (1, 3)):
            mine = self.label == label
            left = torch.cat([apart[mine], far[mine].repeat(1, copies)], dim=1)
            alone = field(near[mine], left, Y, torch.cat([X, Z.repeat(copies, 1)]), 0.3)
            torch.testing.assert_close(found[mine], alone)

    @pytest.mark.parametrize("guidance", [1.5, 3.0])
    def test_it_stands_still_at_the_extrapolated_target(self, guidance: float) -> None:
        """Of four points, whose masses are known: data of the label 28, 27, 23 and 22 times, of all labels evenly."""
        points = torch.tensor([[0.0, 0.0], [1.0, 0.0], [0.0, 1.3], [1.0, 1.0]], dtype=torch.float64)
        many = torch.tensor([28, 27, 23, 22])
        told, apart = many.double() / 100, torch.cdist(points, points)
        target = guidance * told - (guidance - 1) / 4
        every = torch.full((4,), (guidance - 1) / 4, dtype=torch.float64)  # counts w - 1 in all, samples 1

        def moved(q: torch.Tensor) -> float:
            """V at the points, where samples have these masses."""
            y, near = points.repeat_interleave(many, 0), apart.repeat_interleave(many, 1)
            weight = torch.cat([q, every]).expand(4, 8)
            return field(near, apart.repeat(1, 2), y, points.repeat(2, 1), 0.5, weight).abs().max().item()

        assert (target > 0).all() and moved(target) < 1e-9 and moved(told) > 1e-4

    def test_in_training_samples_go_from_the_data_of_other_labels(self) -> None:
        """Labels 0 and 1 lie left and right: samples that are the data, which would stay on average, go further out."""
        label, found = torch.arange(400) % 2, list[float]()
        at = torch.stack([2.0 * label - 1, torch.zeros(400)], dim=1)
        x = at + 0.3 * torch.randn(400, 2, generator=stream(0, "x"))
        for guidance in (1.0, 2.0):
            spec = DataSpec("image", (1, 1, 2), "continuous", classes=2)
            model = Drifting(spec, width=8, labels=True, guidance=guidance, pool=400, temperatures=(1.0,))
            made = nn.Parameter(x.clone())
            model = in_the_plane(model, Always(made))
            model.pool = torch.zeros(400, 2)
            model.loss(x, label, stream(0, "l")).backward()
            assert made.grad is not None
            found.append((-made.grad[:, 0] * (2 * label - 1)).mean().item() / made.grad.square().mean().sqrt().item())
        assert abs(found[0]) < 0.1 and found[1] > 0.5

    def test_what_it_cannot_be_is_refused(self) -> None:
        with pytest.raises(GenbenchError, match="take 1 or more"):
            Drifting(GREY, width=8, labels=True, guidance=0.5)
        with pytest.raises(GenbenchError, match="leave label_dropout out"):
            Drifting(GREY, width=8, labels=True, label_dropout=0.1)
        with pytest.raises(GenbenchError, match="take labels = true"):
            Drifting(GREY, width=8, guidance=2.0)
        assert Drifting(GREY, width=8, labels=True, guidance=2.0).nfe == 1


def test_a_sample_is_one_evaluation_of_noise() -> None:
    model = in_the_plane(Drifting(PLANE, width=8), Says(lambda x, t, label: 2 * x))
    made = model.draw(Rows(stream(0, "s"), 4), 4, None)
    assert torch.equal(made, 2 * Rows(stream(0, "s"), 4).normal(2))
