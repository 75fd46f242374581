"""Quality while training: a line for each generator that was looked at, against every cost that is known."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np

import reports.html
import reports.markdown
from bench import RunRecord
from bench.results.board import leaderboards
from reports._quality import looks, quality, watched
from tests.report_records import record

SLOTS = {"vae": 0, "dcgan": 1}


def run(generator: str, seed: int, flops: bool = True, worth: float = 40.0) -> RunRecord:
    curve = [
        {
            "step": step, "seconds": 0.1 * step * (1 + seed), "losses": {"loss": 1 / step}, "examples": 64 * step,
            "flops": 1e6 * step if flops else None, "metrics": {"fd_lenet": worth / step} if step % 2 == 0 else {},
        }
        for step in range(1, 9)
    ]  # fmt: skip
    return record(generator, seed, scores={"fd_lenet": worth / 8}, curve=curve)


def test_each_cost_that_is_known_has_a_panel() -> None:
    (board,) = leaderboards([run("vae", 0), run("vae", 1), run("dcgan", 0)])
    figure = quality(board, SLOTS)
    assert figure is not None and watched(board) == "fd_lenet"
    labels = [axes.get_xlabel() for axes in figure.axes]
    assert labels == ["training time (s)", "training examples", "training FLOPs"]
    assert figure.axes[0].get_ylabel() == "fd_lenet, lower is better"
    (without,) = leaderboards([run("vae", 0, flops=False)])
    unknown = quality(without, SLOTS)
    assert unknown is not None and len(unknown.axes) == 2


def test_the_thick_line_is_the_mean_over_seeds_look_by_look() -> None:
    (board,) = leaderboards([run("vae", 0, worth=40.0), run("vae", 1, worth=80.0)])
    figure = quality(board, SLOTS)
    assert figure is not None
    thick = next(line for line in figure.axes[0].lines if line.get_label() == "vae")
    drawn = np.asarray(thick.get_xydata(), float)
    np.testing.assert_allclose(drawn, [(0.3, 30), (0.6, 15), (0.9, 10), (1.2, 7.5)])
    assert [look.cost for look in looks(board.rows[0], "fd_lenet", "examples")[0]] == [128, 256, 384, 512]


def test_worths_that_differ_much_are_drawn_in_logarithms() -> None:
    """Or the bad looks of the first steps would press all that follow into one line."""
    for worth, scale in ((40.0, "linear"), (4000.0, "log")):
        (board,) = leaderboards([run("vae", 0), run("dcgan", 0, worth=worth)])
        figure = quality(board, SLOTS)
        assert figure is not None and {axes.get_yscale() for axes in figure.axes} == {scale}


def test_ticks_of_neighbouring_panels_are_apart() -> None:
    """Also where one ends at a tick and the next begins with one: "100 k" beside "0" is no number."""
    curve = [
        {"step": k, "seconds": 100.0 * (k or 0.01), "losses": {"loss": 1.0}, "examples": 100_000 * k or 1_000,
         "flops": 1e15 * (k or 0.01), "metrics": {"fd_lenet": 9.0 - k}}
        for k in (0, 1)
    ]  # fmt: skip
    (board,) = leaderboards([record("vae", scores={"fd_lenet": 8.0}, curve=curve)])
    figure = quality(board, SLOTS)
    assert figure is not None
    figure.draw_without_rendering()
    ends = []
    for axes in figure.axes:
        left, right = axes.get_xlim()
        boxes = [text.get_window_extent() for text in axes.get_xticklabels() if left <= text.get_position()[0] <= right]
        ends.append((min(box.x0 for box in boxes), max(box.x1 for box in boxes)))
    for (_, before), (after, _) in pairwise(ends):
        assert (after - before) * 72 / figure.dpi > 12  # a line of text


def test_where_nobody_looked_there_is_no_figure() -> None:
    (board,) = leaderboards([record("vae", scores={"fd_lenet": 3.0})])
    assert quality(board, SLOTS) is None


def test_the_pages_show_it(tmp_path: Path) -> None:
    records = [run("vae", 0), run("dcgan", 0)]
    page = reports.html.write(records, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    assert "Quality while training" in page and "training FLOPs" in page
    text = reports.markdown.write(records, tmp_path, tmp_path, []).read_text(encoding="utf-8")
    assert "### Quality while training" in text and (tmp_path / "figures" / "quality-1.png").is_file()
