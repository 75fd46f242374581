"""Networks that turn examples into features. One a file; each knows its weights' hash and its preprocessing."""

from bench import discover

discover(__name__)
