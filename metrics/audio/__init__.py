"""Measures of waveforms themselves."""

from bench import discover

discover(__name__)
