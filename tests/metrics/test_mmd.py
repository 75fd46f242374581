"""Kernel distances against closed forms, written-out kernel matrices, torch-fidelity and torchmetrics."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_kid import KEY_METRIC_KID_MEAN, KEY_METRIC_KID_STD, kid_features_to_metric
from torchmetrics.image.kid import poly_mmd

from bench import Estimate, GenbenchError, Interval, Space, TooFew
from bench.measure.evaluation import Given
from bench.modalities._examples import Examples
from bench.registry import Side
from metrics.features import _balls, _neighbours, cmmd, kid
from metrics.features._balls import Overlap, all_pairs
from metrics.features._mmd import CubicSums, Discrepancy, Kernel, cubic, discrepancy, gaussian
from metrics.features.cmmd import gaussian_distance
from metrics.features.kid import kernel_distance, subset_kernel_distance
from metrics.features.precision_recall import precision, recall

Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def rows(n: int, d: int, seed: int = 0, shift: float = 0.0, scale: float = 1.0) -> Tensor:
    return torch.as_tensor(np.random.default_rng(seed).standard_normal((n, d)) * scale + shift)


def space(fake: Tensor, real: Tensor) -> Space:
    sides: dict[Side, Examples] = {"samples": fake.float(), "reference": real.float()}
    return Given(sides, "vector", seed=0, device=torch.device("cpu"), prompts=None).space(None)


def interval(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


class TestEstimates:
    @pytest.mark.parametrize("block", [1, 7, 30, 512])
    @pytest.mark.parametrize("kernel", [cubic, gaussian(2.0)])
    def test_they_are_the_double_sums_for_any_size_of_tile(self, kernel: Kernel, block: int) -> None:
        x, y = rows(30, 4, 0), rows(41, 4, 1, shift=0.5)
        xx, yy, xy = kernel(x, x), kernel(y, y), kernel(x, y)
        off = lambda k: (k.sum() - k.trace()) / (len(k) * (len(k) - 1))  # noqa: E731
        found = discrepancy(x, y, kernel, block)
        assert found.unbiased == pytest.approx((off(xx) + off(yy) - 2 * xy.mean()).item(), rel=1e-10)
        assert found.biased == pytest.approx((xx.mean() + yy.mean() - 2 * xy.mean()).item(), rel=1e-10)

    def test_the_residual_within_is_that_of_a_regression_on_both_rows_of_each_pair(self) -> None:
        x = rows(9, 3)
        pairs = [(i, j) for i in range(9) for j in range(i)]
        design = np.array([[1.0 + (k == i) + (k == j) for k in range(9)] for i, j in pairs])
        values = np.array([cubic(x, x)[i, j].item() for i, j in pairs])
        left = values - design @ np.linalg.lstsq(design, values, rcond=None)[0]
        expected = (left**2).sum() / (len(pairs) - 9)
        assert discrepancy(x, x, cubic).fake.residual == pytest.approx(expected, rel=1e-10)

    def test_the_residual_across_is_that_of_the_doubly_centred_matrix(self) -> None:
        x, y = rows(9, 3, 0), rows(13, 3, 1)
        k = cubic(x, y)
        left = k - k.mean(0) - k.mean(1, keepdim=True) + k.mean()
        assert discrepancy(x, y, cubic).cross.residual == pytest.approx((left**2).sum().item() / (8 * 12), rel=1e-10)

    def test_order_and_shards_do_not_matter(self) -> None:
        x, y = rows(70, 5, 0), rows(50, 5, 1, shift=0.2)
        found, shuffled = discrepancy(x, y, cubic, 16), discrepancy(x[torch.randperm(70)], y.flip(0), cubic, 16)
        sharded = discrepancy(torch.cat([x[40:], x[:40]]), torch.cat([y[9:], y[:9]]), cubic, 33)
        for other in (shuffled, sharded):
            assert other.unbiased == pytest.approx(found.unbiased, rel=1e-10)
            assert other.error == pytest.approx(found.error, rel=1e-10)

    def test_it_is_symmetric(self) -> None:
        x, y = rows(70, 5, 0), rows(50, 5, 1, shift=0.2)
        there, back = discrepancy(x, y, cubic), discrepancy(y, x, cubic)
        assert there.unbiased == pytest.approx(back.unbiased, rel=1e-12)
        assert there.error == pytest.approx(back.error, rel=1e-12)

    def test_no_tile_is_larger_than_the_block(self) -> None:
        seen = []

        def kernel(x: Tensor, y: Tensor) -> Tensor:
            seen.append((len(x), len(y)))
            return cubic(x, y)

        discrepancy(rows(100, 3, 0), rows(60, 3, 1), kernel, 16)
        assert max(max(tile) for tile in seen) == 16
        # Of the symmetric matrices only the upper half: 7 and 4 blocks a side.
        assert len(seen) == 7 * 8 // 2 + 4 * 5 // 2 + 7 * 4

    def test_values_that_leave_float64_are_an_error(self) -> None:
        with pytest.raises(GenbenchError, match="scale the features down"):
            kernel_distance(rows(10, 2, 0) * 1e80, rows(10, 2, 1))


def cubic_of_a_shift(shift: float, d: int) -> float:
    """MMD^2 of N(shift, I) and N(0, I): the squared differences of their first three moment tensors."""
    s = d * shift**2
    return 3 * s / d + 3 * s**2 / d**2 + (s**3 + 6 * s**2 + (3 * d + 6) * s) / d**3


@functools.cache
def simulated(n: int, m: int, d: int, shift: float, scale: float, kernel: Kernel, times: int) -> list[Discrepancy]:
    return [
        discrepancy(rows(n, d, 2 * s, shift, scale), rows(m, d, 2 * s + 1), kernel)
        for s in range(10_000, 10_000 + times)
    ]


def coverage(found: list[Discrepancy], truth: float) -> float:
    return float(np.mean([(i := one.interval()).lo <= truth <= i.hi for one in found]))


SHIFTS = [(0.0, 1.0), (0.1, 1.0), (0.4, 1.0), (1.0, 1.0), (0.0, 1.5), (0.0, 0.7)]


class TestUncertainty:
    @pytest.mark.parametrize(("shift", "scale"), SHIFTS)
    @pytest.mark.parametrize(("n", "m"), [(100, 100), (80, 200)])
    def test_an_interval_covers_the_closed_form(self, shift: float, scale: float, n: int, m: int) -> None:
        """Of 300 repetitions 95 % ± 2.5 % (two standard errors) lie inside if the interval is right."""
        truth = cubic_of_a_shift(shift, 8) + 3 * (scale**2 - 1) ** 2 / 8
        assert 0.9 <= coverage(simulated(n, m, 8, shift, scale, cubic, 300), truth) <= 0.98

    @pytest.mark.parametrize("d", [1, 2, 64])
    def test_an_interval_covers_zero_where_both_sides_are_alike(self, d: int) -> None:
        """From one dominant feature of the kernel (a chi-squared estimate) to very many (a normal one)."""
        assert 0.9 <= coverage(simulated(60, 90, d, 0, 1, cubic, 300), 0.0) <= 0.98

    @pytest.mark.parametrize("shift", [0.0, 0.5])
    def test_a_gaussian_kernel_is_covered_as_well(self, shift: float) -> None:
        """E exp(-|x - y|^2 / 2 s^2) of normals whose difference is N(shift, 2 I) is a normal density."""
        overlap = (1 + 2 / 4) ** -2.0
        truth = 2 * overlap * (1 - math.exp(-4 * shift**2 / (2 * (4 + 2))))
        assert 0.9 <= coverage(simulated(60, 90, 4, shift, 1, gaussian(2.0), 300), truth) <= 0.98

    @pytest.mark.parametrize(("shift", "scale"), SHIFTS)
    def test_the_standard_error_is_the_scatter(self, shift: float, scale: float) -> None:
        found = simulated(80, 200, 8, shift, scale, cubic, 300)
        ratio = np.sqrt(np.mean([one.error**2 for one in found])) / np.std([one.unbiased for one in found])
        # Where both sides are alike a first order below zero is cut to zero, which leaves it a little large.
        assert 0.9 < ratio < (1.3 if (shift, scale) == (0.0, 1.0) else 1.15)

    def test_the_second_order_is_the_scatter_where_both_sides_are_alike(self) -> None:
        """The first-order formula alone is off by tens of percent here."""
        found = simulated(80, 200, 8, 0.0, 1.0, cubic, 300)
        ratio = np.sqrt(np.mean([one.second_order for one in found])) / np.std([one.unbiased for one in found])
        assert 0.9 < ratio < 1.1

    def test_no_unbiased_distance_is_said_to_be_below_zero(self) -> None:
        for seed in range(20):
            x, y = rows(60, 4, 2 * seed), rows(60, 4, 2 * seed + 1)
            for found in (
                kernel_distance(x, y),
                subset_kernel_distance(x, y, subsets=10, size=30),
                gaussian_distance(x, y, "U"),
            ):
                assert found.interval is not None
                assert min(found.value, 0) <= found.interval.lo <= found.value <= found.interval.hi
                assert found.interval.hi > 0 and "of a distance of 0 or more" in found.interval.method


class TestKID:
    def test_it_is_unbiased_when_both_sides_are_alike(self) -> None:
        found = [kernel_distance(rows(20, 4, 2 * s), rows(20, 4, 2 * s + 1)).value for s in range(1000)]
        assert abs(np.mean(found)) < 2.6 * np.std(found) / math.sqrt(len(found))
        assert min(found) < 0 < max(found)

    def test_it_is_what_torchmetrics_says(self) -> None:
        x, y = rows(120, 16, 0), rows(120, 16, 1, shift=0.3)
        assert kernel_distance(x, y).value == pytest.approx(poly_mmd(y, x).item(), rel=1e-10)

    def test_it_is_what_torch_fidelity_says_of_one_subset_of_everything(self) -> None:
        x, y = rows(120, 16, 0), rows(120, 16, 1, shift=0.3)
        theirs = kid_features_to_metric(x, y, kid_subsets=1, kid_subset_size=120, verbose=False)
        assert kernel_distance(x, y).value == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-10)

    @pytest.mark.parametrize(
        ("n", "m", "subsets", "size"), [(1000, 1000, 3, 1000), (1300, 1100, 4, 1000), (900, 700, 5, 60)]
    )
    def test_subsets_are_those_of_torch_fidelity(self, n: int, m: int, subsets: int, size: int) -> None:
        """Both ways of computing them: all at once where rows are few, one by one where they are many."""
        x, y = rows(n, 8, 0), rows(m, 8, 1, shift=0.2)
        theirs = kid_features_to_metric(x, y, kid_subsets=subsets, kid_subset_size=size, verbose=False)
        ours = subset_kernel_distance(x, y, subsets=subsets, size=size)
        assert ours.value == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-8)

    def test_the_published_protocol_is_torch_fidelity_by_default(self) -> None:
        x, y = rows(1500, 8, 0), rows(1200, 8, 1, shift=0.2)
        theirs = kid_features_to_metric(x, y, verbose=False)
        assert subset_kernel_distance(x, y).value == pytest.approx(theirs[KEY_METRIC_KID_MEAN], rel=1e-6)

    def test_the_interval_of_subsets_is_of_their_mean(self) -> None:
        """The sd over subsets, which others print, says how far one subset is from another, and is far larger."""
        x, y = rows(2500, 8, 0), rows(2500, 8, 1, shift=0.1)
        scatter = kid_features_to_metric(x, y, kid_subset_size=100, verbose=False)[KEY_METRIC_KID_STD]
        found, full = interval(subset_kernel_distance(x, y, size=100)), interval(kernel_distance(x, y))
        assert full.hi - full.lo < found.hi - found.lo < scatter

    def test_the_interval_of_subsets_covers_the_truth(self) -> None:
        found = [
            interval(subset_kernel_distance(rows(90, 8, 2 * s, 0.3), rows(120, 8, 2 * s + 1), subsets=10, size=40))
            for s in range(300)
        ]
        assert 0.9 <= np.mean([i.lo <= cubic_of_a_shift(0.3, 8) <= i.hi for i in found]) <= 0.98

    def test_too_few_for_a_subset_names_the_number(self) -> None:
        with pytest.raises(TooFew, match="at least 1000 are needed"):
            subset_kernel_distance(rows(999, 4), rows(1200, 4))

    def test_copies_are_counted_as_pairs(self) -> None:
        """A side of which every row stands twice is another sample: its pairs of copies are pairs."""
        x, y = rows(40, 4, 0), rows(40, 4, 1)
        k = cubic(x, x)
        twice = (4 * k.sum() - 2 * k.trace()) / (80 * 79)
        expected = twice + (cubic(y, y).sum() - cubic(y, y).trace()) / (40 * 39) - 2 * cubic(x, y).mean()
        assert kernel_distance(torch.cat([x, x]), y).value == pytest.approx(expected.item(), rel=1e-9)


def cmmd_written_out(x: Tensor, y: Tensor, diagonal: bool) -> float:
    """1000 MMD^2 under exp(-|x - y|^2 / 200) of unit rows, from every pair."""
    a, b = ((side / torch.linalg.vector_norm(side, dim=1, keepdim=True)).numpy() for side in (x, y))
    k = lambda a, b: np.exp(-((a[:, None] - b[None]) ** 2).sum(2) / 200)  # noqa: E731
    own = lambda a: k(a, a).mean() if diagonal else k(a, a)[~np.eye(len(a), dtype=bool)].mean()  # noqa: E731
    return float(1000 * (own(a) + own(b) - 2 * k(a, b).mean()))


class TestCMMD:
    def test_both_are_their_definition(self) -> None:
        x, y = rows(60, 12, 0, shift=0.4), rows(45, 12, 1)
        assert gaussian_distance(x, y, "V").value == pytest.approx(cmmd_written_out(x, y, True), rel=1e-9)
        assert gaussian_distance(x, y, "U").value == pytest.approx(cmmd_written_out(x, y, False), rel=1e-9)

    def test_only_directions_count(self) -> None:
        x, y = rows(60, 12, 0, shift=0.4), rows(45, 12, 1)
        stretched = x * torch.linspace(0.1, 9, 60, dtype=torch.float64)[:, None]
        assert gaussian_distance(stretched, y, "U").value == pytest.approx(gaussian_distance(x, y, "U").value, rel=1e-9)

    def test_v_falls_with_n_where_u_stays(self) -> None:
        """Both sides alike: V is the diagonal's (1 - mean) (1/n + 1/m), U is zero on average."""
        small, large = (
            [gaussian_distance(rows(n, 8, 2 * s), rows(n, 8, 2 * s + 1), "V").value for s in range(40)]
            for n in (20, 80)
        )
        assert np.mean(small) / np.mean(large) == pytest.approx(4, rel=0.15)
        found = [gaussian_distance(rows(20, 8, 2 * s), rows(20, 8, 2 * s + 1), "U").value for s in range(200)]
        assert abs(np.mean(found)) < 2.6 * np.std(found) / math.sqrt(200)

    def test_a_side_against_itself_is_zero_under_v(self) -> None:
        x = rows(50, 6)
        found = gaussian_distance(x, x, "V")
        assert found.value == pytest.approx(0, abs=1e-9) and interval(found).lo >= 0

    def test_the_interval_of_v_covers_its_mean_at_these_sizes(self) -> None:
        found = [gaussian_distance(rows(60, 6, 2 * s, 0.5), rows(80, 6, 2 * s + 1), "V") for s in range(300)]
        mean = np.mean([one.value for one in found])
        assert 0.9 <= np.mean([interval(one).lo <= mean <= interval(one).hi for one in found]) <= 0.98

    def test_a_row_of_zeros_is_refused(self) -> None:
        x = rows(20, 3)
        with pytest.raises(GenbenchError, match="row of zeros"):
            gaussian_distance(torch.cat([x, torch.zeros(1, 3)]), x, "U")

    def test_the_protocol_tells_the_two_apart(self) -> None:
        x, y = rows(20, 3, 0), rows(20, 3, 1)
        u, v = (dict(gaussian_distance(x, y, statistic).protocol) for statistic in ("U", "V"))
        assert (u.pop("statistic"), v.pop("statistic")) == ("U", "V")
        assert u == v == {"kernel": "rbf", "sigma": 10.0, "scale": 1000, "rows": "unit length"}


