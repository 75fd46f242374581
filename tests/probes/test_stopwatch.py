"""Timing against clocks and devices that are made up, so that the right answer is known."""

from __future__ import annotations

import math
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import torch

from bench.probes import stopwatch
from bench.probes.stopwatch import Timing, time_calls

CPU, GPU = torch.device("cpu"), torch.device("cuda")


class Machine:
    """A host and a device with one clock: a call takes the host so long, and the device so long after that."""

    def __init__(self, host: float, device: float, first: float = 0.0) -> None:
        self.host, self.device, self.once = host, device, first
        self.now = self.done = 0.0

    def call(self) -> None:
        self.now += self.host + self.once
        self.once = 0.0
        self.done = max(self.done, self.now) + self.device

    def wait(self, device: object = None) -> None:
        self.now = max(self.now, self.done)

    def event(self, **_: object) -> Event:
        return Event(self)


class Event:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine

    def record(self) -> None:
        self.at = max(self.machine.now, self.machine.done)

    def elapsed_time(self, end: Event) -> float:
        return 1000 * (end.at - self.at)


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Iterator[Machine]:
    made = Machine(host=0.02, device=0.05, first=3.0)
    monkeypatch.setattr(torch.cuda, "synchronize", made.wait)
    monkeypatch.setattr(torch.cuda, "Event", made.event)
    monkeypatch.setattr(time, "perf_counter", lambda: made.now)
    yield made


def test_latency_is_of_each_call_and_the_first_one_stands_apart(machine: Machine) -> None:
    found = time_calls(machine.call, GPU)
    assert found.first == pytest.approx(3.07) and found.settled
    assert found.calls == pytest.approx([0.07] * len(found.calls)) and len(found.calls) == 15
    assert found.on_device is not None and found.total == pytest.approx(sum(found.calls))


def test_throughput_overlaps_host_and_device(machine: Machine) -> None:
    """Of calls that follow one another the device hides the host: 20 a second, where each alone would give 14."""
    found = time_calls(machine.call, GPU, each=False)
    assert len(found.calls) / found.total == pytest.approx(1 / 0.05, rel=0.05)
    assert found.calls == pytest.approx([0.05] * len(found.calls), rel=0.5)


def test_both_minima_and_the_maximum_hold(machine: Machine) -> None:
    assert len(time_calls(machine.call, GPU, min_seconds=0).calls) == 9
    assert len(time_calls(machine.call, GPU, min_seconds=6.99).calls) == 100
    assert len(time_calls(machine.call, GPU, min_seconds=7, max_calls=20).calls) == 20


def test_a_warm_up_lasts_until_the_running_median_settles(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of calls that become faster by a tenth each until the tenth; one that never settles is cut, and says so."""
    now, calls = [0.0], [0]

    def falling() -> None:
        calls[0] += 1
        now[0] += 0.1 * 0.9 ** min(calls[0], 10)

    def rising() -> None:
        calls[0] += 1
        now[0] += 0.01 * 1.1 ** calls[0]

    monkeypatch.setattr(time, "perf_counter", lambda: now[0])
    found = time_calls(falling, CPU, min_seconds=2)
    assert found.settled and set(map(float, (round(x, 9) for x in found.calls))) == {round(0.1 * 0.9**10, 9)}
    calls[0] = 0
    unsettled = time_calls(rising, CPU, min_seconds=2)
    assert not unsettled.settled and len(unsettled.warmup) == stopwatch.WARMUP_CALLS


def test_a_slow_call_is_not_warmed_up_for_long(machine: Machine) -> None:
    machine.host = 10.0
    found = time_calls(machine.call, GPU, min_calls=3)
    assert len(found.warmup) == 2 and len(found.calls) == 3


def test_sleep_is_measured_to_within_five_percent() -> None:
    found = time_calls(lambda: time.sleep(0.05), CPU, min_seconds=0)
    assert sorted(found.calls)[len(found.calls) // 2] == pytest.approx(0.05, rel=0.05)
    assert found.total == pytest.approx(math.fsum(found.calls), rel=0.01) and found.on_device is None


def test_all_that_was_read_is_kept(machine: Machine) -> None:
    found = time_calls(machine.call, GPU)
    assert isinstance(found, Timing)
    assert {*found.raw} == {
            "first", "warmup", "settled", "calls", "total", "on_device", "load", "held_back", "shared", "joules",
            "energy",
        }  # fmt: skip
    assert found.raw["calls"] == found.calls and found.raw["load"]["busy"] == found.busy


def test_a_burner_beside_the_measurement_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a call that wants all cores, so that one process beside it is too many, whatever else runs here."""
    monkeypatch.setattr(torch, "get_num_threads", lambda: os.cpu_count() or 1)
    burner = subprocess.Popen([sys.executable, "-c", "while True: pass"])
    try:
        time.sleep(0.3)  # until it has begun
        found = time_calls(lambda: time.sleep(0.01), CPU)
    finally:
        burner.kill()
        burner.wait()
    assert found.busy and found.load.others is not None and found.load.others > 0.3
    assert found.raw["load"]["busy"] is True
