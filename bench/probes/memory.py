"""Peak memory of this process and of its GPU. A value that cannot be known is None, with the reason, never 0."""

from __future__ import annotations

import contextlib
import gc
import re
import resource
import sys
from pathlib import Path

import torch

from bench.errors import said

STATUS, MEMINFO, CGROUP = Path("/proc/self/status"), Path("/proc/meminfo"), Path("/sys/fs/cgroup")


def peak_rss_bytes() -> int:
    """Largest resident set this process has had, in bytes, interpreter and libraries included.

    Linux: ``VmHWM``, which starts anew with each program; ``ru_maxrss`` inherits the peak of the parent.
    """
    if STATUS.exists() and (found := re.search(r"VmHWM:\s+(\d+) kB", STATUS.read_text())):
        return int(found[1]) * 1024
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024


def rss_bytes() -> int:
    """What of this process is resident now; its peak where the system tells no more."""
    found = re.search(r"VmRSS:\s+(\d+) kB", STATUS.read_text()) if STATUS.exists() else None
    return int(found[1]) * 1024 if found else peak_rss_bytes()


def reset_peak_rss() -> bool:
    """Let the peak begin anew at what is resident; False where the system does not let it, and it goes on."""
    try:
        Path("/proc/self/clear_refs").write_text("5")
    except OSError:
        return False
    return True


def available_bytes() -> int | None:
    """What this process may still take before the system, or a container's limit, ends it; None where nobody says."""
    found = []
    if MEMINFO.exists() and (match := re.search(r"MemAvailable:\s+(\d+) kB", MEMINFO.read_text())):
        found.append(int(match[1]) * 1024)
    with contextlib.suppress(OSError, ValueError):  # "max" is no limit
        limit, used = (int((CGROUP / f"memory.{name}").read_text()) for name in ("max", "current"))
        cached = re.search(r"^inactive_file (\d+)$", (CGROUP / "memory.stat").read_text(), re.MULTILINE)
        found.append(max(0, limit - used + (int(cached[1]) if cached else 0)))  # files are dropped for what is needed
    return min(found) if found else None


def out_of_memory(error: BaseException) -> bool:
    """Whether this is what an allocator raises that has no more to give."""
    told = said(error)  # not its own str(), which may raise anything
    known = ("allocate memory", "out of memory", "ALLOC_FAILED")
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or any(words in told for words in known)


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


def gpu_peaks(device: torch.device) -> dict[str, int]:
    """Peaks of torch's allocator since the reset, in bytes.

    requested: what tensors asked for; allocated: that with what rounding adds; reserved: what was taken from the GPU.
    """
    torch.cuda.synchronize(device)
    stats = torch.cuda.memory_stats(device)
    return {name: int(stats[f"{name}_bytes.all.peak"]) for name in ("allocated", "requested", "reserved")}
