"""Models that others trained, and what others sampled, as generators: one kind a file, named ``kind:REST``."""

from bench import discover

discover(__name__)
