"""Whether a machine was busy, from clocks with known readings."""

from __future__ import annotations

import pytest

from bench.probes import load
from bench.probes.load import Reading, between


def at(wall: float, own: float, busy: float | None, stolen: float | None = 0.0, average: float | None = 1.0) -> Reading:
    return Reading(wall, own, busy, stolen, average)


@pytest.mark.parametrize(
    ("others", "needed", "busy"),
    [(0.1, 2, False), (0.5, 2, True), (0.5, 1, False), (1.1, 1, False), (1.5, 1, True), (4.0, 8, True)],
)
def test_a_machine_is_busy_where_fewer_cores_are_left_than_needed(others: float, needed: int, busy: bool) -> None:
    found = between(at(0, 0, 0), at(10, 15, 15 + 10 * others), cores=2)
    assert found.others == pytest.approx(others)
    assert (found.seconds, found.cpu_seconds, found.busy(needed)) == (10, 15, busy)


def test_what_the_host_keeps_back_counts() -> None:
    assert between(at(0, 0, 0, 0), at(10, 5, 5, 2), cores=2).stolen == pytest.approx(0.1)
    assert between(at(0, 0, 0, 0), at(10, 5, 5, 2), cores=2).busy(1)


def test_without_a_count_of_cores_the_average_load_tells() -> None:
    found = between(at(0, 0, None, None), at(10, 10, None, None, 3.0), cores=2)
    assert found.others == pytest.approx(2) and found.stolen is None and found.busy(1)
    assert between(at(0, 0, None, None, None), at(1, 1, None, None, None), cores=2).others is None


def test_this_machine_can_be_read() -> None:
    found = load.now(0.05)
    assert found.seconds >= 0.05 and found.cpu_seconds >= 0
    assert found.others is not None and found.others >= 0 and found.cores >= 1
