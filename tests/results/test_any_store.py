"""Whatever lies in a run folder, a report, a check, a choice and an export end with an answer or one clear message."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from bench import GenbenchError, RunRecord, frame
from bench.record import LARGEST, CurvePoint
from bench.results.board import leaderboards
from bench.results.gate import Policy, check, to_json, to_junit, to_markdown, to_sarif
from bench.results.groups import newest
from bench.results.history import history
from bench.results.pairs import compare
from bench.results.render import render
from bench.results.selection import select
from bench.results.store import write_record
from tests.report_records import ABOUT, failed, interval, measured, record

NAMES = st.one_of(
    st.sampled_from(["vae", "gan", "real", "noise", "=cmd()", "<script>"]), st.text(min_size=1, max_size=9)
)
VALUES = st.one_of(
    st.sampled_from([0.0, 1.0, -1.0, 5e-324, LARGEST, -LARGEST, 1e-300]),
    st.floats(-1e6, 1e6, allow_nan=False),
)
PROTOCOLS = st.sampled_from([{"n_fake": 1000, "n_real": 1000}, {"n_fake": 9}, {}])


@st.composite
def numbers(draw: Any) -> tuple[Any, ...]:
    """Some metrics, each once: with and without an interval, exact ones and bounds, under one protocol or another."""
    found = []
    for metric in draw(st.lists(st.sampled_from(sorted(ABOUT)), unique=True, max_size=5)):
        value = draw(VALUES)
        around = (
            interval(value - abs(value), value + abs(value)) if draw(st.booleans()) and abs(value) < 1e299 else None
        )
        kind = draw(st.sampled_from(["point", "bound"]))
        more = {"kind": kind, "protocol": draw(PROTOCOLS), "exact": draw(st.booleans())}
        found.append(measured(metric, value, interval=around, **more))
    return tuple(found)


@st.composite
def stores(draw: Any) -> list[RunRecord]:
    records: dict[str, RunRecord] = {}
    for name in draw(st.lists(NAMES.filter(str.strip), unique=True, max_size=5)):
        for seed in range(draw(st.integers(1, 4))):
            if draw(st.integers(0, 5)) == 0:
                made = failed(name, seed)
            else:
                points = draw(st.lists(st.floats(0, 1e6), max_size=3))
                curve = tuple(CurvePoint(step=10 * i, seconds=i, losses={"loss": x}) for i, x in enumerate(points))
                trained = draw(st.sampled_from([None, "00ff00ff00ff00ff"]))
                made = record(name, seed, measurements=draw(numbers()), curve=curve, training_id=trained)
            records[made.run_id] = made
    return list(records.values())


RELAXED = settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=[*HealthCheck])


@given(stores(), stores())
@RELAXED
def test_a_gate_always_answers(old: list[RunRecord], new: list[RunRecord]) -> None:
    for policy in (Policy(), Policy(blocking=("*",), ratios=True), Policy(paired=False)):
        gate = check(old, new, policy)
        for write in (to_json, to_junit, to_markdown, to_sarif):
            assert write(gate)
        assert gate.verdict in ("pass", "fail", "inconclusive", None)
    same = check(old, old)
    assert same.verdict in ("pass", None), "nothing is worse than itself"


@given(stores())
@RELAXED
def test_a_board_a_choice_and_a_comparison_always_answer(records: list[RunRecord]) -> None:
    rng = np.random.default_rng(0)
    for board in leaderboards(newest(records)[0]):
        for row in board.ranked:
            place = row.standing.place if row.standing else None
            assert place is None or 1 <= place.lo <= place.rank <= place.hi <= len(board.ranked)
        for objective in (None, board.main.label if board.main else None):
            try:
                choice = select(board, rng, objective=objective)
            except GenbenchError as error:
                assert str(error)
            else:
                assert all(0 <= c.keeps <= 1 and 0 <= (c.best or 0) <= 1 for c in choice.candidates)
        names = [row.name for row in board.rows]
        if len(names) > 1:
            assert all(c.p is None or 0 <= c.p <= 1 for c in compare(board, names[0], names[1]))
    assert history(records, rng) is not None and frame(records) is not None


@given(stores())
@settings(RELAXED, max_examples=4)
def test_every_report_is_written(records: list[RunRecord]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        for r in records:
            write_record(Path(folder), r)
        (Path(folder) / "records").mkdir(exist_ok=True)
        assert render(folder).exists()
        for form in ("latex", "parquet", "bundle", "github-benchmark", "junit"):
            assert render(folder, Path(folder) / "out", [form]).exists()


@pytest.mark.parametrize("name", ["=cmd()", "<script>alert(1)</script>", "a|b", "\u202eabc"])
def test_a_name_stays_text(name: str, tmp_path: Path) -> None:
    for seed in (0, 1):
        write_record(tmp_path, record(name, seed, scores={"fd_lenet": 1.0 + seed, "sample_throughput": 3.0}))
    render(tmp_path)
    page = (tmp_path / "report" / "index.html").read_text()
    assert "<script>alert" not in page and page.count("<script>") == 1
    assert not any(line.startswith("=") for line in (tmp_path / "report" / "report.csv").read_text().split(","))
