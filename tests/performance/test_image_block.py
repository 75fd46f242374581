"""The whole block of image measures with intervals beside torch-fidelity's four without: ``make test-performance``.

With GENBENCH_TEST_GPU=1 on a GPU, as far as each side computes there.
"""

from __future__ import annotations

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch_fidelity.metric_fid import fid_features_to_statistics, fid_statistics_to_metric
from torch_fidelity.metric_isc import isc_features_to_metric
from torch_fidelity.metric_kid import kid_features_to_metric
from torch_fidelity.metric_prc import prc_features_to_metric

import bench
from metrics.features.inception_score import inception_score
from tests.performance.timing import times_as_fast

pytestmark = pytest.mark.performance
N, D, CLASSES = 5_000, 2_048, 1_008
SAME = ["fd", "kid", "precision", "recall", "density", "coverage"]  # what they measure, and what comes with it
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
NOVELTY = ["nn_ratio", "ct", "auth_pct"]  # which they do not: all pairs with the training data


def pool(seed: int, shift: float = 0.0) -> Tensor:
    """Features as a rectified layer gives them: correlated, and no less than 0."""
    rng = torch.Generator().manual_seed(seed)
    mix = torch.randn(D, D, generator=torch.Generator().manual_seed(9)) / D**0.5
    found: Tensor = (torch.randn(N, D, generator=rng) @ mix + shift).relu()
    return found


@pytest.mark.parametrize(("metrics", "least"), [(SAME, 2.3), (SAME + NOVELTY, 1.1)], ids=["same", "with novelty"])
def test_the_image_block_with_intervals_takes_less_time_than_theirs_without(
    metrics: list[str], least: float, benchmark: BenchmarkFixture
) -> None:
    fake, real, train = pool(0, 0.05), pool(1), pool(2)
    logits = 3 * torch.randn(N, CLASSES, generator=torch.Generator().manual_seed(3))

    def theirs() -> None:
        statistics = [fid_features_to_statistics(x) for x in (fake, real)]
        fid_statistics_to_metric(*statistics, verbose=False)
        kid_features_to_metric(fake, real, kid_subsets=100, kid_subset_size=1000, verbose=False)
        isc_features_to_metric(logits.to(DEVICE))
        prc_features_to_metric(fake.to(DEVICE), real.to(DEVICE), save_cpu_ram=DEVICE == "cpu", verbose=False)

    def ours() -> None:
        table = bench.evaluate(fake, real, train=train, metrics=metrics)
        assert table.lo.notna().all()
        assert inception_score(logits).interval is not None

    assert times_as_fast(benchmark, ours, theirs) > least
