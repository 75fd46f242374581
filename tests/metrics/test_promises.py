"""What every metric owes: a new one is tested on the day it is registered, or stands here with the reason why not."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Literal

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, Estimate, GenbenchError, generator, normal
from bench.registry import MetricEntry, registry
from bench.testing import MetricPromises
from bench.testing.metrics import measured

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
# They take what this machine may not have, a GPU or a counter of energy, and owe a number only there.
MACHINES: Mapping[str, str] = dict.fromkeys(("host_bound", "mfu", "sample_energy"), "test_cost.py")
SUBSETS = "kid_subsets"  # of 1,000 rows each
DENSITY = "log_likelihood"  # no family here has one of data without levels
# What may have any value: unbiased, corrected or a bound by draws, so that chance can carry it below 0; or signed.
ANYWHERE = {
    "bits_per_dim", "cmmd_u", "ct", "ct_worst", "evaluate:", "fd_corrected", "fld", "fld_gap", "kad", "kid",
    "kid_subsets", "log_likelihood",
}  # fmt: skip
EXCEPTIONS: Mapping[str, str] = {"test_the_order_of_samples_does_not_matter": "another order is another part"}


def test_what_is_left_out_is_there() -> None:
    assert {*READERS, *MACHINES, *CUT, SUBSETS, DENSITY} <= registry.all("metrics").keys()


def test_every_other_metric_says_between_what_it_lies() -> None:
    """So that a record which says something else is not believed."""
    every: Mapping[str, MetricEntry] = registry.all("metrics", with_rest=True)
    assert {name for name, entry in every.items() if not math.isfinite(entry.least)} == ANYWHERE
    assert all(entry.least < entry.most for entry in every.values())


def test_a_value_that_a_metric_cannot_have_is_an_error() -> None:
    entry = registry.get("metrics", "precision")
    assert not entry.impossible(1 + 1e-9) and not entry.impossible(0.0)
    wrong = replace(entry, compute=lambda space: Estimate(value=1.5, n=3))
    with pytest.raises(GenbenchError, match=r"precision is 1.5, and can only lie in \[0, 1\]"):
        measured(wrong, 120)


class TestEveryMetric(MetricPromises):
    metric = tuple(
        name for name in registry.all("metrics") if name not in {*READERS, *MACHINES, *CUT, SUBSETS, DENSITY}
    )


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
