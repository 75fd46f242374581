"""Yardsticks on data of every modality: what they promise, and that measures can tell them apart."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from bench import Batch, GenbenchError, Sequences, SplitName, Trial
from bench.datasets.digits import digits
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.modalities import modality_of, quantise
from bench.protocols import MODALITIES
from bench.registry import registry
from bench.streams import stream
from bench.testing import MadeUp, family_for, made_up

ORDERED = ("text", "music", "audio", "video")


def trial_of(control: str, dataset: Any, n: int = 10, batch_size: int = 10) -> Trial:
    model = registry.get("generators", control).make(dataset)
    return Trial(model, dataset, seed=0, n_samples=n, batch_size=batch_size, device=torch.device("cpu"))


def rows(stored: Any) -> list[bytes]:
    return [row.numpy().tobytes() for row in stored]


@pytest.mark.parametrize("modality", MODALITIES)
class TestEveryModality:
    def test_real_and_copycat_are_examples_each_once(self, modality: str) -> None:
        dataset = made_up(modality)
        splits: dict[str, SplitName] = {"real": "valid", "copycat": "train"}
        for control, split in splits.items():
            drawn, known = rows(trial_of(control, dataset).drawn), rows(modality_of(modality).held(dataset, split))
            assert {*drawn} <= {*known} and all(drawn.count(row) <= known.count(row) for row in drawn)

    def test_real_never_overlaps_itself_and_runs_out(self, modality: str) -> None:
        dataset = made_up(modality)
        held_out = len(modality_of(modality).disjoint(dataset, "valid"))
        assert sorted(rows(trial_of("real", dataset, held_out).drawn)) == sorted(
            rows(modality_of(modality).held(dataset, "valid"))
        )
        with pytest.raises(GenbenchError, match=f"only {held_out} held-out examples"):
            _ = trial_of("real", dataset, held_out + 1).drawn

    def test_noise_keeps_to_what_data_can_be(self, modality: str) -> None:
        dataset = made_up(modality)
        drawn = trial_of("noise", dataset, 200).samples.double()
        low, high = {
            "text": (0, 255),
            "music": (0, 1),
            "image": (0, 255),
            "video": (0, 255),
            "audio": (-1, 1),
            "vector": (-9, 9),
        }[modality]
        assert low <= drawn.min() < drawn.max() <= high and not any(
            row in rows(trial_of("real", dataset).drawn) for row in rows(trial_of("noise", dataset).drawn)
        )
        assert abs(drawn.mean() - (low + high) / 2) < 0.06 * (high - low)


@pytest.mark.parametrize("modality", ORDERED)
def test_shuffled_is_real_data_out_of_order(modality: str) -> None:
    dataset = made_up(modality)
    drawn, real = trial_of("shuffled", dataset).samples, trial_of("real", dataset).samples
    assert not torch.equal(drawn, real)
    for mine, theirs in zip(drawn, real, strict=True):
        assert sorted(rows(mine)) == sorted(rows(theirs))


@pytest.mark.parametrize("modality", ["music", "audio"])
def test_lengths_are_those_of_the_data_and_padding_stays_behind(modality: str) -> None:
    dataset = MadeUp(made_up(modality).spec, unequal=True)
    drawn, real = (trial_of(control, dataset).drawn for control in ("shuffled", "real"))
    assert isinstance(drawn, Sequences) and isinstance(real, Sequences)
    assert torch.equal(drawn.lengths, real.lengths)
    assert all(sorted(rows(x)) == sorted(rows(y)) for x, y in zip(drawn, real, strict=True))


def test_pictures_and_points_have_no_order_to_lose() -> None:
    entry = registry.get("generators", "shuffled")
    assert {*entry.modalities} == {*ORDERED}


def test_labels_are_heeded_where_there_are_any() -> None:
    dataset = made_up("image")
    found = registry.get("generators", "real").make(dataset).sample(4, stream(0, "x"), torch.tensor([3, 0, 0, 1]))
    assert isinstance(found, Batch) and found.condition is not None and found.condition.tolist() == [3, 0, 0, 1]


class TestInASuite:
    def plans(self, **budget: Any) -> dict[str, int]:
        suite = check_suite(
            {
                "metrics": ["distinct_2"],
                "datasets": {"kjv": {"window": 64}},
                "generators": {"ours": {"family": family_for("text").name, "preset": "test", **budget}},
            },
            "x",
        )
        return {plan.generator: plan.budget.samples for plan in plan_trials(suite, "cpu")}

    def test_text_gets_all_four(self) -> None:
        assert {*self.plans()} == {"ours", "real", "copycat", "noise", "shuffled"}

    def test_controls_make_as_many_samples_as_the_generators(self) -> None:
        """Diversity of texts falls with their number, so that of another number says nothing."""
        assert {*self.plans(budget={"samples": 32}).values()} == {32}


class TestOnDigits:
    def test_real_is_held_out_and_each_once(self) -> None:
        dataset = digits()
        control = registry.get("generators", "real").make(dataset)
        rng = stream(0, "sample")
        drawn = torch.cat([control.sample(100, rng).data for _ in range(3)])
        held_out = dataset.valid.batch(torch.arange(300)).data
        assert sorted(map(bytes, quantise(drawn, dataset.spec).numpy())) == sorted(
            map(bytes, quantise(held_out, dataset.spec).numpy())
        )
        with pytest.raises(GenbenchError, match="only 300 held-out"):
            control.sample(1, rng)

    def test_copycat_is_training_data_and_each_once(self) -> None:
        dataset = digits()
        control = registry.get("generators", "copycat").make(dataset)
        drawn = set(map(bytes, quantise(control.sample(400, stream(0, "sample")).data, dataset.spec).numpy()))
        everything = dataset.train.batch(torch.arange(len(dataset.train))).data
        assert len(drawn) > 390 and drawn <= set(map(bytes, quantise(everything, dataset.spec).numpy()))

    def test_noise_is_uniform(self) -> None:
        drawn = registry.get("generators", "noise").make(digits()).sample(500, stream(0, "sample"))
        assert abs(drawn.mean()) < 0.02 and abs(drawn.std() - 1 / math.sqrt(3)) < 0.01
