"""Several datasets together: by hand, and what does not count."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from bench import RunRecord
from bench.results.across import across, profiles
from bench.results.board import leaderboards
from reports._overall import overall
from tests.report_records import failed, record


def runs(metric: str, dataset: str, **values: list[float]) -> list[RunRecord]:
    return [
        record(name, seed, scores={metric: value}, dataset=dataset)
        for name, found in values.items()
        for seed, value in enumerate(found)
    ]


TWO = [
    *runs("fd_lenet", "digits", vae=[2.0, 2.0], gan=[4.0, 6.0], flow=[2.0, 8.0]),
    *runs("recall_lenet", "faces", vae=[0.4, 0.4], gan=[0.8, 0.8], flow=[0.2, 0.1]),
]


def test_runs_are_multiples_of_the_best_mean_in_either_direction() -> None:
    found = {one.name: one for one in across(leaderboards(TWO))}
    assert found["vae"].runs == {"digits": [1.0, 1.0], "faces": [2.0, 2.0]}
    assert found["gan"].runs == {"digits": [2.0, 3.0], "faces": [1.0, 1.0]}
    assert found["flow"].runs == {"digits": [1.0, 4.0], "faces": [4.0, 8.0]}
    assert found["vae"].iqm == pytest.approx(1.5)  # of 1 and 2, the means of either dataset
    assert found["gan"].iqm == pytest.approx(1.75)
    assert found["flow"].iqm == pytest.approx(4.25)


def test_the_first_is_compared_with_each_other() -> None:
    first, second, third = across(leaderboards(TWO))
    assert (first.name, second.name, third.name) == ("vae", "gan", "flow") and first.ahead is None
    assert second.ahead == pytest.approx(0.5)  # always on one dataset, never on the other
    assert third.ahead == pytest.approx((0.75 + 1) / 2)  # on one a tie of half of the pairs


@pytest.mark.slow
def test_the_interval_covers_what_the_best_of_all_is_unsure_of() -> None:
    """Three datasets, three seeds; what all are measured by scatters the most."""
    rng, held = np.random.default_rng(0), {"a": 0, "b": 0}
    for _ in range(60):
        found = [
            record(name, seed, dataset=dataset, scores={"fd_lenet": mean * (1 + spread * rng.normal())})
            for dataset in ("x", "y", "z")
            for name, mean, spread in (("a", 10.0, 0.1), ("b", 13.0, 0.02))
            for seed in range(3)
        ]
        for one in across(leaderboards(found)):
            assert one.interval
            held[one.name] += one.interval.lo <= {"a": 1.0, "b": 1.3}[one.name] <= one.interval.hi
    assert min(held.values()) >= 54


def test_profiles_count_each_dataset_once() -> None:
    many = [*TWO, *runs("fd_lenet", "digits", vae=[2.0] * 6)[2:]]
    at, shares = profiles(across(leaderboards(many)))
    assert at[0] == 1.0
    assert shares["vae"][0] == pytest.approx(0.5)  # all of one dataset, none of the other
    assert all(share[-1] == 1.0 for share in shares.values())
    assert all(a <= b for share in shares.values() for a, b in itertools.pairwise(share))


@pytest.mark.parametrize(
    "records",
    [
        TWO[:6],  # one dataset
        [*TWO[:6], *runs("fd_lenet", "faces", vae=[1.0], gan=[-1.0], flow=[0.0])],  # no multiples
        [*TWO[:6], *runs("fd_lenet", "faces", vae=[1.0], gan=[1e300], flow=[1.0])],
        [*TWO[:6], *runs("fd_lenet", "faces", ebm=[1.0], edm=[2.0])],  # nobody is on both
    ],
)
def test_what_cannot_be_counted_together_is_left_alone(records: list[RunRecord]) -> None:
    assert across(leaderboards(records)) == []
    assert overall([], {}) is None


def test_who_failed_somewhere_is_not_counted() -> None:
    found = across(leaderboards([*TWO, failed("gan", 2, dataset="faces")]))
    assert {one.name for one in found} == {"vae", "flow"}
