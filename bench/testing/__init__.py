"""The promises of generators, metrics and datasets, as tests: ours and other packages' run the same ones.

    from bench.testing import GeneratorPromises

    class TestMine(GeneratorPromises):
        family = "acme/mean"

pytest collects a test for every promise, and a broken one says in a sentence what is wrong. ``family``, ``metric`` and
``dataset`` take several names too. What is not kept, and why, may be said in ``exceptions``, until it is.

This needs pytest: ``pip install "genbench[testing]"``. Nothing else in genbench imports it.
"""

from bench.testing.datasets import DatasetPromises
from bench.testing.families import families_for, family_for
from bench.testing.generators import GeneratorPromises
from bench.testing.made_up import MadeUp, made_up
from bench.testing.metrics import MetricPromises

__all__ = [
    "DatasetPromises",
    "GeneratorPromises",
    "MadeUp",
    "MetricPromises",
    "families_for",
    "family_for",
    "made_up",
]
