"""Measures of music as piano rolls."""

from bench import discover

discover(__name__)
