"""What models were worth on the way: a metric of the validation split against seconds, examples and FLOPs."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from statistics import fmean
from typing import TYPE_CHECKING, Any, NamedTuple

from markupsafe import Markup

from bench.results.board import Board, Row
from reports._cells import DIRECTIONS
from reports._colours import colour, marker
from reports._figures import LOG_FROM, PANEL, fits, opened, powers, short, styled

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_SPARK = (72, 20)  # pixels
COSTS = {"seconds": "training time (s)", "examples": "training examples", "flops": "training FLOPs"}


class Look(NamedTuple):
    """One look at a model: what it had cost by then, and its worth."""

    cost: float
    worth: float


def watched(board: Board) -> str | None:
    """The metric that most of the foremost generators were looked at by."""
    counts: dict[str, int] = {}
    for row in board.foremost:
        for metric in {name for record in row.group.records for point in record.curve for name in point.metrics}:
            counts[metric] = counts.get(metric, 0) + 1
    return max(counts, key=lambda metric: counts[metric], default=None)


def looks(row: Row, metric: str, cost: str) -> dict[int, list[Look]]:
    """By seed, every look at a generator of which both the cost and the worth are known and can be drawn."""
    found = {}
    for record in row.group.records:
        pairs = ((getattr(point, cost), point.metrics.get(metric)) for point in record.curve)
        found[record.plan.seed] = [Look(x, y) for x, y in pairs if x and y is not None and fits(x) and fits(y)]
    return {seed: of_seed for seed, of_seed in found.items() if of_seed}


def sparks(board: Board) -> dict[str, Markup]:
    """By name a line of a few pixels: quality over the seconds of training, all on one scale, better above.

    The mean over seeds, look by look; of those that were looked at more than once.
    """
    metric = watched(board)
    found = {row.name: looks(row, metric, "seconds") for row in board.ranked} if metric else {}
    lines = {}
    for name, seeds in found.items():
        rounds = list(zip(*seeds.values(), strict=False))
        if len(rounds) > 1:
            lines[name] = [(fmean(look.cost for look in at), fmean(look.worth for look in at)) for at in rounds]
    if not lines or metric is None:
        return {}
    worths = [worth for line in lines.values() for _, worth in line]
    logarithmic = min(worths) > 0 and max(worths) / min(worths) > LOG_FROM
    place = math.log if logarithmic else float
    low, high = place(min(worths)), place(max(worths))
    lower = next((column.better for column in board.find(metric)), "lower") == "lower"
    end = max(cost for line in lines.values() for cost, _ in line)

    def at(cost: float, worth: float) -> str:
        share = (place(worth) - low) / (high - low) if high > low else 0.5
        return f"{_SPARK[0] * cost / end:.1f},{1 + (_SPARK[1] - 2) * (share if lower else 1 - share):.1f}"

    return {name: _spark([at(*point) for point in line], short(metric)) for name, line in lines.items()}


def _spark(points: Iterable[str], metric: str) -> Markup:
    width, height = _SPARK
    return Markup(
        '<svg class="spark" viewBox="0 0 {} {}" role="img" aria-label="{} over training"><polyline points="{}"/></svg>'
    ).format(width, height, metric, " ".join(points))


def quality(board: Board, slots: Mapping[str, int]) -> Figure | None:
    """A panel for each cost that is known, a line for each generator; None where nobody looked twice."""
    from matplotlib.figure import Figure
    from matplotlib.layout_engine import ConstrainedLayoutEngine
    from matplotlib.ticker import EngFormatter, MaxNLocator

    metric = watched(board)
    if metric is None:
        return None
    drawn = {cost: _lines(board.foremost, metric, cost) for cost in COSTS}
    shown = {cost: lines for cost, lines in drawn.items() if lines}
    if not shown:
        return None
    better = next((column.better for column in board.find(metric)), "none")
    with styled():
        figure = Figure(figsize=(2.87 * len(shown), PANEL[1] + 0.6))
        panels = figure.subplots(1, len(shown), squeeze=False, sharey=True)[0]
        for axes, (cost, lines) in zip(panels, shown.items(), strict=True):
            _draw(axes, lines, slots)
            axes.set_xlabel(COSTS[cost])
            axes.xaxis.set_major_formatter(EngFormatter(sep=" "))
            axes.xaxis.set_major_locator(MaxNLocator(4, steps=[1, 2, 2.5, 5, 10]))
        runs = (run for lines in shown.values() for seeds in lines.values() for run in seeds.values())
        worths = [look.worth for run in runs for look in run]
        if min(worths) > 0 and max(worths) / min(worths) > LOG_FROM:
            panels[0].set_yscale("log")
            powers(panels[0].yaxis, min(worths), max(worths))
        engine = figure.get_layout_engine()
        if isinstance(engine, ConstrainedLayoutEngine):
            engine.set(wspace=0.06)  # the last tick of a panel and the first of the next are two numbers
        panels[0].set_ylabel(f"{short(metric)}, {DIRECTIONS[better]}")
        handles, labels = panels[0].get_legend_handles_labels()
        figure.legend(handles, labels, loc="outside upper center", ncols=min(len(labels), 4), frameon=False)
    return figure


def _lines(rows: Iterable[Row], metric: str, cost: str) -> dict[str, dict[int, list[Look]]]:
    found = {row.name: looks(row, metric, cost) for row in rows}
    return {name: seeds for name, seeds in found.items() if any(len(of_seed) > 1 for of_seed in seeds.values())}


def _draw(axes: Axes, lines: Mapping[str, Mapping[int, list[Look]]], slots: Mapping[str, int]) -> None:
    """Every seed thin; their mean, look by look, thick."""
    for name, seeds in lines.items():
        hue = colour(slots[name])
        for of_seed in seeds.values() if len(seeds) > 1 else ():
            axes.plot(*zip(*of_seed, strict=True), linewidth=0.6, alpha=0.35, color=hue)
        rounds = zip(*seeds.values(), strict=False)
        means = [(fmean(look.cost for look in at), fmean(look.worth for look in at)) for at in rounds]
        style: dict[str, Any] = {"color": hue, "marker": marker(slots[name]), "markersize": 3.5, "linewidth": 1.4}
        axes.plot(*zip(*means, strict=True), label=short(name), **style)
    axes.margins(y=0.1)
    opened(axes)