MEASURES = [kernel_distance, lambda x, y: gaussian_distance(x, y, "U"), lambda x, y: gaussian_distance(x, y, "V")]


@pytest.mark.parametrize("measure", MEASURES)
class TestBadInput:
    def test_nan_and_infinity(self, measure: Callable[..., Estimate]) -> None:
        for bad in (math.nan, math.inf):
            with pytest.raises(GenbenchError, match="NaN or infinity"):
                measure(torch.full((40, 3), bad), rows(40, 3))

    def test_widths_that_differ(self, measure: Callable[..., Estimate]) -> None:
        with pytest.raises(GenbenchError, match="one width, got 3 and 4"):
            measure(rows(40, 3), rows(40, 4))

    def test_too_few_rows(self, measure: Callable[..., Estimate]) -> None:
        with pytest.raises(TooFew, match="3 examples are too few: at least 4 are needed"):
            measure(rows(40, 3), rows(3, 3))

    def test_four_rows_are_enough(self, measure: Callable[..., Estimate]) -> None:
        found = measure(rows(4, 3, 0), rows(4, 3, 1))
        assert interval(found).lo <= found.value <= interval(found).hi

    def test_arrays_and_tensors_of_any_float_are_taken(self, measure: Callable[..., Estimate]) -> None:
        x, y = rows(30, 3, 0), rows(30, 3, 1, shift=1)
        assert measure(x.numpy(), y.numpy()).value == measure(x, y).value
        assert measure(x.float(), y.float()).value == pytest.approx(measure(x, y).value, rel=1e-4)


