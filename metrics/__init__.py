"""One measure a file: a pure function of arrays, and a thin function registered under its name."""

from bench import discover

discover(__name__)
