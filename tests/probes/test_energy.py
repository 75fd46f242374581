"""Energy by counters that are made up: a processor's packages in files, a GPU behind NVML's interface."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from bench.probes import energy, nvml, stopwatch
from bench.probes.energy import GPU, PACKAGES, Meter
from bench.probes.load import between, reading
from bench.probes.machine import cpu_quota, environment
from bench.probes.nvml import Unreadable, gpu, processes

CPU, CUDA = torch.device("cpu"), torch.device("cuda")


def package(folder: Path, number: int, microjoules: int, most: int = 1000, name: str = "package-0") -> Path:
    zone = folder / f"intel-rapl:{number}"
    zone.mkdir(parents=True)
    (zone / "name").write_text(f"{name}\n")
    (zone / "max_energy_range_uj").write_text(f"{most}\n")
    (zone / "energy_uj").write_text(f"{microjoules}\n")
    return zone / "energy_uj"


class TestPackages:
    @pytest.fixture(autouse=True)
    def _zones(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(energy, "ZONES", tmp_path)

    def test_all_packages_are_summed_and_their_parts_are_not(self, tmp_path: Path) -> None:
        first, second = package(tmp_path, 0, 100), package(tmp_path, 1, 500)
        package(tmp_path, 2, 7, name="psys")  # the platform, which holds both
        (tmp_path / "intel-rapl:0:0").mkdir()
        (tmp_path / "intel-rapl:0:0" / "name").write_text("core\n")
        meter = Meter(CPU)
        meter.start()
        first.write_text("400\n")
        second.write_text("600\n")
        meter.stop()
        assert meter.source == PACKAGES and meter.joules == pytest.approx(400e-6)

    def test_a_counter_that_starts_over_loses_nothing(self, tmp_path: Path) -> None:
        file = package(tmp_path, 0, 900, most=1000)
        meter = Meter(CPU)
        meter.start()
        file.write_text("50\n")
        meter.start()  # as every step does: it may start over again before it is stopped
        file.write_text("20\n")
        meter.stop()
        assert meter.joules == pytest.approx(1120e-6)

    def test_one_that_vanishes_on_the_way_ends_no_training(self, tmp_path: Path) -> None:
        file = package(tmp_path, 0, 0)
        meter = Meter(CPU)
        meter.start()
        file.unlink()
        meter.stop()
        meter.start()
        assert meter.joules is None and "could be read no more" in meter.why

    def test_what_passes_while_it_stands_still_is_not_counted(self, tmp_path: Path) -> None:
        file = package(tmp_path, 0, 0)
        meter = Meter(CPU, spent=1.0)
        for begin, end in ((0, 100), (500, 600)):
            file.write_text(str(begin))
            meter.start()
            meter.start()  # it runs already
            file.write_text(str(end))
            meter.stop()
        assert meter.joules == pytest.approx(1 + 200e-6)

    def test_what_was_spent_before_and_is_not_known_stays_so(self, tmp_path: Path) -> None:
        package(tmp_path, 0, 0)
        meter = Meter(CPU, spent=None)
        meter.start()
        meter.stop()
        assert meter.joules is None

    def test_without_a_counter_there_is_a_reason(self) -> None:
        meter = Meter(CPU)
        meter.start()
        meter.stop()
        assert meter.joules is None and "no counter of energy is here" in meter.why

    def test_one_that_holds_no_number_says_so(self, tmp_path: Path) -> None:
        package(tmp_path, 0, 0).write_text("none")
        assert "RAPL cannot be read" in Meter(CPU).why


class Library(SimpleNamespace):
    """NVML as its Python package has it, of one GPU whose counters are attributes."""

    NVML_CLOCK_SM, NVML_CLOCK_MEM, NVML_TEMPERATURE_GPU = 0, 1, 0
    nvmlClocksEventReasonSwPowerCap, nvmlClocksEventReasonHwThermalSlowdown = 4, 64

    class NVMLError(Exception):
        pass

    def __init__(self) -> None:
        super().__init__(millijoules=0, reasons=0, pids={}, broken="", at_work={})

    def nvmlInit(self) -> None:
        if self.broken == "init":
            raise self.NVMLError("Driver Not Loaded")

    def nvmlDeviceGetCount(self) -> int:
        return 1

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:
        return "GPU-42"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:
        return uuid

    def nvmlSystemGetDriverVersion(self) -> str:
        return "580.1"

    def nvmlDeviceGetTotalEnergyConsumption(self, handle: str) -> int:
        assert handle == "GPU-42"
        if self.broken == "energy":
            raise self.NVMLError("Not Supported")
        return int(self.millijoules)

    def nvmlDeviceGetCurrentClocksEventReasons(self, handle: str) -> int:
        return int(self.reasons)

    def nvmlDeviceGetClockInfo(self, handle: str, which: int) -> int:
        return (1980, 2619)[which]

    def nvmlDeviceGetTemperature(self, handle: str, which: int) -> int:
        return 61

    def nvmlDeviceGetComputeRunningProcesses(self, handle: str) -> list[Any]:
        return [SimpleNamespace(pid=pid, usedGpuMemory=held) for pid, held in self.pids.items()]

    def nvmlDeviceGetProcessUtilization(self, handle: str, since: int) -> list[Any]:
        if not self.at_work:
            raise self.NVMLError("Not Found")
        return [SimpleNamespace(pid=pid, smUtil=share) for pid, share in self.at_work.items()]


@pytest.fixture
def library(monkeypatch: pytest.MonkeyPatch) -> Iterator[Library]:
    made = Library()
    monkeypatch.setitem(sys.modules, "pynvml", made)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda device: SimpleNamespace(uuid="42"))
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "NVIDIA H100 80GB HBM3")
    for cached in (nvml._gpu, nvml._library):
        cached.cache_clear()
    yield made
    for cached in (nvml._gpu, nvml._library):
        cached.cache_clear()


class TestGpu:
    def test_its_own_counter_is_read(self, library: Library) -> None:
        meter = Meter(CUDA)
        meter.start()
        library.millijoules = 12_500
        meter.stop()
        assert meter.source == GPU and meter.joules == 12.5

    @pytest.mark.parametrize(("broken", "why"), [("init", "Driver Not Loaded"), ("energy", "Not Supported")])
    def test_where_the_driver_does_not_say_there_is_its_reason(self, library: Library, broken: str, why: str) -> None:
        library.broken = broken
        assert Meter(CUDA).joules is None and why in Meter(CUDA).why

    def test_without_the_package_it_says_how_to_get_it(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "pynvml", None)
        nvml._library.cache_clear()
        with pytest.raises(Unreadable, match=r'pip install "genbench\[gpu\]"'):
            processes()

    def test_heat_is_a_reason_and_the_usual_cap_of_power_is_noted(self, library: Library) -> None:
        library.reasons = 4 | 64
        assert gpu(CUDA).clocks() == {
            "sm_mhz": 1980, "memory_mhz": 2619, "celsius": 61, "held_back": ["HwThermalSlowdown", "SwPowerCap"],
        }  # fmt: skip

    def test_the_record_knows_driver_and_clocks(self, library: Library) -> None:
        found = environment(CUDA)
        assert found["driver"] == "580.1" and found["gpu_clocks"]["sm_mhz"] == 1980
        assert (found["gpu"], environment(CPU)["driver"]) == ("NVIDIA H100 80GB HBM3", None)

    def test_processes_are_told_by_the_hosts_numbers(self, library: Library) -> None:
        library.pids = {7: 100, 9: None}
        assert processes() == {7, 9} and gpu(CUDA).process_bytes() == {7: 100, 9: None}

    def test_another_that_computes_beside_it_is_noticed(
        self, library: Library, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Not one that only holds memory, as the process does that waits for this one."""
        assert stopwatch._shared(CUDA, 0.0) is None and stopwatch._shared(CPU, 0.0) is None
        library.at_work = {7: 90, 9: 0}
        assert stopwatch._shared(CUDA, 0.0) is False
        for busy in ({7: 90, 9: 40}, {7: 3, 9: 95}, {os.getpid(): 3, 9: 95}):
            library.at_work = busy
            assert stopwatch._shared(CUDA, 0.0) is True
        library.at_work = {os.getpid(): 95, 9: 1}
        assert stopwatch._shared(CUDA, 0.0) is False
        timing = stopwatch.time_calls(lambda: None, CPU, min_seconds=0)
        alone = replace(timing, load=replace(timing.load, others=0.0, stolen=0.0, held=0.0))
        assert not alone.busy and replace(alone, shared=True).busy


