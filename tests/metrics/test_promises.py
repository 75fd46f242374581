"""What every metric owes: a new one is tested on the day it is registered, or stands here with the reason why not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, generator, normal
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
DENSITY = "log_likelihood"  # no family here has one of data without levels
EXCEPTIONS: Mapping[str, str] = {"test_the_order_of_samples_does_not_matter": "another order is another part"}


def test_what_is_left_out_is_there() -> None:
    assert {*READERS, *CUT, SUBSETS, DENSITY} <= registry.all("metrics").keys()


class TestEveryMetric(MetricPromises):
    metric = tuple(name for name in registry.all("metrics") if name not in {*READERS, *CUT, SUBSETS, DENSITY})


class TestThoseOfAPart(MetricPromises):
    metric = tuple(CUT)
    exceptions = EXCEPTIONS


class TestThoseOfSubsets(MetricPromises):
    metric = SUBSETS
    n = 1100
    exceptions = EXCEPTIONS


class Normal:
    """The standard normal density."""

    bound = False
    log_prob_of: Literal["mass", "density"] = "density"

    def __init__(self, spec: DataSpec) -> None:
        self.shape = spec.shape

    def log_prob(self, batch: Batch) -> Tensor:
        return -(batch.data.square() + math.log(2 * math.pi)).flatten(1).sum(1) / 2

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return normal(rng, n, *self.shape)


class TestThoseOfDensities(MetricPromises):
    metric = DENSITY

    @pytest.fixture(autouse=True)
    def family(self, own_names: None) -> None:
        generator("normal", modalities={"vector"}, presets={"test": {}})(Normal)
