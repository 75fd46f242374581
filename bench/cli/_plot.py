"""The plot of ``genbench history``: a panel a series, its points in order, its levels, and where they change."""

from __future__ import annotations

import io
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench.errors import GenbenchError, printable, shown
from bench.files import write_atomic

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from bench.results.history import Series

KINDS = (".svg", ".png", ".pdf")
MOST = 60  # panels of one plot
_ACROSS = 2
_TICKS = 12  # commits that are named below a panel
DRAWABLE = 1e100  # sizes beyond this have no place on an axis
_LINE, _WORSE, _BETTER = "#0072b2", "#c4342d", "#2a7d46"


def plot_history(found: Sequence[Series], target: str, named: Callable[[str], str]) -> None:
    """Write the plot to a file of one of ``KINDS``. named: how a commit is written.

    Raises GenbenchError for a file of another kind.
    """
    import seaborn as sns
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    kind = Path(target).suffix.lower()
    if kind not in KINDS:
        raise GenbenchError(f"--plot {shown(target)}: name a file that ends in {', '.join(KINDS[:-1])} or {KINDS[-1]}")
    drawn = found[:MOST]
    down = -(-len(drawn) // _ACROSS)
    style: dict[Any, Any] = {**sns.axes_style("whitegrid"), "svg.fonttype": "none", "svg.hashsalt": "history"}
    with rc_context(style):
        figure = Figure(figsize=(6.2 * _ACROSS, 2.9 * down + 0.4), layout="constrained")
        panels = figure.subplots(down, _ACROSS, squeeze=False).ravel()
        for axes, series in zip(panels, drawn, strict=False):
            _draw(axes, series, named)
        for axes in panels[len(drawn) :]:
            axes.axis("off")
        if len(drawn) < len(found):
            figure.suptitle(f"{len(drawn)} of {len(found)} series", fontsize=10)
        buffer = io.BytesIO()
        with warnings.catch_warnings():  # names may be in any script
            warnings.filterwarnings("ignore", "Glyph .* missing from")
            warnings.filterwarnings("ignore", "Matplotlib currently does not support .* natively")
            figure.savefig(buffer, format=kind[1:], dpi=110, metadata={"Date": None} if kind == ".svg" else None)
    write_atomic(Path(target), buffer.getvalue())


def _draw(axes: Axes, series: Series, named: Callable[[str], str]) -> None:
    """Points, a line for the mean of every level, and a broken one with its commit where a level begins."""
    values, n = [min(DRAWABLE, max(-DRAWABLE, value)) for value in series.values], len(series.points)
    axes.plot(range(n), values, ".-", color=_LINE, linewidth=0.6, markersize=4)
    starts = [0, *(change.at for change in series.changes)]
    for start, end in zip(starts, [*starts[1:], n], strict=True):
        level = sum(values[start:end]) / (end - start)
        axes.plot([start - 0.4, end - 0.6], [level, level], color=_LINE, linewidth=2.2, alpha=0.45)
    for change in series.changes:
        hue, word = (_WORSE, "worse") if series.worse(change) else (_BETTER, "better")
        axes.axvline(change.at - 0.5, color=hue, linewidth=1, linestyle=(0, (4, 3)))
        percent = f" {100 * (change.after / change.before - 1):+.1f}%" if change.before else ""
        axes.annotate(
            f"{word}{percent}", (change.at - 0.5, 1), xycoords=axes.get_xaxis_transform(), xytext=(3, -3),
            textcoords="offset points", va="top", fontsize=7.5, color=hue,
        )  # fmt: skip
    step = -(-n // _TICKS)
    where = sorted({*range(0, n, step)} | {change.at for change in series.changes})
    names = [_plain(named(series.points[i].commit))[:12] for i in where]
    axes.set_xticks(where, names, rotation=35, ha="right", fontsize=7)
    axes.tick_params(axis="y", labelsize=7.5)
    axes.grid(visible=False, axis="x")
    place = f" ({series.machine})" if series.machine else ""
    axes.set_title(_plain(f"{series.generator} on {series.dataset}{place}"[:90]), fontsize=8.5, loc="left")
    unit = f" ({series.unit})" if series.unit not in ("", "1") else ""
    axes.set_ylabel(_plain(f"{series.metric}{unit}\n{series.better} is better"[:70]), fontsize=7.5)


def _plain(text: str) -> str:
    """Of a name that anybody may give: no mathematics, and nothing that SVG cannot hold."""
    return printable(text).replace("$", r"\$")
