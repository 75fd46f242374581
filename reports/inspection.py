"""A page of one dataset: counts, sizes, classes, examples, what stands twice and what leaks."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from bench import preview_of, report, write_atomic
from reports._colours import colour
from reports._figures import opened, short, styled
from reports._numbers import plain
from reports._page import cut, drawn, rendered
from reports._svg import MUTED
from reports.previews._pictures import grid, png

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from bench import Inspection, SplitName

SPLITS: tuple[SplitName, ...] = ("train", "valid", "test")
MOST_CLASSES, MOST_SIZES = 40, 12  # bars in a figure
PAIRS = 5  # of a finding that are shown
_CHANNELS = {1: ("#80868e",), 3: ("#d55e00", "#00906a", "#0072b2")}


class Trouble(NamedTuple):
    """A finding as the page shows it: a sentence, names, pictures of the first pairs, and what is not named."""

    many: int
    share: str
    what: str
    done: str
    examples: Sequence[tuple[str, str]]
    pairs: Sequence[tuple[bytes, str, str]]
    rule: str
    unnamed: int


@report("inspection", of="data")
def write(inspection: Inspection, target: Path) -> Path:
    """A page of one dataset, before anyone trains on it (genbench data inspect)."""
    return write_atomic(target / "index.html", render(inspection))


def render(inspection: Inspection) -> str:
    """The page as text."""
    on = cut(inspection.source)
    return rendered(
        "inspection.html.j2",
        found=inspection,
        lead=lead(inspection),
        counts=counts(inspection),
        troubles=list(troubles(inspection)),
        nothing_found=inspection.nothing_found,
        examples=list(examples(inspection)),
        classes=drawn(class_figure(inspection.classes), "classes", f"examples by class of {on}"),
        sizes=drawn(size_figure(inspection.sizes), "sizes", f"sizes of pictures in {on}"),
        levels=drawn(level_figure(inspection.levels), "levels", f"levels of pixels of {on}"),
        facts={**inspection.numbers, **{name: str(value) for name, value in inspection.options.items()}},
    )


def lead(found: Inspection) -> str:
    """What there is, in a sentence."""
    n = sum(found.splits.values())
    classes = f" in {len(found.classes)} classes" if found.classes else ""
    gone = f", {found.left_out:,} of {found.held:,} left out" if found.left_out else ""
    return f"{n:,} {found.unit}{classes}{gone}"


def counts(found: Inspection) -> list[dict[str, Any]]:
    """Splits, and what share each is of all."""
    n = sum(found.splits.values())
    return [{"split": split, "n": found.splits[split], "share": found.splits[split] / n} for split in SPLITS]


def troubles(found: Inspection) -> Iterator[Trouble]:
    """What leaks first."""
    for finding in sorted(found.findings, key=lambda finding: not finding.leaks):
        those = found.pairs.get(finding.what, ())
        shown = [(side_by_side(pair), *names) for pair, names in zip(those[:PAIRS], finding.examples, strict=False)]
        share = plain(100 * finding.count / finding.of) + " %" if finding.of else ""
        unnamed = finding.count - len(finding.examples)
        yield Trouble(
            finding.count, share, finding.what, finding.became, finding.examples, shown, finding.rule, unnamed
        )


def side_by_side(pair: np.ndarray) -> bytes:
    """``(2, C, H, W)`` uint8 as a PNG: the one and the other."""
    return png(grid(pair, columns=2, rows=1))


def examples(found: Inspection) -> Iterator[tuple[str, Any]]:
    """Of each split what is shown of it, where its modality can be shown."""
    show = preview_of(found.modality)
    for split in SPLITS if show else ():
        assert show is not None
        yield split, show(io.BytesIO(found.examples[split]))


def class_figure(classes: Mapping[str, Mapping[SplitName, int]]) -> Figure | None:
    """Bars, a class a row, the largest first where there are too many to be seen; None without classes."""
    from matplotlib.figure import Figure

    if not classes:
        return None
    rows = list(classes.items())
    if len(rows) > MOST_CLASSES:
        rows = sorted(rows, key=lambda row: -sum(row[1].values()))[:MOST_CLASSES]
    with styled():
        figure = Figure(figsize=(8.6, 0.7 + 0.2 * len(rows)))
        axes = figure.subplots()
        left = np.zeros(len(rows))
        for slot, split in enumerate(SPLITS):
            sizes = np.array([counts[split] for _, counts in rows])
            axes.barh([short(name) for name, _ in rows], sizes, left=left, color=colour(slot), height=0.72, label=split)
            left += sizes
        axes.invert_yaxis()
        axes.set_xlabel("examples")
        figure.legend(loc="outside upper right", ncols=3, frameon=False, fontsize=8)
        opened(axes)
        axes.grid(visible=False, axis="y")
    return figure


def size_figure(sizes: Mapping[str, int]) -> Figure | None:
    """How many pictures came in each size; None where all have one."""
    from matplotlib.figure import Figure

    if len(sizes) < 2:
        return None
    rows = list(sizes.items())[:MOST_SIZES]
    if others := sum(list(sizes.values())[MOST_SIZES:]):
        rows.append((f"{len(sizes) - MOST_SIZES} others", others))
    with styled():
        figure = Figure(figsize=(4.2, 0.6 + 0.2 * len(rows)))
        axes = figure.subplots()
        axes.barh([name for name, _ in rows], [count for _, count in rows], color=colour(0), height=0.72)
        axes.invert_yaxis()
        axes.set_xlabel("pictures")
        opened(axes)
        axes.grid(visible=False, axis="y")
    return figure


def level_figure(levels: Sequence[Sequence[float]]) -> Figure | None:
    """How often pixels have each level, by channel; None of what has none."""
    from matplotlib.figure import Figure

    if not levels:
        return None
    with styled():
        figure = Figure(figsize=(4.2, 2.0))
        axes = figure.subplots()
        edges = np.linspace(0, 256, len(levels[0]) + 1)
        for share, hue in zip(levels, _CHANNELS.get(len(levels), (MUTED,) * len(levels)), strict=True):
            axes.stairs(share, edges, color=hue, linewidth=1.2, fill=len(levels) == 1)
        axes.set_xlim(0, 256)
        axes.set_xticks([0, 64, 128, 192, 255])
        axes.set_xlabel("level")
        axes.set_ylabel("share of pixels")
        opened(axes)
    return figure
