"""Measures of what a model costs."""

from bench import discover

discover(__name__)
