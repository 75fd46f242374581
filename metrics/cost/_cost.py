"""What the cost measures share: where and how they were taken, so that only like is compared with like."""

from __future__ import annotations

from bench import Costs, Estimate, Omitted, Timing, Trial


def costs(trial: Trial) -> Costs:
    """What training and sampling took. Raises Omitted for a trial put together outside a run."""
    if trial.costs is None:
        raise Omitted("only a run measures what training takes")
    return trial.costs


def told(estimate: Estimate, trial: Trial, timing: Timing, scenario: str, batch_size: int) -> Estimate:
    """The estimate with what a time says of itself, and whether other work kept the machine busy meanwhile."""
    protocol = {**trial.conditions, "batch_size": batch_size, "scenario": scenario}
    return estimate.model_copy(update={"protocol": protocol, "busy": timing.busy})


def told_alone(trial: Trial, value: float, n: int = 1, **how: str | int) -> Estimate:
    """What a process that does nothing but sample measured. how: what else is to be alike where it is compared."""
    protocol = {**trial.conditions, **how, "process": "its own"}
    return Estimate(value=value, n=n, protocol=protocol, busy=trial.alone().busy)


def draw_anew(trial: Trial, n: int) -> object:
    """n samples from a stream of their own, so that timing never moves the samples that are judged."""
    return trial.model.sample(n, trial.rng("timing"))
