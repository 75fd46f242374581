"""Examples a second: total work over total time while training, the median of timed batches while sampling."""

from __future__ import annotations

import statistics

import numpy as np

from bench import (
    Estimate,
    Omitted,
    Trainable,
    Trial,
    median_interval,
    metric,
    normal_interval,
    ratio_error,
    time_calls,
)
from metrics.cost._cost import costs

STRETCHES = 30  # of training: enough to tell their spread by, and long enough that one says little of the next


@metric("train_throughput", aspect="efficiency", unit="examples/s", better="higher", least=0)
def train_throughput(trial: Trial[Trainable]) -> Estimate:
    """Examples trained on per second of training steps; checkpoints and start-up left out."""
    spent = costs(trial)
    if spent.train_examples == 0:
        raise Omitted("nothing was trained: the weights were loaded")
    protocol = {**trial.conditions, "batch_size": trial.batch_size}
    value = spent.train_examples / spent.train_seconds
    # How sure that is, from the pace of at most so many stretches; unknown where it was noted but once.
    ends = np.linspace(0, len(spent.pace), min(STRETCHES, len(spent.pace)) + 1).round().astype(int)[1:] - 1
    steps, seconds = np.diff([(0, 0.0), *(spent.pace[end] for end in ends)], axis=0).T
    error = ratio_error(steps * (spent.train_examples / max(1, steps.sum())), seconds)
    method = f"delta method over {len(steps)} stretches of training"
    interval = None if error is None else normal_interval(value, error, method, lo=0)
    return Estimate(value=value, n=spent.train_examples, interval=interval, protocol=protocol)


@metric("sample_throughput", aspect="efficiency", unit="examples/s", better="higher", least=0, lead=1)
def sample_throughput(trial: Trial) -> Estimate:
    """Examples drawn per second, in batches, warmed up; the median batch decides."""
    size = min(trial.batch_size, trial.n_samples)
    seconds = time_calls(lambda: draw_anew(trial, size), trial.device)
    interval = median_interval([size / s for s in seconds])
    value = size / statistics.median(seconds)
    return Estimate(value=value, n=len(seconds), interval=interval, protocol={**trial.conditions, "batch_size": size})


def draw_anew(trial: Trial, n: int) -> object:
    """n samples from a stream of their own, so that timing never moves the samples that are judged."""
    return trial.model.sample(n, trial.rng("timing"))
