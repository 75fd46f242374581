"""Where a series changes its level: by splits that no order of the same numbers would give so well by chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

LEAST = 3  # points on either side of a change
BATCH = 999  # random orders that are looked at together
ENOUGH = 20  # that split as well: then the p is known well enough (Besag & Clifford 1991, Biometrika 78)


class Change(NamedTuple):
    """The first point of a new level, the mean before and after it, and the permutation p of the split."""

    at: int
    before: float
    after: float
    p: float


def change_points(values: Sequence[float], rng: np.random.Generator, *, level: float = 0.01) -> list[Change]:
    """The changes of level in a series, in its order.

    A stretch is split where its sides lie furthest apart for their lengths, and is tested against the same maximum of
    random orders of its own numbers, so that looking for the best place is counted (as in E-divisive, Matteson & James
    2014, JASA 109). What is left of it on either side is split further. Of series that never change a share of
    1 - ``level`` is left whole.
    """
    x = np.asarray(values, float)
    splits = sorted(_splits(x, 0, len(x), rng, level))
    ends = [0, *(at for at, _ in splits), len(x)]
    found = []
    for start, (at, p), end in zip(ends, splits, ends[2:], strict=False):
        found.append(Change(at, float(x[start:at].mean()), float(x[at:end].mean()), p))
    return found


def change_p(values: Sequence[float], rng: np.random.Generator, *, level: float = 0.01) -> float:
    """p of "the series never changes", to be adjusted where many are looked at; told apart down to ``level``."""
    x = np.asarray(values, float)
    return 1.0 if _too_short(x) else _best_split(x, rng, level)[1]


def fewest_points(level: float = 0.01) -> int:
    """How long a series must be to be told to change at all: in a shorter one chance orders as clearly too often."""
    return next(n for n in itertools.count(2 * LEAST) if 2 / math.comb(n, n // 2) <= level)


def _too_short(part: np.ndarray) -> bool:
    return len(part) < 2 * LEAST or np.ptp(part) == 0


def _splits(x: np.ndarray, start: int, end: int, rng: np.random.Generator, level: float) -> list[tuple[int, float]]:
    """Where a stretch changes, and the p of each split."""
    part = x[start:end]
    if _too_short(part):
        return []
    at, p = _best_split(part, rng, level)
    if p > level:
        return []
    cut = start + at
    return [(cut, p), *_splits(x, start, cut, rng, level), *_splits(x, cut, end, rng, level)]


def _best_split(part: np.ndarray, rng: np.random.Generator, level: float) -> tuple[int, float]:
    """Where a stretch splits best, and how often a random order of it splits as well."""
    score = _scores(part[None])[0]
    best = int(score.argmax())
    as_well = orders = 0
    while orders < max(BATCH, 1 / level) and as_well < ENOUGH:
        chance = _scores(rng.permuted(np.broadcast_to(part, (BATCH, len(part))), axis=1)).max(axis=1)
        as_well += int((chance >= score[best] * (1 - 1e-12)).sum())
        orders += BATCH
    return best + LEAST, (1 + as_well) / (1 + orders)


def _scores(x: np.ndarray) -> np.ndarray:
    """Of every split of rows ``(rows, n)`` that leaves ``LEAST`` on either side, how far apart the sides are.

    The difference of means by its standard error, but for the spread of all, which no order changes; with the spread of
    each side, of which one may be three points that happen to agree, chance would give anything.
    """
    n = x.shape[1]
    cuts = np.arange(LEAST, n - LEAST + 1)
    total = (x - x.mean(axis=1, keepdims=True)).cumsum(axis=1)[:, cuts - 1]
    score: np.ndarray = np.abs(total) * np.sqrt(n / (cuts * (n - cuts)))
    return score
