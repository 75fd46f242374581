"""Threads that sleep while they wait, as a worker sets them, beside threads that spin: ``make test-performance``.

``python -m tests.performance.test_wait_policy [REPEATS [BESIDE ...]]`` prints the figures of docs/results.md: so many
repeats with so many busy processes beside, by default 5 with 0 and 5 with 2.
"""

from __future__ import annotations

import contextlib
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from bench.openmp import PASSIVE, waiting_policy
from bench.probes import load

pytestmark = pytest.mark.performance
THREADS = 2
# A small convolutional network, as families on digits are: many short stretches of parallel work a step.
LOOP = """
import sys, time, torch
torch.manual_seed(0)
net = torch.nn.Sequential(
    torch.nn.Conv2d(1, 16, 3, 2, 1), torch.nn.ReLU(), torch.nn.Conv2d(16, 32, 3, 2, 1), torch.nn.ReLU(),
    torch.nn.Flatten(), torch.nn.Linear(32 * 49, 128), torch.nn.ReLU(), torch.nn.Linear(128, 10))
optimizer, x, y = torch.optim.Adam(net.parameters()), torch.randn(64, 1, 28, 28), torch.arange(64) % 10
def step():
    optimizer.zero_grad()
    torch.nn.functional.cross_entropy(net(x), y).backward()
    optimizer.step()
step()
started, steps = time.perf_counter(), 0
while time.perf_counter() - started < float(sys.argv[1]):
    step()
    steps += 1
print(steps / (time.perf_counter() - started))
"""


def steps_per_second(policy: dict[str, str], seconds: float = 2.0) -> float:
    """Of the loop in a fresh process, whose OpenMP runtime reads its settings when it is loaded."""
    kept = {name: value for name, value in os.environ.items() if name not in PASSIVE}
    environment = {**kept, "OMP_NUM_THREADS": str(THREADS), **policy}
    done = subprocess.run([sys.executable, "-c", LOOP, str(seconds)], env=environment, capture_output=True, check=True)
    return float(done.stdout)


@contextlib.contextmanager
def busy(processes: int) -> Iterator[None]:
    """So many processes at work beside."""
    started = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(processes)]
    try:
        yield
    finally:
        for process in started:
            process.kill()
            process.wait()


def ratios(repeats: int) -> Iterator[float]:
    """Sleeping to spinning, in turn. How the scheduler places spinning threads is chance: one pair tells little."""
    for _ in range(repeats):
        first = load.reading()
        spinning, sleeping = steps_per_second({}), steps_per_second(waiting_policy({}))
        one = steps_per_second({**waiting_policy({}), "OMP_NUM_THREADS": "1"})
        others = load.between(first, load.reading()).others
        print(
            f"spinning {spinning:.1f}, sleeping {sleeping:.1f}, one thread {one:.1f} steps/s; "
            f"others kept {others or 0:.1f} cores",
            flush=True,
        )
        yield sleeping / spinning


def test_on_a_busy_machine_sleeping_threads_are_several_times_as_fast(benchmark: BenchmarkFixture) -> None:
    with busy(os.cpu_count() or 1):
        found = benchmark.pedantic(lambda: [*ratios(5)], rounds=1)
    benchmark.extra_info["times as fast"] = statistics.median(found)
    assert statistics.median(found) > 2


def main(repeats: int = 5, *numbers: int) -> None:
    """Both policies in turn, beside so many busy processes, and what others did to this machine meanwhile."""
    for beside in numbers or (0, 2):
        with busy(beside):
            found = [*ratios(repeats)]
        low, middle, high = min(found), statistics.median(found), max(found)
        print(f"{beside} busy: sleeping is {middle:.2f} times as fast as spinning [{low:.2f}, {high:.2f}]", flush=True)


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
