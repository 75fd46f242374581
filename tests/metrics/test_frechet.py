"""The Fréchet distance against closed forms, other implementations, and what its intervals promise."""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric
from torchmetrics.image.fid import _compute_fid

import bench
from bench import Estimate, GenbenchError, Interval, Moments
from bench.measure.moments import MomentSum
from metrics.features._gaussian import root_trace, root_trace_of_rows, transport
from metrics.features.frechet import (
    frechet_corrected,
    frechet_distance,
    frechet_from_moments,
    frechet_to_statistics,
    gaussian_distance,
)
from tests.metrics.coverage import assert_honest, covered

Measure = Callable[[Tensor, Tensor], Estimate]
BOTH = pytest.mark.parametrize("measure", [frechet_distance, frechet_corrected])


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def pair(n: int, m: int, d: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Two sides of different mean, whose covariances are well-conditioned and do not commute."""
    return rows(n, d, seed) + 0.5, rows(m, d, seed + 1) @ (torch.eye(d) + 0.3 * rows(d, d, seed + 2) / d**0.5)


def moments(x: Tensor) -> Moments:
    return MomentSum().update(x).result()


def nuclear_norm_form(x: Tensor, y: Tensor) -> float:
    """|mu_1 - mu_2|^2 + |A|^2 + |B|^2 - 2 |A B'|_* by numpy, with A'A and B'B the covariances."""
    a, b = ((s - s.mean(0)) / math.sqrt(len(s) - 1) for s in (x.numpy(), y.numpy()))
    shift = x.numpy().mean(0) - y.numpy().mean(0)
    roots = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    return float(shift @ shift + (a * a).sum() + (b * b).sum() - 2 * roots)


class TestKnownValues:
    def test_a_value_below_0_begins_its_interval_which_holds_0(self) -> None:
        """Of alike sides about half the values are below 0, which no distance is; the others have none below 0."""
        found = [frechet_corrected(rows(60, 6, 2 * seed), rows(60, 6, 2 * seed + 1)) for seed in range(40)]
        assert {e.value < 0 for e in found} == {False, True}
        for e in found:
            assert interval(e).lo == e.value if e.value < 0 else interval(e).lo >= 0
            assert interval(e).lo <= e.value <= interval(e).hi and interval(e).hi > 0

    def test_a_set_is_at_no_distance_from_itself(self) -> None:
        for x in (rows(500, 8), rows(5, 8), 100 + rows(500, 3)[:, [0, 1, 2, 2]]):
            assert frechet_distance(x, x).value == pytest.approx(0, abs=1e-10)
            assert frechet_from_moments(moments(x), moments(x)) == pytest.approx(0, abs=1e-10)

    def test_a_shift_costs_its_square(self) -> None:
        x = rows(500, 8)
        assert frechet_distance(x, x + 3).value == pytest.approx(8 * 9, rel=1e-12)

    def test_a_scale_costs_as_the_closed_form_says(self) -> None:
        """For S_2 = a^2 S_1 the trace term is (1 - a)^2 tr S_1, and the mean moves by (a - 1) mu."""
        x = rows(500, 8) + 1
        expected = x.mean(0).square().sum().item() + np.trace(np.cov(x.numpy(), rowvar=False))
        assert frechet_distance(x, 2 * x).value == pytest.approx(expected, rel=1e-12)

    def test_commuting_covariances_differ_by_their_standard_deviations(self) -> None:
        turn, _ = torch.linalg.qr(rows(6, 6))
        one, other = torch.arange(1.0, 7), torch.tensor([4.0, 1.0, 0.0, 2.0, 9.0, 1e-6])
        mean = torch.arange(6.0)
        found = gaussian_distance(mean, turn @ one.diag().double() @ turn.T, 0 * mean, turn * other @ turn.T)
        assert found == pytest.approx(55 + (one.sqrt() - other.sqrt()).square().sum().item(), rel=1e-7)

    def test_one_dimension_is_elementary(self) -> None:
        x, y = rows(50, 1), 3 * rows(40, 1, 1) + 2
        expected = (x.mean() - y.mean()) ** 2 + (x.std() - y.std()) ** 2
        assert frechet_distance(x, y).value == pytest.approx(expected.item(), rel=1e-12)

    def test_rank_one_is_elementary(self) -> None:
        """Of covariances u u' and v v' the trace of the root is |u.v|."""
        u, v = rows(1, 7, 1), rows(1, 7, 2)
        x, y = rows(40, 1, 3) * u, rows(30, 1, 4) * v
        a, b = x.var(0).sum(), y.var(0).sum()
        cosine = (u @ v.T).abs() / u.norm() / v.norm()
        expected = (x.mean(0) - y.mean(0)).square().sum() + a + b - 2 * (a * b).sqrt() * cosine
        assert frechet_distance(x, y).value == pytest.approx(expected.item(), rel=1e-12)
        assert frechet_from_moments(moments(x), moments(y)) == pytest.approx(expected.item(), rel=1e-9)

    def test_sides_that_vary_in_no_common_direction_are_at_the_sum_of_their_variances(self) -> None:
        x, y = rows(40, 2) * torch.tensor([1.0, 0.0]), rows(30, 2, 1) * torch.tensor([0.0, 1.0])
        expected = (x.mean(0) - y.mean(0)).square().sum() + x.var(0).sum() + y.var(0).sum()
        assert frechet_distance(x, y).value == pytest.approx(expected.item(), rel=1e-12)
        assert frechet_corrected(x, y).value == pytest.approx(expected.item(), rel=0.5)


class TestOtherImplementations:
    @pytest.mark.parametrize(("n", "m", "d"), [(400, 300, 6), (300, 2000, 64), (700, 600, 256)])
    def test_it_is_what_torch_fidelity_and_torchmetrics_say(self, n: int, m: int, d: int) -> None:
        x, y = pair(n, m, d)
        statistics = [fid_features_to_statistics(side) for side in (x, y)]
        fidelity = fid_statistics_to_metric(*statistics, verbose=False)[KEY_METRIC_FID]
        metrics = _compute_fid(x.mean(0), torch.cov(x.T), y.mean(0), torch.cov(y.T)).item()
        for found in (frechet_distance(x, y).value, frechet_from_moments(moments(x), moments(y))):
            assert found == pytest.approx(fidelity, rel=1e-6)
            assert found == pytest.approx(metrics, rel=1e-6)

    @pytest.mark.parametrize(("n", "m", "d"), [(20, 30, 64), (20, 200, 64), (200, 20, 64), (64, 65, 64), (2, 2, 5)])
    def test_fewer_rows_than_dimensions_are_exact(self, n: int, m: int, d: int) -> None:
        x, y = pair(n, m, d)
        expected = nuclear_norm_form(x, y)
        assert frechet_distance(x, y).value == pytest.approx(expected, rel=1e-11)
        assert frechet_from_moments(moments(x), moments(y)) == pytest.approx(expected, rel=1e-9)

    def test_collapsed_columns_and_repeated_rows_are_exact(self) -> None:
        """What dead units, copied units and a collapsed generator bring: singular covariances of many rows."""
        x, y = pair(200, 300, 8)
        x[:, 1], y[:, 2], x[:, 3], y[:, 5] = 0, 7.1, 0.1, y[:, 4]
        collapsed = x[:3].repeat(50, 1)
        for one, other in ((x, y), (collapsed, y), (y, collapsed), (collapsed, x[:4].repeat(60, 1))):
            expected = nuclear_norm_form(one, other)
            assert frechet_distance(one, other).value == pytest.approx(expected, rel=1e-11)
            assert frechet_from_moments(moments(one), moments(other)) == pytest.approx(expected, rel=1e-9)

    @pytest.mark.parametrize("power", [1, 2, 4])
    def test_spectra_that_fall_over_many_orders_are_exact(self, power: int) -> None:
        d = 64
        falling = torch.arange(1, d + 1).double() ** -power
        turn, _ = torch.linalg.qr(rows(d, d, 7))
        x, y = (rows(200, d, s) * falling @ (turn + 0.01 * s * rows(d, d, 8)) for s in (0, 1))
        expected = nuclear_norm_form(x, y)
        assert frechet_distance(x, y).value == pytest.approx(expected, rel=1e-9)
        assert frechet_from_moments(moments(x), moments(y)) == pytest.approx(expected, rel=1e-9)


class TestInvariance:
    def test_sides_may_be_exchanged(self) -> None:
        for x, y in (pair(400, 300, 6), pair(5, 300, 6), pair(7, 5, 6)):
            one, other = frechet_distance(x, y), frechet_distance(y, x)
            assert one.value == pytest.approx(other.value, rel=1e-10)
            assert one.interval and other.interval
            assert one.interval.hi == pytest.approx(other.interval.hi, rel=1e-6)

    def test_rotation_order_and_a_common_shift_change_nothing(self) -> None:
        x, y = pair(400, 300, 6)
        value = frechet_distance(x, y).value
        turn, _ = torch.linalg.qr(rows(6, 6, 3))
        for a, b in ((x @ turn, y @ turn), (x.flip(0), y), (x + 1000, y + 1000)):
            assert frechet_distance(a, b).value == pytest.approx(value, rel=1e-9)

    def test_of_many_rows_enough_tell_the_interval_in_any_order(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The value is of all; a quarter of the rows tells the spread to a fifth of itself."""
        x, y = pair(800, 600, 6)
        whole = frechet_distance(x, y)
        monkeypatch.setattr("metrics.features.frechet.ENOUGH", 200)
        found, turned = frechet_distance(x, y), frechet_distance(x.flip(0), y[torch.randperm(600)])
        assert found.value == whole.value and found.interval and whole.interval and turned.interval
        reach = found.interval.hi - found.interval.lo
        assert reach != whole.interval.hi - whole.interval.lo
        assert reach == pytest.approx(whole.interval.hi - whole.interval.lo, rel=0.2)
        assert turned.interval.hi == pytest.approx(found.interval.hi, rel=1e-6)
        known = frechet_to_statistics(x, moments(y).mean, moments(y).covariance)
        assert known.value == pytest.approx(whole.value, rel=1e-9) and known.interval

    def test_shards_change_nothing(self) -> None:
        x, y = pair(400, 300, 6)
        merged = MomentSum()
        for part in x.split([1, 150, 49, 200]):
            merged.merge(MomentSum().update(part))
        found = frechet_from_moments(merged.result(), moments(y))
        assert found == pytest.approx(frechet_distance(x, y).value, rel=1e-10)

    @pytest.mark.parametrize("scale", [1e-30, 1e-15, 1e15, 1e30])
    def test_units_change_nothing_but_the_unit(self, scale: float) -> None:
        for x, y in (pair(100, 90, 6), pair(5, 4, 6)):
            one, other = frechet_distance(x, y), frechet_distance(scale * x, scale * y)
            assert other.value == pytest.approx(scale**2 * one.value, rel=1e-9)
            assert one.interval and other.interval
            assert other.interval.hi == pytest.approx(scale**2 * one.interval.hi, rel=1e-5)

    def test_numpy_and_single_precision_are_taken(self) -> None:
        x, y = (side.float() for side in pair(100, 90, 6))
        assert frechet_distance(x.numpy(), y.numpy()) == frechet_distance(x.double(), y.double())


class TestTransport:
    """The map behind the interval."""

    @pytest.mark.parametrize(("n", "m"), [(300, 200), (9, 200), (200, 9), (12, 10)])
    def test_it_carries_one_covariance_to_the_other(self, n: int, m: int) -> None:
        """Then tr T S_1 = tr T^-1 S_2 = tr (S_1 S_2)^(1/2), each a sum over rows."""
        x, y = pair(n, m, 16)
        a, b = (((s - s.mean(0)) / math.sqrt(len(s) - 1)).numpy() for s in (x, y))
        plan = transport(a, b)
        expected = np.linalg.svd(a @ b.T, compute_uv=False).sum()
        traces = (plan.trace, plan.there.sum(), plan.back.sum(), root_trace_of_rows(a, b), root_trace(a.T @ a, b.T @ b))
        for trace in traces:
            assert trace == pytest.approx(expected, rel=1e-6)

    def test_its_two_forms_agree_row_by_row(self) -> None:
        """A column split into two equal ones takes away the full rank, and nothing else."""
        x, y = pair(300, 200, 5)
        a, b = x.numpy(), y.numpy()
        copied = [0, 1, 2, 3, 4, 4], np.array([1, 1, 1, 1, math.sqrt(0.5), math.sqrt(0.5)])
        one, other = transport(a, b), transport(*(s[:, copied[0]] * copied[1] for s in (a, b)))
        np.testing.assert_allclose(one.there, other.there, rtol=1e-4)
        np.testing.assert_allclose(one.back, other.back, rtol=1e-4)

    def test_its_influence_is_the_derivative(self) -> None:
        """A row that counts a little more moves FD by its influence: checked by weighting one row by 1 + h."""
        x, y = pair(30, 40, 3)
        mean, a = x.mean(0), x - x.mean(0)
        plan = transport((a / math.sqrt(len(a))).numpy(), ((y - y.mean(0)) / math.sqrt(len(y))).numpy())
        influence = 2 * a @ (mean - y.mean(0)) + a.square().sum(1) - len(a) * torch.from_numpy(plan.there)
        influence -= influence.mean()

        def weighted(h: float) -> float:
            w = torch.ones(len(x)).double() / len(x)
            w = (1 - h) * w
            w[4] += h
            m = w @ x
            return gaussian_distance(m, (x - m).T @ ((x - m) * w[:, None]), y.mean(0), torch.cov(y.T, correction=0))

        slope = (weighted(1e-5) - weighted(-1e-5)) / 2e-5
        assert influence[4].item() == pytest.approx(slope, rel=1e-5)


def normal(rng: np.random.Generator, n: int, d: int) -> Tensor:
    return torch.from_numpy(rng.standard_normal((n, d)))


def skewed(rng: np.random.Generator, n: int, d: int) -> Tensor:
    return torch.from_numpy(rng.exponential(size=(n, d)) - 1)


def interval(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


class TestIntervals:
    REPEATS = 300

    def draws(self, n: int, m: int, d: int, kind: str) -> list[tuple[Tensor, Tensor]]:
        """Pairs whose populations differ by shift 1/2 and scale 1.3 in each of d directions."""
        rng = np.random.default_rng(5)
        draw = {"normal": normal, "skewed": skewed}[kind]
        return [(1.3 * draw(rng, n, d) + 0.5, draw(rng, m, d)) for _ in range(self.REPEATS)]

    @pytest.mark.parametrize(
        ("n", "m", "d", "kind"),
        [(200, 200, 4, "normal"), (300, 100, 8, "skewed"), (64, 64, 32, "normal"), (24, 64, 32, "normal")],
    )
    def test_that_of_fd_covers_its_expectation(self, n: int, m: int, d: int, kind: str) -> None:
        found = [frechet_distance(x, y) for x, y in self.draws(n, m, d, kind)]
        assert 0.9 <= coverage(found, float(np.mean([e.value for e in found]))) <= 0.98

    @pytest.mark.parametrize(
        ("n", "m", "d", "kind"), [(200, 200, 4, "normal"), (100, 300, 8, "skewed"), (140, 140, 32, "normal")]
    )
    def test_that_of_the_corrected_covers_the_distance_of_the_populations(
        self, n: int, m: int, d: int, kind: str
    ) -> None:
        found = [frechet_corrected(x, y) for x, y in self.draws(n, m, d, kind)]
        assert 0.9 <= coverage(found, d * (0.25 + 0.09)) <= 0.98

    @pytest.mark.parametrize(("n", "m"), [(32, 32), (64, 48)])
    def test_with_fewer_rows_than_the_correction_needs_it_is_wider_and_still_covers(self, n: int, m: int) -> None:
        found = [frechet_corrected(x, y) for x, y in self.draws(n, m, 32, "normal")[:50]]
        assert coverage(found, 32 * (0.25 + 0.09)) >= 0.9

    @pytest.mark.parametrize(("d", "kind"), [(4, "normal"), (16, "normal"), (4, "skewed")])
    def test_where_both_sides_are_alike_neither_is_too_wide_or_too_narrow(self, d: int, kind: str) -> None:
        """Influences are all noise there; of a distance that is not negative nothing lies wholly below 0."""
        rng, draw = np.random.default_rng(6), {"normal": normal, "skewed": skewed}[kind]
        sides = [(draw(rng, 150, d), draw(rng, 150, d)) for _ in range(200)]
        assert_honest(covered(frechet_distance(x, y) for x, y in sides), 200)
        found = [interval(frechet_corrected(x, y)) for x, y in sides]
        assert min(one.hi for one in found) > 0
        assert np.mean([one.lo > 0 for one in found]) < 0.05 + 2 * 0.0155

    def test_heavy_tails_leave_a_bias_that_the_interval_of_the_corrected_knows(self) -> None:
        rng = np.random.default_rng(7)
        tails = lambda: torch.from_numpy(rng.normal(size=(200, 8)) / np.sqrt(rng.chisquare(5, (200, 1)) / 5))  # noqa: E731
        found = [interval(frechet_corrected(tails(), tails())) for _ in range(150)]
        assert np.mean([one.lo <= 0 for one in found]) > 0.89

    def test_the_correction_leaves_no_bias_where_both_sides_are_alike(self) -> None:
        sides = [(rows(200, 8, 2 * s), rows(200, 8, 2 * s + 1)) for s in range(200)]
        plain, corrected = (np.array([f(x, y).value for x, y in sides]) for f in (frechet_distance, frechet_corrected))
        left = 3 * corrected.std() / math.sqrt(len(corrected))
        assert plain.mean() > 10 * left
        assert abs(corrected.mean()) < left
        assert corrected.min() < 0

    def test_it_shrinks_as_the_root_of_n(self) -> None:
        x, y = pair(4000, 4000, 4)
        width = lambda e: e.interval.hi - e.interval.lo  # noqa: E731
        assert width(frechet_distance(x, y)) / width(frechet_distance(x[:1000], y[:1000])) == pytest.approx(
            0.5, abs=0.1
        )

    @BOTH
    def test_it_names_its_method_its_level_and_what_it_is_of(self, measure: Measure) -> None:
        found = interval(measure(*pair(100, 90, 3)))
        assert found.level == 0.95 and "delta method over both sides" in found.method
        assert ("of the expectation at this n" in found.method) == (measure is frechet_distance)


def coverage(found: list[Estimate], truth: float) -> float:
    return float(np.mean([e.interval.lo <= truth <= e.interval.hi for e in found if e.interval]))


class TestCorrection:
    def test_it_is_twice_the_whole_less_the_halves(self) -> None:
        """On average over all ways to halve: over eight of them within four of their standard errors."""
        x, y = pair(101, 60, 4)
        rng, halves = np.random.default_rng(1), []
        for _ in range(300):
            a, b = (side[rng.permutation(len(side))] for side in (x, y))
            parts = [frechet_distance(a[:51], b[:30]).value, frechet_distance(a[51:], b[30:]).value]
            halves.append(sum(parts) / 2)
        expected = 2 * frechet_distance(x, y).value - np.mean(halves)
        assert frechet_corrected(x, y).value == pytest.approx(expected, abs=4 * float(np.std(halves)) / math.sqrt(8))

    def test_the_order_of_rows_does_not_matter(self) -> None:
        """Neither of both sides together nor of each."""
        x, y = pair(101, 60, 4)
        for a, b in ((x.flip(0), y), (x, y.roll(7, 0)), (x.flip(0), y.flip(0))):
            assert frechet_corrected(a, b).value == pytest.approx(frechet_corrected(x, y).value, rel=1e-9)

    def test_what_is_paired_by_its_order_is_no_nearer(self) -> None:
        """Halves are drawn of each side on its own: with near rows together they would be alike, and FD too large."""
        x = rows(200, 3)
        near = [x + 0.01 * rows(200, 3, seed) for seed in range(1, 4)]
        apart = frechet_corrected(x, rows(200, 3, 9)).value
        assert all(frechet_corrected(x, y).value < apart for y in near)

    def test_a_value_below_0_begins_its_interval_which_holds_0(self) -> None:
        """Of alike sides about half the values are below 0, which no distance is; the others have none below 0."""
        found = [frechet_corrected(rows(60, 6, 2 * seed), rows(60, 6, 2 * seed + 1)) for seed in range(40)]
        assert {e.value < 0 for e in found} == {False, True}
        for e in found:
            assert interval(e).lo == e.value if e.value < 0 else interval(e).lo >= 0
            assert interval(e).lo <= e.value <= interval(e).hi and interval(e).hi > 0

    def test_a_set_is_at_no_distance_from_itself(self) -> None:
        x = rows(101, 8)
        assert frechet_corrected(x, x).value == pytest.approx(0, abs=1e-10)

    def test_it_is_the_same_every_time(self) -> None:
        x, y = pair(101, 60, 4)
        assert frechet_corrected(x, y) == frechet_corrected(x, y)


class TestToStatistics:
    """A reference of which mean and covariance are all that is known."""

    @pytest.mark.parametrize(("n", "m", "d"), [(40, 30, 8), (20, 15, 30), (15, 60, 30), (60, 20, 30), (50, 50, 1)])
    @pytest.mark.parametrize("unit", [1.0, 1e-12, 1e12])
    def test_they_are_at_the_distance_of_their_rows(self, n: int, m: int, d: int, unit: float) -> None:
        x, y = (side * unit for side in pair(n, m, d))
        known = moments(y)
        found = frechet_to_statistics(x, known.mean, known.covariance)
        assert found.value == pytest.approx(frechet_distance(x, y).value, rel=1e-7)
        assert found.interval is not None and found.interval.lo < found.value < found.interval.hi

    @pytest.mark.parametrize(("n", "d", "shift"), [(200, 4, 0.5), (100, 16, 0.5), (40, 30, 1.0), (150, 8, 0.0)])
    def test_the_interval_covers_the_expectation_over_samples(self, n: int, d: int, shift: float) -> None:
        draws, mean, covariance = normal(np.random.default_rng(7), 300 * n, d), torch.zeros(d), torch.eye(d)
        sides = (draws * (1.3 if shift else 1) + shift).split(n)
        assert_honest(covered(frechet_to_statistics(x, mean, covariance) for x in sides), 300)

    def test_of_another_width_they_are_refused(self) -> None:
        with pytest.raises(GenbenchError, match="features are of width 3, the reference's mu and sigma of width 4"):
            frechet_to_statistics(rows(9, 3), torch.zeros(4), torch.eye(4))


class TestBadInput:
    @BOTH
    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_what_is_no_number_is_refused(self, measure: Measure, bad: float) -> None:
        good, broken = rows(40, 3), rows(40, 3)
        broken[7, 1] = bad
        for x, y in ((good, broken), (broken, good)):
            with pytest.raises(GenbenchError, match="NaN or infinity"):
                measure(x, y)

    @BOTH
    def test_different_widths_are_refused(self, measure: Measure) -> None:
        with pytest.raises(GenbenchError, match="one width, got 3 and 4"):
            measure(rows(40, 3), rows(40, 4))

    @pytest.mark.parametrize(("measure", "least"), [(frechet_distance, 2), (frechet_corrected, 8)])
    def test_too_few_is_an_error_that_names_the_number(self, measure: Measure, least: int) -> None:
        with pytest.raises(GenbenchError, match=f"at least {least} are needed"):
            measure(rows(least - 1, 3), rows(40, 3))
        assert measure(rows(least, 3), rows(40, 3)).n == least

    @BOTH
    def test_a_constant_generator_is_refused(self, measure: Measure) -> None:
        with pytest.raises(GenbenchError, match="all 40 examples are the same"):
            measure(torch.ones(40, 3), rows(40, 3))

    def test_moments_that_do_not_fit_are_refused(self) -> None:
        one, other = moments(rows(40, 3)), moments(rows(40, 4))
        with pytest.raises(GenbenchError, match="of one D"):
            frechet_from_moments(one, other)
        with pytest.raises(GenbenchError, match="NaN or infinity"):
            frechet_from_moments(one, Moments(40, one.mean * math.nan, one.covariance))


def test_the_registered_metrics_are_the_pure_functions() -> None:
    x, y = (side.float() for side in pair(60, 50, 4))
    found = bench.evaluate(x, y, metrics=["fd", "fd_corrected"])
    assert found.value.tolist() == [frechet_distance(x, y).value, frechet_corrected(x, y).value]
    assert found.hi.notna().all()


class TestTooFewForACovariance:
    @pytest.mark.parametrize(
        ("n", "m", "said"),
        [
            (12, 30, "12 samples are too few"),
            (30, 12, "12 held-out examples are too few"),
            (11, 12, "11 samples and 12 held-out examples are too few"),
        ],
    )
    def test_it_is_said_once_for_all_metrics(self, n: int, m: int, said: str, caplog: pytest.LogCaptureFixture) -> None:
        found = bench.evaluate(rows(n, 12), rows(m, 12, 1), metrics=["fd", "fd_corrected"])
        assert found.value.notna().all()
        (note,) = found.attrs["notes"]
        assert note.startswith(f"{said} for Fréchet distances: a covariance of 12 dimensions is singular")
        assert caplog.messages == [note]

    def test_more_rows_than_dimensions_are_not_talked_about(self) -> None:
        assert bench.evaluate(rows(13, 12), rows(13, 12, 1), metrics=["fd"]).attrs["notes"] == []
