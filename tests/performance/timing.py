"""How two ways of doing one thing are timed side by side in one run."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable

from pytest_benchmark.fixture import BenchmarkFixture

Call = Callable[[], object]
ROUNDS = 5
IN_TURN = 9  # rounds of two calls


def median(benchmark: BenchmarkFixture) -> float:
    """Seconds of the median round."""
    assert benchmark.stats is not None
    return float(benchmark.stats.stats.median)


def cpu_seconds(call: Callable[[], object], rounds: int = 1) -> float:
    """Median of the processor's time, of which other processes take none."""
    taken = []
    for _ in range(rounds):
        started = time.process_time()
        call()
        taken.append(time.process_time() - started)
    return statistics.median(taken)


def seconds(call: Callable[[], object], rounds: int = ROUNDS) -> float:
    """Median of a few calls, the first left out."""
    call()
    taken = []
    for _ in range(rounds):
        started = time.perf_counter()
        call()
        taken.append(time.perf_counter() - started)
    return statistics.median(taken)


def times_as_fast(benchmark: BenchmarkFixture, mine: Call, theirs: Call, calls: int = 1) -> float:
    """How many times as fast, and noted for the table. Rounds of both in turn: what else runs here slows both."""
    taken: list[float] = []

    def several(call: Call) -> None:
        for _ in range(calls):
            call()

    def beside() -> None:
        started = time.perf_counter()
        several(theirs)
        taken.append(time.perf_counter() - started)

    benchmark.pedantic(several, args=(mine,), setup=beside, rounds=IN_TURN, warmup_rounds=1)
    ratio = statistics.median(taken[1:]) / median(benchmark)
    benchmark.extra_info["times as fast"] = ratio
    return ratio