class TestHeldBack:
    def test_a_quota_that_held_the_process_back_is_told(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        stat = tmp_path / "cpu.stat"
        monkeypatch.setattr("bench.probes.load.QUOTA", stat)
        monkeypatch.setattr("bench.probes.load.HEAT", tmp_path / "heat")
        stat.write_text("usage_usec 5\nthrottled_usec 1000000\n")
        before = reading()
        stat.write_text("usage_usec 9\nthrottled_usec 1500000\n")
        after = before.__class__(
            **{**vars(reading()), "wall": before.wall + 1.0, "own": before.own, "busy": before.busy}
        )
        found = between(before, after)
        assert found.held == pytest.approx(0.5) and found.busy(1)

    def test_heat_is_told_too(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        heat = tmp_path / "heat"
        monkeypatch.setattr("bench.probes.load.QUOTA", tmp_path / "none")
        monkeypatch.setattr("bench.probes.load.HEAT", heat)
        assert reading().held is None
        heat.write_text("250\n")
        assert reading().held == 0.25

    @pytest.mark.parametrize(
        ("files", "cores"),
        [
            ({"cpu.max": "150000 100000"}, 1.5),
            ({"cpu.max": "max 100000"}, None),
            ({"cpu/cpu.cfs_quota_us": "50000", "cpu/cpu.cfs_period_us": "100000"}, 0.5),
            ({"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, None),
            ({}, None),
        ],
    )
    def test_a_containers_quota_is_in_the_record(
        self, files: dict[str, str], cores: float | None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("bench.probes.machine.CGROUP", tmp_path)
        for name, text in files.items():
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).write_text(text + "\n")
        assert cpu_quota() == cores
