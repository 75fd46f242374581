"""The 15 setups of Räisä, van Breugel & van der Schaar 2025 (arXiv:2505.22450), each a sweep of one quantity.

A setup yields one Step per position of its sweep: real data and what a generator with that one flaw would make. What
they varied and over which range is theirs, to the digit; the number of positions is ours. Where "n" is given it is
the number of rows a side; they used 1,000, and n / 10 to 10 n where the size itself is swept.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

Array = np.ndarray
Rng = np.random.Generator
Side = Literal["real", "fake"]

# Reach of the mean shift and of the standard deviation (a power of ten), and width of a mode, by dimension.
SHIFT = {1: 6.0, 8: 3.0, 64: 1.0}
DECADES = {1: 3.0, 8: 1.0, 64: 0.5}
WIDTH = {1: 1 / 6, 8: 1 / 3, 64: 1.0}
MODES = 10
OVERLAP = 0.2  # volume that both cubes share
FAR = 6.0  # a shift of one dimension that leaves no overlap
TAIL = 1.01  # of the Pareto distribution: a mean that barely exists
# Ten centres in the plane, far apart: the first five are real modes, the others invented ones.
CENTRES = np.array(
    [
        [5.46794328, -4.08481523],
        [4.87211875, -13.64864684],
        [-16.39432073, 9.09802249],
        [-2.15447941, 12.46200019],
        [11.55784483, -4.96049923],
        [-24.60558474, 14.18020818],
        [16.84215967, -3.18710751],
        [-5.47807206, -6.77247129],
        [9.46726546, 1.05922347],
        [-5.40346201, -17.29490131],
    ]
)


@dataclass(frozen=True)
class Step:
    """One position of a sweep: real ``(m, D)`` and fake ``(n, D)``."""

    at: float
    real: Array
    fake: Array


@dataclass(frozen=True)
class Size:
    """n: rows a side. steps: positions of a sweep; odd, so that one lies in the middle."""

    n: int = 1000
    steps: int = 11

    def counts(self) -> list[int]:
        """Where the number of rows is swept: from n / 10 to 4 n (theirs: 10 n, which costs six times as much)."""
        return [int(n) for n in np.geomspace(self.n / 10, 4 * self.n, 7)]


def mean_shift(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """1. A standard normal against one whose mean is moved in every dimension."""
    real = rng.normal(size=(size.n, d))
    for at in np.linspace(-SHIFT[d], SHIFT[d], size.steps):
        yield Step(at, real, rng.normal(at, size=(size.n, d)))


def outlier(rng: Rng, size: Size, d: int, side: Side) -> Iterator[Step]:
    """2. The same with one row far out, at the last of the means, on one side."""
    far = np.full((1, d), SHIFT[d])
    for step in mean_shift(rng, size, d):
        if side == "real":
            yield replace(step, real=np.concatenate([step.real, far]))
        else:
            yield replace(step, fake=np.concatenate([step.fake, far]))


def spread(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """3. A standard normal against one of another standard deviation."""
    real = rng.normal(size=(size.n, d))
    for at in np.logspace(-DECADES[d], DECADES[d], size.steps):
        yield Step(at, real, rng.normal(scale=at, size=(size.n, d)))


def simultaneous_dropping(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """4. Ten modes on the diagonal; nine of them fade together, by a share that is swept."""
    shares = np.linspace(0, 1, 2 * size.steps - 1)
    yield from _diagonal(rng, size, d, {at: np.r_[1.0, np.full(MODES - 1, 1 - at)] for at in shares.tolist()})


def sequential_dropping(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """5. Ten modes on the diagonal; one after another is left out."""
    yield from _diagonal(rng, size, d, {at: np.r_[np.ones(MODES - at), np.zeros(at)] for at in range(MODES)})


def dropping_and_invention(rng: Rng, size: Size) -> Iterator[Step]:
    """6. Five modes in the plane against the first 1 to 10 of a list that begins with them."""
    real = _mixture(rng, size.n, CENTRES[:5], 0.25)
    for at in range(1, len(CENTRES) + 1):
        yield Step(at, real, _mixture(rng, size.n, CENTRES[:at], 0.25))


def hypersphere(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """7. The surface of the unit sphere against that of a sphere of another radius."""
    real = _directions(rng, size.n, d)
    for at in np.linspace(0.1, 1.9, size.steps):
        yield Step(at, real, at * _directions(rng, size.n, d))


def hypercube(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """8. The unit cube against one moved along the diagonal, a fifth of the volume shared; both sizes are swept."""
    for n in size.counts():
        yield Step(n, rng.uniform(size=(n, d)), _moved_cube(rng, n, d))


def hypercube_samples(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """9. The same where only the number of samples is swept."""
    real = rng.uniform(size=(size.n, d))
    for n in size.counts():
        yield Step(n, real, _moved_cube(rng, n, d))


def sphere_and_torus(rng: Rng, size: Size, real: Literal["ball", "torus"]) -> Iterator[Step]:
    """10. A ball inside the hole of a torus, which it does not touch; the number of samples is swept."""
    there, other = (_ball, _torus) if real == "ball" else (_torus, _ball)
    kept = there(rng, size.n)
    for n in size.counts():
        yield Step(n, kept, other(rng, n))


def one_for_two(rng: Rng, size: Size, d: int) -> Iterator[Step]:
    """11. Two modes that part against one wide mode between them; the distance of the modes is swept.

    The standard deviation of the wide mode, sqrt(1 + mu^2), is that of the authors' program.
    """
    for at in np.linspace(0, 5, size.steps):
        real = _mixture(rng, size.n, np.outer([-at / 2, at / 2], np.ones(d)), 1.0)
        yield Step(at, real, rng.normal(scale=np.sqrt(1 + at**2), size=(size.n, d)))


def scaled_dimension(rng: Rng, size: Size) -> Iterator[Step]:
    """12. Apart in one dimension; the unit of the other is swept."""
    for at in np.logspace(-3, 3, 7):
        unit = np.array([1, at])
        yield Step(at, unit * rng.normal(size=(size.n, 2)), unit * rng.normal([FAR, 0], size=(size.n, 2)))


def pareto(rng: Rng, size: Size) -> Iterator[Step]:
    """13. The mean shift in one dimension beside a second one of heavy tails, equal on both sides."""
    real = np.stack([rng.normal(size=size.n), 1 + rng.pareto(TAIL, size.n)], axis=1)
    for at in np.linspace(-SHIFT[1], SHIFT[1], size.steps):
        yield Step(at, real, np.stack([rng.normal(at, size=size.n), 1 + rng.pareto(TAIL, size.n)], axis=1))


def disjoint_dimension(rng: Rng, size: Size) -> Iterator[Step]:
    """14. Apart in one dimension; the number of others, equal on both sides, is swept."""
    for extra in np.logspace(0, 3, 7).astype(int).tolist():
        fake = rng.normal(size=(size.n, extra + 1))
        fake[:, 0] += FAR
        yield Step(extra, rng.normal(size=(size.n, extra + 1)), fake)


def discrete(rng: Rng, size: Size, rounded: Side) -> Iterator[Step]:
    """15. Whole numbers against numbers with a fraction; the spread in units of the rounding is swept."""
    for at in np.logspace(0, 3, 7):
        real, fake = at * rng.normal(size=(size.n, 1)), at * rng.normal(size=(size.n, 1))
        yield Step(at, *((real.round(), fake) if rounded == "real" else (real, fake.round())))


def _diagonal(rng: Rng, size: Size, d: int, weights: Mapping[float, Array]) -> Iterator[Step]:
    """Modes of equal weight against the same with other weights."""
    centres = np.outer(np.linspace(0, 10, MODES), np.ones(d))
    real = _mixture(rng, size.n, centres, WIDTH[d])
    for at, share in weights.items():
        yield Step(at, real, _mixture(rng, size.n, centres, WIDTH[d], share))


def _mixture(rng: Rng, n: int, centres: Array, width: float, weights: Array | None = None) -> Array:
    share = np.ones(len(centres)) if weights is None else weights
    chosen = centres[rng.choice(len(centres), n, p=share / share.sum())]
    return rng.normal(chosen, width)


def _directions(rng: Rng, n: int, d: int) -> Array:
    rows = rng.normal(size=(n, d))
    unit: Array = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return unit


def _moved_cube(rng: Rng, n: int, d: int) -> Array:
    """The cubes share (1 - start)^d of their volume."""
    start = 1 - OVERLAP ** (1 / d)
    return rng.uniform(start, start + 1, size=(n, d))


def _ball(rng: Rng, n: int) -> Array:
    """Uniform, of radius 0.8."""
    return 0.8 * _directions(rng, n, 3) * rng.uniform(size=(n, 1)) ** (1 / 3)


def _torus(rng: Rng, n: int) -> Array:
    """A uniform disc of radius 0.1 whose centre goes round a unit circle."""
    disc = 0.1 * _directions(rng, n, 2) * rng.uniform(size=(n, 1)) ** 0.5
    turn, ring = rng.uniform(0, 2 * np.pi, n), 1 + disc[:, 0]
    return np.stack([ring * np.cos(turn), ring * np.sin(turn), disc[:, 1]], axis=1)
