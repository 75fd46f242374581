"""Measures of features: vectors that an extractor makes of samples, or that somebody brings."""

from bench import discover

discover(__name__)
