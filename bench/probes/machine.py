"""The machine and the versions a result was made with."""

from __future__ import annotations

import contextlib
import importlib.metadata
import os
import platform
import shutil
import subprocess
from pathlib import Path
from typing import Any

import torch

from bench.errors import DeviceError
from bench.probes.load import usable
from bench.probes.nvml import Unreadable, gpu

CPUINFO, CGROUP = Path("/proc/cpuinfo"), Path("/sys/fs/cgroup")
_CPU0 = Path("/sys/devices/system/cpu/cpu0")
LIBRARIES = ("genbench", "torch", "torchvision", "torch-fidelity", "numpy", "scipy", "pandas")


def environment(device: torch.device) -> dict[str, Any]:
    """What else decides a number: hardware, system, versions and torch's switches."""
    return {
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpu": cpu_name(),
        "cores": os.cpu_count(),
        "usable_cores": usable_cores(),
        "quota": cpu_quota(),
        "governor": _line(_CPU0 / "cpufreq" / "scaling_governor"),
        "cpu_mhz": _clock(),
        **_gpu(device),
        "device": device.type,
        "threads": torch.get_num_threads(),
        "versions": {name: importlib.metadata.version(name) for name in LIBRARIES},
        "cuda": torch.version.cuda if device.type == "cuda" else None,
        "cudnn": torch.backends.cudnn.version() if device.type == "cuda" else None,
        "tf32": torch.backends.cuda.matmul.allow_tf32,
        "cudnn_tf32": torch.backends.cudnn.allow_tf32,
        "matmul_precision": torch.get_float32_matmul_precision(),
        "cudnn_benchmark": torch.backends.cudnn.benchmark,
        "cudnn_deterministic": torch.backends.cudnn.deterministic,
        "commit": commit(),
    }


def _gpu(device: torch.device) -> dict[str, Any]:
    """Its name, its driver, and its clocks as they are; None where there is none, or NVML does not say."""
    found: dict[str, Any] = {"gpu": None, "driver": None, "gpu_clocks": None}
    if device.type == "cuda":
        found["gpu"] = torch.cuda.get_device_name(device)
        with contextlib.suppress(Unreadable):
            found["driver"] = gpu(device).driver()
            found["gpu_clocks"] = gpu(device).clocks()
    return found


def _line(path: Path) -> str | None:
    """What a file of the system says in its first line; None where it is not there."""
    try:
        return path.read_text().split("\n", 1)[0].strip() or None
    except OSError:
        return None


def _clock() -> float | None:
    """Mean of all cores' clocks, in MHz, as they are."""
    clocks = [float(line.split(":")[1]) for line in _lines(CPUINFO) if line.startswith("cpu MHz")]
    return round(sum(clocks) / len(clocks)) if clocks else None


def _lines(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def cpu_quota() -> float | None:
    """Cores' worth of time that a container may use; None without a limit."""
    words = (_line(CGROUP / "cpu.max") or "").split()
    if not words:  # the first version of control groups
        words = [_line(CGROUP / "cpu" / f"cpu.cfs_{name}_us") or "" for name in ("quota", "period")]
    try:
        quota, period = map(int, words)
    except ValueError:  # "max" is no limit
        return None
    return quota / period if quota > 0 else None


def commit() -> str | None:
    """The commit that is run, as a service of CI or git says it, ``-dirty`` where files differ from it; else None."""
    for name in ("GENBENCH_COMMIT", "GITHUB_SHA", "CI_COMMIT_SHA"):
        if os.environ.get(name):
            return os.environ[name]
    git = shutil.which("git")
    if git is None:
        return None
    asked = [git, "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"]
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10, check=True)
        return said.stdout.strip() or None
    return None


def cpu_name() -> str:
    names = [line.split(":", 1)[1].strip() for line in _lines(CPUINFO) if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def usable_cores() -> int:
    """Cores this process may run on (a container's share rather than the whole machine)."""
    return len(usable())


def choose_device(name: str) -> torch.device:
    """``auto`` takes the GPU where there is one. Raises DeviceError for ``cuda`` where there is none."""
    if name not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"unknown device {name!r}; there is auto, cpu, cuda")
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    if name == "cuda" and not torch.cuda.is_available():
        raise DeviceError("no CUDA GPU is usable here; run `genbench doctor`, or use --device cpu")
    return torch.device(name)
