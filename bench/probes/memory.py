"""Peak memory of this process and of its GPU. A value that cannot be known is None, with the reason, never 0."""

from __future__ import annotations

import gc
import re
import resource
import sys
from pathlib import Path

import torch


def peak_rss_bytes() -> int:
    """Largest resident set this process has had, in bytes, interpreter and libraries included.

    Linux: ``VmHWM``, which starts anew with each program; ``ru_maxrss`` inherits the peak of the parent.
    """
    status = Path("/proc/self/status")
    if status.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", status.read_text())):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def reset_peak_gpu(device: torch.device) -> None:
    """Start the peak anew; blocks cached by earlier work are given back first, or they would count as reserved."""
    if device.type == "cuda":
        gc.collect()
        torch.cuda.empty_cache()
        torch.cuda.synchronize(device)
        torch.cuda.reset_peak_memory_stats(device)


def peak_gpu_bytes(device: torch.device) -> tuple[int | None, str | None]:
    """(peak bytes allocated by tensors since the reset, None), or (None, the reason)."""
    if device.type != "cuda":
        return None, "no GPU was used"
    torch.cuda.synchronize(device)
    return torch.cuda.max_memory_allocated(device), None
