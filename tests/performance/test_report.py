"""Reports grow with the records and not with their square."""

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
from tests.performance.timing import median, seconds

pytestmark = pytest.mark.performance


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
