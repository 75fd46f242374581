"""Classifier two-sample test against the Bayes rate, chance, and the promise that no row is judged by its copy."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy import stats

from bench import Estimate, GenbenchError, Interval, Space, TooFew, proportion_interval
from bench.measure.evaluation import Given
from bench.modalities._examples import Examples
from bench.registry import Side
from metrics.features import c2st as module
from metrics.features.c2st import c2st, classifier_test, copies, folds_of, held_out, logistic
from metrics.features.c2st_nn import c2st_nn, network_test
from tests.metrics.coverage import assert_honest, covered

Test = Callable[[np.ndarray, np.ndarray, np.random.Generator], Estimate]


def rows(n: int, d: int, seed: int = 0, shift: float = 0.0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d)) + shift


def judged(fake: np.ndarray, real: np.ndarray, seed: int = 0) -> Estimate:
    return classifier_test(fake, real, np.random.default_rng(seed))


def interval(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


class TestValue:
    @pytest.mark.parametrize("shift", [0.25, 0.5, 1.0])
    def test_it_reaches_the_bayes_rate(self, shift: float) -> None:
        """Of two normals whose means are |mu| apart no rule is right more often than Phi(|mu| / 2), and this one is."""
        found = judged(rows(3000, 4, 0, shift), rows(3000, 4, 1))
        assert found.value == pytest.approx(stats.norm.cdf(shift), abs=0.015)

    def test_what_lies_apart_is_always_told(self) -> None:
        found = judged(rows(100, 4, 0, 20), rows(100, 4, 1))
        assert found.value == 1 and interval(found).hi == 1 and interval(found).lo > 0.9

    def test_equal_sides_are_a_coin_toss(self) -> None:
        """Half of the time below it, which is no better than it."""
        found = simulated(40, 2, 0.0, 200)
        assert all(one.value >= 0.5 <= interval(one).lo for one in found)
        assert 0.4 < np.mean([one.value == 0.5 for one in found]) < 0.7
        assert np.mean([interval(one).lo > 0.5 for one in found]) < 0.07

    @pytest.mark.parametrize("test", [classifier_test, network_test])
    def test_below_chance_is_chance(self, test: Test) -> None:
        """Where the mean of each fold is missing from the rest, every guess is wrong: still nothing is told apart."""
        fake, real = np.tile(rows(30, 2), (2, 1)), np.tile(rows(30, 2), (2, 1))
        fake[30:], real[30:] = -fake[30:], -real[30:]
        found = test(fake, real[::-1].copy(), np.random.default_rng(0))
        assert found.value == interval(found).lo == 0.5 < interval(found).hi < 0.75

    def test_features_of_any_scale_count(self) -> None:
        x, y = rows(500, 3, 0, 0.5), rows(500, 3, 1)
        scales = np.array([1e-9, 1, 1e9])
        assert judged(x * scales, y * scales).value == pytest.approx(judged(x, y).value, abs=1e-12)

    def test_a_constant_feature_counts_for_nothing(self) -> None:
        x, y = rows(100, 3, 0, 0.5), rows(100, 3, 1)
        seven = np.full((100, 1), 7.0)
        assert judged(np.hstack([x, seven]), np.hstack([y, seven])).value == judged(x, y).value

    def test_more_features_than_rows(self) -> None:
        found = judged(rows(60, 400, 0, 0.3), rows(60, 400, 1))
        assert 0.8 < found.value <= 1

    def test_the_larger_side_is_cut(self) -> None:
        """Otherwise saying "real" always would be right nine times in ten."""
        found = judged(rows(100, 4, 0), rows(900, 4, 1))
        assert found.n == 200 and interval(found).lo == 0.5

    def test_the_order_of_rows_does_not_matter(self) -> None:
        x, y = rows(100, 4, 0, 0.3), rows(150, 4, 1)
        assert judged(x[::-1].copy(), np.random.default_rng(5).permutation(y)) == judged(x, y)

    def test_it_is_the_same_for_the_same_seed_alone(self) -> None:
        x, y = rows(100, 4, 0, 0.3), rows(150, 4, 1)
        assert judged(x, y, 3) == judged(x, y, 3)
        assert len({judged(x, y, s).value for s in range(5)}) > 1

    def test_no_row_is_judged_by_a_model_that_saw_it(self) -> None:
        """Features that name each row are learnt by heart in training and say nothing of the rows left out."""
        x, is_fake = np.eye(200), np.repeat([True, False], 100)
        folds = folds_of(np.arange(200), is_fake, np.random.default_rng(0))
        assert held_out(x, is_fake, folds, logistic).mean() == pytest.approx(0.5, abs=0.1)


class TestCopies:
    def test_rows_that_are_the_same_are_found(self) -> None:
        """But for rounding: 0 has two signs, and features come out a little otherwise in a batch of another size."""
        x = np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0], [2.0, 3.0 + 1e-9], [2.0, 3.001]])
        found = copies(x)
        assert found[0] == found[2] and found[1] == found[3] and len(set(found.tolist())) == 3

    def test_one_far_row_makes_no_copies_of_the_others(self) -> None:
        x = np.concatenate([rows(600, 2), [[1e5, 1e5]]])
        assert len(set(copies(x).tolist())) == 601

    def test_a_jitter_below_rounding_changes_nothing(self) -> None:
        """Twenty atoms, fifty times each: told apart by memory alone, were the copies spread over folds."""
        fake, real = (np.repeat(rows(20, 8, seed), 50, 0) for seed in (0, 1))
        jittered = [x + 1e-9 * rows(1000, 8, 2 + i) for i, x in enumerate((fake, real))]
        exact, near = judged(fake, real), judged(jittered[0], jittered[1])
        assert interval(exact).lo == interval(near).lo == 0.5
        width = [interval(one).hi - interval(one).lo for one in (exact, near)]
        assert width[0] == pytest.approx(width[1], rel=0.25) and min(width) > 0.1

    def test_a_jitter_above_rounding_is_told_apart_as_is_said(self) -> None:
        """The limit of what is recognised as a copy, on either side of which the docstrings say what comes."""
        atoms = [np.repeat(rows(20, 8, seed), 50, 0) for seed in (0, 1)]
        below, above = (
            judged(atoms[0] + jitter * rows(1000, 8, 2), atoms[1] + jitter * rows(1000, 8, 3))
            for jitter in (1e-8, 1e-5)
        )
        assert interval(below).lo == 0.5 < interval(above).lo
        assert all("a millionth of the features' spread" in (test.__doc__ or "") for test in (c2st, c2st_nn))

    def test_copies_share_a_fold_and_both_sides_are_spread(self) -> None:
        rng = np.random.default_rng(0)
        groups = np.concatenate([rng.integers(0, 40, 100), rng.integers(20, 70, 100)])
        groups = np.unique(groups, return_inverse=True)[1]
        is_fake = np.repeat([True, False], 100)
        folds = folds_of(groups, is_fake, rng)
        assert all(len(set(folds[groups == group])) == 1 for group in set(groups))
        for side in (is_fake, ~is_fake):
            assert set(folds[side]) == set(range(5))

    def test_without_copies_every_fold_holds_as_many_of_each_side(self) -> None:
        is_fake = np.repeat([True, False], 50)
        folds = folds_of(np.arange(100), is_fake, np.random.default_rng(0))
        assert np.bincount(folds[is_fake]).tolist() == np.bincount(folds[~is_fake]).tolist() == [10] * 5

    def test_knowing_a_row_again_is_no_evidence(self) -> None:
        """Each row ten times: a classifier of many features would know every copy from training."""
        found = [
            judged(np.repeat(rows(20, 100, 2 * s), 10, 0), np.repeat(rows(20, 100, 2 * s + 1), 10, 0), s)
            for s in range(30)
        ]
        assert np.mean([interval(one).lo == 0.5 for one in found]) >= 0.9

    def test_copies_make_nothing_more_certain(self) -> None:
        x, y = rows(40, 5, 0, 0.5), rows(40, 5, 1)
        once, often = (interval(judged(np.repeat(x, k, 0), np.repeat(y, k, 0))) for k in (1, 20))
        assert often.hi - often.lo == pytest.approx(once.hi - once.lo, rel=0.2)

    def test_a_copied_reference_is_exactly_chance(self) -> None:
        """A row that stands on both sides gets one answer, right once and wrong once."""
        x = rows(100, 5)
        assert judged(x, x[::-1].copy()).value == 0.5

    @pytest.mark.parametrize("name", ["generated", "real"])
    def test_too_few_distinct_rows_are_refused(self, name: str) -> None:
        few, many = np.repeat(rows(9, 3), 20, 0), rows(180, 3, 1)
        with pytest.raises(TooFew, match=f"9 distinct {name} examples are too few: at least 10 are needed"):
            judged(few, many) if name == "generated" else judged(many, few)


@functools.cache
def simulated(n: int, d: int, shift: float, times: int) -> list[Estimate]:
    return [judged(rows(n, d, 2 * s, shift), rows(n, d, 2 * s + 1), s) for s in range(times)]


def coverage(found: list[Estimate], truth: float) -> float:
    return float(np.mean([interval(one).lo <= truth <= interval(one).hi for one in found]))


class TestUncertainty:
    @pytest.mark.parametrize(("n", "d"), [(40, 2), pytest.param(60, 40, marks=pytest.mark.slow)])
    def test_an_interval_covers_chance_where_both_sides_are_alike(self, n: int, d: int) -> None:
        assert 0.93 <= coverage(simulated(n, d, 0.0, 200), 0.5) <= 1

    def test_taking_all_predictions_as_independent_would_not_do(self) -> None:
        """The reason for the wider interval: folds train on one another's examples."""
        naive = [proportion_interval(round(one.value * one.n), one.n) for one in simulated(40, 2, 0.0, 200)]
        assert np.mean([one.lo <= 0.5 for one in naive]) < 0.95

    @pytest.mark.parametrize("shift", [0.4, pytest.param(0.15, marks=pytest.mark.slow), 1.0])
    def test_an_interval_covers_the_mean_where_sides_differ(self, shift: float) -> None:
        assert_honest(covered(simulated(40, 6, shift, 150)), 150)


