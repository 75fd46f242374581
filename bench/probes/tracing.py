"""What torch's profiler sees: how long the device rests, and a trace to be looked at."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bench.errors import Omitted

CALLS = 5


def idle_share(call: Callable[[], object], device: torch.device, calls: int = CALLS) -> tuple[float, int]:
    """(share of the time between the first kernel's start and the last one's end in which none runs, calls).

    Kernels that run beside each other count once. Raises Omitted where the profiler saw none.
    """
    from torch.profiler import ProfilerActivity, profile

    torch.cuda.synchronize(device)
    with profile(activities=[ProfilerActivity.CUDA]) as traced:
        for _ in range(calls):
            call()
        torch.cuda.synchronize(device)
    if not (spans := _kernels(traced)):
        raise Omitted("the profiler saw no kernel on the GPU")
    return resting(spans), calls


def _kernels(traced: Any) -> list[tuple[float, float]]:
    """When each began and ended, in µs."""
    on_device = torch._C._autograd.DeviceType.CUDA
    events = (event for event in traced.events() if event.device_type == on_device)
    return [(event.time_range.start, event.time_range.end) for event in events]


def resting(spans: list[tuple[float, float]]) -> float:
    """The share of the time from the first start to the last end in which no span lies."""
    busy, end = 0.0, -float("inf")
    for start, stop in sorted(spans):
        busy += max(0.0, stop - max(start, end))
        end = max(end, stop)
    whole = end - min(start for start, _ in spans)
    return max(0.0, 1 - busy / whole) if whole > 0 else 0.0


def trace(call: Callable[[], object], device: torch.device, target: Path) -> None:
    """Write what the host and the device do in a call, the second one, as a trace for chrome://tracing or Perfetto."""
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # what it says of a GPU that is not there
    from torch.profiler import ProfilerActivity, profile

    activities = [ProfilerActivity.CPU, *([ProfilerActivity.CUDA] if device.type == "cuda" else [])]
    call()
    with profile(activities=activities, record_shapes=True) as traced:
        call()
    target.parent.mkdir(parents=True, exist_ok=True)
    traced.export_chrome_trace(str(target))
