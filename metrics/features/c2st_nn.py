"""Classifier two-sample test by a small neural network: C2ST-NN (Lopez-Paz & Oquab 2017, arXiv:1610.06545, section 4).

As ``c2st``, but the classifier has one hidden layer of 20 rectified units, trained for 100 epochs by Adam, as in the
paper, with a penalty on its weights. It also sees spread, modes and dependence, which the straight line of ``c2st``
does not; of few rows and many features it learns less of a shift of the mean than that line does. So neither can
stand for the other: sides are alike where both say so.
"""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from bench import Estimate, Space, metric
from metrics._arrays import Array
from metrics.features.c2st import held_out_accuracy, numpy_rng

UNITS, EPOCHS = 20, 100
# A rate that the few steps of a hundred epochs suffice for, and a penalty that does not learn rows by heart.
RATE, PENALTY = 0.01, 1.0
SEED = 0  # of the first weights


def network_test(fake: Array, real: Array, rng: np.random.Generator) -> Estimate:
    """Held-out accuracy in [0.5, 1] of features ``(n, D)`` and ``(m, D)``; the larger side is cut to the other's size.

    rng: draws the rows that are kept and the folds.
    Raises GenbenchError for fewer than ten distinct rows a side, other shapes, different D, NaN or infinity.
    """
    told: dict[str, str | int | float] = {
        "classifier": f"{UNITS} ReLU units, Adam",
        "epochs": EPOCHS,
        "rate": RATE,
        "penalty": PENALTY,
    }
    return held_out_accuracy(fake, real, rng, network, told)


@metric("c2st_nn", aspect="realism", unit="1", better="lower", least=0, most=1,
        paper="arXiv:1610.06545, section 4")  # fmt: skip
def c2st_nn(space: Space) -> Estimate:
    """How often a held-out small neural network tells samples from real data: 0.5 never, 1 always. Sees spread too.

    Rows that come again, to a millionth of the features' spread, are judged as one; with more jitter they count as told
    apart, since the network has seen their like.
    """
    return network_test(space.fake, space.real, numpy_rng(space, "c2st_nn"))


def network(x: np.ndarray, is_fake: np.ndarray) -> Any:
    """A fitted network."""
    from sklearn.exceptions import ConvergenceWarning  # half a second to import
    from sklearn.neural_network import MLPClassifier
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    layer = MLPClassifier((UNITS,), max_iter=EPOCHS, learning_rate_init=RATE, alpha=PENALTY, random_state=SEED)
    model = make_pipeline(StandardScaler(), layer)
    with warnings.catch_warnings():
        # The number of epochs is the rule, whether or not the loss would still fall.
        warnings.simplefilter("ignore", ConvergenceWarning)
        return model.fit(x, is_fake)
