"""Reference implementations: one family a file, readable from top to bottom. Imported here, they are registered."""

from bench import discover

discover(__name__)
