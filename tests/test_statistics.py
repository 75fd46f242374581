"""Intervals against simulation and closed forms."""

from __future__ import annotations

import numpy as np
import pytest

from bench.statistics import median_interval, ratio_interval, summarise


def test_summary_is_the_sample_mean_and_deviation() -> None:
    found = summarise([1.0, 2.0, 4.0])
    assert found.mean == pytest.approx(7 / 3)
    assert found.sd == pytest.approx(np.sqrt(7 / 3))
    assert summarise([3.0]).sd is None
    with pytest.raises(ValueError, match="no values"):
        summarise([])


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
    assert ratio_interval([1.0], [2.0]) is None
