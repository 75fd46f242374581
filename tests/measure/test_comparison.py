"""What a metric was taken of stands in its protocol, and no metric can say otherwise."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from typing import Any

import numpy as np
import pytest
import torch

from bench import Estimate, GenbenchError, Omitted
from bench.measure.comparison import COUNTS, measure
from bench.measure.evaluation import Given
from bench.modalities._examples import Examples
from bench.protocols import Modality
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


@pytest.mark.parametrize("modality", ["vector", "text"])
@pytest.mark.parametrize("side", ["train", "reference"])
def test_a_metric_of_other_data_has_another_protocol(modality: Modality, side: Side) -> None:
    one, other = measured(modality), measured(modality, **{side: 7})
    looking = {name for name in one if side in EVERY[name].sides}
    assert looking
    for name in looking:
        assert one[name][0].protocol[side] != other[name][0].protocol[side], name


@pytest.mark.parametrize("modality", ["vector", "text"])
def test_a_metric_names_every_side_that_it_looks_at(modality: Modality) -> None:
    for name, (estimate, asked) in measured(modality).items():
        assert {side for side in COUNTS if COUNTS[side] in estimate.protocol} >= asked, name


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


@pytest.mark.parametrize(
    ("modality", "names"),
    [
        ("vector", ["fd", "mind", "vendi", "cmmd_v", "c2st", "c2st_nn", "mauve", "frontier_integral"]),
        ("text", ["distinct_1", "distinct_2", "distinct_3", "self_bleu"]),
    ],
)
def test_an_interval_that_leaves_the_bias_out_says_so(modality: Modality, names: list[str]) -> None:
    """Their expectation moves with the number of samples, and it is what the interval is of."""
    for name in names:
        interval = measured(modality)[name][0].interval
        assert interval is not None and "of the expectation at " in interval.method, name
