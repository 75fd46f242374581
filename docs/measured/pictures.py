"""Samples of every generator of a run on one sheet: python docs/measured/pictures.py RUN FILE.png

The first of seed 0, ordered as on the board, yardsticks last.
"""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

from bench import read_records
from bench.results.board import leaderboards

ACROSS, ROWS, COLUMNS = 6, 4, 5  # panels side by side; samples in each


def grid(pictures: np.ndarray) -> np.ndarray:
    """``(n, channels, height, width)`` uint8 as one picture, ``(height, width, channels)``."""
    n, channels, height, width = pictures.shape
    cells = np.zeros((ROWS * COLUMNS, channels, height, width), np.uint8)
    cells[: min(n, len(cells))] = pictures[: len(cells)]
    joined = cells.reshape(ROWS, COLUMNS, channels, height, width).transpose(0, 3, 1, 4, 2)
    return joined.reshape(ROWS * height, COLUMNS * width, channels)


def sheet(run: Path) -> Figure:
    """All that made pictures, under their names."""
    (board,) = leaderboards(read_records(run)[0])
    found = [(row.name, record.samples) for row in board.rows for record in row.group.records[:1] if record.samples]
    down = -(-len(found) // ACROSS)
    figure = Figure(figsize=(1.7 * ACROSS, 1.6 * down), layout="constrained")
    panels = figure.subplots(down, ACROSS, squeeze=False).ravel()
    for axes in panels:
        axes.axis("off")
    for axes, (name, file) in zip(panels, found, strict=False):
        with np.load(run / "samples" / file) as stored:
            picture = grid(stored["samples"])
        axes.imshow(picture.squeeze(-1) if picture.shape[-1] == 1 else picture, cmap="gray", vmin=0, vmax=255)
        axes.set_title(name, fontsize=8, pad=2)
    return figure


if __name__ == "__main__":
    sheet(Path(sys.argv[1])).savefig(sys.argv[2], dpi=110)
