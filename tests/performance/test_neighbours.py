"""Precision, recall, density and coverage beside ``prdc``, which holds all distances: ``make test-performance``."""

from __future__ import annotations

import contextlib
import io
import subprocess
import sys

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from pytest_benchmark.fixture import BenchmarkFixture

from metrics.features._balls import overlap
from metrics.features.density_coverage import coverage_of, density_of
from metrics.features.precision_recall import precision_of, recall_of
from tests.performance.timing import median, seconds

pytestmark = pytest.mark.performance
N, K = 10_000, 5

# A fresh process for each side; the first, small call loads what the library loads once. The peak is VmHWM and not
# ru_maxrss, which a child takes over from the process that started it.
MEMORY = """
import sys
from pathlib import Path
import numpy as np
from tests.performance.test_neighbours import ours, theirs
peak = lambda: int(Path("/proc/self/status").read_text().split("VmHWM:")[1].split()[0])
measure = {"ours": ours, "theirs": theirs}[sys.argv[1]]
rng = np.random.default_rng(0)
small = rng.standard_normal((100, 8))
measure(small, small + 1)
fake, real = (rng.standard_normal((10_000, int(sys.argv[2]))).astype(sys.argv[3]) for _ in range(2))
before = peak()
measure(fake, real)
print((peak() - before) * 1024)
"""


def ours(fake: np.ndarray, real: np.ndarray) -> list[float]:
    """With intervals."""
    found = overlap(fake, real, K)
    return [measure(found).value for measure in (precision_of, recall_of, density_of, coverage_of)]


def theirs(fake: np.ndarray, real: np.ndarray) -> list[float]:
    with contextlib.redirect_stdout(io.StringIO()):
        return [float(v) for v in compute_prdc(real, fake, K).values()]


def peak_bytes(side: str, width: int, kind: str) -> int:
    """Growth of a fresh process's peak memory over its inputs."""
    command = [sys.executable, "-c", MEMORY, side, str(width), kind]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.parametrize("width", [512, 1000])
def test_the_four_with_intervals_are_at_least_three_times_faster(benchmark: BenchmarkFixture, width: int) -> None:
    rng = np.random.default_rng(0)
    fake, real = (rng.standard_normal((N, width)) for _ in range(2))
    torch.set_num_threads(2)
    assert ours(fake, real) == pytest.approx(theirs(fake, real), abs=1e-12)
    slow = seconds(lambda: theirs(fake, real), rounds=1)
    benchmark.pedantic(lambda: ours(fake, real), rounds=3, warmup_rounds=1)
    ratio = slow / median(benchmark)
    benchmark.extra_info["times faster"] = ratio
    assert ratio >= 3


@pytest.mark.parametrize("kind", ["float32", "float64"])
@pytest.mark.parametrize("width", [512, 1000])
def test_they_need_less_than_a_tenth_of_the_memory(benchmark: BenchmarkFixture, width: int, kind: str) -> None:
    their_peak = peak_bytes("theirs", width, kind)
    our_peak = benchmark.pedantic(lambda: peak_bytes("ours", width, kind), rounds=1)
    benchmark.extra_info["MB"] = our_peak / 2**20
    benchmark.extra_info["MB of prdc"] = their_peak / 2**20
    assert our_peak < their_peak / 10
