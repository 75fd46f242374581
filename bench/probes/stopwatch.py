"""Timing with a monotonic clock: warmed up, synchronised, every value kept, order statistics reported."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterator

import torch


class Phases:
    """Seconds by phase, in the order they were entered; a phase entered twice adds up."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - started


def time_calls(
    call: Callable[[], object],
    device: torch.device,
    *,
    warmup: int = 2,
    min_calls: int = 9,
    min_seconds: float = 1.0,
    max_calls: int = 200,
) -> list[float]:
    """Seconds of each call, in order, the device idle before and after every one.

    Goes on until both minima are reached. Nine calls are the fewest whose 95 % interval of the
    median does not rest on the two extremes.
    """
    for _ in range(warmup):
        call()
    seconds: list[float] = []
    while len(seconds) < max_calls and (len(seconds) < min_calls or sum(seconds) < min_seconds):
        synchronise(device)
        started = time.perf_counter()
        call()
        synchronise(device)
        seconds.append(time.perf_counter() - started)
    return seconds


def synchronise(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
