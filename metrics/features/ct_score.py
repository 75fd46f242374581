"""C_T: are samples nearer to the training data than held-out data is? (Meehan et al. 2020, arXiv:2004.05675.)

Space is cut into cells by k-means on the training data. In each cell the distances to the nearest training example are
compared by a Mann-Whitney test,

    z = (U - n m / 2) / sigma        U = pairs in which the sample is farther than the held-out example, ties half

and C_T is the mean of z over the cells, weighted by their share of held-out data. z << 0: copying (or modes shrunk
to their middle, which this test cannot tell apart, Stein et al. 2023, arXiv:2306.04675); z >> 0: underfitting; about
N(0, 1) in a cell for samples as good as held-out data. z grows with the root of the number of samples. Copying in one
place hides in the mean (Bhattacharjee et al. 2023, arXiv:2302.13181), so ``ct_worst`` is the lowest cell; of five
cells without copying it lies about 1.2 below 0.

Cells with fewer than 20 samples or held-out examples are left out, as in the paper's C_T (threshold tau), and a remark
says how many. k-means has a fixed seed and reads the training data in the order of its contents, so that all generators
meet the same cells. Distances are to all training data, not only the cell's.

Intervals hold the training data fixed, and with it the cells. What falls into each cell is drawn anew with the samples
and the held-out data, so the standard error is an infinitesimal jackknife: each row moves its cell's U and its cell's
size, and a held-out one the weights. Where a cell's size lies so near 20 that another draw may leave it out, or take
it in, the interval holds those with and without it. The interval of ``ct_worst`` is one of all cells at once (Sidak
1967), of the lowest expected z: a model without fault lies wholly below 0 in at most 2.5 %.
"""

from __future__ import annotations

import itertools
import math
import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np
from scipy import special
from torch import Tensor

from bench import Estimate, GenbenchError, Interval, Space, TooFew, metric, normal_interval
from metrics._arrays import Array, by_content
from metrics._placements import placements
from metrics.features._neighbours import among_train, as_pair, neighbours_among

CELLS = 5
LEAST = 20
UNSURE = 9  # two standard deviations of a number of rows that is 20 on average
GIVEN = "given this training data and its cells"
STARTS = 1  # the cells need to be the same for all, not the best there are
SIDES: tuple[Literal["samples", "reference", "train"], ...] = ("samples", "reference", "train")


@dataclass(frozen=True)
class Cell:
    """z of one cell.

    fakes, held_out: ``(n,)`` and ``(m,)`` what each row of the cell adds to z by being there.
    least: the smallest standard error to believe in.
    """

    z: float
    fakes: np.ndarray
    held_out: np.ndarray
    least: float


@dataclass(frozen=True)
class Cells:
    """Those that hold enough of both; all: how many there are; fakes, held_out: rows in all cells together.

    draws: the cells that another draw may have found to hold enough, ``kept`` first.
    """

    kept: list[Cell]
    draws: list[list[Cell]]
    all: int
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
    return _worst(found) if worst else _mean(found)


def mann_whitney(fake: np.ndarray, held_out: np.ndarray) -> Cell:
    """z of two sets of distances, corrected for ties. What a row moves: U by its placement, sigma by its number."""
    n, m = len(fake), len(held_out)
    both = np.concatenate([fake, held_out])
    farther, nearer = placements(fake, held_out), 1 - placements(held_out, fake)
    ties = np.unique(both, return_counts=True)[1].astype(float)
    variance = n * m / 12 * (n + m + 1 - (ties**3 - ties).sum() / ((n + m) * (n + m - 1)))
    scale = n * m / math.sqrt(variance) if variance > 0 else 0.0  # grows as sqrt(n m / (n + m + 1))
    area = float(farther.mean())
    moves = [
        scale * ((place - area) / own + (area - 0.5) * (1 / own - 1 / (n + m + 1)) / 2)
        for place, own in ((farther, n), (nearer, m))
    ]
    # Full separation, or ties alone, show no spread, but half an example may be on the other side.
    least = math.sqrt(3 * n * m / (n + m + 1)) / min(n, m)
    return Cell(scale * (area - 0.5), moves[0], moves[1], least)


def _cells(distances: list[Tensor], sides: list[Tensor], train: Tensor, cells: int) -> Cells:
    """distances: squared, which keeps their order."""
    labels = _labels(sides, train, cells)
    values = [d.cpu().numpy() for d in distances]
    parts = [[v[label == c] for v, label in zip(values, labels, strict=True)] for c in range(cells)]
    sizes = [min(map(len, pair)) for pair in parts]
    if max(sizes) < LEAST:
        raise TooFew(f"no cell holds {LEAST} samples and {LEAST} held-out examples: more are needed, or fewer cells")
    found = {c: mann_whitney(*pair) for c, pair in enumerate(parts) if sizes[c] > LEAST - UNSURE}
    kept = [c for c in found if sizes[c] >= LEAST]
    unsure = [c for c in found if sizes[c] < LEAST + UNSURE]
    changed = (
        sorted(set(kept) ^ set(some)) for r in range(len(unsure) + 1) for some in itertools.combinations(unsure, r)
    )
    return Cells(
        [found[c] for c in kept], [[found[c] for c in some] for some in changed if some], cells, *map(len, values)
    )


