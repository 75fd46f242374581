"""Yardsticks on data of every modality: what they promise, and that measures can tell them apart."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, GenbenchError, Sequences, SplitName, Trial, Unsupported, evaluate
from bench.datasets.digits import digits
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.modalities import modality_of, quantise
from bench.protocols import MODALITIES
from bench.registry import registry
from bench.streams import stream
from bench.testing import MadeUp, family_for, made_up
from bench.testing.made_up import Part
from generators.controls import Gaussian, fitted

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


def gaussian_on(x: Tensor, spec: DataSpec) -> Gaussian:
    data = made_up(spec)
    data.train = Part(x)
    return Gaussian(data)


class TestGaussian:
    """On data of a known Gaussian, on flat and on few examples, and in the range of images."""

    factor = torch.tensor([[1.0, 0, 0], [0.9, 0.2, 0], [-3, 0, 0.01]], dtype=torch.float64)

    def known(self, n: int, seed: int) -> Tensor:
        """Of mean (1, 2, 3) and covariance ``factor factor'``, of numbers from 3 down to a hundredth."""
        z = torch.randn(n, 3, generator=stream(seed, "known"), dtype=torch.float64)
        return (torch.tensor([1.0, 2, 3]) + z @ self.factor.T).float()

    def test_samples_have_the_mean_and_the_covariance_of_the_data(self) -> None:
        x = self.known(3000, 0)
        drawn = gaussian_on(x, DataSpec("vector", (3,), "continuous")).sample(20_000, stream(0, "s")).double()
        assert (drawn.mean(0) - x.double().mean(0)).abs().max() < 5 * 3 / math.sqrt(20_000)
        inverse = torch.linalg.cholesky(x.double().T.cov()).inverse()
        assert torch.allclose(inverse @ drawn.T.cov() @ inverse.T, torch.eye(3, dtype=torch.float64), atol=0.05)

    def test_gaussian_data_is_at_no_distance(self) -> None:
        """A family that a Gaussian cannot be told from has nothing more to learn; of other data it can."""
        spec = DataSpec("vector", (3,), "continuous")
        drawn = gaussian_on(self.known(4000, 0), spec).sample(4000, stream(0, "s"))
        fd = evaluate(drawn, self.known(4000, 1), metrics=["fd"]).value.item()
        assert 0 <= fd < 0.01 < evaluate(drawn + 0.2, self.known(4000, 1), metrics=["fd"]).value.item()

    @pytest.mark.parametrize("n", [8, 200], ids=["fewer than numbers", "more"])
    def test_its_root_is_that_of_the_covariance(self, n: int) -> None:
        """Also where numbers are always the same, or the sum of others, and where they are of all sizes."""
        x = torch.randn(n, 12, generator=stream(0, "x")) * torch.logspace(-4, 4, 12)
        x[:, 3], x[:, 5] = 0.7, x[:, 10] - 2 * x[:, 11]
        mean, root = fitted(Part(x), 12)
        scale = x.double().std(0).clamp(min=1e-6)
        assert torch.allclose(mean, x.double().mean(0)) and len(root) == min(n, 12)
        assert torch.allclose(root.T @ root / scale / scale[:, None], x.double().T.cov() / scale / scale[:, None])

    def test_images_keep_to_their_range_and_binary_ones_to_two_values(self) -> None:
        grey = trial_of("gaussian", made_up("image"), 50).samples
        assert grey.dtype == torch.uint8 and len(grey.unique()) > 100
        spec = DataSpec("image", (1, 2, 2), "binary")
        often = torch.tensor([0.0, 1.0, 1.0, 1.0])[torch.arange(400) % 4].view(-1, 1, 1, 1).expand(-1, 1, 2, 2)
        drawn = gaussian_on(often.contiguous(), spec).sample(500, stream(0, "s"))
        assert {*drawn.unique().tolist()} == {0, 1} and drawn.mean() > 0.6
        assert (drawn == drawn[:, :1, :1, :1]).all()  # what always goes together, does

    @pytest.mark.parametrize(
        "spec", [DataSpec("image", (3, 64, 65), "continuous"), DataSpec("vector", (5,), "tokens", vocab=3)]
    )
    def test_what_has_no_covariance_is_refused(self, spec: DataSpec) -> None:
        with pytest.raises(Unsupported, match="gaussian fits examples of at most 12288 real numbers, not"):
            Gaussian(made_up(spec))

    def test_it_beats_noise_and_not_real_data(self) -> None:
        data = digits()
        held_out = data.test.pixels
        drawn = [trial_of(name, data, 300, 300).samples for name in ("real", "gaussian", "noise")]
        values = [evaluate(x, held_out, metrics=["fd"], extractor="lenet").value.item() for x in drawn]
        assert values == sorted(values)


class TestInASuite:
    def plans(self, modality: str = "text", **budget: Any) -> dict[str, int]:
        suite = check_suite(
            {
                "metrics": ["distinct_2" if modality == "text" else "fd_lenet"],
                "datasets": {"kjv": {"window": 64}} if modality == "text" else {"digits": {}},
                "generators": {"ours": {"family": family_for(modality).name, "preset": "test", **budget}},
            },
            "x",
        )
        return {plan.generator: plan.budget.samples for plan in plan_trials(suite, "cpu")}

    def test_text_gets_all_five(self) -> None:
        assert {*self.plans()} == {"ours", "real", "copycat", "noise", "shuffled", "ngram"}

    def test_images_get_all_four(self) -> None:
        assert {*self.plans("image", budget={"samples": 50})} == {"ours", "real", "copycat", "noise", "gaussian"}

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
