"""What it takes until a model that lies on disk has drawn its first batch, in a fresh process."""

from __future__ import annotations

from bench import Estimate, Trial, metric
from metrics.cost._cost import told_alone


@metric("load_seconds", aspect="efficiency", unit="s", better="lower", least=0, asked=True)
def load_seconds(trial: Trial) -> Estimate:
    """Seconds to build the model as its family does, optimiser included, and to read its weights; data left out."""
    found = trial.alone()
    return told_alone(trial, found.load, batch_size=found.batch_size)


@metric("first_batch_seconds", aspect="efficiency", unit="s", better="lower", least=0, asked=True)
def first_batch_seconds(trial: Trial) -> Estimate:
    """Seconds of the very first batch, with all that is compiled, tuned and cached in it."""
    found = trial.alone()
    return told_alone(trial, found.first, batch_size=found.batch_size)