def _labels(sides: list[Tensor], train: Tensor, cells: int) -> list[np.ndarray]:
    from sklearn.cluster import KMeans  # half a second to import
    from sklearn.exceptions import ConvergenceWarning

    scale = train.abs().max()  # so that single precision, which takes half the time, holds every value
    rows, *points = [(side / scale).float().cpu().numpy() for side in (train[by_content(train)], *sides)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            means = KMeans(cells, n_init=STARTS, random_state=0).fit(rows)
        except ConvergenceWarning:
            raise GenbenchError(f"training data has fewer than {cells} different rows: use fewer cells") from None
    return [means.predict(side) for side in points]


def _mean(found: Cells) -> Estimate:
    method = "infinitesimal jackknife over samples and held-out data, of the expectation at this n, " + GIVEN
    values, intervals = list[float](), list[Interval]()
    for kept in found.draws:
        sizes = np.array([len(cell.held_out) for cell in kept])
        weights = sizes / sizes.sum()
        value = float(weights @ [cell.z for cell in kept])
        fakes = [weight * cell.fakes for weight, cell in zip(weights, kept, strict=True)]
        held_out = [
            weight * cell.held_out + (cell.z - value) / sizes.sum()  # a held-out row more is weight for its cell
            for weight, cell in zip(weights, kept, strict=True)
        ]
        variance = _spread(fakes, found.fakes) + _spread(held_out, found.held_out)
        error = math.sqrt(max(variance, float(weights**2 @ [cell.least**2 for cell in kept])))
        values.append(value)
        intervals.append(normal_interval(value, error, method))
    n = sum(len(cell.fakes) for cell in found.kept)
    return Estimate(value=values[0], n=n, interval=_hull(intervals), protocol=_protocol(found))


def _worst(found: Cells) -> Estimate:
    intervals = []
    for kept in found.draws:
        errors = [
            max(cell.least, math.sqrt(_spread([cell.fakes], found.fakes) + _spread([cell.held_out], found.held_out)))
            for cell in kept
        ]
        reach = -float(special.ndtri((1 - 0.95 ** (1 / len(errors))) / 2))
        lo = min(cell.z - reach * error for cell, error in zip(kept, errors, strict=True))
        hi = min(cell.z + reach * error for cell, error in zip(kept, errors, strict=True))
        method = f"of the lowest expected z, all cells at once (Sidak), {GIVEN}"
        intervals.append(Interval(lo=lo, hi=hi, method=method))
    lowest = min(found.kept, key=lambda cell: cell.z)
    return Estimate(value=lowest.z, n=len(lowest.fakes), interval=_hull(intervals), protocol=_protocol(found))


def _hull(intervals: list[Interval]) -> Interval:
    return intervals[0].model_copy(
        update={"lo": min(found.lo for found in intervals), "hi": max(found.hi for found in intervals)}
    )


def _spread(moves: list[np.ndarray], n: int) -> float:
    """Variance of a sum that each of ``n`` rows moves; those of no cell here do not. Rounding leaves it 0 or more."""
    moved = np.concatenate(moves)
    return max(0.0, float((moved**2).sum() - moved.sum() ** 2 / n) * n / (n - 1))


def _protocol(found: Cells) -> dict[str, int | str]:
    clustering = f"k-means of training features, {STARTS} start, seed 0"
    return {"cells": found.all, "least": LEAST, "clustering": clustering}


def _shared(space: Space) -> Cells:
    distances = [space.once(among_train, side).squared[:, 0] for side in ("samples", "reference")]
    found = _cells(distances, [space.fake, space.real], as_pair(space.fake, space.train, CELLS)[1], CELLS)
    if left_out := found.all - len(found.kept):
        space.remark(
            f"ct and ct_worst leave out {left_out} of {found.all} cells of the training data, which hold fewer than "
            f"{LEAST} samples or held-out examples"
        )
    return found


@metric(
    "ct",
    aspect="novelty",
    unit="1",
    better="none",
    sides=SIDES,
    paper="arXiv:2004.05675, section 4",
)
def ct(space: Space) -> Estimate:
    """Distance to the training data beside held-out data's, as a z-score: far below 0 copies, far above 0 underfits."""
    return _mean(space.once(_shared))


@metric(
    "ct_worst",
    aspect="novelty",
    unit="1",
    better="none",
    sides=SIDES,
    paper="arXiv:2302.13181",
)
def ct_worst(space: Space) -> Estimate:
    """The lowest z-score of any cell of the data: copying in one place, which the mean over cells hides."""
    return _worst(space.once(_shared))
