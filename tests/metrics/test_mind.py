"""Sliced Wasserstein distance against closed forms, the published recipe and optimal transport's own theorems."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Interval, TooFew
from bench.measure.evaluation import Given
from bench.modalities._examples import Examples
from bench.registry import Side
from metrics.features import mind as module
from metrics.features.mind import couple, directions, mind, potential, sliced, sliced_distance


def rows(n: int, d: int, seed: int = 0, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return torch.as_tensor(np.random.default_rng(seed).standard_normal((n, d)) * scale + shift)


def interval(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


def recipe(x: Tensor, y: Tensor, projections: int, seed: int) -> float:
    """As published for equally many rows: unit vectors in float32, sorted projections, mean square, times 3 D."""
    u = torch.randn(projections, x.shape[1], generator=torch.Generator().manual_seed(seed))
    u = u / u.norm(dim=1, keepdim=True)
    a, b = ((side.float() @ u.T).sort(dim=0).values for side in (x, y))
    return float(3 * x.shape[1] * (a - b).square().mean())


class TestValue:
    @pytest.mark.parametrize("d", [1, 5, 64])
    def test_it_is_the_published_recipe_on_the_same_directions(self, d: int) -> None:
        x, y = rows(300, d, 0), rows(300, d, 1, shift=0.3, scale=1.2)
        assert sliced_distance(x, y).value == pytest.approx(recipe(x, y, 1000, 2020), rel=1e-5)
        ours = sliced_distance(x, y, projections=77, seed=5).value
        assert ours == pytest.approx(recipe(x, y, 77, 5), rel=1e-5)

    def test_a_shift_costs_three_times_its_square(self) -> None:
        """Every projection moves by u.mu, and the mean of (u.mu)^2 over the sphere is |mu|^2 / D."""
        x = rows(200, 16)
        found = sliced_distance(x, x + 2, projections=20_000)
        assert found.value == pytest.approx(3 * 16 * 4, rel=0.02)

    def test_a_scale_costs_as_the_closed_form_says(self) -> None:
        """Quantiles of 2x are twice those of x, so W_2^2 is the mean square of the projections: tr(X'X) / nD."""
        x = rows(200, 16)
        expected = 3 * x.square().sum().item() / 200
        assert sliced_distance(x, 2 * x, projections=20_000).value == pytest.approx(expected, rel=0.01)

    def test_of_a_set_with_itself_is_zero(self) -> None:
        x = rows(200, 16)
        found = sliced_distance(x, x.flip(0))
        assert found.value == pytest.approx(0, abs=1e-20) and interval(found).lo >= 0

    def test_it_is_symmetric_and_blind_to_order_and_shards(self) -> None:
        x, y = rows(150, 8, 0), rows(90, 8, 1, shift=0.5)
        found = sliced_distance(x, y)
        for other in (sliced_distance(y, x), sliced_distance(torch.cat([x[70:], x[:70]]), y.flip(0))):
            assert other.value == pytest.approx(found.value, rel=1e-12)
            assert interval(other).hi == pytest.approx(interval(found).hi, rel=1e-10)

    def test_the_size_of_a_chunk_does_not_matter(self, monkeypatch: pytest.MonkeyPatch) -> None:
        x, y = rows(150, 8, 0), rows(90, 8, 1, shift=0.5)
        found = sliced_distance(x, y)
        monkeypatch.setattr(module, "CHUNK", 1)
        assert sliced_distance(x, y).value == pytest.approx(found.value, rel=1e-12)
        assert interval(sliced_distance(x, y)).lo == pytest.approx(interval(found).lo, rel=1e-10)

    def test_it_is_above_zero_for_equal_distributions_and_falls_with_n(self) -> None:
        """The bias that the docstring speaks of, about c / n."""
        small, large = (
            np.mean([sliced_distance(rows(n, 8, s), rows(n, 8, 99 + s)).value for s in range(9)]) for n in (50, 400)
        )
        assert large > 0 and small / large == pytest.approx(8, rel=0.3)

    def test_directions_are_unit_vectors_in_all_directions(self) -> None:
        found = directions(3, 20_000)
        torch.testing.assert_close(found.norm(dim=1), torch.ones(20_000, dtype=torch.float64))
        torch.testing.assert_close(found.T @ found / 20_000, torch.eye(3, dtype=torch.float64) / 3, atol=0.01, rtol=0)


class TestSizesThatDiffer:
    @pytest.mark.parametrize(("n", "m"), [(6, 4), (7, 5), (12, 3), (3, 12), (8, 8)])
    def test_it_is_the_distance_of_both_repeated_to_one_size(self, n: int, m: int) -> None:
        """Repeating every row changes no distribution, and equal sizes couple in sorted order."""
        x, y, size = rows(n, 4, 0), rows(m, 4, 1), math.lcm(n, m)
        expected = recipe(x.repeat_interleave(size // n, 0), y.repeat_interleave(size // m, 0), 50, 3)
        assert sliced_distance(x, y, projections=50, seed=3).value == pytest.approx(expected, rel=1e-4)

    def test_the_pieces_fill_the_unit_interval(self) -> None:
        found = couple(7, 5, torch.device("cpu"))
        assert len(found.weight) == 7 + 5 - 1 and found.weight.sum().item() == pytest.approx(1)
        for side, size in ((found.left, 7), (found.right, 5)):
            shares = torch.zeros(size, dtype=torch.float64).index_add_(0, side, found.weight)
            torch.testing.assert_close(shares, torch.full((size,), 1 / size, dtype=torch.float64))

    def test_every_row_counts(self) -> None:
        """A far row of the larger side is felt wherever it stands."""
        x, y = rows(40, 3, 0), rows(60, 3, 1)
        base = sliced_distance(x, y).value
        for i in range(60):
            moved = y.clone()
            moved[i] += 50
            assert sliced_distance(x, moved, projections=20).value > base + 10


class TestInfluence:
    def test_potentials_solve_the_dual_problem(self) -> None:
        """No pair is paid more than it costs, and together they pay for the whole plan (Kantorovich duality)."""
        a, b = rows(1, 40, 0).sort(dim=1).values, rows(1, 40, 1, shift=0.5).sort(dim=1).values
        cost, distance = (a.T - b).square(), (a - b).square().mean()
        paid = potential(a, b).T + potential(b, a) + distance
        assert bool((paid <= cost + 1e-12).all())
        torch.testing.assert_close(paid.diagonal(), cost.diagonal())

    @pytest.mark.parametrize(("n", "m"), [(12, 12), (12, 9)])
    def test_they_are_the_change_by_a_little_more_weight_on_a_row(self, n: int, m: int) -> None:
        x, y, along, k = rows(n, 3, 0), rows(m, 3, 1, shift=1), directions(3, 25), 2000
        influence, _ = sliced(x, y, along)[1]
        for i in range(n):
            # Both ways, because the distance has a kink where quantiles of both sides meet.
            sides = [
                torch.cat([x.repeat(k - 1, 1), x, x[i : i + 1]]),
                torch.cat([x.repeat(k - 1, 1), x[:i], x[i + 1 :]]),
            ]
            more, less = (sliced(side, y, along)[0].mean().item() for side in sides)
            assert (more - less) * k * n / 2 == pytest.approx(influence[i].item(), abs=1e-3)

    def test_influence_is_zero_on_average(self) -> None:
        _, sides = sliced(rows(30, 3, 0), rows(20, 3, 1), directions(3, 25))
        for side in sides:
            assert side.mean().item() == pytest.approx(0, abs=1e-12)


def simulated(n: int, m: int, d: int, shift: float, scale: float) -> list[Estimate]:
    return [sliced_distance(rows(n, d, 2 * s, shift, scale), rows(m, d, 2 * s + 1), projections=50) for s in range(300)]


def coverage(found: list[Estimate]) -> float:
    """Share of intervals that hold the mean at these sizes."""
    mean = np.mean([one.value for one in found])
    return float(np.mean([interval(one).lo <= mean <= interval(one).hi for one in found]))


class TestUncertainty:
    @pytest.mark.parametrize(("shift", "scale"), [(0.3, 1.0), (1.0, 1.0), (0.0, 1.5)])
    @pytest.mark.parametrize(("n", "m", "d"), [(100, 100, 2), (100, 150, 8)])
    def test_an_interval_covers_the_mean_at_these_sizes(
        self, n: int, m: int, d: int, shift: float, scale: float
    ) -> None:
        assert 0.9 <= coverage(simulated(n, m, d, shift, scale)) <= 0.98

    @pytest.mark.parametrize("d", [1, 8])
    def test_it_errs_on_the_wide_side_where_both_sides_are_alike(self, d: int) -> None:
        assert coverage(simulated(100, 100, d, 0, 1)) >= 0.95

    def test_the_same_rows_on_both_sides_leave_room(self) -> None:
        """For what independent rows of one law have on average, as the method says."""
        x = rows(300, 8)
        same = interval(sliced_distance(x, x))
        usual = np.mean([sliced_distance(rows(300, 8, 2 * s), rows(300, 8, 2 * s + 1)).value for s in range(5)])
        assert same.lo == 0 and usual < same.hi < 5 * usual

    def test_directions_are_given_and_add_nothing(self) -> None:
        """They are the protocol's: a shift that each sees otherwise is known as well by all that measure it."""
        x = rows(2000, 64)
        found = sliced_distance(x, x + 10 * torch.eye(64, dtype=torch.float64)[0], projections=50)
        assert interval(found).hi - interval(found).lo < 0.1 * found.value


class TestBadInput:
    def test_nan_and_infinity(self) -> None:
        for bad in (math.nan, math.inf):
            with pytest.raises(GenbenchError, match="NaN or infinity"):
                sliced_distance(rows(40, 3), torch.full((40, 3), bad))

    def test_widths_that_differ(self) -> None:
        with pytest.raises(GenbenchError, match="one width, got 3 and 4"):
            sliced_distance(rows(40, 3), rows(40, 4))

    def test_too_few_rows(self) -> None:
        with pytest.raises(TooFew, match="1 examples are too few: at least 2 are needed"):
            sliced_distance(rows(40, 3), rows(1, 3))


def test_the_registered_measure_is_the_pure_function() -> None:
    x, y = rows(100, 4, 0).float(), rows(80, 4, 1).float()
    sides: dict[Side, Examples] = {"samples": x, "reference": y}
    seen = Given(sides, "vector", seed=0, device=torch.device("cpu"), prompts=None).space(None)
    assert mind(seen) == sliced_distance(x, y)
    assert mind(seen).protocol == {
        "projections": 1000,
        "seed": 2020,
        "scale": "3D",
        "rows": "exact quantile coupling",
    }
