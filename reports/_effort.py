"""Quality against the evaluations that a sample takes: a line for each model that was sampled in several ways."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.results.board import Board, Row
from reports._cells import DIRECTIONS
from reports._colours import colour, marker
from reports._figures import ALONG, Point, fits, name_points, note_clipped, opened, reach, scale_axes, short, styled
from reports._svg import PAPER

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def effort_lines(board: Board) -> dict[str, list[Point]]:
    """By name, the points of all rows that have both numbers; those that share their trainings are one line."""
    effort, quality = board.effort, board.main
    models: dict[tuple[str, ...], list[Row]] = {}
    for row in board.ranked:
        means = row.mean(effort), row.mean(quality)
        if all(mean is not None and fits(mean) for mean in means):
            models.setdefault(tuple(r.training_id or r.run_id for r in row.group.records), []).append(row)
    shared, lines = [_shared_name(rows) for rows in models.values()], {}
    for name, rows in zip(shared, models.values(), strict=True):
        # Two models of one label, of other widths, say, are told apart by their first rows.
        points = sorted((_point(row, board) for row in rows), key=lambda point: point.speed)
        lines[name if shared.count(name) == 1 else rows[0].name] = points
    return lines


def _point(row: Row, board: Board) -> Point:
    assert board.effort and board.main
    x, known = row.mean(board.effort), row.cells[board.main.key]
    assert x is not None and known.summary
    return Point(row.name, x, known.summary.mean, quality_error=reach(known), bound=known.bound)


def _shared_name(rows: Sequence[Row]) -> str:
    """What the rows of one model are called together; of one row its name."""
    if len(rows) == 1:
        return rows[0].name
    labels = {row.name.partition(" (")[0] for row in rows}
    return labels.pop() if len(labels) == 1 else rows[0].group.first.plan.family


def effort(board: Board, slots: Mapping[str, int]) -> Figure | None:
    """Evaluations in logarithms, quality too where it spans much; None unless two points differ in evaluations."""
    from matplotlib.figure import Figure

    lines = effort_lines(board)
    points = [point for line in lines.values() for point in line]
    if len({point.speed for point in points}) < 2 or board.main is None or board.effort is None:
        return None
    with styled():
        figure = Figure(figsize=(8.6, 3.4))
        axes = figure.subplots()
        for line in lines.values():
            look: dict[str, Any] = {"color": colour(slots[line[0].name]), "marker": marker(slots[line[0].name])}
            xs, ys = [p.speed for p in line], [p.quality for p in line]
            bars = [[p.quality_error[side] for p in line] for side in (0, 1)]
            fill = PAPER if any(p.bound for p in line) else look["color"]
            axes.errorbar(xs, ys, yerr=bars, markersize=5, linewidth=1.4, elinewidth=0.8, markerfacecolor=fill, **look)
        scale_axes(axes, points, [])
        note_clipped(axes, points, slots)
        axes.set_xlabel(f"{short(board.effort.label, ALONG)} (evaluations a sample), lower is cheaper")
        axes.set_ylabel(f"{short(board.main.label)}, {DIRECTIONS[board.main.better]}")
        opened(axes)
        name_points(axes, [line[0]._replace(name=name) for name, line in lines.items()], figure)
    return figure
