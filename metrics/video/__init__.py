"""Measures of clips: of their frames, of how these change, and of what is said to come next."""

from bench import discover

discover(__name__)
