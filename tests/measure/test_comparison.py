"""What a metric was taken of stands in its protocol, and no metric can say otherwise."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Omitted
from bench.measure.comparison import COUNTS, measure
from bench.measure.evaluation import Given
from bench.modalities._examples import Examples
from bench.protocols import Modality
from bench.reading.arrays import Statistics
from bench.registry import MetricEntry, Side, registry

# A language model reads the texts for these: too slow to be swept, and they look at no training data.
READERS = {"judge_perplexity", "judge_gap", "prompt_similarity"}
EVERY: Mapping[str, MetricEntry] = {
    name: entry for name, entry in registry.all("metrics").items() if entry.of != "model" and name not in READERS
}
WORDS = ["in", "the", "beginning", "was", "light", "and", "it", "saw", "all", "that", "a", "day", "made", "of", "water"]


class Watched(Given):
    """Sides that remember who was asked for."""

    def __init__(self, sides: Mapping[Side, Examples], modality: Modality) -> None:
        super().__init__(sides, modality, seed=0, device=torch.device("cpu"), prompts=None)
        self.asked: set[Side] = set()

    def stored(self, side: Side) -> Examples:
        self.asked.add(side)
        return super().stored(side)


def vectors(seed: int, n: int) -> Examples:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=(n, 6))).float()


def texts(seed: int, n: int) -> Examples:
    drawn = np.random.default_rng(seed).choice(WORDS, (n, 12))
    return [" ".join(row) for row in drawn]


def sides(modality: Modality, **seeds: int) -> dict[Side, Examples]:
    draw, chosen = (texts if modality == "text" else vectors), {"samples": 1, "reference": 2, "train": 3, **seeds}
    sizes: Mapping[Side, int] = {"samples": 120, "reference": 130, "train": 400}
    return {side: draw(chosen[side], n) for side, n in sizes.items()}


@cache
def measured(modality: Modality, **seeds: int) -> dict[str, tuple[Estimate, set[Side]]]:
    """Every metric that these sides alone suffice for, and the sides that it looked at."""
    found = {}
    for name, entry in EVERY.items():
        given = Watched(sides(modality, **seeds), modality)
        if modality in entry.on and not (modality == "text" and entry.of == "features"):
            try:
                found[name] = measure(entry, given), given.asked
            except Omitted:
                continue
    return found


@pytest.mark.parametrize("key", ["train", "reference", "n_fake", "n_train", "extractor"])
def test_a_metric_cannot_write_over_what_the_kernel_says(key: str) -> None:
    def compute(_: Any) -> Estimate:
        return Estimate(value=1.0, n=1, protocol={key: "mine"})

    entry = replace(EVERY["nn_ratio"], compute=compute)
    with pytest.raises(GenbenchError, match=f"nn_ratio writes over {key} of its protocol"):
        measure(entry, Watched(sides("vector"), "vector"))


def test_nor_of_sides_that_it_never_declared() -> None:
    def compute(_: Any) -> Estimate:
        return Estimate(value=1.0, n=1, protocol={"train": "texts"})

    entry = replace(EVERY["rep_4"], compute=compute)
    assert entry.sides == ("samples",)
    with pytest.raises(GenbenchError, match="writes over train"):
        measure(entry, Watched(sides("text"), "text"))


def plain(compute: Callable[[Any], Estimate]) -> MetricEntry:
    """A metric that declares the samples alone."""
    return replace(EVERY["rep_4"], name="plain", compute=compute, on=frozenset({"vector"}))


def mean_of_train(c: Any) -> Tensor:
    found: Tensor = c.tensor("train").mean(0)
    return found


def shared_mean(c: Any) -> Tensor:
    found: Tensor = c.once(mean_of_train)
    return found


def nothing(c: Any) -> None:
    """Shared work that looks at no side."""


READERS_OF_TRAIN: Mapping[str, Callable[[Any], Any]] = {
    "itself": lambda c: c.tensor("train"),
    "shared work": lambda c: c.once(shared_mean),
    "a space": lambda c: c.space(None).train,
    "a count": lambda c: c.count("train"),
    "in vain": lambda c: [c.stored("train"), c.once(nothing)],
}


@pytest.mark.parametrize("warm", [False, True])
@pytest.mark.parametrize("how", READERS_OF_TRAIN)
def test_a_side_that_is_read_counts_declared_or_not(how: str, warm: bool) -> None:
    """Also where another metric had it computed before: two training sets are never two numbers of one protocol."""
    entry = plain(lambda c: (READERS_OF_TRAIN[how](c), Estimate(value=1.0, n=1))[1])
    found = []
    for seed in (3, 7):
        given = Watched(sides("vector", train=seed), "vector")
        if warm:
            measure(entry, given)
        found.append(measure(entry, given).protocol)
    assert found[0]["n_train"] == 400 and found[0]["n_fake"] == 120 and "n_real" not in found[0]
    assert found[0]["train"] != found[1]["train"]


def test_what_others_read_does_not_count() -> None:
    given = Watched(sides("vector"), "vector")
    measure(plain(lambda c: (shared_mean(c), Estimate(value=1.0, n=1))[1]), given)
    assert measure(plain(lambda c: Estimate(value=1.0, n=len(c.samples))), given).protocol == {"n_fake": 120}


def test_known_statistics_are_a_reference_that_was_read() -> None:
    known = Statistics(torch.zeros(6).double(), torch.eye(6).double(), 50)
    given = Given(
        {"samples": vectors(1, 20)}, "vector", seed=0, device=torch.device("cpu"), prompts=None, statistics=known
    )
    entry = plain(lambda c: Estimate(value=float(c.statistics.mean.sum()), n=20))
    assert measure(entry, given).protocol["n_real"] == 50


@pytest.mark.parametrize("key", [*COUNTS.values(), "extractor"])
def test_what_was_not_read_cannot_be_said_to_be(key: str) -> None:
    entry = plain(lambda c: Estimate(value=1.0, n=1, protocol={key: 120 if key != "n_fake" else 7}))
    with pytest.raises(GenbenchError, match=f"plain writes over {key} of its protocol"):
        measure(entry, Watched(sides("vector"), "vector"))


@pytest.mark.parametrize(
    ("modality", "names"),
    [
        ("vector", ["fd", "mind", "vendi", "cmmd_v", "c2st", "c2st_nn", "mauve", "frontier_integral"]),
        ("text", ["distinct_1", "distinct_2", "distinct_3", "self_bleu"]),
    ],
)
def test_an_interval_that_leaves_the_bias_out_says_so(modality: Modality, names: list[str]) -> None:
    """Their expectation, or median, moves with the number of samples, and it is what the interval is of."""
    for name in names:
        interval = measured(modality)[name][0].interval
        expected = "of the median at " if name == "mind" else "of the expectation at "
        assert interval is not None and expected in interval.method, name
