"""What a GPU says of itself and torch does not, through NVIDIA's management library (NVML)."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import torch

T = TypeVar("T")
# Why a GPU holds its clocks below what it was asked for, by their names in NVML; a cap of power is its normal state.
_HELD_BACK = ("HwSlowdown", "HwThermalSlowdown", "HwPowerBrakeSlowdown", "SwThermalSlowdown", "SwPowerCap")
USUAL = "SwPowerCap"
AT_WORK = 5  # % of the time for which a process kept the GPU in use that counts as one that computes


class Unreadable(Exception):
    """NVML is not here, or does not say this of this GPU; the message is the reason."""


@dataclass(frozen=True)
class Gpu:
    """One GPU. Every method raises Unreadable where NVML does not say."""

    nvml: Any
    handle: Any

    def joules(self) -> float:
        """Energy of the whole GPU since its driver was loaded."""
        return float(self._ask(self.nvml.nvmlDeviceGetTotalEnergyConsumption)) / 1000

    def process_bytes(self) -> dict[int, int | None]:
        """Memory by process, as the system of the host numbers them: in a container no number may be this process's."""
        found = self._ask(self.nvml.nvmlDeviceGetComputeRunningProcesses)
        return {int(process.pid): process.usedGpuMemory for process in found}

    def shared(self, since: float) -> bool:
        """Whether others have computed on it since a moment (``time.time()``), beside the one that this process is.

        In a container no number is this process's; then it counts as the one that computed least.
        """
        samples = self._ask(self.nvml.nvmlDeviceGetProcessUtilization, int(since * 1e6))
        most = dict[int, int]()
        for sample in samples:
            most[int(sample.pid)] = max(most.get(int(sample.pid), 0), int(sample.smUtil))
        others = [share for pid, share in most.items() if pid != os.getpid() and share > 0]
        if os.getpid() not in most:
            others = sorted(others)[1:]
        return max(others, default=0) >= AT_WORK

    def clocks(self) -> dict[str, Any]:
        """Clocks in MHz, temperature in °C, and for what reasons it holds its clocks back."""
        mask = self._ask(self.nvml.nvmlDeviceGetCurrentClocksEventReasons)
        return {
            "sm_mhz": self._ask(self.nvml.nvmlDeviceGetClockInfo, self.nvml.NVML_CLOCK_SM),
            "memory_mhz": self._ask(self.nvml.nvmlDeviceGetClockInfo, self.nvml.NVML_CLOCK_MEM),
            "celsius": self._ask(self.nvml.nvmlDeviceGetTemperature, self.nvml.NVML_TEMPERATURE_GPU),
            "held_back": [name for name in _HELD_BACK if mask & self._bit(name)],
        }

    def driver(self) -> str:
        try:
            return str(self.nvml.nvmlSystemGetDriverVersion())
        except self.nvml.NVMLError as error:
            raise Unreadable(f"NVML: {error}") from error

    def _bit(self, name: str) -> int:
        """Newer drivers call them event reasons, older ones throttle reasons."""
        return int(
            getattr(self.nvml, f"nvmlClocksEventReason{name}", 0)
            or getattr(self.nvml, f"nvmlClocksThrottleReason{name}", 0)
        )

    def _ask(self, question: Callable[..., T], *more: Any) -> T:
        try:
            return question(self.handle, *more)
        except self.nvml.NVMLError as error:
            raise Unreadable(f"NVML: {error}") from error


def gpu(device: torch.device) -> Gpu:
    """The GPU that torch calls so. Raises Unreadable, as for a device that is none."""
    return _gpu(device, os.getpid())


@functools.cache
def _gpu(device: torch.device, process: int) -> Gpu:
    if device.type != "cuda":
        raise Unreadable("no GPU was used")
    nvml = _library(process)
    try:
        uuid = torch.cuda.get_device_properties(device).uuid
        return Gpu(nvml, nvml.nvmlDeviceGetHandleByUUID(f"GPU-{uuid}"))
    except nvml.NVMLError as error:
        raise Unreadable(f"NVML: {error}") from error


@functools.cache
def _library(process: int) -> Any:
    """The module, ready to be asked. process: whose; one that was forked asks anew."""
    try:
        import pynvml
    except ImportError:
        raise Unreadable('NVML needs its package: pip install "genbench[gpu]"') from None
    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError as error:
        raise Unreadable(f"NVML: {error}") from error
    return pynvml


def processes() -> set[int]:
    """The numbers of all processes that compute on any GPU; no context is made for it. Raises Unreadable."""
    nvml = _library(os.getpid())
    try:
        handles = [nvml.nvmlDeviceGetHandleByIndex(i) for i in range(nvml.nvmlDeviceGetCount())]
        return {int(p.pid) for handle in handles for p in nvml.nvmlDeviceGetComputeRunningProcesses(handle)}
    except nvml.NVMLError as error:
        raise Unreadable(f"NVML: {error}") from error
