"""What it takes until a model that lies on disk has drawn its first batch, in a fresh process."""

from __future__ import annotations

from bench import Estimate, Trial, metric


@metric("load_seconds", aspect="efficiency", unit="s", better="lower", least=0, asked=True)
def load_seconds(trial: Trial) -> Estimate:
    """Seconds to build the model as its family does, optimiser included, and to read its weights; data left out."""
    return _told(trial, trial.alone().load)


@metric("first_batch_seconds", aspect="efficiency", unit="s", better="lower", least=0, asked=True)
def first_batch_seconds(trial: Trial) -> Estimate:
    """Seconds of the very first batch, with all that is compiled, tuned and cached in it."""
    return _told(trial, trial.alone().first)


def _told(trial: Trial, seconds: float) -> Estimate:
    protocol = {**trial.conditions, "batch_size": trial.alone().batch_size, "process": "its own"}
    return Estimate(value=seconds, n=1, protocol=protocol)
