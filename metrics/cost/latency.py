"""Latency: seconds from asking for one example to having it, batch size 1, one request after the other."""

from __future__ import annotations

import statistics

from bench import Estimate, Trial, median_interval, metric, time_calls
from metrics.cost.throughput import draw_anew


@metric("latency_p50", aspect="efficiency", unit="s", better="lower", least=0)
def latency_p50(trial: Trial) -> Estimate:
    """Median seconds for one example; the device idle before and after each call."""
    seconds = time_calls(lambda: draw_anew(trial, 1), trial.device)
    protocol = {**trial.conditions, "batch_size": 1}
    return Estimate(
        value=statistics.median(seconds), n=len(seconds), interval=median_interval(seconds), protocol=protocol
    )
