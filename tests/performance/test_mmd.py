"""What exact kernel and transport distances cost beside the sampled ones they replace."""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch_fidelity.metric_kid import kid_features_to_metric

from metrics.features.kid import kernel_distance, subset_kernel_distance
from tests.performance.timing import ROUNDS, median, seconds

pytestmark = pytest.mark.performance


def features(seed: int, n: int = 5000, d: int = 512) -> Tensor:
    """Non-negative and skewed, as those of a network's last layer."""
    return torch.randn(n, d, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).relu()


def test_all_pairs_are_four_times_faster_than_a_hundred_subsets(benchmark: BenchmarkFixture) -> None:
    """All 5,000 x 512 pairs with their standard error, against torch-fidelity on the same float64 features."""
    fake, real = 1.05 * features(0), features(1)
    theirs = seconds(lambda: kid_features_to_metric(fake, real, verbose=False), rounds=3)
    benchmark.pedantic(lambda: kernel_distance(fake, real), rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["times faster"] = theirs / median(benchmark)
    assert theirs > 4 * median(benchmark)


def test_the_same_hundred_subsets_with_an_error_bar_are_not_slower(benchmark: BenchmarkFixture) -> None:
    fake, real = 1.05 * features(0), features(1)
    theirs = seconds(lambda: kid_features_to_metric(fake, real, verbose=False), rounds=3)
    benchmark.pedantic(lambda: subset_kernel_distance(fake, real), rounds=ROUNDS, warmup_rounds=1)
    benchmark.extra_info["times faster"] = theirs / median(benchmark)
    assert theirs > median(benchmark)
