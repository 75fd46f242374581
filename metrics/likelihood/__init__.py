"""Measures of how well a model expects real data."""

from bench import discover

discover(__name__)
