"""Reports grow with the records and not with their square, and 100,000 measurements of one dataset are no wait."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

import reports.data
import reports.html
import reports.markdown
from bench import Records, RunRecord
from bench.results.board import leaderboards
from tests.performance.many_records import many
from tests.performance.timing import cpu_seconds, median, seconds

pytestmark = pytest.mark.performance
TENTH, WHOLE = 271, 2703  # records of 37 measurements: 10,000 and 100,000


def write_page(found: Iterable[RunRecord], folder: Path) -> None:
    reports.html.write(Records(found), folder, folder / "report", [])


def test_100_000_measurements_make_a_board_in_5_cpu_seconds(benchmark: BenchmarkFixture) -> None:
    """Ten times the measurements take ten times the time, and what the caches no longer hold takes a little longer."""
    tenth, whole = list(many(TENTH)), list(many(WHOLE))
    assert sum(len(record.measurements) for record in whole) >= 100_000
    few = cpu_seconds(lambda: leaderboards(tenth), rounds=3)
    taken = benchmark.pedantic(lambda: cpu_seconds(lambda: leaderboards(whole)))
    benchmark.extra_info.update({"CPU seconds": taken, "times the time": taken / few})
    assert taken < 5
    assert taken / few < 25  # of a square it would be 100


def test_100_000_measurements_make_a_page_in_10_cpu_seconds(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """And ten times the measurements take at most ten times the time: figures are of the first generators alone."""
    tenth, whole = list(many(TENTH)), list(many(WHOLE))
    write_page(tenth, tmp_path)  # what is imported on the way is no part of it
    few = cpu_seconds(lambda: write_page(tenth, tmp_path))
    taken = benchmark.pedantic(lambda: cpu_seconds(lambda: write_page(whole, tmp_path)))
    benchmark.extra_info.update({"CPU seconds": taken, "times the time": taken / few})
    assert taken < 10
    assert taken / few < 12


def test_a_board_of_twice_the_records_takes_twice_the_time(benchmark: BenchmarkFixture) -> None:
    half, whole = list(many(500)), list(many(1000))
    benchmark.pedantic(leaderboards, (whole,), rounds=3)
    ratio = median(benchmark) / seconds(lambda: leaderboards(half), rounds=3)
    benchmark.extra_info["times the time"] = ratio
    assert ratio < 2.5


def test_a_report_of_twice_the_records_takes_twice_the_time(benchmark: BenchmarkFixture, tmp_path: Path) -> None:
    """All four formats."""

    def render(found: Iterable[RunRecord]) -> None:
        records = Records(found)  # a list anew, so that nothing is kept from one round to the next
        for write in (reports.html.write, reports.markdown.write, reports.data.write_csv, reports.data.write_json):
            write(records, tmp_path, tmp_path / "report", [])

    half, whole = list(many(300)), list(many(600))
    render(half)  # what is imported on the way is no part of it
    benchmark.pedantic(render, (whole,), rounds=3)
    ratio = median(benchmark) / seconds(lambda: render(half), rounds=3)
    benchmark.extra_info["times the time"] = ratio
    assert ratio < 2.5
