"""C_T: are samples nearer to the training data than held-out data is? (Meehan et al. 2020, arXiv:2004.05675.)

Space is cut into cells by k-means on the training data. In each cell the distances to the nearest training example are
compared by a Mann-Whitney test,

    z = (U - n m / 2) / sigma        U = pairs in which the sample is farther than the held-out example, ties half

and C_T is the mean of z over the cells, weighted by their share of held-out data. z << 0: copying (or modes shrunk
to their middle, which this test cannot tell apart, Stein et al. 2023, arXiv:2306.04675); z >> 0: underfitting; about
N(0, 1) in a cell for samples as good as held-out data. z grows with the root of the number of samples. Copying in one
place hides in the mean (Bhattacharjee et al. 2023, arXiv:2302.13181), so ``ct_worst`` is the lowest cell; of five
cells without copying it lies about 1.2 below 0.

Cells with fewer than 20 samples or held-out examples are left out, as in the paper's C_T (threshold tau). k-means has
a fixed seed, so that all generators meet the same cells. Distances are to all training data, not only the cell's.
"""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import stats
from torch import Tensor

from bench import Estimate, GenbenchError, Space, TooFew, metric, normal_interval
from metrics.features import EVERY, Array
from metrics.neighbours import among_train, as_pair, neighbours_among

CELLS = 5
LEAST = 20
STARTS = 1  # the cells need to be the same for all, not the best there are
SIDES: tuple[Literal["samples", "reference", "train"], ...] = ("samples", "reference", "train")


@dataclass(frozen=True)
class Cell:
    """z of one cell with its standard error; fakes and held_out are numbers of examples."""

    z: float
    error: float
    fakes: int
    held_out: int


def data_copying(fake: Array, held_out: Array, train: Array, cells: int = CELLS, worst: bool = False) -> Estimate:
    """C_T of ``(n, D)``, ``(m, D)`` and ``(t, D)`` features, or the z of its lowest cell; any real number.

    Raises GenbenchError for bad input or training data with fewer different rows than cells, TooFew where no cell
    holds 20 fakes and 20 held-out examples.
    """
    (x, y), (h, _) = as_pair(fake, train, max(2, cells)), as_pair(held_out, train, 2)
    distances = [neighbours_among(side, y, 1).squared[:, 0] for side in (x, h)]
    found = _cells(distances, [x, h], y, cells)
    return _worst(found, cells) if worst else _mean(found, cells)


def mann_whitney(fake: np.ndarray, held_out: np.ndarray) -> Cell:
    """z of two sets of distances, corrected for ties, with its standard error by DeLong et al. (1988)."""
    n, m = len(fake), len(held_out)
    both = np.concatenate([fake, held_out])
    ranks = stats.rankdata(both)
    farther = (ranks[:n] - stats.rankdata(fake)) / m  # share of held-out examples nearer than each fake
    nearer = 1 - (ranks[n:] - stats.rankdata(held_out)) / n
    ties = np.unique(both, return_counts=True)[1].astype(float)
    variance = n * m / 12 * (n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1)))
    scale = n * m / math.sqrt(variance) if variance > 0 else 0.0
    error = math.sqrt(farther.var(ddof=1) / n + nearer.var(ddof=1) / m)
    error = max(error, 0.5 / min(n, m))  # full separation shows no spread, but half an example may be on the other side
    return Cell(scale * (farther.mean() - 0.5), scale * error, n, m)


def _cells(distances: list[Tensor], sides: list[Tensor], train: Tensor, cells: int) -> list[Cell]:
    """Those that hold enough of both. distances: squared, which keeps their order."""
    labels = _labels(sides, train, cells)
    values = [d.cpu().numpy() for d in distances]
    parts = [[v[label == c] for v, label in zip(values, labels, strict=True)] for c in range(cells)]
    found = [mann_whitney(*pair) for pair in parts if min(map(len, pair)) >= LEAST]
    if not found:
        raise TooFew(f"no cell holds {LEAST} samples and {LEAST} held-out examples: more are needed, or fewer cells")
    return found


def _labels(sides: list[Tensor], train: Tensor, cells: int) -> list[np.ndarray]:
    from sklearn.cluster import KMeans  # half a second to import
    from sklearn.exceptions import ConvergenceWarning

    scale = train.abs().max()  # so that single precision, which takes half the time, holds every value
    rows, *points = [(side / scale).float().cpu().numpy() for side in (train, *sides)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            means = KMeans(cells, n_init=STARTS, random_state=0).fit(rows)
        except ConvergenceWarning:
            raise GenbenchError(f"training data has fewer than {cells} different rows: use fewer cells") from None
    return [means.predict(side) for side in points]


def _mean(found: list[Cell], cells: int) -> Estimate:
    weights = np.array([cell.held_out for cell in found]) / sum(cell.held_out for cell in found)
    value = float(weights @ [cell.z for cell in found])
    error = math.sqrt(float(weights**2 @ [cell.error**2 for cell in found]))
    interval = normal_interval(value, error, "DeLong within cells, cells fixed")
    return Estimate(value=value, n=sum(cell.fakes for cell in found), interval=interval, protocol=_protocol(cells))


def _worst(found: list[Cell], cells: int) -> Estimate:
    cell = min(found, key=lambda cell: cell.z)
    interval = normal_interval(cell.z, cell.error, "DeLong of the lowest cell, cells fixed")
    return Estimate(value=cell.z, n=cell.fakes, interval=interval, protocol=_protocol(cells))


def _protocol(cells: int) -> dict[str, int | str]:
    return {"cells": cells, "least": LEAST, "clustering": f"k-means of training features, {STARTS} start, seed 0"}


def _shared(space: Space) -> list[Cell]:
    def compute() -> list[Cell]:
        distances = [among_train(space, side).squared[:, 0] for side in ("samples", "reference")]
        return _cells(distances, [space.fake, space.real], as_pair(space.fake, space.train, CELLS)[1], CELLS)

    return space.once("ct", compute)


@metric(
    "ct",
    of="features",
    on=EVERY,
    aspect="novelty",
    unit="1",
    better="none",
    sides=SIDES,
    paper="arXiv:2004.05675, section 4",
)
def ct(space: Space) -> Estimate:
    """Distance to the training data beside held-out data's, as a z-score: far below 0 copies, far above 0 underfits."""
    return _mean(_shared(space), CELLS)


@metric(
    "ct_worst",
    of="features",
    on=EVERY,
    aspect="novelty",
    unit="1",
    better="none",
    sides=SIDES,
    paper="arXiv:2302.13181",
)
def ct_worst(space: Space) -> Estimate:
    """The lowest z-score of any cell of the data: copying in one place, which the mean over cells hides."""
    return _worst(_shared(space), CELLS)
