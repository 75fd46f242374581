"""Bits per byte: nats / (ln 2 x UTF-8 bytes) of the exact string scored, comparable across tokenisers."""

from __future__ import annotations

from bench import Estimate, Likelihood, Sequential, Trial, metric
from metrics.likelihood._scoring import bits_of


@metric("bits_per_byte", on={"text"}, aspect="likelihood", unit="bit/B", better="lower", least=0, lead=0, curve=1)
def bits_per_byte(trial: Trial[Likelihood]) -> Estimate:
    """Bits needed to code one byte of the test split with the model, in disjoint windows."""
    return bits_of(trial, "byte")


@metric("bits_per_byte_sliding", on={"text"}, aspect="likelihood", unit="bit/B", better="lower", least=0)
def bits_per_byte_sliding(trial: Trial[Sequential]) -> Estimate:
    """Bits per byte of the test split, in windows that overlap by half, every token scored once."""
    return bits_of(trial, "byte", "sliding")


@metric("bits_per_byte_stateful", on={"text"}, aspect="likelihood", unit="bit/B", better="lower", least=0)
def bits_per_byte_stateful(trial: Trial[Sequential]) -> Estimate:
    """Bits per byte of the test split, read from end to end with the model's state carried along."""
    return bits_of(trial, "byte", "stateful")
