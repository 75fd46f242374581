"""Networks that turn examples into features. One a file; each knows its weights' hash and its resizer."""

from metrics.extractors import inception, lenet

__all__ = ["inception", "lenet"]
