"""Energy of training and of sampling, by the counters that a GPU (NVML) or a processor (RAPL) keeps of itself.

They count all that runs there: on a machine shared with others, an upper bound that nobody can correct.
"""

from __future__ import annotations

from bench import Estimate, Meter, Omitted, Trainable, Trial, metric
from metrics.cost._cost import costs, told
from metrics.cost.throughput import SCENARIO, offline

LEAST_SECONDS = 0.5  # counters are renewed some ten times a second


@metric("train_energy", aspect="efficiency", unit="J", better="lower", least=0)
def train_energy(trial: Trial[Trainable]) -> Estimate:
    """Joules of the training's steps; looks on the way and checkpoints left out."""
    spent = costs(trial)
    if spent.train_examples == 0:
        raise Omitted("nothing was trained: the weights were loaded")
    if spent.joules is None:
        raise Omitted(spent.energy)
    return Estimate(value=spent.joules, n=1, protocol={**trial.conditions, "counter": spent.energy})


@metric("sample_energy", aspect="efficiency", unit="J/example", better="lower", least=0)
def sample_energy(trial: Trial) -> Estimate:
    """Joules for each example of a batch, over as many batches as throughput is measured on."""
    if not (meter := Meter(trial.device)).source:
        raise Omitted(meter.why)
    size, timing = offline(trial)
    if timing.joules is None:
        raise Omitted(timing.energy)
    if timing.total < LEAST_SECONDS:
        raise Omitted(f"the batches took {timing.total:.2g} s, and a counter tells of no less than {LEAST_SECONDS} s")
    drawn = size * len(timing.calls)
    found = told(Estimate(value=timing.joules / drawn, n=drawn), trial, timing, SCENARIO, size)
    return found.model_copy(update={"protocol": {**found.protocol, "counter": timing.energy}})
