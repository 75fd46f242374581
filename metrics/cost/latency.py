"""Latency: seconds from asking for one example to having it, one request after the other (MLPerf's single stream).

The device is idle before and after every call. A percentile is one of the values, no mean of two neighbours, and stands
only where so many were taken that the second largest is not below it with a probability of 99 %.
"""

from __future__ import annotations

from bench import Estimate, Timing, TooFew, Trial, fewest_for_quantile, metric, quantile, quantile_interval
from metrics.cost._cost import draw_anew, told

SCENARIO = "single-stream"


@metric("latency_p50", aspect="efficiency", unit="s", better="lower", least=0)
def latency_p50(trial: Trial) -> Estimate:
    """Median seconds for one example; the device idle before and after each call."""
    return _of_single_stream(trial, percentile(single_stream(trial).calls, 0.5))


@metric("latency_p90", aspect="efficiency", unit="s", better="lower", least=0)
def latency_p90(trial: Trial) -> Estimate:
    """Seconds within which nine of ten calls for one example end; of 64 calls or more."""
    return _of_single_stream(trial, percentile(single_stream(trial).calls, 0.9))


@metric("latency_p99", aspect="efficiency", unit="s", better="lower", least=0)
def latency_p99(trial: Trial) -> Estimate:
    """Seconds within which 99 of 100 calls for one example end; of 662 calls or more."""
    return _of_single_stream(trial, percentile(single_stream(trial).calls, 0.99))


def single_stream(trial: Trial) -> Timing:
    """One example a call, timed once a trial."""
    return trial.time(SCENARIO, lambda: draw_anew(trial, 1))


def percentile(seconds: tuple[float, ...], q: float) -> Estimate:
    """The ``q`` quantile of calls, with the interval of order statistics. Raises TooFew where it takes more of them."""
    least = fewest_for_quantile(q) if q > 0.5 else 1
    if len(seconds) < least:
        raise TooFew(f"{len(seconds)} calls were timed, and the percentile takes {least}")
    return Estimate(value=quantile(seconds, q), n=len(seconds), interval=quantile_interval(seconds, q))


def _of_single_stream(trial: Trial, estimate: Estimate) -> Estimate:
    return told(estimate, trial, single_stream(trial), SCENARIO, 1)
