"""What a metric is given: samples quantised as the data is, and every other side made once when it is asked for."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, Omitted, Rows, Trial, TrialError
from bench.datasets._audio import AudioDataset
from bench.datasets._image import ImageDataset
from bench.datasets._text import TextDataset
from bench.datasets.digits import digits
from bench.measure.comparison import measure
from bench.measure.names import find_metric
from bench.measure.trial import rows_of_classes
from bench.modalities import quantise
from bench.modalities._examples import numbers
from bench.modalities._sequences import Sequences
from generators.controls import Noise, Real

CPU = torch.device("cpu")


def trial_of(model: Any, dataset: Any, n: int = 64, **changes: Any) -> Trial:
    return Trial(model, dataset, seed=0, n_samples=n, batch_size=32, device=CPU, **changes)


class TestQuantise:
    spec = DataSpec("image", (1, 1, 3), "continuous")

    def test_it_rounds_and_does_not_cut(self) -> None:
        x = (torch.tensor([0.6, 100.4, 254.6]) / 127.5 - 1).view(1, 1, 1, 3)
        assert quantise(x, self.spec).flatten().tolist() == [1, 100, 255]

    def test_every_level_comes_back(self) -> None:
        levels = torch.arange(256, dtype=torch.uint8).view(-1, 1, 1, 1)
        assert torch.equal(quantise(levels.float() / 127.5 - 1, self.spec), levels)

    @pytest.mark.parametrize("value", [torch.nan, torch.inf, 1.1, -3.0, 255.0])
    def test_what_is_no_pixel_is_refused(self, value: float) -> None:
        with pytest.raises(TrialError):
            quantise(torch.full((1, 1, 1, 3), value), self.spec)

    @pytest.mark.parametrize("bad", [torch.tensor([[5]]), torch.tensor([[-1]]), torch.tensor([[0.5]])])
    def test_what_is_no_token_is_refused(self, bad: Tensor) -> None:
        with pytest.raises(TrialError, match=r"tokens must be int64 in \[0, 5\)"):
            quantise(bad, DataSpec("text", (1,), "tokens", vocab=5))

    def test_a_wrong_shape_is_named(self) -> None:
        class Wrong:
            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                return torch.zeros(n, 3)

        with pytest.raises(TrialError, match=r"sample\(32\) has shape \(32, 3\), not \(32, 1, 8, 8\)"):
            _ = trial_of(Wrong(), digits()).samples


class TestSides:
    def test_each_is_made_once(self) -> None:
        trial = trial_of(Noise(digits()), digits())
        assert trial.stored("samples") is trial.stored("samples")
        assert trial.space("lenet") is trial.space("lenet")

    def test_train_and_reference_are_the_splits_in_stored_form(self) -> None:
        dataset = digits()
        trial = trial_of(Noise(dataset), dataset)
        assert torch.equal(trial.tensor("train"), dataset.train.pixels)
        assert torch.equal(trial.tensor("reference"), dataset.test.pixels)

    def test_text_is_cut_into_windows_end_to_end(self) -> None:
        texts = {"train": "abcdefgh" * 3, "valid": "abcd", "test": "0123456789"}
        dataset = TextDataset("x", texts, window=4)  # type: ignore[arg-type]
        trial = trial_of(None, dataset)
        assert trial.texts("reference") == ["0123", "4567"]
        assert trial.texts("train")[:3] == ["abcd", "efgh", "abcd"]
        with pytest.raises(Omitted, match="needs arrays, not text"):
            trial.tensor("reference")

    def test_labels_are_drawn_for_as_asked(self) -> None:
        dataset = digits()
        trial = trial_of(Real(dataset), dataset, 100)
        assert trial.labels.bincount().tolist() == [10] * 10
        known = {
            row.numpy().tobytes(): int(y) for row, y in zip(dataset.valid.pixels, dataset.valid.labels, strict=True)
        }
        assert [known[row.numpy().tobytes()] for row in trial.tensor("conditional")] == trial.labels.tolist()

    def test_prompts_are_the_labels_in_words(self) -> None:
        dataset = digits()
        trial = trial_of(Real(dataset), dataset, 100)
        assert trial.prompted == "conditional" and trial.prompts[:4] == ["a zero", "a one", "a two", "a three"]
        nameless = digits()
        nameless.spec = replace(nameless.spec, captions=None)
        with pytest.raises(Omitted, match="nobody named the classes"):
            _ = trial_of(Real(nameless), nameless, 100).prompts

    def test_what_is_not_there_is_a_reason(self) -> None:
        class Plain:
            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
                return torch.zeros(n, 1, 8, 8)

        trial = trial_of(Plain(), digits())
        for side, message in {
            "conditional": "told labels",
            "reconstructions": "capability 'reconstruct'",
        }.items():
            with pytest.raises(Omitted, match=message):
                trial.stored(side)  # type: ignore[arg-type]

    def test_a_copy_of_the_test_split_is_its_own_reconstruction(self) -> None:
        class Copy(Noise):
            def reconstruct(self, batch: Batch) -> Tensor:
                return batch.data

        trial = trial_of(Copy(digits()), digits())
        assert torch.equal(trial.tensor("reconstructions"), trial.reference)


class Shades:
    """Each label a level of its own, and a trace of the row's draw."""

    conditional = True

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        rows = Rows(rng, n)
        return rows.labels(10, condition)[:, None, None, None] / 10 + 0.05 * rows.uniform(1, 8, 8)


