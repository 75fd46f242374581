"""How busy a machine is with work of others: a time that was taken meanwhile is not of this work alone."""

from __future__ import annotations

import contextlib
import os
import time
from dataclasses import dataclass
from pathlib import Path

STAT = Path("/proc/stat")
QUOTA = Path("/sys/fs/cgroup/cpu.stat")  # of a container
HEAT = Path("/sys/devices/system/cpu/cpu0/thermal_throttle/package_throttle_total_time_ms")
# What a machine that does nothing else does all the same: the display of a run, the system's housekeeping.
IDLE_CORES = 0.25
STOLEN = 0.05  # share of the time; of what a quota or heat holds back, too


@dataclass(frozen=True)
class Reading:
    """Clocks at one moment, in seconds: the wall's, of this process, of all cores in use, and what a host kept back.

    load: mean number of runnable processes over the last minute.  held: while a container's quota, or heat, held the
    processor back.  None where the system does not say.
    """

    wall: float
    own: float
    busy: float | None
    stolen: float | None
    load: float | None
    held: float | None = None


def reading() -> Reading:
    """The clocks as they stand; children count once they have ended."""
    used = os.times()
    own = used.user + used.system + used.children_user + used.children_system
    try:
        load = os.getloadavg()[0]
    except OSError:
        load = None
    busy, stolen = _cores()
    return Reading(time.monotonic(), own, busy, stolen, load, _held())


def _held() -> float | None:
    """Seconds for which a quota or heat held the processor back, whichever the system tells of."""
    found = []
    with contextlib.suppress(OSError, ValueError, KeyError):
        lines = dict(line.split() for line in QUOTA.read_text().splitlines())
        found.append(int(lines["throttled_usec"]) / 1e6)
    with contextlib.suppress(OSError, ValueError):
        found.append(int(HEAT.read_text()) / 1e3)
    return sum(found) if found else None


def _cores() -> tuple[float, float] | tuple[None, None]:
    """Seconds for which the cores that this process may use were in use, and that were kept back from them."""
    try:
        lines = {
            name: [int(tick) for tick in ticks[:8]] for name, *ticks in map(str.split, STAT.read_text().splitlines())
        }
        own = [lines[name] for core in usable() if (name := f"cpu{core}") in lines] or [lines["cpu"]]
        user, nice, system, _, _, irq, softirq, stolen = map(sum, zip(*own, strict=True))
    except (OSError, ValueError, KeyError):  # macOS has no such file
        return None, None
    second = os.sysconf("SC_CLK_TCK")
    return (user + nice + system + irq + softirq) / second, stolen / second


def usable() -> set[int]:
    """The cores that this process may use, by number."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else {*range(os.cpu_count() or 1)}


@dataclass(frozen=True)
class Load:
    """What went on between two readings.

    cores: that this process may use.  others: of them, on average, those that other processes kept in use.  stolen:
    share of them that the host of a virtual machine kept back.  before: the average load when it began.  held: share
    of the time for which a container's quota, or heat, held the processor back.  None where the system does not say.
    """

    seconds: float
    cpu_seconds: float
    others: float | None
    stolen: float | None
    before: float | None
    cores: int
    held: float | None = None

    def busy(self, needed: int) -> bool:
        """Whether fewer than ``needed`` cores were left for this process, or they were held back."""
        crowded = self.others is not None and self.others > max(0, self.cores - needed) + IDLE_CORES
        return crowded or (self.stolen or 0.0) > STOLEN or (self.held or 0.0) > STOLEN


def between(first: Reading, last: Reading, cores: int | None = None) -> Load:
    """The load of the time between; where the system has no count of its cores, from its average load."""
    cores = cores or len(usable())
    wall, own = max(last.wall - first.wall, 1e-9), last.own - first.own
    if first.busy is not None and last.busy is not None:
        others: float | None = max(0.0, (last.busy - first.busy - own) / wall)
    else:
        others = None if last.load is None else max(0.0, last.load - own / wall)
    stolen = None if first.stolen is None or last.stolen is None else (last.stolen - first.stolen) / (wall * cores)
    held = None if first.held is None or last.held is None else (last.held - first.held) / wall
    return Load(wall, own, others, stolen, first.load, cores, held)


def now(seconds: float = 0.5) -> Load:
    """The load of the next moment; this process sleeps meanwhile."""
    first = reading()
    time.sleep(seconds)
    return between(first, reading())
