"""Classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv:1610.06545, section 3).

The share of examples, half of them generated and half real, that a classifier which has not seen them assigns to the
right side: 0.5 where they cannot be told apart, 1 where they always can. The classifier is a logistic regression with
an L2 penalty on standardised features. Cross-validation lets it judge every example once.

Copies of a row share a fold: recognising a row again is no sign of anything but memory. So a generator that repeats
itself is judged by its distinct rows, and repetition itself is left to the measures of diversity.

Interval: Wilson's, of fewer trials than were judged. Folds train on one another's examples, so their accuracies are
correlated by about 1/K (Nadeau & Bengio 2003, Machine Learning 52, section 3), which multiplies the variance by
1 + (K - 1)/K; without that a nominal 95 % covered 0.5 in only 84 to 89 % of simulations with equal sides. Copies count
as one trial.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Space, TooFew, metric, wilson_interval
from metrics.features import EVERY, Array, checked_pair

FOLDS = 5
LEAST = 2 * FOLDS  # distinct rows a side, so that every training part holds both sides
# sklearn's C. Of 0.001, 0.01 and 1 it converges fast at any width and is the most accurate on correlated features.
PENALTY = 0.01
TOLERANCE, ITERATIONS = 1e-3, 5000


def classifier_test(fake: Array, real: Array, rng: np.random.Generator) -> Estimate:
    """Held-out accuracy, 0 to 1; features ``(n, D)`` and ``(m, D)``. The larger side is cut to the smaller one's rows.

    rng: draws the rows that are kept and the folds.
    Raises GenbenchError for fewer than ten distinct rows a side, other shapes, different D, NaN or infinity, or a
    classifier that does not converge.
    """
    x, is_fake = _balanced(*checked_pair(fake, real, LEAST), rng)
    copies = identical(x)
    right = held_out(x, is_fake, folds_of(copies, is_fake, rng))
    return Estimate(
        value=float(right.mean()),
        n=len(x),
        interval=wilson_interval(float(right.mean()), _trials(copies), "Wilson, folds correlated by 1/K"),
        protocol={"classifier": "logistic regression", "C": PENALTY, "folds": FOLDS, "scaling": "standardised"},
    )


@metric("c2st", of="features", on=EVERY, aspect="realism", unit="1", better="lower", paper="arXiv:1610.06545")
def c2st(space: Space) -> Estimate:
    """How often a held-out classifier tells samples from real data: 0.5 never better than chance, 1 always."""
    seed = int(torch.randint(2**31, (), generator=space.rng("c2st")))
    return classifier_test(space.fake, space.real, np.random.default_rng(seed))


def identical(x: np.ndarray) -> np.ndarray:
    """A number for each row ``(n,)``, the same for rows that are the same, counted from 0."""
    seen: dict[bytes, int] = {}
    # Adding zero makes -0.0 the 0.0 that it equals.
    return np.array([seen.setdefault(row.tobytes(), len(seen)) for row in x + 0.0])


def folds_of(copies: np.ndarray, is_fake: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold for each row ``(n,)``: copies together, and each side spread evenly.

    Groups of copies are dealt out in turn: those of generated rows, of real rows, and of both. Raises TooFew where a
    side has too few distinct rows for every training part to hold some.
    """
    held_by = [np.bincount(copies, weights=side) > 0 for side in (is_fake, ~is_fake)]
    for name, held in zip(("generated", "real"), held_by, strict=True):
        if held.sum() < LEAST:
            raise TooFew(f"{held.sum()} distinct {name} examples are too few: at least {LEAST} are needed")
    kinds = held_by[0] + 2 * held_by[1]
    groups = np.concatenate([rng.permutation(np.flatnonzero(kinds == kind)) for kind in (1, 2, 3)])
    folds = np.empty(len(groups), int)
    folds[groups] = np.arange(len(groups)) % FOLDS
    spread: np.ndarray = folds[copies]
    return spread


def held_out(x: np.ndarray, is_fake: np.ndarray, folds: np.ndarray) -> np.ndarray:
    """Whether each row was assigned to its side by the model that was trained without its fold, ``(n,)``."""
    right = np.empty(len(x), bool)
    for fold in range(FOLDS):
        out = folds == fold
        right[out] = _fitted(x[~out], is_fake[~out]).predict(x[out]) == is_fake[out]
    return right


def _fitted(x: np.ndarray, is_fake: np.ndarray) -> Any:
    from sklearn.exceptions import ConvergenceWarning  # half a second to import
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    model = make_pipeline(StandardScaler(), LogisticRegression(C=PENALTY, tol=TOLERANCE, max_iter=ITERATIONS))
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            model.fit(x, is_fake)
        except ConvergenceWarning as warning:
            raise GenbenchError(
                f"the classifier did not converge in {ITERATIONS} iterations: look for outliers in the features"
            ) from warning
    return model


def _balanced(fake: Tensor, real: Tensor, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows of both sides, equally many of each, and which are generated; ``(2k, D)`` and ``(2k,)``."""
    sides, k = [side.cpu().numpy() for side in (fake, real)], min(len(fake), len(real))
    kept = [side[np.sort(rng.choice(len(side), k, replace=False))] for side in sides]
    return np.concatenate(kept), np.repeat([True, False], k)


def _trials(copies: np.ndarray) -> float:
    """How many independent predictions tell as much: fewer for copies (Kish's design effect) and shared training."""
    sizes = np.bincount(copies)
    return float(sizes.sum() ** 2 / (sizes**2).sum() / (1 + (FOLDS - 1) / FOLDS))
