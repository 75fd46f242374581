"""One measure a file: a pure function of arrays, and a thin function of a Trial registered under its name."""

from metrics import (
    bits_per_byte,
    frechet,
    inception_score,
    kid,
    latency,
    parameters,
    peak_memory,
    perplexity,
    throughput,
)

__all__ = [
    "bits_per_byte",
    "frechet",
    "inception_score",
    "kid",
    "latency",
    "parameters",
    "peak_memory",
    "perplexity",
    "throughput",
]
