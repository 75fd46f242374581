"""The datasets that come with genbench. Registered on import: one source a file."""

from bench import discover

discover(__name__)
