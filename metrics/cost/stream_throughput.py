"""Tokens a second of streams side by side, and of these how many come in time."""

from __future__ import annotations

import math
import re

import numpy as np

from bench import BatchStreaming, Estimate, GenbenchError, Trial, metric
from metrics.cost._streams import pieces, streamed
from metrics.cost.throughput import rate

TOGETHER = 8  # streams of which goodput is taken
_LIMIT = re.compile(r"(?P<number>[0-9.]+)(?P<unit>ms|s)")


@metric("stream_throughput_1", aspect="efficiency", unit="tokens/s", better="higher", least=0, asked=True)
def stream_throughput_1(trial: Trial[BatchStreaming]) -> Estimate:
    """Tokens (or frames) a second of one stream, each read as it comes."""
    return _rate(trial, 1)


@metric("stream_throughput_8", aspect="efficiency", unit="tokens/s", better="higher", least=0, asked=True)
def stream_throughput_8(trial: Trial[BatchStreaming]) -> Estimate:
    """Tokens (or frames) a second of eight streams side by side."""
    return _rate(trial, 8)


@metric("stream_throughput_64", aspect="efficiency", unit="tokens/s", better="higher", least=0, asked=True)
def stream_throughput_64(trial: Trial[BatchStreaming]) -> Estimate:
    """Tokens (or frames) a second of 64 streams side by side."""
    return _rate(trial, 64)


def limit(text: str) -> float:
    """``20ms`` in seconds. Raises GenbenchError for what is no time."""
    found = _LIMIT.fullmatch(text)
    try:
        seconds = float(found["number"]) * (1e-3 if found["unit"] == "ms" else 1) if found else math.nan
    except ValueError:
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise GenbenchError(f"goodput:{text}: write how long a token may take, such as goodput:20ms or goodput:0.5s")
    return seconds


@metric("goodput:", aspect="efficiency", unit="tokens/s", better="higher", least=0, check=limit)
def goodput(trial: Trial[BatchStreaming], text: str) -> Estimate:
    """Tokens a second of eight streams that come within a limit of the one before: ``goodput:20ms``."""
    timing, most = pieces(trial, TOGETHER), limit(text)
    in_time = sum(seconds <= most for seconds in timing.calls)
    value = TOGETHER * in_time / timing.total
    return streamed(Estimate(value=value, n=len(timing.calls)), trial, timing, TOGETHER)


def _rate(trial: Trial[BatchStreaming], n: int) -> Estimate:
    timing = pieces(trial, n)
    found = rate(n * len(timing.calls), timing.total, np.full(len(timing.calls), n), timing.calls, "calls")
    return streamed(found, trial, timing, n)
