"""The Vendi score against its definition, closed forms, and what its interval promises."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

import bench
from bench import GenbenchError
from metrics.features.vendi import _entropy, vendi_score
from tests.metrics.coverage import covered


def rows(n: int, d: int, seed: int = 0) -> Tensor:
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def by_definition(features: Tensor) -> float:
    """exp of the entropy of the eigenvalues of K / n, with K of size ``(n, n)``."""
    x = features.numpy() / np.linalg.norm(features.numpy(), axis=1, keepdims=True)
    values = np.linalg.eigvalsh(x @ x.T / len(x))
    values = values[values > 1e-13]
    return math.exp(-(values * np.log(values)).sum())


class TestKnownValues:
    @pytest.mark.parametrize(("n", "d"), [(300, 20), (20, 300), (50, 50), (200, 1)])
    def test_it_is_the_definition(self, n: int, d: int) -> None:
        x = rows(n, d) + 0.3
        assert vendi_score(x).value == pytest.approx(by_definition(x), rel=1e-10)

    @pytest.mark.parametrize("n", [2, 7, 40])
    def test_orthogonal_rows_all_count(self, n: int) -> None:
        assert vendi_score(torch.eye(n)).value == pytest.approx(n, rel=1e-12)
        assert vendi_score(torch.eye(n, 2 * n)).value == pytest.approx(n, rel=1e-12)

    def test_copies_do_not_count(self) -> None:
        x = rows(30, 12)
        assert vendi_score(x.repeat(5, 1)).value == pytest.approx(vendi_score(x).value, rel=1e-12)

    def test_direction_alone_counts(self) -> None:
        x, length = rows(30, 12), torch.logspace(-200, 200, 30, dtype=torch.float64)[:, None]
        assert vendi_score(length * x).value == pytest.approx(vendi_score(x).value, rel=1e-12)
        assert vendi_score(torch.arange(1.0, 5)[:, None] * torch.ones(1, 3)).value == pytest.approx(1, abs=1e-10)

    def test_uneven_orthogonal_groups_are_the_exponential_of_the_entropy(self) -> None:
        x = torch.eye(3).repeat_interleave(torch.tensor([70, 20, 10]), 0)
        expected = math.exp(-sum(p * math.log(p) for p in (0.7, 0.2, 0.1)))
        assert vendi_score(x).value == pytest.approx(expected, rel=1e-12)

    def test_rotation_and_order_change_nothing(self) -> None:
        x = rows(60, 12) + 0.5
        turn, _ = torch.linalg.qr(rows(12, 12, 1))
        for other in (x @ turn, x.flip(0)):
            assert vendi_score(other).value == pytest.approx(vendi_score(x).value, rel=1e-12)


class TestInterval:
    def test_it_covers_the_score_of_the_population(self) -> None:
        """Of 300 sets of 2,000; the population is all of them."""
        everything = rows(600_000, 4) @ torch.tensor([2.0, 1.0, 0.5, 0.2]).double().diag() + 0.5
        truth = vendi_score(everything).value
        found = [vendi_score(part).interval for part in everything.split(2000)]
        assert 0.9 <= np.mean([i.lo <= truth <= i.hi for i in found if i]) <= 0.98

    @pytest.mark.parametrize(("n", "d"), [(200, 16), (40, 60)])
    def test_it_covers_the_expected_score_of_so_many_samples(self, n: int, d: int) -> None:
        scale = torch.arange(1, d + 1).double() ** -1
        found = [vendi_score(rows(n, d, seed) * scale) for seed in range(300)]
        truth = np.mean([e.value for e in found])
        assert 0.9 <= np.mean([e.interval.lo <= truth <= e.interval.hi for e in found if e.interval]) <= 0.98

    @pytest.mark.parametrize(("n", "kinds", "width"), [(50, 2000, 2000), (100, 2, 2), (100, 2, 16), (300, 10, 10)])
    def test_it_covers_where_all_directions_weigh_the_same(self, n: int, kinds: int, width: int) -> None:
        """The influence of a sample vanishes there; it may cover always."""
        rng = np.random.default_rng(3)
        drawn = [rng.integers(kinds, size=n) for _ in range(60)]
        found = [vendi_score(torch.eye(width, dtype=torch.float64)[kind]) for kind in drawn]
        assert covered(found) > 0.9
        assert all(e.interval is not None and e.interval.hi - e.interval.lo > 0.01 for e in found)

    def test_it_covers_where_few_samples_differ(self) -> None:
        rng = np.random.default_rng(3)
        found = [vendi_score(np.eye(16)[(rng.random(300) < 0.02).astype(int)]) for _ in range(200)]
        assert covered(found) > 0.9

    def test_as_many_directions_as_samples_are_not_certain(self) -> None:
        interval = vendi_score(np.eye(100)).interval
        assert interval and 90 < interval.lo < 98

    def test_both_forms_have_one_error(self) -> None:
        """Columns of zeros change the form that is taken, and nothing else."""
        x = rows(30, 12)
        x /= x.norm(dim=1, keepdim=True)
        one, other = (_entropy(side.numpy()).error for side in (x, torch.cat([x, torch.zeros(30, 30)], 1)))
        assert other == pytest.approx(one, rel=1e-5)

    def test_one_feature_is_exact(self) -> None:
        interval = vendi_score(rows(30, 1)).interval
        assert interval and interval.lo == interval.hi == 1 and "exact" in interval.method

    def test_it_stays_in_the_range(self) -> None:
        interval = vendi_score(torch.eye(5).repeat(2, 1)).interval
        assert interval and 1 <= interval.lo <= interval.hi <= 5


class TestBadInput:
    def test_rows_without_direction_are_refused(self) -> None:
        x = rows(30, 4)
        x[3:5] = 0
        with pytest.raises(GenbenchError, match="2 of 30 rows are all zeros"):
            vendi_score(x)

    def test_a_constant_generator_is_refused(self) -> None:
        with pytest.raises(GenbenchError, match="all 30 examples are the same"):
            vendi_score(torch.ones(30, 4))

    @pytest.mark.parametrize("bad", [math.nan, math.inf])
    def test_what_is_no_number_is_refused(self, bad: float) -> None:
        x = rows(30, 4)
        x[3, 2] = bad
        with pytest.raises(GenbenchError, match="NaN or infinity"):
            vendi_score(x)

    def test_one_row_is_too_few(self) -> None:
        with pytest.raises(GenbenchError, match="at least 2 are needed"):
            vendi_score(rows(1, 4))


def test_the_registered_metric_is_the_pure_function() -> None:
    x = rows(30, 12).float()
    found = bench.evaluate(x, rows(20, 12, 1).float(), metrics=["vendi"])
    assert found.value.tolist() == [vendi_score(x).value]