class TestNetwork:
    """What a straight line cannot see."""

    @pytest.mark.parametrize("d", [1, 16])
    def test_spread_is_seen(self, d: int) -> None:
        """Of normals of spread 0.2 and 1 the best rule is right with (1 + P(r < c 0.2) - P(r < c)) / 2, c their tie."""
        fake, real = 0.2 * rows(400, d), rows(400, d, 1)
        tie = d * np.log(25) / 24  # squared radius at which the densities are equal
        best = (1 + stats.chi2.cdf(tie / 0.04, d) - stats.chi2.cdf(tie, d)) / 2
        line, net = judged(fake, real), network_test(fake, real, np.random.default_rng(0))
        assert line.value < 0.65 < net.value
        assert best - 0.12 < net.value < best + 0.03

    def test_one_mode_for_two_is_seen(self) -> None:
        real = rows(300, 2) * 0.3 + 2 * np.repeat([[1.0, 1.0], [-1.0, -1.0]], 150, 0)
        fake = rows(300, 2, 1) @ np.linalg.cholesky(np.cov(real.T)).T
        assert judged(fake, real).value < 0.6
        assert network_test(fake, real, np.random.default_rng(0)).value > 0.8

    def test_it_is_the_same_for_the_same_seed_alone(self) -> None:
        x, y = rows(60, 4, 0, 0.3), rows(70, 4, 1)
        one, again, other = (network_test(x, y, np.random.default_rng(seed)) for seed in (0, 0, 1))
        assert one == again != other

    @pytest.mark.slow
    @pytest.mark.parametrize(("shift", "scale"), [(0, 1), (0.2, 1), (0, 0.5)])
    def test_an_interval_covers(self, shift: float, scale: float) -> None:
        found = [
            network_test(scale * rows(60, 4, 2 * s, shift), rows(60, 4, 2 * s + 1), np.random.default_rng(s))
            for s in range(80)
        ]
        assert covered(found) >= 0.9


