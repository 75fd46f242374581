"""Measures of texts."""

from bench import discover

discover(__name__)
