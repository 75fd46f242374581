"""Latency of streams: until the first token stands (TTFT), and from one to the next (ITL)."""

from __future__ import annotations

from bench import BatchStreaming, Estimate, Streaming, Trial, metric
from metrics.cost._streams import first_piece, pieces, streamed
from metrics.cost.latency import percentile


@metric("first_token_p50", aspect="efficiency", unit="s", better="lower", least=0, asked=True)
def first_token_p50(trial: Trial[Streaming]) -> Estimate:
    """Median seconds from a prompt of half a window to the first token (or frame) behind it."""
    timing = first_piece(trial)
    return streamed(percentile(timing.calls, 0.5), trial, timing, 1)


@metric("inter_token_p50", aspect="efficiency", unit="s", better="lower", least=0, asked=True)
def inter_token_p50(trial: Trial[BatchStreaming]) -> Estimate:
    """Median seconds from one token (or frame) to the next, read one by one."""
    return _between(trial, 0.5)


@metric("inter_token_p99", aspect="efficiency", unit="s", better="lower", least=0, asked=True)
def inter_token_p99(trial: Trial[BatchStreaming]) -> Estimate:
    """Seconds within which 99 of 100 tokens (or frames) follow the one before; of 662 or more."""
    return _between(trial, 0.99)


def _between(trial: Trial[BatchStreaming], q: float) -> Estimate:
    timing = pieces(trial, 1)
    return streamed(percentile(timing.calls, q), trial, timing, 1)