class TestBadInput:
    def test_nan_and_infinity(self) -> None:
        for bad in (math.nan, math.inf):
            with pytest.raises(GenbenchError, match="NaN or infinity"):
                judged(np.full((40, 3), bad), rows(40, 3))

    def test_widths_that_differ(self) -> None:
        with pytest.raises(GenbenchError, match="one width, got 3 and 4"):
            judged(rows(40, 3), rows(40, 4))

    def test_too_few_rows(self) -> None:
        with pytest.raises(TooFew, match="9 examples are too few: at least 10 are needed"):
            judged(rows(40, 3), rows(9, 3))

    def test_a_classifier_that_does_not_converge_is_an_error(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module, "ITERATIONS", 1)
        with pytest.raises(GenbenchError, match="did not converge in 1 iterations"):
            judged(rows(100, 3, 0, 1), rows(100, 3, 1))


@pytest.mark.parametrize("measure", [c2st, c2st_nn])
def test_the_registered_measure_draws_from_the_space(measure: Callable[[Space], Estimate]) -> None:
    x, y = (torch.as_tensor(side).float() for side in (rows(100, 4, 0, 0.3), rows(130, 4, 1)))
    sides: dict[Side, Examples] = {"samples": x, "reference": y}
    cpu = torch.device("cpu")
    one, again, other = (
        measure(Given(sides, "vector", seed=seed, device=cpu, prompts=None).space(None)) for seed in (0, 0, 2)
    )
    assert one == again != other
    assert {"folds": 5, "scaling": "standardised", "least": 0.5}.items() <= one.protocol.items()
    assert one.protocol["classifier"] == ("logistic regression" if measure is c2st else "20 ReLU units, Adam")
