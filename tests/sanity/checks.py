"""The checks: a setup, its variants, and what it asks of a metric of fidelity, of diversity, of distance."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal
from zlib import crc32

import numpy as np

from tests.sanity import setups
from tests.sanity.criteria import (
    Criterion,
    bell,
    climbs,
    either,
    falls,
    flat,
    near,
    near_first,
    near_last,
    one_or_nothing,
    rises,
    settles,
    steady,
    steady_late,
    valley,
)
from tests.sanity.setups import OVERLAP, Rng, Size, Step

Kind = Literal["fidelity", "diversity", "distance", "variety"]
Question = Literal["shape", "bounds"]
Sweep = Callable[[Rng, Size], Iterator[Step]]
Asked = Mapping[Kind, Sequence[Criterion]]


@dataclass(frozen=True)
class Check:
    """variants: sweeps by name. shape: how values must run. bounds: what they must be, for scores from 0 to 1.

    Kinds: "fidelity" and "diversity" are scores against real data, "distance" is 0 for no difference, "variety" looks
    at samples alone. A kind that a check says nothing about is missing. own: bounds of one variant alone.
    """

    name: str
    variants: Mapping[str, Sweep]
    shape: Asked
    bounds: Asked
    own: Mapping[str, Asked] | None = None

    def sweep(self, variant: str, seed: int, size: Size) -> Iterator[Step]:
        """Its own stream of numbers for each check, variant and seed; positions without the noise of rounding."""
        rng = np.random.default_rng([crc32(f"{self.name}/{variant}".encode()), seed])
        for step in self.variants[variant](rng, size):
            yield replace(step, at=round(float(step.at), 6))

    def asked(self, question: Question, variant: str, kind: Kind) -> Sequence[Criterion]:
        """Empty where the check says nothing."""
        if question == "shape":
            return self.shape.get(kind, ())
        return (self.own or {}).get(variant, self.bounds).get(kind, ())


def _dims(sweep: Callable[..., Iterator[Step]], *dims: int, prefix: str = "", **fixed: str) -> dict[str, Sweep]:
    return {f"{prefix}{d} d": partial(sweep, d=d, **fixed) for d in dims}


def _both(*criteria: Criterion) -> Asked:
    return {"fidelity": criteria, "diversity": criteria}


# A bell over the shift; at both ends nothing is shared with the real data.
SHIFTED: Asked = {**_both(bell(0)), "distance": [valley(0)]}
ENDS = _both(near(1, at=0), near_first(0), near_last(0))
NOTHING = _both(near_first(0), near_last(0))
UNMOVED: Asked = {**_both(flat()), "distance": [steady()]}
SETTLED: Asked = {**_both(settles()), "distance": [steady_late()], "variety": [steady_late()]}
DROPPED: Asked = {"fidelity": [flat()], "distance": [climbs()], "variety": [climbs(-1)]}
KEPT: Asked = {"fidelity": [near_first(1), near_last(1)], "diversity": [near_first(1)]}

CHECKS = [
    Check("Mean shift", _dims(setups.mean_shift, 1, 8, 64), {**SHIFTED, "variety": [steady()]}, ENDS),
    Check(
        "Mean shift, one outlier",
        {
            **_dims(setups.outlier, 1, 8, 64, prefix="real ", side="real"),
            **_dims(setups.outlier, 1, 8, 64, prefix="fake ", side="fake"),
        },
        SHIFTED,
        ENDS,
    ),
    Check(
        "Standard deviation",
        _dims(setups.spread, 1, 8, 64),
        {
            "fidelity": [falls()],
            "diversity": [either(low=bell(1), high=rises())],
            "distance": [valley(1)],
            "variety": [climbs()],
        },
        {
            "fidelity": [near(1, at=1), near_first(1), near_last(0)],
            "diversity": [near(1, at=1), near_first(0), one_or_nothing(last=True)],
        },
    ),
    Check(
        "Modes dropped together",
        _dims(setups.simultaneous_dropping, 1, 8, 64),
        {**DROPPED, "diversity": [falls(by=0.95)]},
        KEPT,
    ),
    Check(
        "Modes dropped in turn",
        _dims(setups.sequential_dropping, 1, 8, 64),
        {**DROPPED, "diversity": [falls(by=4)]},
        KEPT,
    ),
    Check(
        "Modes dropped and invented",
        {"2 d": setups.dropping_and_invention},
        {"fidelity": [falls()], "diversity": [rises()], "distance": [valley(5)], "variety": [climbs()]},
        {"fidelity": [near(1, at=5), near_first(1)], "diversity": [near(1, at=5), near_last(1)]},
    ),
    Check(
        "Surface of a sphere",
        _dims(setups.hypersphere, 2, 16, 128),
        {**_both(bell(1)), "distance": [valley(1)], "variety": [steady()]},
        _both(near(1, at=1), near_first(0), near_last(0)),
    ),
    Check("Cubes, both sizes", _dims(setups.hypercube, 1, 8, 64), SETTLED, _both(near_last(OVERLAP))),
    Check("Cubes, number of samples", _dims(setups.hypercube_samples, 1, 8, 64), SETTLED, _both(near_last(OVERLAP))),
    Check(
        "Ball and torus",
        {f"real {there}": partial(setups.sphere_and_torus, real=there) for there in ("ball", "torus")},
        SETTLED,
        _both(near_last(0)),
    ),
    Check(
        "One mode for two",
        _dims(setups.one_for_two, 1, 8, 64),
        {"fidelity": [falls()], "diversity": [either(low=falls(), high=flat())], "distance": [climbs()]},
        _both(near_first(1)),
    ),
    Check("Unit of one dimension", {"2 d": setups.scaled_dimension}, UNMOVED, NOTHING),
    Check("Mean shift beside heavy tails", {"2 d": setups.pareto}, SHIFTED, ENDS),
    Check("One dimension apart among equal ones", {"2 to 1,001 d": setups.disjoint_dimension}, UNMOVED, NOTHING),
    Check(
        "Whole numbers",
        {f"{side} rounded": partial(setups.discrete, rounded=side) for side in ("real", "fake")},
        _both(flat()),
        {},
        own={
            "real rounded": {
                "fidelity": [near_first(0), near_last(0)],
                "diversity": [one_or_nothing(last=False), one_or_nothing(last=True)],
            },
            "fake rounded": {
                "fidelity": [near_first(1), near_last(1)],
                "diversity": [near_first(0), near_last(0)],
            },
        },
    ),
]
