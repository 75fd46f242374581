"""Timing with a monotonic clock: warmed up until it has settled, synchronised, every value kept."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Protocol

import torch

from bench.probes.load import Load, between, reading

WINDOW = 3  # calls over which the running median is taken
SETTLED = 0.02  # share by which it may still move from one call to the next
WARMUP_CALLS = 20  # at most: on a busy machine nothing settles
WARMUP_SHARE = 1.5  # of ``min_seconds``, at most


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


@dataclass(frozen=True)
class Timing:
    """Seconds of one call made over and over.

    first: of the very first, with all that is compiled, tuned and cached in it. warmup: of those behind it, until their
    running median had settled, which ``settled`` says. calls: of each that counts, in order. total: from the beginning
    of these to their end, the device idle at both. on_device: of each from the moment at which the device came to it to
    that at which it was done, by its own events, waits for the host in between included; None without one. load: what
    else kept the machine busy meanwhile.
    """

    first: float
    warmup: tuple[float, ...]
    settled: bool
    calls: tuple[float, ...]
    total: float
    on_device: tuple[float, ...] | None
    load: Load

    @property
    def busy(self) -> bool:
        """Whether too few cores were left for it; with a device of its own it takes one."""
        return self.load.busy(1 if self.on_device is not None else torch.get_num_threads())

    @property
    def raw(self) -> dict[str, Any]:
        """What was read off the clocks, for a file."""
        return {
            "first": self.first, "warmup": self.warmup, "settled": self.settled, "calls": self.calls,
            "total": self.total, "on_device": self.on_device, "load": {**asdict(self.load), "busy": self.busy},
        }  # fmt: skip


class Clock(Protocol):
    """What tells when a device has come to a point of its work."""

    def idle(self) -> None:
        """Wait until the device has done all that was asked of it."""

    def mark(self) -> Any:
        """A point in its work, without waiting for it."""

    def apart(self, start: Any, end: Any) -> float:
        """Seconds that the device worked from one mark to another, once it has passed both."""


class HostClock:
    """Of a device that is the host itself, whose calls end when they return."""

    def idle(self) -> None:
        pass

    def mark(self) -> float:
        return time.perf_counter()

    def apart(self, start: float, end: float) -> float:
        return end - start


class CudaClock:
    """Of a GPU, by events that it passes in its own order of work."""

    def __init__(self, device: torch.device) -> None:
        self.device = device

    def idle(self) -> None:
        torch.cuda.synchronize(self.device)

    def mark(self) -> Any:
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event

    def apart(self, start: Any, end: Any) -> float:
        milliseconds: float = start.elapsed_time(end)
        return milliseconds / 1000


def clock_of(device: torch.device) -> Clock:
    return CudaClock(device) if device.type == "cuda" else HostClock()


def time_calls(
    call: Callable[[], object],
    device: torch.device,
    *,
    each: bool = True,
    min_calls: int = 9,
    min_seconds: float = 1.0,
    max_calls: int = 1000,
) -> Timing:
    """Seconds of a call, made until both minima are reached and at most ``max_calls`` times.

    each: whether the device is idle before and after every call, as latency is; else calls follow one another and it is
    idle at both ends alone, as throughput is. Nine calls are the fewest whose 95 % interval of the median does not rest
    on the two extremes.
    """
    clock, before = clock_of(device), reading()
    alone = _Calls(call, clock)
    first = alone.wait()
    warmup: list[float] = []
    while not (settled := _settled(warmup)) and len(warmup) < WARMUP_CALLS:
        if len(warmup) > 1 and sum(warmup) > WARMUP_SHARE * min_seconds:
            break
        warmup.append(alone.wait())
    timed = _Calls(call, clock)
    started = time.perf_counter()
    while len(timed.walls) < max_calls:
        if len(timed.walls) >= min_calls and time.perf_counter() - started >= min_seconds:
            break
        timed.wait() if each else timed.follow()
    clock.idle()
    total = time.perf_counter() - started
    on_device = None if isinstance(clock, HostClock) else tuple(clock.apart(*pair) for pair in timed.marks)
    calls = tuple(timed.walls) if each or on_device is None else on_device
    return Timing(first, tuple(warmup), settled, calls, total, on_device, between(before, reading()))


class _Calls:
    """Calls, their seconds by the wall's clock, and the device's marks before and after them."""

    def __init__(self, call: Callable[[], object], clock: Clock) -> None:
        self.call, self.clock = call, clock
        self.walls: list[float] = []
        self.marks: list[tuple[Any, Any]] = []
        clock.idle()

    def follow(self) -> None:
        """One that follows the last without waiting for the device."""
        began, mark = time.perf_counter(), self.clock.mark()
        self.call()
        self.marks.append((mark, self.clock.mark()))
        self.walls.append(time.perf_counter() - began)

    def wait(self) -> float:
        """One before and after which the device is idle; its seconds."""
        self.clock.idle()
        began, mark = time.perf_counter(), self.clock.mark()
        self.call()
        self.marks.append((mark, self.clock.mark()))
        self.clock.idle()
        self.walls.append(time.perf_counter() - began)
        return self.walls[-1]


def _settled(seconds: Sequence[float]) -> bool:
    """Whether the running median moved by hardly anything with the last call."""
    if len(seconds) <= WINDOW:
        return False
    last, now = statistics.median(seconds[-WINDOW - 1 : -1]), statistics.median(seconds[-WINDOW:])
    return abs(now - last) <= SETTLED * last