class TestAsked:
    def test_it_is_taken_of_what_a_metric_had_drawn(self) -> None:
        trial = trial_of(Shades(), digits(), 100)
        side = trial.tensor("conditional")
        labels, made = trial.asked(64)
        assert labels.tolist() == [label for label in range(10) for _ in range(6)]
        assert torch.equal(numbers(made), torch.stack([side[label + 10 * k] for label in range(10) for k in range(6)]))

    def test_it_is_drawn_where_no_metric_did_from_a_stream_of_its_own(self) -> None:
        trial = trial_of(Shades(), digits(), 100)
        labels, made = trial.asked(30)
        once_more = trial_of(Shades(), digits(), 100).asked(30)[1]
        expected = quantise(Shades().sample(30, trial.rng("asked"), labels), digits().spec)
        assert torch.equal(numbers(made), expected) and torch.equal(numbers(made), numbers(once_more))
        assert len(trial.tensor("conditional")) == 100  # not those few

    @pytest.mark.parametrize(
        ("n", "classes", "most", "rows"),
        [
            (7, 3, 64, [0, 3, 1, 4, 2, 5]),  # as many of each
            (7, 3, 5, [0, 1, 2]),
            (2, 3, 64, [0, 1]),  # fewer samples than classes
            (9, 9, 3, [0, 4, 8]),  # more classes than are wanted, spread
            (5, 1, 3, [0, 1, 2]),
            (50, 9, 1, [0]),
        ],
    )
    def test_rows_come_class_by_class(self, n: int, classes: int, most: int, rows: list[int]) -> None:
        assert rows_of_classes(n, classes, most).tolist() == rows

    def test_sequences_keep_their_lengths(self) -> None:
        class Long(Shades):
            def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Any:
                assert condition is not None
                return Batch(torch.full((n, 12), 0.5), lengths=condition + 1)

        waves = torch.rand(30, 12, generator=torch.Generator().manual_seed(0)).numpy()
        part = waves, np.arange(30) % 3
        data = AudioDataset("waves", {"train": part, "valid": part, "test": part}, rate=100.0, classes=3)
        trial = trial_of(Long(), data, 9)
        for drawn in (False, True):
            assert not drawn or len(trial.stored("conditional")) == 9
            made = trial.asked(64)[1]
            assert isinstance(made, Sequences) and made.lengths.tolist() == [1, 1, 1, 2, 2, 2, 3, 3, 3]

    def test_labels_that_no_training_example_has_are_told(self) -> None:
        dataset = digits()
        known = {"train": (dataset.train, 4), "valid": (dataset.valid, 7), "test": (dataset.test, 7)}
        splits: Any = {k: (part.pixels.numpy(), part.labels.numpy() % most) for k, (part, most) in known.items()}
        without = ImageDataset("some", splits, 7)
        assert trial_of(Shades(), without).unseen(torch.arange(7)) == [4, 5, 6]
        assert trial_of(Shades(), without).unseen(torch.tensor([3, 0, 0])) == []

    def test_who_heeds_no_labels_has_none(self) -> None:
        class Deaf(Noise):
            conditional = False

        with pytest.raises(Omitted, match="told labels"):
            trial_of(Deaf(digits()), digits(), 20).asked(64)


