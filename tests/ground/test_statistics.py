"""Intervals against simulation and closed forms."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench import Estimate, Interval
from bench.record import LARGEST
from bench.statistics import (
    STRETCHES,
    Summary,
    bounded_interval,
    difference_interval,
    effective_trials,
    median_interval,
    normal_interval,
    proportion_interval,
    rate_interval,
    ratio_error,
    ratio_interval,
    ratio_parts,
    reach_toward,
    score_interval,
    stretches,
    summarise,
)
from tests.metrics.coverage import assert_honest


def test_summary_is_the_sample_mean_and_deviation() -> None:
    found = summarise([1.0, 2.0, 4.0])
    assert found.mean == pytest.approx(7 / 3)
    assert found.sd == pytest.approx(np.sqrt(7 / 3))
    assert summarise([3.0]).sd is None
    with pytest.raises(ValueError, match="no values"):
        summarise([])


def test_what_never_moves_has_no_spread_at_any_scale() -> None:
    for value in (LARGEST, -LARGEST, -2.5, 0.0, 5e-324):
        assert summarise([value, value]) == Summary(value, 0.0, 2)


@pytest.mark.parametrize("n", [2, 3, 5, 7, 10])
def test_values_that_are_one_but_for_rounding_have_no_spread(n: int) -> None:
    """Or a mean that lies a digit beside them would make any two of them told apart."""
    values = np.random.default_rng(0).uniform(0.001, 1, 200)
    assert all(summarise([float(v)] * n) == Summary(float(v), 0.0, n) for v in values)
    assert all(summarise([float(v), float(v) * (1 + 1e-14)]).sd == 0 for v in values)


@pytest.mark.parametrize("scale", [1e-200, 1.0, 1e200])
def test_a_summary_is_numpys_at_every_scale(scale: float) -> None:
    values = np.random.default_rng(0).normal(3, 1, 7)
    found = summarise((values * scale).tolist())
    assert found.mean == pytest.approx(values.mean() * scale)
    assert found.sd == pytest.approx(values.std(ddof=1) * scale)


@pytest.mark.parametrize(("n", "rank"), [(6, 1), (9, 2), (11, 2), (20, 6), (100, 40)])
def test_median_interval_takes_the_tabled_ranks(n: int, rank: int) -> None:
    """Ranks of the 95 % sign-test interval, as tabled (Conover 1999, table A3)."""
    found = median_interval(list(range(1, n + 1)))
    assert found is not None
    assert (found.lo, found.hi) == (rank, n + 1 - rank)


def test_median_interval_is_refused_for_too_few() -> None:
    assert median_interval([1, 2, 3, 4, 5]) is None


def test_ratio_interval_covers_the_truth() -> None:
    """Nominal 95 % covers 90 to 98 % of 500 simulated sets of unequal windows."""
    rng = np.random.default_rng(0)
    hits = 0
    for _ in range(500):
        size = rng.integers(50, 150, 80)
        nats = size * 2.0 + rng.normal(0, 10, 80)
        found = ratio_interval(nats, size)
        assert found is not None
        hits += found.lo <= 2.0 <= found.hi
    assert 0.90 <= hits / 500 <= 0.98


def test_ratio_interval_needs_two_units() -> None:
    assert ratio_interval([1.0], [2.0]) is None and ratio_parts([1.0] * 9, [2.0] * 9) == ()


@pytest.mark.parametrize("n", [10, 80, 100, 101, 5000])
def test_the_parts_of_an_error_are_the_error(n: int) -> None:
    """Of many units in stretches, which of independent units is the same but for chance (a tenth, of 100 of them)."""
    rng = np.random.default_rng(n)
    size = rng.integers(50, 150, n)
    nats = size * 2.0 + rng.normal(0, 10, n)
    parts, error = ratio_parts(nats, size), ratio_error(nats, size)
    assert len(parts) == min(n, STRETCHES) and error
    assert math.hypot(*parts) == pytest.approx(error, rel=1e-5 if n <= STRETCHES else 0.25)
    assert math.fsum(parts) == pytest.approx(0, abs=1e-4 * error)
    assert stretches(nats).sum() == pytest.approx(nats.sum())


def test_an_interval_knows_both_ends() -> None:
    """Of 300 units that are all at an end, the rule of three; mirrored, and scaled with the range."""
    none, every = (bounded_interval(value, 0.0, 300, "") for value in (0.0, 1.0))
    assert none.lo == 0 and none.hi == pytest.approx(3.84 / 303.84, abs=1e-4)
    assert [1 - every.hi, 1 - every.lo] == pytest.approx([none.lo, none.hi])
    wide = bounded_interval(5.0, 0.0, 300, "", lo=5, hi=25)
    assert [wide.lo, wide.hi] == pytest.approx([5, 5 + 20 * none.hi])


def test_far_from_its_ends_it_is_the_normal_one() -> None:
    found, normal = bounded_interval(0.4, 0.01, 900, ""), normal_interval(0.4, 0.01, "")
    assert [found.lo, found.hi] == pytest.approx([normal.lo, normal.hi], abs=3e-4)


@pytest.mark.parametrize("differing", [0.5, 2, 6, 60])
def test_it_covers_where_few_units_differ_from_an_end(differing: float) -> None:
    rng, n = np.random.default_rng(1), 300
    hits = 0
    for _ in range(500):
        values = rng.beta(1, 10, n) * (rng.random(n) < differing / n)
        found = bounded_interval(float(values.mean()), float(values.std(ddof=1) / np.sqrt(n)), n, "")
        hits += found.lo <= differing / n / 11 <= found.hi
    assert_honest(hits / 500, 500)


def test_trials_that_hang_together_count_as_fewer() -> None:
    """By the design effect, how much the variance exceeds that of independent ones."""
    alone = 0.3 * 0.7 / 10**6
    assert effective_trials(0.3, alone, independent=alone) == pytest.approx(10**6)
    assert effective_trials(0.3, 2 * alone, independent=alone) == pytest.approx(10**6 / 2, rel=1e-4)
    assert effective_trials(0.3, 2 * alone) == pytest.approx(10**6 / 2, rel=1e-4)
    few = 0.01 * 0.99 / 100  # one of a hundred differs: a variance known from so few is raised threefold
    assert effective_trials(0.01, few) == pytest.approx(100 / (1 + 2 * 0.99))


def test_no_spread_is_no_certainty() -> None:
    """Of a mean without ends, all of whose units are alike, the interval has no width and says on what condition."""
    assert "exact if nothing ever does" in normal_interval(8.0, 0.0, "normal").method
    assert normal_interval(8.0, 0.1, "normal").method == "normal"


def test_there_is_no_fewer_than_one_event() -> None:
    """A variance of ten times what one event brings is one that was estimated badly; a share of 0.99 remains known."""
    assert effective_trials(0.99, 10 * 0.01**2) == pytest.approx(0.0099 / (3 * 0.01**2))
    assert effective_trials(0.99, 10 * 0.01**2, independent=1e-4, most=1) == pytest.approx(0.0099 / 2e-4)


def test_a_difference_reaches_as_far_as_both_sides_let_it() -> None:
    """Newcombe 1998, table II, method 10: 56 of 70 less 48 of 80 is 0.2, from 0.0524 to 0.3339."""
    first, second = (Estimate(value=k / n, n=n, interval=proportion_interval(k, n)) for k, n in ((56, 70), (48, 80)))
    found = difference_interval(first, second, "")
    assert found is not None
    assert [found.lo, found.hi] == pytest.approx([0.0524, 0.3339], abs=1e-4)
    assert difference_interval(first, Estimate(value=0.5, n=1), "") is None


def test_a_reach_is_that_of_the_side_where_the_other_number_lies() -> None:
    """Two numbers are as far apart as their reaches are, exactly where the interval of their difference ends at 0."""
    low, high = Estimate(value=0.2, n=9, interval=Interval(lo=0.1, hi=0.6, method="")), 0.2 + np.hypot(0.4, 0.3)
    other = Estimate(value=high, n=9, interval=Interval(lo=high - 0.3, hi=high + 5, method=""))
    assert low.interval and other.interval
    assert reach_toward(1, 0.2, low.interval) == pytest.approx(0.4)
    assert reach_toward(0, 0.2, low.interval) == pytest.approx(0.1)
    found = difference_interval(low, other, "")
    assert found is not None and found.hi == pytest.approx(0)


class TestSquaredDistances:
    def test_it_inverts_its_test(self) -> None:
        """At either end the estimate lies 1.96 of that end's own standard errors away."""
        found = score_interval(2.0, slope=0.3, constant=0.1, method="m")
        for end in (found.lo, found.hi):
            assert abs(2.0 - end) / math.sqrt(0.1 + 0.3 * end) == pytest.approx(1.959964, rel=1e-5)

    @pytest.mark.parametrize("value", [-1.0, -0.3, 0.0, 0.1, 0.5, 3.0])
    def test_it_holds_its_estimate_and_goes_below_0_for_that_alone(self, value: float) -> None:
        found = score_interval(value, slope=0.3, constant=0.05, method="m")
        assert min(value, 0) <= found.lo <= value <= found.hi

    @pytest.mark.parametrize("value", [-1e-3, -0.1, -3.0])
    def test_an_estimate_below_0_excludes_no_more_than_0_does(self, value: float) -> None:
        found, at_0 = (score_interval(v, slope=0.3, constant=0.05, method="m") for v in (value, 0.0))
        assert found.lo == value and found.hi == at_0.hi > 1.95 * math.sqrt(0.05)

    def test_of_no_variance_it_is_exact_if_both_sides_are_the_same(self) -> None:
        assert "same rows" in score_interval(0.0, 0.0, 0.0, "m").method
        assert "same rows" not in score_interval(-0.1, 0.3, 0.05, "m").method


