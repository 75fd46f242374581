"""What figures show: bars as far as they can be drawn, names where there is room, losses by their stages."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from matplotlib.collections import PathCollection
from matplotlib.colors import to_hex
from matplotlib.figure import Figure

from bench import RunRecord
from bench.record import CurvePoint
from bench.results.board import Board, leaderboards
from reports._colours import LIGHT, slots
from reports._figures import reach, tradeoff
from reports._labels import label_points
from reports._losses import curve
from reports._svg import PAPER
from tests.report_records import interval, measured, record


def board_of(records: list[RunRecord]) -> Board:
    (board,) = leaderboards(records)
    return board


def single(name: str, fd: float, ends: tuple[float, float], speed: float, **more: Any) -> RunRecord:
    return record(
        name,
        measurements=(measured("fd_lenet", fd, interval=interval(*ends), **more), measured("sample_throughput", speed)),
    )


def drawn(board: Board) -> Figure:
    figure = tradeoff(board, slots(row.name for row in board.ranked))
    assert figure is not None
    return figure


def test_of_a_single_run_the_bar_is_its_interval() -> None:
    board = board_of([single("a", 20.0, (16.0, 27.0), 100.0), single("b", 40.0, (30.0, 44.0), 10.0)])
    assert board.main is not None
    assert reach(board.ranked[0].cells[board.main.key]) == (4.0, 7.0)
    seeds = board_of([record("a", s, scores={"fd_lenet": 5.0 + s}) for s in (0, 1, 2)])
    assert seeds.main is not None and reach(seeds.ranked[0].cells[seeds.main.key]) == (1.0, 1.0)
    low, high = drawn(board).axes[0].get_ylim()
    assert low <= 16 and high >= 44


@pytest.mark.parametrize("end", [1e6, 1e120])
def test_a_bar_without_end_takes_no_point_away_and_presses_none_flat(end: float) -> None:
    board = board_of([single("a", 1.0, (0.9, end), 100.0), single("b", 2.0, (1.5, 2.5), 10.0)])
    axes = drawn(board).axes[0]
    assert {text.get_text() for text in axes.texts} >= {"a", "b"} and axes.get_ylim()[1] < 30


def test_a_bound_is_drawn_hollow() -> None:
    board = board_of([single("a", 1.0, (0.9, 1.1), 100.0, kind="bound"), single("b", 2.0, (1.5, 2.5), 10.0)])
    points = [c for c in drawn(board).axes[0].collections if isinstance(c, PathCollection)]
    hollow, full = sorted(points, key=lambda c: float(np.asarray(c.get_offsets())[0, 1]))
    fills = [to_hex(np.asarray(c.get_facecolor())[0]) for c in (hollow, full)]
    assert fills[0] == PAPER and fills[1] in LIGHT and to_hex(np.asarray(hollow.get_edgecolor())[0]) in LIGHT


@pytest.mark.parametrize("n", [1, 2, 6])
def test_names_of_points_that_lie_on_one_another_do_not(n: int) -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlim=(0, 2), ylim=(0, 2))
    label_points(axes, [(1.0, 1.0)] * n, [f"generator_{i}" for i in range(n)], "black", figure.dpi)
    figure.draw_without_rendering()
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) == n and not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i])


def test_a_name_at_the_edge_stays_inside() -> None:
    figure = Figure()
    axes = figure.subplots()
    axes.set(xlim=(0, 1), ylim=(0, 1))
    label_points(axes, [(1.0, 1.0)], ["a_long_name_of_a_generator"], "black", figure.dpi)
    figure.draw_without_rendering()
    inside, box = axes.get_window_extent(), axes.texts[0].get_window_extent()
    assert box.x1 <= inside.x1 and box.y1 <= inside.y1 + 1


def noted(*losses: dict[str, float]) -> RunRecord:
    points = tuple(CurvePoint(step=10 * (i + 1), seconds=float(i), losses=at) for i, at in enumerate(losses))
    return record("edm", curve=points)


def names_of(found: RunRecord) -> list[list[str]]:
    """By axis the losses that have a line."""
    figure = curve(board_of([found]).rows[0], 0)
    return [[str(line.get_label()).removesuffix(" →") for line in axes.lines] for axes in figure.axes]


def test_losses_of_stages_stand_apart() -> None:
    """Of nets trained one after another: their losses are on scales of their own, and what is each in turn is gone."""
    coder = [{"loss": 200.0 - i, "vae": 200.0 - i} for i in range(20)]
    net = [{"loss": 1.0 - i / 50, "net": 1.0 - i / 50} for i in range(20)]
    assert names_of(noted(*coder, *net)) == [["vae"], ["net"]]
    # The note in between is the mean of both.
    across = {"loss": 90.0, "vae": 181.0, "net": 1.0}
    assert names_of(noted(*coder, across, *net)) == [["vae"], ["net"]]


def test_beside_a_count_stages_share_an_axis_that_shows_both() -> None:
    """In powers of ten, from a little below the smallest: an end below 0 would show neither."""
    coder = [{"loss": 0.5 / (i + 1), "reconstruction": 0.5 / (i + 1), "codes": 60.0 + i} for i in range(20)]
    prior = [{"loss": 5.0 - i / 50, "prior": 5.0 - i / 50, "codes": 170.0} for i in range(20)]
    left, right = curve(board_of([noted(*coder, *prior)]).rows[0], 0).axes
    assert left.get_yscale() == "log" and 0.02 < left.get_ylim()[0] < 0.025 and 5 < left.get_ylim()[1] < 6.1
    assert right.get_yscale() == "linear" and right.get_ylim()[0] < 60 < 170 < right.get_ylim()[1]


def test_losses_of_one_stage_stay_together() -> None:
    alike = [{"loss": 100.0 - i, "kl": 20.0 + i} for i in range(20)]
    assert names_of(noted(*alike)) == [["loss", "kl"]]
    parts = [{"loss": 100.0 - i, "reconstruction": 100.0 - i} for i in range(20)]  # the same, but no stages
    assert names_of(noted(*parts)) == [["loss", "reconstruction"]]
