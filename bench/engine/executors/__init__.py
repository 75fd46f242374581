"""What runs trials, one executor a file."""

from bench.registry import discover

discover(__name__)
