"""Costs count only with quality: what makes noise is fast, and is not marked as the fastest."""

from __future__ import annotations

import pytest

from bench import RunRecord
from bench.results.board import BAND, Board, leaderboards
from reports._cells import band_text
from tests.report_records import record


def trials(name: str, quality: float, speed: float, metric: str = "fd_lenet", **more: object) -> list[RunRecord]:
    """Three seeds that scatter by a hundredth."""
    around = (0.99, 1.0, 1.01)
    return [
        record(name, s, scores={metric: quality + abs(quality) * (x - 1), "sample_throughput": speed * x}, **more)
        for s, x in enumerate(around)
    ]


def board(*groups: list[RunRecord]) -> Board:
    (found,) = leaderboards([record for group in groups for record in group])
    return found


def marked(found: Board) -> set[str]:
    (speed,) = found.find("sample_throughput")
    return {row.name for row in found.rows if row.cells[speed.key].mark == "best"}


def test_the_fastest_of_those_that_are_good_enough_is_marked() -> None:
    found = board(trials("good", 10.0, 100.0), trials("fair", 10.0 * BAND * 0.98, 200.0), trials("noise", 500.0, 9e4))
    assert found.band == frozenset({"good", "fair"}) and marked(found) == {"fair"}
    assert band_text(found) == (
        "Speed, memory and other costs are compared among those that have at most 2 times the best mean of fd_lenet"
    )


def test_of_what_is_to_be_high_half_is_enough() -> None:
    found = board(
        trials("good", 8.0, 100.0, "is_lenet"), trials("fair", 4.1, 200.0, "is_lenet"),
        trials("poor", 3.9, 9e4, "is_lenet"),
    )  # fmt: skip
    assert found.main and found.main.better == "higher"
    assert found.band == frozenset({"good", "fair"}) and marked(found) == {"fair"}
    assert "at least 1/2 of the best mean" in band_text(found)


@pytest.mark.parametrize("best", [0.0, -1.0])
def test_where_a_multiple_says_nothing_those_count_that_are_not_told_to_be_worse(best: float) -> None:
    found = board(trials("good", best, 100.0), trials("alike", best, 200.0), trials("worse", 50.0, 9e4))
    assert found.band == frozenset({"good", "alike"}) and marked(found) == {"alike"}
    assert "are not told to be worse by fd_lenet than the first" in band_text(found)


def test_without_a_measure_of_quality_all_are_compared() -> None:
    records = [record(n, s, scores={"sample_throughput": v + s}) for n, v in (("a", 10.0), ("b", 90.0)) for s in (0, 1)]
    found = board(records)
    assert found.band is None and marked(found) == {"b"} and not band_text(found)
