"""The command line. Registered on import: one command a file, which carries its name."""

from bench.registry import discover

discover(__name__)
