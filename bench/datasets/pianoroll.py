"""Piano rolls in MATLAB's format, as the four sets of Boulanger-Lewandowski et al. 2012 (arXiv:1206.6392) are kept."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from bench import DataError, dataset
from bench.datasets._rolls import RollDataset
from bench.errors import named
from bench.foreign import afford, decoding, locate
from bench.protocols import SplitName

_PARTS: dict[SplitName, str] = {"train": "traindata", "valid": "validdata", "test": "testdata"}


@dataset("pianoroll:", modality="music", locate=lambda: "pianoroll:FILE.mat")
def pianoroll(path: str) -> RollDataset:
    """Piano rolls of 0 and 1, (steps, keys), in their standard split: pianoroll:FILE.mat."""
    file = locate(path)
    if not file.is_file():
        raise DataError(f"{named(path)} is no file: pianoroll:FILE.mat names one of MATLAB's")
    return RollDataset(named(f"pianoroll:{path}"), read_rolls(file))


def read_rolls(file: Path) -> dict[SplitName, list[np.ndarray]]:
    """Rolls ``(steps, keys)`` uint8 by split. Raises DataError for a file that holds anything else."""
    from scipy.io import loadmat

    afford(str(file), file.stat().st_size)
    with decoding(file, "; pianoroll: wants a .mat file with traindata, validdata and testdata"):
        content = loadmat(file, variable_names=list(_PARTS.values()))
    found = {split: _rolls(content.get(part), f"{named(str(file))}, {part}") for split, part in _PARTS.items()}
    keys = {roll.shape[1] for rolls in found.values() for roll in rolls}
    if len(keys) > 1:
        raise DataError(f"{named(str(file))}: rolls have {min(keys)} to {max(keys)} keys, not all as many")
    return found


def _rolls(cells: Any, where: str) -> list[np.ndarray]:
    """A cell array of rolls. Raises DataError naming the first that is none."""
    if not isinstance(cells, np.ndarray) or cells.dtype != object:
        raise DataError(f"{where}: there is no list of piano rolls")
    rolls = []
    for i, roll in enumerate(cells.ravel()):
        plain = isinstance(roll, np.ndarray) and roll.ndim == 2 and roll.dtype.kind in "biuf" and roll.size
        if not plain or not ((roll == 0) | (roll == 1)).all():
            raise DataError(f"{where}: entry {i} is no piano roll, (steps, keys) of 0 and 1")
        rolls.append(np.ascontiguousarray(roll, np.uint8))
    return rolls
