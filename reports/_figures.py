"""Figures: learning curves, quality against throughput, samples side by side. Nothing here knows of pages or files.

Seaborn and matplotlib are imported when a figure is drawn, so that listing the reports stays quick. Figures
are made without pyplot: no global state, no window, nothing to close.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.results.board import Board, Column, Row
from bench.statistics import non_dominated
from reports._cells import DIRECTIONS, scale_of
from reports._colours import CONTROL, colour, marker
from reports._escaping import visible
from reports._numbers import Scale, plain
from reports._samples import Sample
from reports._svg import INK, MUTED, PAPER, RULE, any_letters

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_STYLE = {
    "font.size": 8.5,
    "text.color": INK,
    "axes.labelcolor": MUTED,
    "axes.edgecolor": RULE,
    "axes.linewidth": 0.8,
    "axes.labelsize": 8.5,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "grid.color": RULE,
    "grid.linewidth": 0.6,
    "text.parse_math": False,  # a label may hold a dollar
    "figure.constrained_layout.use": True,
}
_DASHES: tuple[Any, ...] = ((None, None), (4, 1.5), (1, 1.2), (5, 1.5, 1, 1.5))
PANEL = (3.1, 2.0)  # inches
_FAR = 3  # a yardstick this many times beyond the last generator is named at the edge: it would flatten the rest
_FASTER = 1.25  # a generator that is not pictured has a point where it is this much faster than all better ones
LOG_FROM = 30  # a y axis that spans more than this factor is drawn in logarithms
_DRAWABLE = 1e100  # sizes beyond this, or below its inverse, have no place on an axis
_MOST_LOSSES, _LOSSES_IN_A_LINE = 6, 2
_REACH = 10  # an error bar may make a logarithmic axis this many times longer than its points need; beyond, an arrow
_ACROSS = 5  # generators beside each other on a sheet of samples
_NAME = 28  # characters of a name in a figure


@contextmanager
def styled() -> Iterator[None]:
    import matplotlib as mpl
    import seaborn as sns

    style: dict[Any, Any] = {**sns.axes_style("whitegrid"), **_STYLE}
    with mpl.rc_context(style):
        yield


def short(name: str) -> str:
    """A name as a figure has room for it, in one line."""
    return visible(name, _NAME, keep="")


def curve_table(row: Row) -> pd.DataFrame:
    """Long table of one generator's training: seed, step, loss (its name), value; of the first losses alone."""
    import pandas as pd

    points = [
        (record.plan.seed, point.step, name, value)
        for record in row.group.records
        for point in record.curve
        for name, value in point.losses.items()
        if abs(value) <= _DRAWABLE
    ]
    labels = _labels(dict.fromkeys(name for _, _, name, _ in points))
    found = [(seed, step, labels[name], value) for seed, step, name, value in points if name in labels]
    return pd.DataFrame(found, columns=["seed", "step", "loss", "value"])


def _labels(losses: Iterable[str]) -> dict[str, str]:
    """What the first losses are called in a figure, no two the same. Matplotlib hides what begins with ``_``."""
    names = list(losses)[:_MOST_LOSSES]
    shown = [short(name).lstrip("_") for name in names]
    labels = [label if shown.count(label) == 1 else f"{label} #{i}" for i, label in enumerate(shown, 1)]
    return dict(zip(names, labels, strict=True))


def learning(board: Board) -> list[Row]:
    """The pictured rows of a board that have a learning curve."""
    rows = []
    for row in board.pictured:
        drawable = (
            [point for point in record.curve if any(abs(x) <= _DRAWABLE for x in point.losses.values())]
            for record in row.group.records
        )
        if not row.group.control and any(len(points) > 1 for points in drawable):
            rows.append(row)
    return rows


def curve(row: Row, slot: int) -> Figure:
    """One generator's losses by training step: every seed thin, their mean thick."""
    from matplotlib.figure import Figure

    with styled():
        figure = Figure(figsize=PANEL)
        _draw_curve(figure.subplots(), curve_table(row), slot)
    return figure


