"""The Fréchet distance beside torch-fidelity's on the same features, both measured in one run.

Both sides take the threads that OMP_NUM_THREADS gives."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor
from torch_fidelity.metric_fid import KEY_METRIC_FID, fid_features_to_statistics, fid_statistics_to_metric

from metrics.features.frechet import frechet_distance, gaussian_distance
from tests.performance.timing import median, seconds

pytestmark = pytest.mark.performance
WIDTH = 2048
ROUNDS = 3


def sides(n: int) -> tuple[Tensor, Tensor]:
    """Non-negative features with a spectrum that falls as 1/i, the second side a little turned and scaled."""
    rng = torch.Generator().manual_seed(0)
    draw = lambda *shape: torch.randn(*shape, generator=rng)  # noqa: E731
    scale = torch.arange(1, WIDTH + 1) ** -0.5
    mix = draw(WIDTH, WIDTH) * scale[:, None]
    other = mix + 0.1 * draw(WIDTH, WIDTH) * scale[:, None]
    return (draw(n, WIDTH) @ mix).relu(), (1.1 * draw(n, WIDTH) @ other).relu()


def fidelity_of(one: dict[str, Tensor], other: dict[str, Tensor]) -> float:
    return float(fid_statistics_to_metric(one, other, verbose=False)[KEY_METRIC_FID])


def fidelity(fake: Tensor, real: Tensor) -> float:
    return fidelity_of(*(fid_features_to_statistics(side.double()) for side in (fake, real)))


def ratio(benchmark: BenchmarkFixture, ours: Callable[[], float], theirs: Callable[[], float]) -> float:
    """How many times theirs takes as long as ours, which gives the same value."""
    assert ours() == pytest.approx(theirs(), rel=1e-6)
    taken = seconds(theirs, ROUNDS)
    benchmark.pedantic(ours, rounds=ROUNDS, warmup_rounds=1)
    found = taken / median(benchmark)
    benchmark.extra_info["times faster than torch-fidelity"] = found
    return found


def test_from_moments_it_is_at_least_two_and_a_half_times_faster(benchmark: BenchmarkFixture) -> None:
    one, other = (fid_features_to_statistics(side.double()) for side in sides(5000))
    ours = lambda: gaussian_distance(one["mu"], one["sigma"], other["mu"], other["sigma"])  # noqa: E731
    assert ratio(benchmark, ours, lambda: fidelity_of(one, other)) > 2.5


def test_from_fewer_features_than_dimensions_it_is_at_least_four_times_faster(benchmark: BenchmarkFixture) -> None:
    """With its interval. Theirs is a little off here: it takes the roots of eigenvalues that are rounding errors."""
    fake, real = sides(1000)
    assert ratio(benchmark, lambda: frechet_distance(fake, real).value, lambda: fidelity(fake, real)) > 4


def test_its_interval_costs_no_more_than_torch_fidelity_takes_without(benchmark: BenchmarkFixture) -> None:
    fake, real = sides(5000)
    assert ratio(benchmark, lambda: frechet_distance(fake, real).value, lambda: fidelity(fake, real)) > 1
