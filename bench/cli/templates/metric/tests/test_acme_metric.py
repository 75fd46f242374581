"""What genbench asks of every metric, asked of this one; and what is known of it alone."""

import bench
import pytest
import torch
from bench.testing import MetricPromises

from acme_metric.spread import spread


class TestPromises(MetricPromises):
    metric = "acme_metric"


def rows(n: int, seed: int) -> torch.Tensor:
    return torch.randn(n, 4, generator=torch.Generator().manual_seed(seed))


def test_what_is_twice_as_wide_is_two() -> None:
    data = rows(300, seed=0)
    assert spread(2 * data, data).value == pytest.approx(2)
    (row,) = bench.evaluate(2 * data, data, metrics="acme_metric").itertuples()
    assert row.value == pytest.approx(2)


def test_its_interval_holds_the_truth_in_95_of_100() -> None:
    """Of samples with a standard deviation of 3, and data of 1."""
    intervals = [spread(3 * rows(100, seed), rows(120, 1000 + seed)).interval for seed in range(400)]
    held = sum(interval is not None and interval.lo <= 3 <= interval.hi for interval in intervals)
    assert 0.92 <= held / 400 <= 0.98
