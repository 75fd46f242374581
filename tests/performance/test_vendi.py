"""The Vendi score by the smaller spectrum beside the definition's, both measured in one run."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from metrics.features.vendi import vendi_score
from tests.performance.timing import median, seconds

pytestmark = pytest.mark.performance


def by_definition(features: Tensor) -> float:
    """exp of the entropy of the eigenvalues of the whole kernel, ``(n, n)``."""
    x = torch.nn.functional.normalize(features.double()).numpy()
    values = np.linalg.eigvalsh(x @ x.T / len(x))
    values = values[values > 0]
    return math.exp(-(values * np.log(values)).sum())


def test_it_is_at_least_twenty_times_faster_than_the_whole_kernel(benchmark: BenchmarkFixture) -> None:
    features = torch.randn(3000, 512, generator=torch.Generator().manual_seed(0))
    assert vendi_score(features).value == pytest.approx(by_definition(features), rel=1e-10)
    whole = seconds(lambda: by_definition(features), 3)
    benchmark.pedantic(lambda: vendi_score(features), rounds=5, warmup_rounds=1)
    ratio = whole / median(benchmark)
    benchmark.extra_info["times faster"] = ratio
    assert ratio > 20
