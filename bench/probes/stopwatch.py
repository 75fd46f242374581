"""Timing with a monotonic clock: warmed up until it has settled, synchronised, every value kept."""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import torch

from bench.probes.energy import Meter
from bench.probes.load import Load, between, reading
from bench.probes.nvml import USUAL, Unreadable, gpu

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
    else kept the machine busy meanwhile. held_back: why the GPU ran slower than it was asked to. shared: whether other
    processes computed on it; None where nobody says. joules: of all that counts, by the counter of ``energy``; None
    where there is none, and there it says why.
    """

    first: float
    warmup: tuple[float, ...]
    settled: bool
    calls: tuple[float, ...]
    total: float
    on_device: tuple[float, ...] | None
    load: Load
    held_back: tuple[str, ...] = ()
    shared: bool | None = None
    joules: float | None = None
    energy: str = ""

    @property
    def busy(self) -> bool:
        """Whether too few cores were left for it, or heat slowed its device; with one of its own it takes one core."""
        slowed = any(reason != USUAL for reason in self.held_back)
        return (
            slowed or bool(self.shared) or self.load.busy(1 if self.on_device is not None else torch.get_num_threads())
        )

    @property
    def raw(self) -> dict[str, Any]:
        """What was read off the clocks, for a file."""
        return {
            "first": self.first, "warmup": self.warmup, "settled": self.settled, "calls": self.calls,
            "total": self.total, "on_device": self.on_device, "load": {**asdict(self.load), "busy": self.busy},
            "held_back": self.held_back, "shared": self.shared, "joules": self.joules, "energy": self.energy,
        }  # fmt: skip


def time_calls(
    call: Callable[[], object],
    device: torch.device,
    *,
    each: bool = True,
    min_calls: int | None = None,
    min_seconds: float = 1.0,
    max_calls: int = 20_000,
) -> Timing:
    """Seconds of a call, made until both minima are reached and at most ``max_calls`` times.

    each: whether the device is idle before and after every call, as latency is; else calls follow one another and it is
    idle at both ends alone, as throughput is. min_calls: nine of each, the fewest whose 95 % interval of the median
    does not rest on the two extremes; five that follow one another, of which a mean is taken.
    """
    usual = 9 if each else 5
    least = usual if min_calls is None else min_calls
    before, began, warming, meter = reading(), time.time(), _Calls(call, device), Meter(device)
    first = warming.make(alone=True)
    while not (settled := _settled(warming.seconds[1:])) and len(warming.seconds) <= WARMUP_CALLS:
        if len(warming.seconds) > 2 and sum(warming.seconds[1:]) > WARMUP_SHARE * min_seconds:
            break
        warming.make(alone=True)
    timed = _Calls(call, device)
    idle(device)
    held_back = _held_back(device)  # warmed up, and again at the end
    meter.start()
    started = time.perf_counter()
    while len(timed.seconds) < max_calls:
        if len(timed.seconds) >= least and time.perf_counter() - started >= min_seconds:
            break
        timed.make(alone=each)
    idle(device)
    total, on_device = time.perf_counter() - started, timed.on_device()
    meter.stop()
    calls = tuple(timed.seconds) if each or on_device is None else on_device
    slowed = tuple(sorted({*held_back, *_held_back(device)}))
    return Timing(
        first, tuple(warming.seconds[1:]), settled, calls, total, on_device, between(before, reading()), slowed,
        _shared(device, began), meter.joules, meter.source or meter.why,
    )  # fmt: skip


def _held_back(device: torch.device) -> tuple[str, ...]:
    """Why the GPU holds its clocks back at this moment; nothing where NVML does not say, as the environment shows."""
    try:
        return tuple(gpu(device).clocks()["held_back"])
    except Unreadable:
        return ()


def _shared(device: torch.device, since: float) -> bool | None:
    """Whether more than this process computed on the GPU since a moment; None where NVML does not say."""
    try:
        return gpu(device).shared(since)
    except Unreadable:
        return None


class _Calls:
    """Calls, their seconds by the wall's clock, and of a GPU the events that it passed before and after each."""

    def __init__(self, call: Callable[[], object], device: torch.device) -> None:
        self.call, self.device = call, device
        self.seconds: list[float] = []
        self.events: list[tuple[Any, Any]] = []

    def make(self, *, alone: bool) -> float:
        """One more; alone: the device is idle before and after it."""
        if alone:
            idle(self.device)
        began, event = time.perf_counter(), self._passed()
        self.call()
        if event is not None:
            self.events.append((event, self._passed()))
        if alone:
            idle(self.device)
        self.seconds.append(time.perf_counter() - began)
        return self.seconds[-1]

    def on_device(self) -> tuple[float, ...] | None:
        """Seconds between the events of each, once the device is idle; None where it has none."""
        if self.device.type != "cuda":
            return None
        return tuple(start.elapsed_time(end) / 1000 for start, end in self.events)

    def _passed(self) -> Any:
        """An event that the device passes when it comes to it, and nobody waits for; None without one."""
        if self.device.type != "cuda":
            return None
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event


def idle(device: torch.device) -> None:
    """Wait until the device has done all that was asked of it; the host itself has when a call returns."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def _settled(seconds: Sequence[float]) -> bool:
    """Whether the running median moved by hardly anything with the last call."""
    if len(seconds) <= WINDOW:
        return False
    last, now = statistics.median(seconds[-WINDOW - 1 : -1]), statistics.median(seconds[-WINDOW:])
    return abs(now - last) <= SETTLED * last
