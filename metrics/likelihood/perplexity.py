"""Perplexity: exp of nats per unit of the test split.

Per token it is comparable only under the same tokeniser, which its protocol names; per byte or word, of the exact
string scored, across them (word_perplexity = exp(bits_per_byte x ln 2 x bytes / words)).
"""

from __future__ import annotations

from bench import Estimate, Likelihood, Sequential, Trial, metric
from metrics.likelihood._scoring import perplexity_of


@metric("perplexity", on={"text"}, aspect="likelihood", unit="1", better="lower", least=1, lead=5)
def perplexity(trial: Trial[Likelihood]) -> Estimate:
    """exp(nats / tokens) of the test split, in disjoint windows."""
    return perplexity_of(trial, "token")


@metric("perplexity_byte", on={"text"}, aspect="likelihood", unit="1", better="lower", least=1)
def perplexity_byte(trial: Trial[Likelihood]) -> Estimate:
    """exp(nats / UTF-8 bytes) of the test split, in disjoint windows."""
    return perplexity_of(trial, "byte")


@metric("perplexity_word", on={"text"}, aspect="likelihood", unit="1", better="lower", least=1)
def perplexity_word(trial: Trial[Likelihood]) -> Estimate:
    """exp(nats / words) of the test split, words being what white space parts, in disjoint windows."""
    return perplexity_of(trial, "word")


@metric("perplexity_sliding", on={"text"}, aspect="likelihood", unit="1", better="lower", least=1)
def perplexity_sliding(trial: Trial[Sequential]) -> Estimate:
    """exp(nats / tokens) of the test split, in windows that overlap by half, every token scored once."""
    return perplexity_of(trial, "token", "sliding")


@metric("perplexity_stateful", on={"text"}, aspect="likelihood", unit="1", better="lower", least=1)
def perplexity_stateful(trial: Trial[Sequential]) -> Estimate:
    """exp(nats / tokens) of the test split, read from end to end with the model's state carried along."""
    return perplexity_of(trial, "token", "stateful")
