"""The Inception Score against closed forms, torch-fidelity, and what its interval promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor
from torch_fidelity.metric_isc import KEY_METRIC_ISC_MEAN, isc_features_to_metric

from bench import GenbenchError
from metrics.features.inception_score import inception_score
from tests.metrics.coverage import covered

SPLITS = pytest.mark.parametrize("splits", [1, 10])


def logits(n: int, classes: int, seed: int = 0) -> Tensor:
    """Of a classifier that is fairly sure of some samples and unsure of others, with some classes more common."""
    rng = torch.Generator().manual_seed(seed)
    draw = torch.randn(n, classes, generator=rng, dtype=torch.float64)
    return 2 * draw + torch.arange(classes) / classes


class TestKnownValues:
    @SPLITS
    def test_certain_and_even_is_the_number_of_classes(self, splits: int) -> None:
        even = 100 * torch.eye(10).repeat(1000, 1)
        assert inception_score(even, splits).value == pytest.approx(10, rel=0.02 if splits > 1 else 1e-12)

    @SPLITS
    def test_unsure_is_one(self, splits: int) -> None:
        unsure = torch.arange(100.0)[:, None].expand(-1, 10)  # other logits, the same probabilities
        assert inception_score(unsure, splits).value == pytest.approx(1, abs=1e-12)

    @SPLITS
    def test_always_the_same_class_is_one(self, splits: int) -> None:
        same = torch.zeros(100, 10)
        same[:, 3] = torch.arange(100, 200)
        assert inception_score(same, splits).value == pytest.approx(1, abs=1e-12)

    def test_certain_and_uneven_is_the_exponential_of_the_entropy(self) -> None:
        counts = [70, 20, 10]
        uneven = 1000 * torch.eye(3).repeat_interleave(torch.tensor(counts), 0)
        expected = math.exp(-sum(c / 100 * math.log(c / 100) for c in counts))
        assert inception_score(uneven, 1).value == pytest.approx(expected, rel=1e-12)

    def test_a_class_without_any_probability_is_no_nan(self) -> None:
        absent = torch.tensor([[0, 1e5, -1e300], [1e5, 0, -1e300]], dtype=torch.float64).repeat(20, 1)
        assert inception_score(absent, 1).value == pytest.approx(2, rel=1e-12)


class TestOtherImplementations:
    @SPLITS
    @pytest.mark.parametrize(("n", "classes"), [(1000, 10), (1003, 1008), (57, 3)])
    def test_it_is_what_torch_fidelity_says(self, splits: int, n: int, classes: int) -> None:
        """With its shuffle for ten parts; one part is the same with or without."""
        x = logits(n, classes)
        expected = isc_features_to_metric(x, splits=splits)[KEY_METRIC_ISC_MEAN]
        assert inception_score(x, splits).value == pytest.approx(expected, rel=1e-9)

    def test_one_part_is_blind_to_order(self) -> None:
        x = logits(200, 10)
        assert inception_score(x, 1).value == pytest.approx(inception_score(x.flip(0), 1).value, rel=1e-12)

    def test_the_global_random_state_is_left_alone(self) -> None:
        before = np.random.get_state(legacy=False)["state"]["key"].copy()
        inception_score(logits(100, 10))
        assert (np.random.get_state(legacy=False)["state"]["key"] == before).all()


class TestInterval:
    def test_it_covers_the_score_of_the_population(self) -> None:
        """Of 400 sets of 1,000; the population's score is that of 400,000."""
        everything = logits(400_000, 5, seed=1)
        truth = inception_score(everything, 1).value
        found = [inception_score(part, 1).interval for part in everything.split(1000)]
        assert 0.9 <= np.mean([i.lo <= truth <= i.hi for i in found if i]) <= 0.98

    def test_over_parts_it_covers_the_expected_score(self) -> None:
        found = [inception_score(logits(400, 5, seed)) for seed in range(300)]
        truth = np.mean([e.value for e in found])
        assert 0.9 <= np.mean([e.interval.lo <= truth <= e.interval.hi for e in found if e.interval]) <= 0.98

    @pytest.mark.parametrize("splits", [1, 10])
    def test_it_covers_where_all_are_sure_and_classes_even(self, splits: int) -> None:
        """The influence of a sample vanishes there; it may cover always."""
        rng = np.random.default_rng(0)
        found = [inception_score(30 * np.eye(10)[rng.integers(10, size=300)], splits) for _ in range(100)]
        assert covered(found) > 0.9
        even = inception_score(30 * np.eye(10).repeat(10, 0), 1).interval
        assert even and 9.4 < even.lo < 9.8 and even.hi == 10

    @pytest.mark.parametrize("splits", [1, 10])
    def test_it_says_where_few_samples_bring_most(self, splits: int) -> None:
        sure = 30 * np.eye(10)
        rare = sure[np.r_[np.zeros(985, int), np.arange(15) % 9 + 1]]
        for x, few in ((rare, True), (sure[np.arange(1000) % 10], False)):
            interval = inception_score(x, splits).interval
            assert interval and ("too narrow on heavy tails" in interval.method) == few

    def test_it_stays_between_one_and_the_number_of_classes(self) -> None:
        for x in (100 * torch.eye(10).repeat(10, 1), 1e-9 * logits(100, 10)):
            interval = inception_score(x, 1).interval
            assert interval and 1 <= interval.lo <= interval.hi <= 10

    def test_the_protocol_tells_parts_and_shuffle(self) -> None:
        assert inception_score(logits(100, 10)).protocol == {"splits": 10, "shuffle_seed": 2020}
        assert inception_score(logits(100, 10), 1).protocol == {"splits": 1}


class TestBadInput:
    def test_what_is_no_number_is_refused(self) -> None:
        for bad in (math.nan, math.inf):
            x = logits(40, 3)
            x[7, 1] = bad
            with pytest.raises(GenbenchError, match="NaN or infinity"):
                inception_score(x)

    def test_one_class_is_refused(self) -> None:
        with pytest.raises(GenbenchError, match="at least two classes"):
            inception_score(logits(40, 1))

    @pytest.mark.parametrize(("splits", "least"), [(10, 20), (1, 2)])
    def test_too_few_is_an_error_that_names_the_number(self, splits: int, least: int) -> None:
        with pytest.raises(GenbenchError, match=f"at least {least} are needed"):
            inception_score(logits(least - 1, 10), splits)
        assert inception_score(logits(least, 10), splits).n == least
