"""Examples a second, while training and while sampling: total work over total time, the device idle at both ends."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from bench import Estimate, Omitted, Timing, Trainable, Trial, metric, normal_interval, ratio_error
from metrics.cost._cost import costs, draw_anew, told

STRETCHES = 30  # enough to tell a spread by, and long enough that one says little of the next
SCENARIO = "offline"


@metric("train_throughput", aspect="efficiency", unit="examples/s", better="higher", least=0)
def train_throughput(trial: Trial[Trainable]) -> Estimate:
    """Examples trained on per second of training steps; checkpoints and start-up left out."""
    spent = costs(trial)
    if spent.train_examples == 0:
        raise Omitted("nothing was trained: the weights were loaded")
    pace = [(point.step, point.seconds) for point in spent.curve]
    steps, seconds = np.diff([(0, 0.0), *pace], axis=0).T if pace else (np.zeros(0), np.zeros(0))
    examples = steps * (spent.train_examples / max(1, steps.sum()))
    found = rate(spent.train_examples, spent.train_seconds, examples, seconds, "training")
    protocol = {**trial.conditions, "batch_size": trial.batch_size, "scenario": "training"}
    return found.model_copy(update={"protocol": protocol})


@metric("sample_throughput", aspect="efficiency", unit="examples/s", better="higher", least=0, lead=1)
def sample_throughput(trial: Trial) -> Estimate:
    """Examples drawn per second, batch after batch, warmed up: all of them over all of the time."""
    size, timing = offline(trial)
    drawn = size * len(timing.calls)
    found = rate(drawn, timing.total, np.full(len(timing.calls), size), timing.calls, "calls")
    return told(found.model_copy(update={"n": len(timing.calls)}), trial, timing, SCENARIO, size)


def offline(trial: Trial) -> tuple[int, Timing]:
    """The size of a batch, and the timing of batch after batch, made once a trial."""
    size = min(trial.batch_size, trial.n_samples)
    return size, trial.time(SCENARIO, lambda: draw_anew(trial, size), each=False)


def rate(
    work: int, seconds: float, parts: Sequence[float] | np.ndarray, spent: Sequence[float] | np.ndarray, of: str
) -> Estimate:
    """Work over time, and how sure that is from the pace of at most so many stretches; unknown where there is but one.

    parts, spent: the work done and the seconds it took, ``(n,)`` each, in order.
    """
    ends = np.linspace(0, len(parts), min(STRETCHES, len(parts)) + 1).round().astype(int)[1:]
    work_of, seconds_of = (np.diff(np.cumsum(x)[ends - 1], prepend=0.0) if len(x) else x for x in (parts, spent))
    error = ratio_error(work_of, seconds_of)
    value, method = work / seconds, f"delta method over {len(ends)} stretches of {of}, Student's t"
    interval = None if error is None else normal_interval(value, error, method, lo=0, freedom=len(ends) - 1)
    return Estimate(value=value, n=work, interval=interval)
