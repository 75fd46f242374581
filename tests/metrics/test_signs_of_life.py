"""A measure that computes for long says so with every turn of its loops, or a run would take it for one that hangs."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch

from bench import Likelihood, Trial
from bench.datasets.digits import digits
from bench.probes.pulse import alive, how_far
from bench.testing import family_for
from metrics._arrays import TILE
from metrics.features import _mixture, c2st, frechet, mauve, mind
from metrics.features import _mmd as mmd
from metrics.features import _neighbours as neighbours
from metrics.likelihood import membership

X, Y = torch.from_numpy(np.random.default_rng(0).standard_normal((2, 120, 3)))
LONG = torch.from_numpy(np.random.default_rng(0).standard_normal((2 * TILE + 1, 1)))


def membership_of_batches() -> None:
    dataset = digits()
    model = family_for("image", Likelihood).make(dataset.spec)
    trial = Trial(model, dataset, seed=0, n_samples=8, batch_size=20, device=torch.device("cpu"))
    membership._scores(trial, "test", 100)


TURNS: dict[str, tuple[Callable[[], object], int]] = {
    "tiles of neighbours": (lambda: neighbours.neighbours(LONG, 1), 9),
    "tiles of a kernel": (lambda: mmd.discrepancy(X, Y, mmd.cubic, block=30), 3 * 16),
    "epochs": (lambda: _mixture.fit(_mixture.Rows.of(X[:50]), _mixture.Rows.of(Y), epochs=7), 7),
    "splits": (lambda: frechet.frechet_corrected(X, Y), frechet.SPLITS),
    "folds": (lambda: c2st.classifier_test(X, Y, np.random.default_rng(0)), c2st.FOLDS),
    "seeds": (lambda: mauve.clusters(X, Y), mauve.SEEDS),
    "directions": (lambda: mind.sliced_distance(X, Y), 1),
    "batches of likelihoods": (membership_of_batches, 5),
}


@pytest.mark.parametrize(("measure", "turns"), TURNS.values(), ids=TURNS)
def test_every_turn_is_a_sign(monkeypatch: pytest.MonkeyPatch, measure: Callable[[], object], turns: int) -> None:
    beats: list[int] = []
    monkeypatch.setattr("bench.probes.pulse._listeners", [lambda: beats.append(1)])
    measure()
    assert len(beats) >= turns


def test_a_loop_that_knows_its_end_tells_how_far_it_is_and_those_within_it_do_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told: list[float | None] = []
    monkeypatch.setattr("bench.probes.pulse._listeners", [lambda: told.append(how_far())])
    for _ in alive([1, 2]):
        for _ in alive("abc"):
            pass
    assert told == [*[0.0] * 4, *[0.5] * 4] and how_far() is None
    told.clear()
    for _ in alive(iter("ab")):  # which nobody knows the end of
        break
    for _ in alive("ab"):
        break
    assert told == [None, 0.0] and how_far() is None
