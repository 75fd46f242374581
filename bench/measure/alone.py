"""What sampling takes in a process in which nothing else has ever been: the first call, memory, and batch sizes."""

from __future__ import annotations

import gc
import math
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import torch

from bench.probes.memory import (
    available_bytes,
    gpu_peaks,
    out_of_memory,
    peak_rss_bytes,
    reset_peak_gpu,
    reset_peak_rss,
    rss_bytes,
)
from bench.probes.nvml import Unreadable, gpu
from bench.probes.stopwatch import Timing, idle, time_calls
from bench.protocols import Generator
from bench.streams import stream

RISE = 1.05  # by which throughput must rise with twice the batch, or twice nothing comes of it
SWEEP_SECONDS = 10.0  # in which batch sizes are tried
LARGEST = 2**20  # examples at a time
SWEPT = "batches of {} in a process of its own"
ROOM = 0.8  # share of the free memory that a batch may be expected to take


@dataclass(frozen=True)
class Alone:
    """What a fresh process measured.

    load, first: seconds to build the model and read its weights, and of the first call. rss_bytes: most memory resident
    since it was loaded, interpreter and libraries included, data not. gpu: peaks of the allocator (``allocated``,
    ``requested``, ``reserved``) and, by NVML, of the whole ``process``; why: of each that is missing the reason.
    batch_size: examples of these calls. sweep: examples a second by batch size, in the order they were tried. fits:
    the largest batch that was drawn; beyond: the next, for which memory did not do, None where time ended it.
    raw: of each batch size what ``Timing.raw`` says. busy: whether other work kept the machine busy during any.
    """

    load: float
    first: float
    rss_bytes: int
    batch_size: int
    sweep: Mapping[int, float]
    fits: int
    beyond: int | None = None
    gpu: Mapping[str, int] = field(default_factory=dict)
    why: Mapping[str, str] = field(default_factory=dict)
    raw: Mapping[str, Any] = field(default_factory=dict)
    busy: bool | None = None

    def calls(self, size: int) -> tuple[float, ...]:
        """Seconds of each call for a batch of this size, in order."""
        return tuple(self.raw.get(SWEPT.format(size), {}).get("calls", ()))


def sampling_alone(
    model: Generator, *, batch_size: int, seed: int, device: torch.device, load: float, before: set[int] | str
) -> Alone:
    """Measure a model that is loaded; before: the processes that were on the GPUs when this one began, or why unknown.

    Sampling is called twice: what the first leaves behind, the next may need. Then batches are doubled until that
    gains nothing twice, memory does not do, or time is over.
    """
    rng = stream(seed, "timing")
    gc.collect()
    reset_peak_gpu(device)
    reset_peak_rss()
    started = time.perf_counter()
    _draw(model, batch_size, rng, device)
    first = time.perf_counter() - started
    _draw(model, batch_size, rng, device)
    rss, peaks, why = peak_rss_bytes(), *_gpu(device, before)
    timings, fits, beyond = _sweep(model, rng, device)
    raw = {SWEPT.format(size): timing.raw for size, timing in timings.items()}
    busy = any(timing.busy for timing in timings.values()) if timings else None
    return Alone(load, first, rss, batch_size, _rates(timings), fits, beyond, peaks, why, raw, busy)


@torch.no_grad()
def _draw(model: Generator, n: int, rng: torch.Generator, device: torch.device) -> None:
    model.sample(n, rng)
    idle(device)


def _gpu(device: torch.device, before: set[int] | str) -> tuple[dict[str, int], dict[str, str]]:
    """Peaks by name, and why others are missing."""
    names = ("allocated", "requested", "reserved", "process")
    if device.type != "cuda":
        return {}, dict.fromkeys(names, "no GPU was used")
    peaks = gpu_peaks(device)
    try:
        peaks["process"] = _of_process(device, before)
        return peaks, {}
    except Unreadable as error:
        return peaks, {"process": str(error)}


def _of_process(device: torch.device, before: set[int] | str) -> int:
    """What NVML says that this process holds: by its number, or in a container by its being the only one that came."""
    found = gpu(device).process_bytes()
    came = set() if isinstance(before, str) else set(found) - before
    new = {os.getpid()} & set(found) or came
    if len(new) != 1:
        raise Unreadable("NVML numbers processes otherwise than this container, and several came meanwhile")
    held = found[new.pop()]
    if held is None:
        raise Unreadable("NVML does not tell memory by process here")
    return held


def _sweep(model: Generator, rng: torch.Generator, device: torch.device) -> tuple[dict[int, Timing], int, int | None]:
    """What each batch size took, the largest that was drawn, and the next if memory is what ended it.

    The system ends a process that takes more than there is, and so a batch is not drawn that by what half of it took
    would not fit; a GPU refuses instead.
    """
    sweep, fits, size, took, ends = dict[int, Timing](), 0, 1, 0, time.monotonic() + SWEEP_SECONDS
    while size <= LARGEST and not _flat(list(_rates(sweep).values())):
        if device.type != "cuda" and 2 * took > ROOM * (available_bytes() or math.inf):
            return sweep, fits, size
        reset_peak_rss()
        held = rss_bytes()
        try:
            draw = torch.no_grad()(partial(model.sample, size, rng))
            timing = time_calls(draw, device, each=False, min_calls=3, min_seconds=0.2)
        except (MemoryError, RuntimeError) as error:
            # Of another error, such as a kernel's for so large a grid, the sizes before it are known all the same.
            return sweep, fits, size if out_of_memory(error) else None
        fits, took, sweep[size] = size, peak_rss_bytes() - held, timing
        # Twice as many take as long at least.
        if time.monotonic() + timing.total > ends:
            break
        size *= 2
    return sweep, fits, None


def _rates(sweep: Mapping[int, Timing]) -> dict[int, float]:
    """Examples a second by batch size."""
    return {size: size * len(timing.calls) / timing.total for size, timing in sweep.items()}


def _flat(rates: list[float]) -> bool:
    """Whether the last two doublings gained nothing."""
    return len(rates) > 2 and max(rates[-2:]) < RISE * max(rates[:-2])
