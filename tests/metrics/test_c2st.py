"""Classifier two-sample test against the Bayes rate, chance, and the promise that no row is judged by its copy."""

from __future__ import annotations

import functools
import math

import numpy as np
import pytest
import torch
from scipy import stats

from bench import Estimate, GenbenchError, Interval, TooFew, proportion_interval
from bench.evaluation import Given
from bench.feature_store import Examples
from bench.registry import Side
from metrics import c2st as module
from metrics.c2st import c2st, classifier_test, folds_of, held_out, identical


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
        found = [judged(rows(60, 5, 2 * s), rows(60, 5, 2 * s + 1), s).value for s in range(64)]
        assert abs(np.mean(found) - 0.5) < 2.6 * np.std(found) / 8

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
        assert found.n == 200 and interval(found).lo < 0.5

    def test_it_is_the_same_for_the_same_seed_alone(self) -> None:
        x, y = rows(100, 4, 0, 0.3), rows(150, 4, 1)
        assert judged(x, y, 3) == judged(x, y, 3)
        assert len({judged(x, y, s).value for s in range(5)}) > 1

    def test_no_row_is_judged_by_a_model_that_saw_it(self) -> None:
        """Features that name each row are learnt by heart in training and say nothing of the rows left out."""
        x, is_fake = np.eye(200), np.repeat([True, False], 100)
        folds = folds_of(np.arange(200), is_fake, np.random.default_rng(0))
        assert held_out(x, is_fake, folds).mean() == pytest.approx(0.5, abs=0.1)


class TestCopies:
    def test_identical_rows_are_found(self) -> None:
        x = np.array([[0.0, 1.0], [2.0, 3.0], [-0.0, 1.0], [2.0, 3.0 + 1e-12]])
        assert identical(x).tolist() == [0, 1, 0, 2]

    def test_copies_share_a_fold_and_both_sides_are_spread(self) -> None:
        rng = np.random.default_rng(0)
        copies = np.concatenate([rng.integers(0, 40, 100), rng.integers(20, 70, 100)])
        copies = np.unique(copies, return_inverse=True)[1]
        is_fake = np.repeat([True, False], 100)
        folds = folds_of(copies, is_fake, rng)
        assert all(len(set(folds[copies == group])) == 1 for group in set(copies))
        for side in (is_fake, ~is_fake):
            assert set(folds[side]) == set(range(5))

    def test_without_copies_every_fold_holds_as_many_of_each_side(self) -> None:
        is_fake = np.repeat([True, False], 50)
        folds = folds_of(np.arange(100), is_fake, np.random.default_rng(0))
        assert np.bincount(folds[is_fake]).tolist() == np.bincount(folds[~is_fake]).tolist() == [10] * 5

    def test_knowing_a_row_again_is_no_evidence(self) -> None:
        """Each row ten times: a classifier of many features would know every copy from training."""
        found = [
            judged(np.repeat(rows(20, 100, 2 * s), 10, 0), np.repeat(rows(20, 100, 2 * s + 1), 10, 0), s).value
            for s in range(30)
        ]
        assert abs(np.mean(found) - 0.5) < 2.6 * np.std(found) / math.sqrt(30)

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
        assert 0.9 <= coverage(simulated(n, d, 0.0, 200), 0.5) <= 0.98

    def test_taking_all_predictions_as_independent_would_not_do(self) -> None:
        """The reason for the wider interval: folds train on one another's examples."""
        naive = [proportion_interval(round(one.value * one.n), one.n) for one in simulated(40, 2, 0.0, 200)]
        assert np.mean([one.lo <= 0.5 <= one.hi for one in naive]) < 0.9

    @pytest.mark.parametrize("shift", [0.15, pytest.param(0.4, marks=pytest.mark.slow)])
    def test_an_interval_covers_the_mean_where_sides_differ(self, shift: float) -> None:
        """Wide where they differ much, since folds are less correlated there."""
        found = simulated(40, 6, shift, 150)
        assert coverage(found, float(np.mean([one.value for one in found]))) >= 0.93


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


def test_the_registered_measure_draws_from_the_space() -> None:
    x, y = (torch.as_tensor(side).float() for side in (rows(100, 4, 0), rows(130, 4, 1)))
    sides: dict[Side, Examples] = {"samples": x, "reference": y}
    cpu = torch.device("cpu")
    one, again, other = (
        c2st(Given(sides, "vector", seed=seed, device=cpu, prompts=None).space(None)) for seed in (0, 0, 1)
    )
    assert one == again != other
    assert one.protocol == {
        "classifier": "logistic regression",
        "C": 0.01,
        "folds": 5,
        "scaling": "standardised",
    }