class TestMeansOfCounts:
    def test_none_seen_leaves_room(self) -> None:
        found = rate_interval(0.0, 0.0, 0.01, "")
        assert found.lo == 0 and found.hi == pytest.approx(0.0384146, rel=1e-5)

    def test_far_from_0_it_is_the_normal_one(self) -> None:
        found, normal = rate_interval(5.0, 0.01, 0.001, ""), normal_interval(5.0, 0.1, "")
        assert (found.lo, found.hi) == pytest.approx((normal.lo, normal.hi), abs=0.005)

    def test_it_ends_where_the_quantity_does(self) -> None:
        assert rate_interval(0.99, 0.01, 0.001, "", hi=1).hi == 1
        above = rate_interval(9.0, 0.01, 0.001, "", hi=1)  # what is beyond the end is cut to it
        assert (above.lo, above.hi) == (1, 1)

    @pytest.mark.parametrize("seen", [0.5, 2, 5, 20])
    def test_it_covers_means_of_counts_that_are_mostly_0(self, seen: float) -> None:
        """Of 200, so many on average hold a count of 1 to 5; it may hold too often, for counts are whole."""
        rng, held = np.random.default_rng(0), 0
        for _ in range(1000):
            x = rng.binomial(1, seen / 200, 200) * rng.integers(1, 6, 200)
            found = rate_interval(x.mean(), x.var(ddof=1) / 200, 3 / 200, "")
            held += found.lo <= 3 * seen / 200 <= found.hi
        assert held / 1000 > 0.90 - 2 * 0.0095
