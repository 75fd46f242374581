"""What a process that only samples measures: against generators whose memory and time are known."""

from __future__ import annotations

import os
import time
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench.measure import alone
from bench.measure.alone import SWEEP_SECONDS, Alone, sampling_alone
from bench.probes.memory import available_bytes, out_of_memory, peak_rss_bytes, reset_peak_rss, rss_bytes
from bench.probes.nvml import Unreadable

CPU, CUDA = torch.device("cpu"), torch.device("cuda")
MIB = 2**20
STATS = {"allocated_bytes.all.peak": 30, "requested_bytes.all.peak": 20, "reserved_bytes.all.peak": 40}


class Clock:
    now = 0.0


class Costly:
    """A batch takes a fixed time and one for each example, and memory, which it may not have."""

    fixed, each, most, held = 0.01, 0.001, 10**9, 0

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        if n > self.most:
            raise RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes")
        kept = np.ones(self.held, dtype=np.uint8)
        Clock.now += self.fixed + self.each * n
        return torch.zeros(n, 1) + float(kept[:1].sum())


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "perf_counter", lambda: Clock.now)
    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)


def measure(model: Costly, batch_size: int = 4) -> Alone:
    return sampling_alone(model, batch_size=batch_size, seed=0, device=CPU, load=1.5, before=set())


@pytest.mark.usefixtures("clock")
class TestSweep:
    def test_batches_are_doubled_until_two_doublings_gain_nothing(self) -> None:
        """Of n / (10 + n) a doubling gains 5 % for the last time from 64 to 128; the two behind it are drawn yet."""
        found = measure(Costly())
        assert list(found.sweep) == [2**i for i in range(11)] and (found.fits, found.beyond) == (1024, None)
        for size, rate in found.sweep.items():
            assert rate == pytest.approx(size / (0.01 + 0.001 * size), rel=1e-6)
            kept = found.raw[f"batches of {size} in a process of its own"]
            assert rate == size * len(kept["calls"]) / kept["total"]
        assert found.first == pytest.approx(0.014) and (found.load, found.batch_size) == (1.5, 4)

    def test_the_largest_that_fits_is_known_where_the_next_does_not(self) -> None:
        small = Costly()
        small.most = 16
        found = measure(small)
        assert (found.fits, found.beyond) == (16, 32) and max(found.sweep) == 16

    def test_one_that_is_not_free_is_not_drawn(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system would end the process: by what half of it took."""
        monkeypatch.setattr(alone, "available_bytes", lambda: 100)
        monkeypatch.setattr(alone, "peak_rss_bytes", lambda: 1060)
        monkeypatch.setattr(alone, "rss_bytes", lambda: 1000)
        found = measure(Costly())
        assert (found.fits, found.beyond) == (1, 2)

    @pytest.mark.parametrize(("each", "last"), [(1.5, 1), (0.3, 4), (0.1, 8)])
    def test_what_would_not_end_in_time_is_not_begun(self, each: float, last: int) -> None:
        slow = Costly()
        slow.each = each
        started = Clock.now
        found = measure(slow, batch_size=1)
        assert (found.fits, found.beyond) == (last, None)
        assert Clock.now - started < 2 * each + SWEEP_SECONDS + 6 * each * last

    def test_another_error_ends_it_with_what_is_known(self) -> None:
        class Broken(Costly):
            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                if n > 2:
                    raise RuntimeError("CUDA error: invalid configuration argument")
                return super().sample(n, rng)

        found = measure(Broken(), batch_size=1)
        assert (list(found.sweep), found.fits, found.beyond) == ([1, 2], 2, None)
        with pytest.raises(RuntimeError, match="invalid configuration"):  # of the batch that was asked for
            measure(Broken(), batch_size=4)


class TestMemory:
    def test_what_it_allocates_is_in_its_peak(self) -> None:
        """To a twentieth: pages of the interpreter come and go."""
        large, before = Costly(), rss_bytes()
        large.held, large.most = 400 * MIB, 4
        assert measure(large).rss_bytes - before == pytest.approx(400 * MIB, rel=0.05)

    def test_a_peak_begins_anew(self) -> None:
        kept = np.ones(200 * MIB, dtype=np.uint8)
        held = peak_rss_bytes()
        del kept
        assert reset_peak_rss() and peak_rss_bytes() < held - 150 * MIB

    def test_a_containers_limit_counts(self, tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
        (tmp_path / "memory.max").write_text("1000\n")
        (tmp_path / "memory.current").write_text("400\n")
        (tmp_path / "memory.stat").write_text("file 300\ninactive_file 100\n")
        monkeypatch.setattr("bench.probes.memory.CGROUP", tmp_path)
        assert available_bytes() == 700  # what files hold in memory is given back
        (tmp_path / "memory.max").write_text("max\n")
        assert (available_bytes() or 0) > MIB

    def test_what_allocators_raise_is_known(self) -> None:
        assert out_of_memory(MemoryError()) and out_of_memory(torch.OutOfMemoryError("CUDA out of memory"))
        assert out_of_memory(RuntimeError("CUBLAS_STATUS_ALLOC_FAILED when calling cublasCreate"))
        assert not out_of_memory(RuntimeError("wrong shape"))


class TestGpu:
    @pytest.fixture(autouse=True)
    def _fake(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(torch.cuda, "synchronize", lambda device: None)
        monkeypatch.setattr(torch.cuda, "memory_stats", lambda device: STATS)

    def processes(self, monkeypatch: pytest.MonkeyPatch, found: dict[int, int | None]) -> None:
        monkeypatch.setattr(alone, "gpu", lambda device: SimpleNamespace(process_bytes=lambda: found))

    def test_peaks_are_the_allocators_and_the_process_is_nvmls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes(monkeypatch, {os.getpid(): 700, 9: 5})
        assert alone._gpu(CUDA, {9}) == ({"allocated": 30, "requested": 20, "reserved": 40, "process": 700}, {})

    def test_in_a_container_it_is_the_one_that_came(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.processes(monkeypatch, {4711: 700, 9: 5})
        assert alone._gpu(CUDA, {9})[0]["process"] == 700

    @pytest.mark.parametrize(
        ("found", "before"),
        [({4711: 700, 4712: 3}, set()), ({9: 5}, {9}), ({4711: None}, set()), ({4711: 700}, "NVML: Driver Not Loaded")],
    )
    def test_a_process_that_nvml_does_not_know_is_null(
        self, found: dict[int, int | None], before: set[int] | str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.processes(monkeypatch, found)
        peaks, why = alone._gpu(CUDA, before)
        assert "process" not in peaks and why["process"].startswith("NVML")

    def test_without_nvml_the_rest_is_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(device: torch.device) -> Any:
            raise Unreadable("NVML: Not Supported")

        monkeypatch.setattr(alone, "gpu", broken)
        peaks, why = alone._gpu(CUDA, set())
        assert sorted(peaks) == ["allocated", "requested", "reserved"] and why == {"process": "NVML: Not Supported"}

    def test_without_a_gpu_there_is_a_reason_and_no_zero(self) -> None:
        peaks, why = alone._gpu(CPU, set())
        assert not peaks and set(why.values()) == {"no GPU was used"}
