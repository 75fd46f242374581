"""Other tools' results as records, so that they can be ranked here. Registered on import: one tool a file."""

from bench.registry import discover

discover(__name__)
