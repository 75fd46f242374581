"""Examples a second: total work over total time while training, the median of timed batches while sampling."""

from __future__ import annotations

import statistics

from bench import Estimate, Generator, Omitted, Trainable, Trial, median_interval, metric, time_calls
from metrics.cost import costs
from metrics.features import EVERY


@metric("train_throughput", on=EVERY, aspect="efficiency", unit="examples/s", better="higher", needs=Trainable)
def train_throughput(trial: Trial) -> Estimate:
    """Examples trained on per second of training steps; checkpoints and start-up left out."""
    spent = costs(trial)
    if spent.train_examples == 0:
        raise Omitted("nothing was trained: the weights were loaded")
    protocol = {**trial.conditions, "batch_size": trial.batch_size}
    value = spent.train_examples / spent.train_seconds
    return Estimate(value=value, n=spent.train_examples, protocol=protocol)


@metric("sample_throughput", on=EVERY, aspect="efficiency", unit="examples/s", better="higher", needs=Generator)
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
