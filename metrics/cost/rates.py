"""Throughput in units that compare across lengths and rates: tokens, frames and seconds of sound, each a second."""

from __future__ import annotations

from bench import Estimate, Omitted, Scored, Trainable, Trial, metric
from metrics.cost.throughput import sample_throughput, train_throughput


@metric("token_throughput", aspect="efficiency", unit="tokens/s", better="higher", least=0, on={"text"})
def token_throughput(trial: Trial) -> Estimate:
    """Tokens drawn per second, batch after batch; those that a text has, up to its end."""
    return _times(sample_throughput(trial), _mean_length(trial))


@metric("train_token_throughput", aspect="efficiency", unit="tokens/s", better="higher", least=0, on={"text"})
def train_token_throughput(trial: Trial[Trainable]) -> Estimate:
    """Tokens trained on per second of training steps, padding included."""
    return _times(train_throughput(trial), trial.spec.shape[0])


@metric("frame_throughput", aspect="efficiency", unit="frames/s", better="higher", least=0, on={"music", "video"})
def frame_throughput(trial: Trial) -> Estimate:
    """Frames drawn per second, batch after batch."""
    return _times(sample_throughput(trial), _mean_length(trial))


@metric("realtime_factor", aspect="efficiency", unit="1", better="higher", least=0, on={"audio", "music", "video"})
def realtime_factor(trial: Trial) -> Estimate:
    """Seconds of sound or film drawn per second: above 1 it is made faster than it plays.

    Some call its inverse, seconds of computing a second of sound, by this name.
    """
    rate = trial.dataset.frame_rate if isinstance(trial.dataset, Scored) else trial.spec.rate
    if rate is None:
        raise Omitted("the data does not say how fast it plays (its spec has no rate)")
    return _times(sample_throughput(trial), _mean_length(trial) / rate)


def _mean_length(trial: Trial) -> float:
    """Entries of the first axis that a sample has on average; of music that is written out, of what it is read as."""
    samples = trial.dataset.rolls(trial.drawn) if isinstance(trial.dataset, Scored) else trial.drawn
    return sum(len(sample) for sample in samples) / len(samples)


def _times(estimate: Estimate, factor: float) -> Estimate:
    around = estimate.interval
    scaled = around and around.model_copy(update={"lo": around.lo * factor, "hi": around.hi * factor})
    return estimate.model_copy(update={"value": estimate.value * factor, "interval": scaled})
