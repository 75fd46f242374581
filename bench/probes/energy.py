"""Energy from counters that hardware keeps: of a GPU in use (NVML), else of the processor's packages (RAPL).

Both count all that runs there, and not this process alone; what else was busy meanwhile stands beside the number.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import torch

from bench.probes.nvml import Unreadable, gpu

ZONES = Path("/sys/class/powercap")
GPU, PACKAGES = "NVML, the whole GPU", "RAPL, all processor packages"


class Meter:
    """Joules while it runs, on top of what was ``spent`` before it was made; None where that is not known.

    source: whose counter it reads, "" for none.  why: the reason where there is none; then ``joules`` is None.
    """

    def __init__(self, device: torch.device, spent: float | None = 0.0) -> None:
        self.source, self.why = "", ""
        self._spent = spent
        self._before: float | None = None  # what the counter said when it was started; None while it stands still
        self._read: Callable[[], float] = lambda: 0.0
        try:
            self.source, self._read = _counter(device)
        except Unreadable as error:
            self.why = str(error)

    def start(self) -> None:
        """Count from here; one that runs goes on."""
        if self._before is None:
            self._before = self._now()
        elif self.source == PACKAGES:  # these start over, and more than once between two looks at them
            self._now()

    def stop(self) -> None:
        """Count no further, until it is started again."""
        if self._before is not None and (now := self._now()) is not None:
            self._spent = None if self._spent is None else self._spent + now - self._before
        self._before = None

    def _now(self) -> float | None:
        """None, from now on, where a counter that was there can be read no more."""
        try:
            return self._read() if self.source else None
        except (Unreadable, OSError, ValueError) as error:
            self.source, self.why, self._spent = "", f"its counter of energy could be read no more: {error}", None
            return None

    @property
    def joules(self) -> float | None:
        """What was counted until it was stopped; None where nothing can be read."""
        return self._spent if self.source else None


def _counter(device: torch.device) -> tuple[str, Callable[[], float]]:
    """Whose counter, and what reads it in joules. Raises Unreadable."""
    if device.type == "cuda":
        read = gpu(device).joules
        read()
        return GPU, read
    zones = [zone for zone in sorted(ZONES.glob("intel-rapl:*")) if _is_package(zone)]
    if not zones:
        raise Unreadable(f"no counter of energy is here (RAPL, in {ZONES})")
    packages = [_Package(zone) for zone in zones]
    return PACKAGES, lambda: sum(package.joules() for package in packages)


def _is_package(zone: Path) -> bool:
    """And neither a part of one nor the whole platform, which holds them."""
    try:
        return (zone / "name").read_text().startswith("package")
    except OSError:
        return False


class _Package:
    """The counter of one processor package, which starts over at a number of its own.

    Raises Unreadable where it may not be read, which only root may on most machines.
    """

    def __init__(self, zone: Path) -> None:
        self.file, self.turns = zone / "energy_uj", 0
        try:
            self.most = int((zone / "max_energy_range_uj").read_text())
            self.last = int(self.file.read_text())
        except (OSError, ValueError) as error:
            raise Unreadable(f"RAPL cannot be read: {error}") from error

    def joules(self) -> float:
        now = int(self.file.read_text())
        self.turns += now < self.last
        self.last = now
        return (now + self.turns * self.most) / 1e6