def curves(rows: Sequence[Row], slots: Mapping[str, int]) -> Figure:
    """All learning curves of a board, a panel each: losses of different families are not on one scale."""
    from matplotlib.figure import Figure

    across = min(3, len(rows))
    down = -(-len(rows) // across)
    with styled():
        figure = Figure(figsize=(PANEL[0] * across, (PANEL[1] + 0.25) * down))
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for row, axes in zip(rows, panels, strict=False):
            _draw_curve(axes, curve_table(row), slots[row.name])
            legend = axes.get_legend()
            above = 11 * -(-len(legend.texts) // _LOSSES_IN_A_LINE) if legend else 0
            axes.set_title(short(row.name), fontsize=9, loc="left", pad=6 + above)
        for axes in panels[len(rows) :]:
            axes.set_axis_off()
    return figure


def _draw_curve(axes: Axes, table: pd.DataFrame, slot: int) -> None:
    """Losses on the left axis; those of another size, as counts beside losses, on one at the right, named by →."""
    losses = list(dict.fromkeys(table["loss"]))
    sizes = table["value"].abs().groupby(table["loss"]).median()
    other = [loss for loss in losses[1:] if sizes[loss] > LOG_FROM * sizes[losses[0]]]
    sides = [(axes, [loss for loss in losses if loss not in other])]
    sides += [(axes.twinx(), other)] if other else []
    lines = []
    for side, names in sides:
        its = table[table["loss"].isin(names)]
        for loss in names:
            look: dict[str, Any] = {"color": colour(slot), "dashes": _DASHES[losses.index(loss) % len(_DASHES)]}
            label = f"{loss} →" if loss in other else loss
            lines.append(_draw_loss(side, its[its["loss"] == loss], label, look))
        # The first steps may lie above the axis: they would flatten all that follows.
        low, high = float(its["value"].min()), float(its["value"].quantile(0.98))
        margin = 0.06 * (high - low) or abs(high) * 0.1 or 1
        side.set_ylim(low - margin, high + margin)
        opened(side)
        side.grid(visible=side is axes, axis="y")
    axes.set(xlabel="training step", ylabel="" if len(losses) > 1 else losses[0])
    if len(losses) > 1:
        # Above the panel: inside, it would lie over curves that fill it.
        axes.legend(
            handles=lines, ncols=_LOSSES_IN_A_LINE, loc="lower left", bbox_to_anchor=(0, 1), borderaxespad=0,
            labelspacing=0.2, frameon=False, fontsize=7.5, labelcolor=MUTED, handlelength=2.4,
        )  # fmt: skip


def _draw_loss(axes: Axes, table: pd.DataFrame, label: str, look: Mapping[str, Any]) -> Line2D:
    """Every seed thin; thick their mean, note by note: trained by the clock, seeds note at steps of their own."""
    if table["seed"].nunique() > 1:
        for _, run in table.groupby("seed"):
            axes.plot(run["step"], run["value"], linewidth=0.6, alpha=0.35, **look)
    mean = table.groupby(table.groupby("seed").cumcount())[["step", "value"]].mean()
    (line,) = axes.plot(mean["step"], mean["value"], linewidth=1.4, label=label, **look)
    return line


class Point(NamedTuple):
    """One generator in the plane of speed and quality; the errors are standard deviations over seeds."""

    name: str
    speed: float
    quality: float
    speed_error: float | None
    quality_error: float | None


def tradeoff_points(board: Board) -> tuple[Column | None, list[Point]]:
    """The speed column that most generators share, and points of those pictured or far faster than all better ones."""
    ranked, quality = board.ranked, board.main
    speed = max(board.speed, key=lambda c: sum(row.mean(c) is not None for row in ranked), default=None)
    if speed is None or quality is None:
        return speed, []
    points, fastest, pictured = [], 0.0, {row.name for row in board.pictured}
    for row in ranked:
        point = _point(row, speed, quality)
        if point and (row.name in pictured or point.speed > _FASTER * fastest):
            points.append(point)
            fastest = max(fastest, point.speed)
    return speed, points


def _point(row: Row, speed: Column, quality: Column) -> Point | None:
    x, y = row.cells[speed.key].summary, row.cells[quality.key].summary
    if x is None or y is None or x.mean <= 0 or not all(map(fits, (x.mean, y.mean, x.sd or 0, y.sd or 0))):
        return None
    return Point(row.name, x.mean, y.mean, x.sd, y.sd)


def fits(value: float) -> bool:
    return not value or 1 / _DRAWABLE < abs(value) < _DRAWABLE


def tradeoff(board: Board, slots: Mapping[str, int]) -> Figure | None:
    """Quality against throughput; None unless two generators have both numbers."""
    from matplotlib.figure import Figure

    speed, points = tradeoff_points(board)
    if board.main is None or speed is None or len(points) < 2:
        return None
    with styled():
        figure = Figure(figsize=(8.6, 3.8))
        axes = figure.subplots()
        _draw_front(axes, points, higher=True, lower=board.main.better == "lower")
        _scatter(axes, points, slots)
        yardsticks = [(short(row.name), row.mean(board.main)) for row in board.pictured if row.group.control]
        references = [(name, mean) for name, mean in yardsticks if mean is not None and fits(mean)]
        highest = max(point.quality for point in points)
        shown = [pair for pair in references if pair[1] <= _FAR * highest or highest <= 0]
        _scale_axes(axes, points, [y for _, y in shown])
        _note_clipped(axes, points, slots)
        _draw_yardsticks(axes, shown, [pair for pair in references if pair not in shown])
        label_points(axes, points, figure.dpi)
        _note_absent(axes, board, speed)
        axes.set_xlabel(f"{short(speed.label)} ({short(speed.unit)}), higher is better")
        axes.set_ylabel(f"{short(board.main.label)}, {DIRECTIONS[board.main.better]}")
        opened(axes)
    return figure


def costs(board: Board, slots: Mapping[str, int]) -> Figure | None:
    """Quality against memory, and against what training took; None where fewer than two have either."""
    from matplotlib.figure import Figure

    main, memory = board.main, board.memory
    if main is None:
        return None
    pictured = {row.name for row in board.pictured}
    rows = [row for row in board.ranked if row.name in pictured]
    unit = scale_of(memory) if memory else Scale(1, "B")
    found = [_point(row, memory, main) for row in rows] if memory else []
    held = [point and point._replace(speed=point.speed / unit.factor, speed_error=None) for point in found]
    spent = [_training_point(row, main) for row in rows]
    panels = {}
    for title, found in ((f"peak memory ({unit.unit})", held), ("training time (s)", spent)):
        points = [point for point in found if point]
        if len({point.speed for point in points}) > 1:
            panels[title] = points
    if not panels:
        return None
    with styled():
        figure = Figure(figsize=(8.6, 3.4))
        for axes, (title, points) in zip(
            figure.subplots(1, len(panels), squeeze=False, sharey=True)[0], panels.items(), strict=True
        ):
            _draw_front(axes, points, higher=False, lower=main.better == "lower")
            _scatter(axes, points, slots)
            _scale_axes(axes, points, [])
            label_points(axes, points, figure.dpi)
            axes.set_xlabel(f"{title}, lower is better")
            opened(axes)
        figure.axes[0].set_ylabel(f"{short(main.label)}, {DIRECTIONS[main.better]}")
    return figure


def _training_point(row: Row, quality: Column) -> Point | None:
    seconds, y = row.training_seconds, row.cells[quality.key].summary
    if not seconds or y is None or not all(map(fits, (seconds, y.mean, y.sd or 0))):
        return None
    return Point(row.name, seconds, y.mean, None, y.sd)


def _draw_front(axes: Axes, points: Sequence[Point], *, higher: bool, lower: bool) -> None:
    """A line through those that none beats in both. higher: of speed is better; lower: of quality."""
    signs = np.array([-1 if higher else 1, 1 if lower else -1])
    on = non_dominated(np.array([(point.speed, point.quality) for point in points]) * signs)
    front = sorted((p.speed, p.quality) for p, is_on in zip(points, on, strict=True) if is_on)
    if len(front) > 1:
        axes.plot(*zip(*front, strict=True), color=MUTED, linewidth=0.8, linestyle=(0, (1, 2)), zorder=1)


def _scatter(axes: Axes, points: Sequence[Point], slots: Mapping[str, int]) -> None:
    for point in points:
        hue = colour(slots[point.name])
        axes.errorbar(
            point.speed, point.quality, xerr=point.speed_error, yerr=point.quality_error,
            color=hue, elinewidth=0.9,
        )  # fmt: skip
        axes.scatter(
            point.speed, point.quality, color=hue, edgecolor=PAPER, s=46, linewidth=0.5, zorder=3,
            marker=marker(slots[point.name]),
        )  # fmt: skip


def _scale_axes(axes: Axes, points: Sequence[Point], references: Sequence[float]) -> None:
    """Speed in logarithms; quality too where yardsticks would press the generators into one line.

    Error bars lie within, but where they would reach 0 or stretch a logarithmic axis too far.
    """
    axes.set_xscale("log")
    low, high = _log_range([(p.speed, p.speed_error or 0) for p in points])
    room = max(2.0, high / low) ** 0.18
    axes.set_xlim(low / room, high * room**2)
    heights = [*((p.quality, p.quality_error or 0) for p in points), *((y, 0.0) for y in references)]
    means = [y for y, _ in heights]
    if min(means) > 0 and max(means) / min(means) > LOG_FROM:
        axes.set_yscale("log")
        low, high = _log_range(heights)
        axes.set_ylim(low / (high / low) ** 0.12, high * (high / low) ** 0.12)
    else:
        axes.margins(y=0.12)
        if min(means) > 0 and axes.get_ylim()[0] < 0:
            axes.set_ylim(bottom=0)
    powers(axes.xaxis, *axes.get_xlim())
    if axes.get_yscale() == "log":
        powers(axes.yaxis, *axes.get_ylim())


def powers(axis: Axis, low: float, high: float) -> None:
    """Ticks of a logarithmic axis, 1,000 rather than 10³: a reader should not have to take powers."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    subs = (1.0, 2.0, 5.0) if high > 10 * low else (1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 8.0)
    axis.set_major_locator(LogLocator(subs=subs, numticks=9))
    axis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:,.10g}"))
    axis.set_minor_formatter(NullFormatter())


def _log_range(numbers: Sequence[tuple[float, float]]) -> tuple[float, float]:
    """Where the numbers, each with its error, lie on a logarithmic axis, errors as far as they may reach."""
    low, high = min(value for value, _ in numbers), max(value for value, _ in numbers)
    ends = [end for value, error in numbers for end in (value - error, value + error)]
    return min([low, *(end for end in ends if end >= low / _REACH)]), min(max(ends), high * _REACH)


def _note_clipped(axes: Axes, points: Sequence[Point], slots: Mapping[str, int]) -> None:
    """An arrow where an error bar goes on beyond the axes."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for p in points:
        dx, dy = p.speed_error or 0, p.quality_error or 0
        ends = (
            (p.speed - dx < left, left, p.quality, "<"),
            (p.speed + dx > right, right, p.quality, ">"),
            (p.quality - dy < bottom, p.speed, bottom, "v"),
            (p.quality + dy > top, p.speed, top, "^"),
        )
        for x, y, arrow in (end[1:] for end in ends if end[0]):
            axes.plot(x, y, marker=arrow, color=colour(slots[p.name]), markersize=6, clip_on=False, zorder=3)


def _draw_yardsticks(axes: Axes, shown: Sequence[tuple[str, float]], far: Sequence[tuple[str, float]]) -> None:
    """A line each, names that would lie on one another side by side; those beyond the axis are named at its end."""
    for _, height in shown:
        axes.axhline(height, color=CONTROL, linewidth=0.9, linestyle=(0, (4, 3)), zorder=1)
    axes.get_ylim()  # settles the axis, which the lines may have stretched
    labels: list[tuple[list[str], float, float]] = []  # names, height, and where that is, in points
    for name, height in sorted(shown, key=lambda pair: pair[1]):
        place = float(axes.transData.transform((1, height))[1]) * 72 / axes.figure.dpi
        if labels and place - labels[-1][2] < 9:
            labels[-1][0].append(name)
        else:
            labels.append(([name], height, place))
    for names, height, _ in labels:
        axes.annotate(
            ", ".join(names), (1, height), xycoords=axes.get_yaxis_transform(),
            textcoords="offset points", xytext=(-3, 2), ha="right", va="bottom", fontsize=7.5, color=CONTROL,
        )  # fmt: skip
    if far:
        axes.annotate(
            f"↑ {', '.join(f'{name} at {plain(height)}' for name, height in far)}", (1, 1), xycoords="axes fraction",
            xytext=(-3, 2), textcoords="offset points", ha="right", va="bottom", fontsize=7.5, color=CONTROL,
        )  # fmt: skip


def _note_absent(axes: Axes, board: Board, speed: Column) -> None:
    rows = [row for row in board.pictured if not row.group.control and row.mean(speed) and row.mean(board.main)]
    absent = [short(row.name) for row in rows if board.main and not _point(row, speed, board.main)]
    if absent:
        axes.annotate(
            f"beyond the axes: {', '.join(absent)}", (1, 0), xycoords="axes fraction", xytext=(-3, 3),
            textcoords="offset points", ha="right", va="bottom", fontsize=7.5, color=MUTED,
        )  # fmt: skip


def label_points(axes: Axes, points: Sequence[Point], dpi: float) -> None:
    """Names above and right of their points, pushed apart where two would overprint: neighbours lie a line apart."""
    line, spots = 11.0, dict[int, tuple[float, float]]()  # in typographic points
    places = axes.transData.transform([(point.speed, point.quality) for point in points]) * 72 / dpi
    for number in sorted(range(len(points)), key=lambda i: float(places[i][1])):
        x, y = float(places[number][0]), float(places[number][1])
        near = [top for left, top in spots.values() if abs(left - x) < 60 and abs(top - y) < line]
        spots[number] = (x, max(near) + line if near else y)
    for number, point in enumerate(points):
        shift = spots[number][1] - float(places[number][1])
        axes.annotate(
            short(point.name), (point.speed, point.quality), xytext=(5, shift + 4), textcoords="offset points",
            ha="left", va="bottom", fontsize=8.5, color=INK, zorder=4,
        )  # fmt: skip


def sheet(samples: Sequence[Sample]) -> Figure | None:
    """The pictures of all generators under their names, on one sheet; None where nobody made pictures."""
    from matplotlib.figure import Figure
    from PIL import Image

    pictures = [(sample, sample.png) for sample in samples if sample.png]
    if not pictures:
        return None
    across = min(len(pictures), _ACROSS)
    down = -(-len(pictures) // across)
    with styled():
        figure = Figure(figsize=(1.9 * across, 1.85 * down))
        panels = figure.subplots(down, across, squeeze=False).ravel()
        for axes in panels:
            axes.axis("off")
        for axes, (sample, png) in zip(panels, pictures, strict=False):
            axes.imshow(np.asarray(Image.open(io.BytesIO(png))), interpolation="antialiased")
            axes.set_title(f"{short(sample.name)}, seed {sample.seed}", fontsize=8.5, color=INK)
    return figure


def opened(axes: Axes) -> None:
    """No frame; a light grid carries the eye, and the x axis stays."""
    import seaborn as sns

    sns.despine(ax=axes, left=True)
    axes.grid(visible=False, axis="x")
    axes.tick_params(length=0)


def to_png(figure: Figure) -> bytes:
    """The figure on white, for pages that cannot carry SVG."""
    buffer = io.BytesIO()
    with any_letters():
        figure.savefig(buffer, format="png", dpi=144, facecolor="white")
    return buffer.getvalue()
