"""Features that are kept: read and checked, beside their moments alone taken anew."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from bench import Features
from bench.measure.feature_store import FeatureStore
from bench.measure.moments import MomentSum
from tests.performance.timing import median, seconds

pytestmark = pytest.mark.performance


def test_reading_and_checking_costs_less_than_half_of_the_moments(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """10,000 features of 2,048 numbers. What extraction itself costs comes on top."""
    mix = torch.randn(64, 2048, generator=torch.Generator().manual_seed(0))
    images = torch.randint(256, (10_000, 1, 8, 8), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    store = FeatureStore(tmp_path)

    def extract(x: Tensor) -> Features:
        return Features((x.flatten(1).float() / 255 @ mix).relu(), None)

    def found() -> Tensor:
        return store.get(extract, {"extractor": "mixed"}, images, torch.device("cpu")).features  # type: ignore[arg-type]

    features = found()
    anew = seconds(lambda: MomentSum().update(features).result(), 3)
    benchmark.pedantic(found, rounds=3, warmup_rounds=1)
    benchmark.extra_info["share of the moments"] = share = median(benchmark) / anew
    assert share < 0.5
