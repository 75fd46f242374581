"""Bits per character: nats / (ln 2 x Unicode code points) of the exact string scored."""

from __future__ import annotations

from bench import Estimate, Likelihood, Trial, metric
from metrics.likelihood._scoring import bits_of


@metric("bits_per_char", on={"text"}, aspect="likelihood", unit="bit/char", better="lower", least=0)
def bits_per_char(trial: Trial[Likelihood]) -> Estimate:
    """Bits needed to code one character of the test split with the model, in disjoint windows."""
    return bits_of(trial, "char")
