"""Bits per byte: nats / (ln 2 x UTF-8 bytes) of the exact string scored, comparable across tokenisers."""

from __future__ import annotations

import math

from bench import Estimate, Likelihood, Trial, metric
from metrics.scoring import per, score, transformed


@metric("bits_per_byte", on={"text"}, aspect="likelihood", unit="bit/B", better="lower", needs=Likelihood)
def bits_per_byte(trial: Trial) -> Estimate:
    """Bits needed to code one byte of the test split with the model."""
    found = score(trial)
    return transformed(per(found, found.bytes), lambda nats: nats / math.log(2))
