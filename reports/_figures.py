"""Figures: quality against speed and cost, samples side by side, and their manner. Nothing knows of pages or files.

Seaborn and matplotlib are imported when a figure is drawn, so that listing the reports stays quick. Figures
are made without pyplot: no global state, no window, nothing to close.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench.results.board import Board, Cell, Column, Row
from bench.statistics import non_dominated
from reports._cells import DIRECTIONS, scale_of
from reports._colours import CONTROL, colour, marker
from reports._escaping import visible
from reports._labels import label_points
from reports._numbers import Scale, plain
from reports._samples import Sample
from reports._svg import INK, MUTED, PAPER, RULE, any_letters

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

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
PANEL = (3.1, 2.0)  # inches
_FAR = 3  # a yardstick this many times beyond the last generator is named at the edge: it would flatten the rest
_FASTER = 1.25  # a generator that is not pictured has a point where it is this much faster than all better ones
LOG_FROM = 30  # a y axis that spans more than this factor is drawn in logarithms
DRAWABLE = 1e100  # sizes beyond this, or below its inverse, have no place on an axis
_TALL = 3  # times the span of the points that a linear axis goes on for an error bar; beyond, an arrow
_REACH = 10  # an error bar may make a logarithmic axis this many times longer than its points need; beyond, an arrow
_ACROSS = 5  # generators beside each other on a sheet of samples
_NAME, ALONG = 28, 60  # characters of a name in a figure, and of one along its lower side


@contextmanager
def styled() -> Iterator[None]:
    import matplotlib as mpl
    import seaborn as sns

    style: dict[Any, Any] = {**sns.axes_style("whitegrid"), **_STYLE}
    with mpl.rc_context(style):
        yield


def short(name: str, room: int = _NAME) -> str:
    """A name as a figure has room for it, in one line."""
    return visible(name, room, keep="")


Reach = tuple[float, float]
BARS = (
    "bars: standard deviation over seeds, or the 95 % interval of a single run; hollow: a bound, the truth is better; "
    "‡: timed on a busy machine"
)


class Point(NamedTuple):
    """One generator in the plane of speed, or of a cost, and quality.

    The errors are how far a bar goes below and above, ``reach``. bound: the truth is at least as good as its quality.
    busy: the speed is that of a machine which others kept busy.
    """

    name: str
    speed: float
    quality: float
    speed_error: Reach = (0.0, 0.0)
    quality_error: Reach = (0.0, 0.0)
    bound: bool = False
    busy: bool = False


def reach(cell: Cell) -> Reach:
    """A standard deviation over seeds, or the interval within a single run, down and up; 0 where neither is known.

    No more than can be drawn.
    """
    if cell.summary is None:
        return 0.0, 0.0
    if cell.interval:
        ends = cell.summary.mean - cell.interval.lo, cell.interval.hi - cell.summary.mean
        return min(DRAWABLE, max(0.0, ends[0])), min(DRAWABLE, max(0.0, ends[1]))
    sd = min(DRAWABLE, cell.summary.sd or 0.0)
    return sd, sd


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
    x, known = row.mean(speed), row.cells[quality.key]
    if x is None or x <= 0 or known.summary is None:
        return None
    timed = row.cells[speed.key]
    point = Point(row.name, x, known.summary.mean, reach(timed), reach(known), known.bound, timed.busy)
    return point if fits(point.speed) and fits(point.quality) else None


def fits(value: float) -> bool:
    return not value or 1 / DRAWABLE < abs(value) < DRAWABLE


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
        scale_axes(axes, points, [y for _, y in shown])
        note_clipped(axes, points, slots)
        _draw_yardsticks(axes, shown, [pair for pair in references if pair not in shown])
        _note_absent(axes, board, speed)
        axes.set_xlabel(f"{short(speed.label, ALONG)} ({short(speed.unit)}), higher is better")
        axes.set_ylabel(f"{short(board.main.label)}, {DIRECTIONS[board.main.better]}")
        opened(axes)
        name_points(axes, points, figure)
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
    held = [point and point._replace(speed=point.speed / unit.factor, speed_error=(0.0, 0.0)) for point in found]
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
            scale_axes(axes, points, [])
            note_clipped(axes, points, slots)
            axes.set_xlabel(f"{title}, lower is better")
            opened(axes)
        figure.axes[0].set_ylabel(f"{short(main.label)}, {DIRECTIONS[main.better]}")
        for axes, points in zip(figure.axes, panels.values(), strict=True):
            name_points(axes, points, figure)
    return figure


def _training_point(row: Row, quality: Column) -> Point | None:
    seconds, known = row.training_seconds, row.cells[quality.key]
    if not seconds or known.summary is None:
        return None
    quality_error = reach(known)
    point = Point(row.name, seconds, known.summary.mean, (0.0, 0.0), quality_error, known.bound, row.training_busy)
    return point if fits(point.speed) and fits(point.quality) else None


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
        xerr, yerr = ([[down], [up]] if down or up else None for down, up in (point.speed_error, point.quality_error))
        axes.errorbar(point.speed, point.quality, xerr=xerr, yerr=yerr, color=hue, elinewidth=0.9)
        axes.scatter(
            point.speed, point.quality, s=46, zorder=3, marker=marker(slots[point.name]),
            color=PAPER if point.bound else hue, edgecolor=hue if point.bound else PAPER,
            linewidth=1.4 if point.bound else 0.5,
        )  # fmt: skip


def scale_axes(axes: Axes, points: Sequence[Point], references: Sequence[float]) -> None:
    """Speed in logarithms; quality too where yardsticks would press the generators into one line.

    Error bars lie within, but where they would reach 0 or stretch a logarithmic axis too far.
    """
    axes.set_xscale("log")
    low, high = _log_range([(p.speed, p.speed_error) for p in points])
    room = max(2.0, high / low) ** 0.18
    axes.set_xlim(low / room, high * room**2)
    heights = [*((p.quality, p.quality_error) for p in points), *((y, (0.0, 0.0)) for y in references)]
    means = [y for y, _ in heights]
    if min(means) > 0 and max(means) / min(means) > LOG_FROM:
        axes.set_yscale("log")
        low, high = _log_range(heights)
        axes.set_ylim(low / (high / low) ** 0.12, high * (high / low) ** 0.12)
    else:
        # As far as bars go, but for those that would press all points into one line.
        span = (max(means) - min(means)) or abs(means[0]) or 1.0
        bottom = max(min(y - down for y, (down, _) in heights), min(means) - _TALL * span)
        top = min(max(y + up for y, (_, up) in heights), max(means) + _TALL * span)
        room = 0.12 * ((top - bottom) or span)
        axes.set_ylim(bottom - room if bottom - room > 0 or min(means) <= 0 else 0.0, top + room)
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


def _log_range(numbers: Sequence[tuple[float, Reach]]) -> tuple[float, float]:
    """Where the numbers, each with its error, lie on a logarithmic axis, errors as far as they may reach."""
    low, high = min(value for value, _ in numbers), max(value for value, _ in numbers)
    ends = [end for value, (down, up) in numbers for end in (value - down, value + up)]
    return min([low, *(end for end in ends if end >= low / _REACH)]), min(max(ends), high * _REACH)


def note_clipped(axes: Axes, points: Sequence[Point], slots: Mapping[str, int]) -> None:
    """An arrow where an error bar goes on beyond the axes."""
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    for p in points:
        ends = (
            (p.speed - p.speed_error[0] < left, left, p.quality, "<"),
            (p.speed + p.speed_error[1] > right, right, p.quality, ">"),
            (p.quality - p.quality_error[0] < bottom, p.speed, bottom, "v"),
            (p.quality + p.quality_error[1] > top, p.speed, top, "^"),
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


def name_points(axes: Axes, points: Sequence[Point], figure: Figure) -> None:
    """Once the axes are settled: the layout is made first, since names go where there is room."""
    figure.draw_without_rendering()
    places = [(point.speed, point.quality) for point in points]
    label_points(axes, places, [short(point.name) + " ‡" * point.busy for point in points], INK, figure.dpi)


def _note_absent(axes: Axes, board: Board, speed: Column) -> None:
    rows = [row for row in board.pictured if not row.group.control and row.mean(speed) and row.mean(board.main)]
    absent = [short(row.name) for row in rows if board.main and not _point(row, speed, board.main)]
    if absent:
        axes.annotate(
            f"beyond the axes: {', '.join(absent)}", (1, 0), xycoords="axes fraction", xytext=(-3, 3),
            textcoords="offset points", ha="right", va="bottom", fontsize=7.5, color=MUTED,
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