def test_the_protocol_tells_what_was_compared() -> None:
    dataset = digits()
    protocol = measure(find_metric("fd_lenet"), trial_of(Noise(dataset), dataset, 100)).protocol
    assert (protocol["n_fake"], protocol["n_real"]) == (100, len(dataset.test))
    assert (protocol["extractor"], protocol["reference"], protocol["dtype"]) == ("lenet", "test", "float32")
    assert str(protocol["weights"]).startswith("sha256:")


def test_samples_are_the_same_at_any_batch_size() -> None:
    dataset = digits()
    small, large = (Trial(Noise(dataset), dataset, seed=0, n_samples=50, batch_size=b, device=CPU) for b in (7, 50))
    assert torch.equal(small.samples, large.samples)


def test_whom_nobody_tells_what_to_make_draws_labels_of_every_class() -> None:
    """They belong to the rows, as all draws do: no batch size changes them, and asked for they give the same."""

    class Told:
        conditional = True

        def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
            rows = Rows(rng, n)
            labels = rows.labels(10, condition)
            return (labels[:, None, None, None] / 10 + 0.05 * rows.uniform(1, 8, 8)).clamp(-1, 1)

    small, large = (Trial(Told(), digits(), seed=0, n_samples=500, batch_size=b, device=CPU) for b in (7, 50))
    assert torch.equal(small.samples, large.samples)
    drawn = (large.samples.flatten(1).amin(1).double() / 127.5 - 1) * 10 + 0.1
    assert drawn.long().bincount(minlength=10).min() > 25  # of 50 each: 4 standard deviations below
    free, rng = Told().sample(20, large.rng("x")), large.rng("x")
    assert torch.equal(Told().sample(20, rng, (free.flatten(1).amin(1) * 10 + 1e-3).long()), free)


def test_a_new_stream_moves_no_other() -> None:
    one, two = (trial_of(Noise(digits()), digits()) for _ in range(2))
    torch.rand(100, generator=two.rng("something new"))
    assert torch.equal(one.samples, two.samples)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_quantised_at_full(dtype: torch.dtype) -> None:
    x = torch.linspace(-1, 1, 999).to(dtype).view(-1, 1, 1, 1)
    assert torch.equal(quantise(x, TestQuantise.spec), quantise(x.float(), TestQuantise.spec))


@pytest.mark.parametrize("copy", [lambda x: x[:-1], lambda x: x.numpy(), lambda x: x[:, 0]])
def test_a_reconstruction_that_is_no_copy_is_named(copy: Any) -> None:
    class Copier(Noise):
        def reconstruct(self, batch: Batch) -> Any:
            return copy(batch.data)

    with pytest.raises(TrialError, match=r"reconstruct\(32\) (has shape|returned ndarray)"):
        trial_of(Copier(digits()), digits()).stored("reconstructions")


def test_long_loops_give_a_sign_of_life_with_every_batch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    beats: list[int] = []
    monkeypatch.setenv("GENBENCH_CACHE", str(tmp_path))  # features that another test has kept would need no loop
    monkeypatch.setattr("bench.probes.pulse._listeners", [lambda: beats.append(1)])
    dataset = digits()
    trial = Trial(Noise(dataset), dataset, seed=0, n_samples=50, batch_size=20, device=torch.device("cpu"))
    assert len(trial.samples) == 50 and len(beats) == 3
    trial.space("lenet").of("samples")
    assert len(beats) == 4
