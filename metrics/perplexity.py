"""Perplexity per token: exp of nats over tokens of the test split, comparable only under the same tokeniser."""

from __future__ import annotations

import math

from bench import Estimate, Likelihood, Trial, metric
from metrics.scoring import per, score, transformed


@metric("perplexity", on={"text"}, aspect="likelihood", unit="1", better="lower", needs=Likelihood)
def perplexity(trial: Trial) -> Estimate:
    """exp(nats / tokens) of the test split, every token scored once."""
    found = score(trial)
    return transformed(per(found, found.tokens), math.exp)
