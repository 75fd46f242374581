"""A metric for genbench. Each file here that registers something is found by itself."""

from bench import discover

discover(__name__)
