"""Classifier two-sample test (Lopez-Paz & Oquab 2017, arXiv:1610.06545, section 3).

The share of examples, half of them generated and half real, that a classifier which has not seen them assigns to the
right side: 0.5 where they cannot be told apart, 1 where they always can. The classifier is a logistic regression with
an L2 penalty on standardised features. It draws one straight line, and so is blind to what leaves the means where they
are: samples of a fifth of the spread, or of one wide mode for two, count as real. ``c2st_nn`` beside it sees them.
Cross-validation lets it judge every example once.

Below 0.5 nothing is better than at 0.5: a fold that is left out shifts the means of the rest the other way, so sides
that no line tells apart can come out significantly below chance. What is below counts as 0.5, in value and interval.

Copies of a row share a fold: recognising a row again is no sign of anything but memory. So a generator that repeats
itself is judged by its distinct rows, and repetition itself is left to the measures of diversity. Rows that differ by
no more than the rounding of an extractor are copies too, ``SAME`` of a feature's mean deviation. That is the limit:
what a generator repeats with a jitter above it is recognised again, and counts as told apart. No wider rule would do,
since rows of one feature lie as near by chance, and how near depends on how many there are.

Interval: Wilson's, of fewer trials than were judged. Folds train on one another's examples, so their accuracies are
correlated by about 1/K where what they learn is chance (Nadeau & Bengio 2003, Machine Learning 52, section 3), which
multiplies the variance by 1 + (K - 1)/K; without that a nominal 95 % covered 0.5 in only 84 to 89 % of simulations with
equal sides. The more they learn the more they agree and the less it matters: in simulations the excess fell with the
square of the error rate, as is reckoned here. Copies count as one trial.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch

from bench import Estimate, GenbenchError, Space, TooFew, alive, metric, wilson_interval
from metrics._arrays import Array, by_content, checked_pair

Fit = Callable[[np.ndarray, np.ndarray], Any]
CHANCE = 0.5
FOLDS = 5
LEAST = 2 * FOLDS  # distinct rows a side, so that every training part holds both sides
# sklearn's C. Of 0.001, 0.01 and 1 it converges fast at any width and is the most accurate on correlated features.
PENALTY = 0.01
TOLERANCE, ITERATIONS = 1e-3, 5000
SAME = 1e-6  # of a feature's mean deviation: what single precision and the size of a batch may change in it
METHOD = "Wilson, correlated folds, at least chance, of the expectation at this n"


def classifier_test(fake: Array, real: Array, rng: np.random.Generator) -> Estimate:
    """Held-out accuracy in [0.5, 1] of features ``(n, D)`` and ``(m, D)``; the larger side is cut to the other's size.

    rng: draws the rows that are kept and the folds.
    Raises GenbenchError for fewer than ten distinct rows a side, other shapes, different D, NaN or infinity, or a
    classifier that does not converge.
    """
    return held_out_accuracy(fake, real, rng, logistic, {"classifier": "logistic regression", "C": PENALTY})


def held_out_accuracy(
    fake: Array, real: Array, rng: np.random.Generator, fitted: Fit, protocol: Mapping[str, str | int | float]
) -> Estimate:
    """The same of any classifier. fitted: takes rows and whether each is generated, and returns what can ``predict``.

    Raises GenbenchError as ``classifier_test`` does.
    """
    sides = [side.cpu().numpy() for side in checked_pair(fake, real, LEAST)]
    k = min(map(len, sides))
    kept = [side[by_content(side).numpy()][rng.choice(len(side), k, replace=False)] for side in sides]
    x, is_fake = np.concatenate(kept), np.repeat([True, False], k)  # (2k, D) and (2k,)
    groups = copies(x)
    right = held_out(x, is_fake, folds_of(groups, is_fake, rng), fitted)
    share = max(CHANCE, float(right.mean()))
    # So many independent predictions tell as much: fewer for copies (Kish's design effect) and shared training.
    sizes, shared = np.bincount(groups), (FOLDS - 1) / FOLDS * ((1 - share) / (1 - CHANCE)) ** 2
    trials = float(sizes.sum() ** 2 / (sizes**2).sum() / (1 + shared))
    found = wilson_interval(share, trials, METHOD)
    return Estimate(
        value=share,
        n=len(x),
        interval=found.model_copy(update={"lo": max(CHANCE, found.lo)}),
        protocol={**protocol, "folds": FOLDS, "scaling": "standardised", "least": CHANCE},
    )


@metric("c2st", aspect="realism", unit="1", better="lower", least=0, most=1, paper="arXiv:1610.06545")
def c2st(space: Space) -> Estimate:
    """How often a held-out linear classifier tells samples from real data: 0.5 never, 1 always. Blind to spread.

    Rows that come again, to a millionth of the features' spread, are judged as one; with more jitter they count as told
    apart, since the classifier has seen their like.
    """
    return classifier_test(space.fake, space.real, numpy_rng(space, "c2st"))


def numpy_rng(space: Space, name: str) -> np.random.Generator:
    """numpy's generator, seeded by the space's stream of this name."""
    return np.random.default_rng(int(torch.randint(2**31, (), generator=space.rng(name))))


def copies(x: np.ndarray) -> np.ndarray:
    """A number for each row ``(n,)``, counted from 0, the same for rows that are the same but for rounding.

    Such rows are neighbours in the order of their contents, and only neighbours are compared.
    """
    scale = np.abs(x - x.mean(0)).mean(0)  # which one far row hardly moves
    rows = x / np.where(scale > 0, scale, 1)
    order = by_content(rows).numpy()
    new = np.concatenate([[False], np.abs(np.diff(rows[order], axis=0)).max(1) > SAME])
    found = np.empty(len(x), int)
    found[order] = new.cumsum()
    return found


def folds_of(groups: np.ndarray, is_fake: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A fold for each row ``(n,)``: copies together, and each side spread evenly.

    Groups of copies are dealt out in turn: those of generated rows, of real rows, and of both. Raises TooFew where a
    side has too few distinct rows for every training part to hold some.
    """
    held_by = [np.bincount(groups, weights=side) > 0 for side in (is_fake, ~is_fake)]
    for name, held in zip(("generated", "real"), held_by, strict=True):
        if held.sum() < LEAST:
            raise TooFew(f"{held.sum()} distinct {name} examples are too few: at least {LEAST} are needed")
    kinds = held_by[0] + 2 * held_by[1]
    order = np.concatenate([rng.permutation(np.flatnonzero(kinds == kind)) for kind in (1, 2, 3)])
    folds = np.empty(len(order), int)
    folds[order] = np.arange(len(order)) % FOLDS
    spread: np.ndarray = folds[groups]
    return spread


def held_out(x: np.ndarray, is_fake: np.ndarray, folds: np.ndarray, fitted: Fit) -> np.ndarray:
    """Whether each row was assigned to its side by the model that was trained without its fold, ``(n,)``."""
    right = np.empty(len(x), bool)
    for fold in alive(range(FOLDS)):
        out = folds == fold
        right[out] = fitted(x[~out], is_fake[~out]).predict(x[out]) == is_fake[out]
    return right


def logistic(x: np.ndarray, is_fake: np.ndarray) -> Any:
    """A fitted logistic regression. Raises GenbenchError where it does not converge."""
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
