"""Where a series changes its level: by splits that no order of the same numbers would give so well by chance."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
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


class Split(NamedTuple):
    """Where a stretch splits best, its first point behind, and the permutation p of that split."""

    at: int
    p: float


def change_points(
    values: Sequence[float] | np.ndarray, rng: np.random.Generator, *, level: float = 0.01, first: Split | None = None
) -> list[Change]:
    """The changes of level in a series, in its order.

    A stretch is split where its sides lie furthest apart for their lengths, and is tested against the same maximum of
    random orders of its own numbers, so that looking for the best place is counted (as in E-divisive, Matteson & James
    2014, JASA 109). What is left of it on either side is split further. Of series that never change a share of
    1 - ``level`` is left whole. first: the split of the whole series, where it is known already.
    """
    x = np.asarray(values, float)
    splits = sorted(_splits(x, 0, len(x), rng, level, first))
    ends = [0, *(split.at for split in splits), len(x)]
    return [
        Change(at, float(x[start:at].mean()), float(x[at:end].mean()), p)
        for start, (at, p), end in zip(ends, splits, ends[2:], strict=False)
    ]


def best_split(values: Sequence[float] | np.ndarray, rng: np.random.Generator, *, orders: int = BATCH) -> Split | None:
    """Where a series splits best, by at most so many random orders of it; None for one that is too short or even."""
    part = np.asarray(values, float)
    if len(part) < 2 * LEAST or np.ptp(part) == 0:
        return None
    score = _scores(part[None])[0]
    best, as_well, seen = int(score.argmax()), 0, 0
    while seen < orders and as_well < ENOUGH:
        chance = _scores(rng.permuted(np.broadcast_to(part, (BATCH, len(part))), axis=1)).max(axis=1)
        as_well += int((chance >= score[best] * (1 - 1e-12)).sum())
        seen += BATCH
    return Split(best + LEAST, (1 + as_well) / (1 + seen))


def merged(values: Sequence[float], changes: Sequence[Change], small: Callable[[Change], bool]) -> list[Change]:
    """The changes without those that are too small, of the levels that are left; the smallest goes first.

    So that a slow drift, each step of which is small, is still a change.
    """
    x, kept = np.asarray(values, float), list(changes)
    while least := min(filter(small, kept), key=lambda c: abs(c.after - c.before), default=None):
        left = [c for c in kept if c is not least]
        ends = [0, *(c.at for c in left), len(x)]
        kept = [
            c._replace(before=float(x[start : c.at].mean()), after=float(x[c.at : end].mean()))
            for start, c, end in zip(ends, left, ends[2:], strict=False)
        ]
    return kept


def fewest_points(level: float = 0.01) -> int:
    """How long a series must be to be told to change at all: in a shorter one chance orders as clearly too often."""
    return next(n for n in itertools.count(2 * LEAST) if 2 / math.comb(n, n // 2) <= level)


def _splits(
    x: np.ndarray, start: int, end: int, rng: np.random.Generator, level: float, known: Split | None = None
) -> list[Split]:
    """Where a stretch changes, and the p of each split."""
    found = known or best_split(x[start:end], rng, orders=max(BATCH, math.ceil(1 / level)))
    if found is None or found.p > level:
        return []
    cut = start + found.at
    return [Split(cut, found.p), *_splits(x, start, cut, rng, level), *_splits(x, cut, end, rng, level)]


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
