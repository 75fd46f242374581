"""The datasets that come with genbench. Registered on import: one source a file."""

from bench.datasets import cifar10, digits, kjv, mnist, tinyshakespeare

__all__ = ["cifar10", "digits", "kjv", "mnist", "tinyshakespeare"]
