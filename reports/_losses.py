"""What training noted: every generator's losses by step, a panel each."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from bench.results.board import Board, Row
from reports._colours import colour
from reports._figures import DRAWABLE, LOG_FROM, PANEL, opened, powers, short, styled
from reports._svg import MUTED

if TYPE_CHECKING:
    import pandas as pd
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.lines import Line2D

_DASHES: tuple[Any, ...] = ((None, None), (4, 1.5), (1, 1.2), (5, 1.5, 1, 1.5))
_MOST_LOSSES, _LOSSES_IN_A_LINE = 6, 2
_MOSTLY = 0.9  # of the notes: one that lies across two stages is the mean of both


def curve_table(row: Row) -> pd.DataFrame:
    """Long table of one generator's training: seed, step, loss (its name), value; of the first losses alone."""
    import pandas as pd

    points = [
        (record.plan.seed, point.step, name, value)
        for record in row.group.records
        for point in record.curve
        for name, value in point.losses.items()
        if abs(value) <= DRAWABLE
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
    """The foremost of a board that have a learning curve."""
    rows = []
    for row in board.foremost:
        drawable = (
            [point for point in record.curve if any(abs(x) <= DRAWABLE for x in point.losses.values())]
            for record in row.group.records
        )
        if any(len(points) > 1 for points in drawable):
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
    if stages := _stages(table):
        table = table[table["loss"] != table["loss"].iloc[0]]
    losses = list(dict.fromkeys(table["loss"]))
    sizes = table["value"].abs().groupby(table["loss"]).median()
    larger = [loss for loss in losses[1:] if loss not in stages and sizes[loss] > LOG_FROM * sizes[losses[0]]]
    other = larger or stages[1:]
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
        if stages and larger and side is axes and low > 0:  # stages of different sizes beside each other
            side.set(yscale="log", ylim=(low / 1.2, high * 1.2))
            powers(side.yaxis, low, high)
        else:
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


def _stages(table: pd.DataFrame) -> list[str]:
    """Where the first loss is that of one net and then of another, the losses that it is in turn; else nothing.

    A coder for latents and a net among them are trained one after the other, by losses that compare with nothing.
    """
    notes = table.pivot_table(index=["seed", "step"], columns="loss", values="value", sort=False)
    first, parts = notes.iloc[:, 0], notes.iloc[:, 1:]
    near = parts.sub(first, axis=0).abs().le(1e-6 * first.abs(), axis=0)
    its = parts.loc[:, near.sum() > _MOSTLY * parts.notna().sum()]
    apart = its.notna().sum(axis=1) == 1
    return list(its.columns) if its.shape[1] > 1 and apart.mean() > _MOSTLY else []


def _draw_loss(axes: Axes, table: pd.DataFrame, label: str, look: Mapping[str, Any]) -> Line2D:
    """Every seed thin; thick their mean, note by note: trained by the clock, seeds note at steps of their own."""
    if table["seed"].nunique() > 1:
        for _, run in table.groupby("seed"):
            axes.plot(run["step"], run["value"], linewidth=0.6, alpha=0.35, **look)
    mean = table.groupby(table.groupby("seed").cumcount())[["step", "value"]].mean()
    (line,) = axes.plot(mean["step"], mean["value"], linewidth=1.4, label=label, **look)
    return line
