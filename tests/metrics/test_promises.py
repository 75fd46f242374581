"""What every metric owes: a new one is tested on the day it is registered, or stands here with the reason why not."""

from __future__ import annotations

from collections.abc import Mapping

from bench.registry import registry
from bench.testing import MetricPromises

# Other people's networks read the samples for these, too slowly to be swept; what they owe is tested there.
READERS: Mapping[str, str] = {
    "clip_score": "test_relevance.py",
    "judge_gap": "test_judge.py",
    "judge_perplexity": "test_judge.py",
    "prompt_similarity": "test_relevance.py",
}
# Of a part of the samples: another order is another part.
CUT: Mapping[str, str] = {
    "distinct_2": "of the first tokens",
    "distinct_3": "of the first tokens",
    "is": "ten splits in order",
}
SUBSETS = "kid_subsets"  # of 1,000 rows each
EXCEPTIONS: Mapping[str, str] = {"test_the_order_of_samples_does_not_matter": "another order is another part"}


def test_what_is_left_out_is_there() -> None:
    assert {*READERS, *CUT, SUBSETS} <= registry.all("metrics").keys()


class TestEveryMetric(MetricPromises):
    metric = tuple(name for name in registry.all("metrics") if name not in {*READERS, *CUT, SUBSETS})


class TestThoseOfAPart(MetricPromises):
    metric = tuple(CUT)
    exceptions = EXCEPTIONS


class TestThoseOfSubsets(MetricPromises):
    metric = SUBSETS
    n = 1100
    exceptions = EXCEPTIONS