def assert_same(found: Estimate, expected: Estimate) -> None:
    """But for what products in float32 leave open."""
    assert found.value == pytest.approx(expected.value, rel=1e-5)
    for mine, theirs in zip(
        (interval(found).lo, interval(found).hi), (interval(expected).lo, interval(expected).hi), strict=True
    ):
        assert mine == pytest.approx(theirs, rel=1e-5)
    assert (found.n, found.protocol, interval(found).method) == (
        expected.n,
        expected.protocol,
        interval(expected).method,
    )


class TestRegistered:
    def test_they_are_the_pure_functions(self) -> None:
        x, y = rows(1100, 4, 0).float(), rows(1000, 4, 1, shift=0.3).float()
        seen = space(x, y)
        assert_same(kid.kid(seen), kernel_distance(x, y))
        named = {"protocol": {**subset_kernel_distance(x, y).protocol, "order": seen.comparison.reference_order}}
        assert_same(kid.kid_subsets(seen), subset_kernel_distance(x, y).model_copy(update=named))
        assert cmmd.cmmd_u(seen) == gaussian_distance(x, y, "U")
        assert cmmd.cmmd_v(seen) == gaussian_distance(x, y, "V")

    @pytest.mark.parametrize(("shift", "scale"), [(0.0, 1.0), (1e3, 1.0), (0.0, 1e-2), (5.0, 1e4)])
    def test_the_pass_that_finds_neighbours_sums_the_kernel_as_float64_does(self, shift: float, scale: float) -> None:
        """Of rows far from 0, small and large: centred, products of float32 keep what the mean would swamp."""
        x, y = (scale * (rows(1500, 64, seed, shift=0.1 * seed) + shift) for seed in (0, 1))
        (_, sums), exact = all_pairs(x.float(), y.float()), discrepancy(x.float(), y.float(), cubic)
        found = sums.result()
        for mine, theirs in ((found.fake, exact.fake), (found.real, exact.real), (found.cross, exact.cross)):
            assert mine.mean == pytest.approx(theirs.mean, rel=1e-9)
            torch.testing.assert_close(mine.rows, theirs.rows, rtol=1e-6, atol=0)
        torch.testing.assert_close(found.cross.columns, exact.cross.columns, rtol=1e-6, atol=0)
        assert found.unbiased == pytest.approx(exact.unbiased, rel=1e-4, abs=1e-3 * exact.error)
        assert found.error == pytest.approx(exact.error, rel=1e-4)

    @pytest.mark.parametrize("coarse", [torch.float32, torch.float64])
    def test_who_is_shown_the_products_leaves_them_as_they_are(
        self, coarse: torch.dtype, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Where products of float32 lose digits (TF32), the pass itself is in float64."""
        monkeypatch.setattr(_neighbours, "coarse_type", lambda device: coarse)
        x, y = rows(300, 8, 0), rows(300, 8, 1, shift=0.3)
        (found, sums), alone = all_pairs(x, y), _balls.overlap(x, y)
        assert torch.equal(found.real.points, alone.real.points) and torch.equal(found.fake.points, alone.fake.points)
        assert torch.equal(found.fakes.squared, alone.fakes.squared)
        assert sums.result().unbiased == pytest.approx(discrepancy(x, y, cubic).unbiased, rel=1e-6)

    def test_two_protocols_share_one_pass(self, monkeypatch: pytest.MonkeyPatch) -> None:
        passes: list[int] = []

        def counted(fake: Tensor, real: Tensor, kernel: Kernel) -> Discrepancy:
            passes.append(len(fake))
            return discrepancy(fake, real, kernel)

        def counted_pairs(fake: Tensor, real: Tensor) -> tuple[Overlap, CubicSums]:
            passes.append(-len(fake))
            return all_pairs(fake, real)

        monkeypatch.setattr(cmmd, "discrepancy", counted)
        monkeypatch.setattr(_balls, "all_pairs", counted_pairs)
        seen = space(rows(1000, 4, 0), rows(1000, 4, 1))
        for measure in (kid.kid, kid.kid_subsets, precision, recall, cmmd.cmmd_u, cmmd.cmmd_v):
            measure(seen)
        assert passes == [-1000, 1000]

    def test_subsets_are_left_out_below_a_thousand(self) -> None:
        with pytest.raises(TooFew, match="at least 1000 are needed"):
            kid.kid_subsets(space(rows(500, 4, 0), rows(1000, 4, 1)))
