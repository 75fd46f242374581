"""A modality says how its data is stored: nothing that a model made is lost, nothing is taken for something else."""

from __future__ import annotations

import io
import json
import math
from collections.abc import Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor

import bench
from bench import (
    Batch,
    Comparison,
    DataError,
    DataSpec,
    Estimate,
    Features,
    GenbenchError,
    Modality,
    Omitted,
    Sequences,
    Trial,
    TrialError,
)
from bench.engine.artifacts import save_samples
from bench.modalities import modality_of, quantise
from bench.modalities._examples import content_hash, unordered_hash
from bench.protocols import MODALITIES
from bench.registry import Registry, extractor, generator, metric, modality, registry
from bench.testing.made_up import SPECS, MadeUp, made_up

T = SPECS["audio"].shape[0]
TONE = 0.01 * torch.sin(2 * math.pi * 440 / 8000 * torch.arange(T))


class Fixed:
    """Gives what it was given."""

    def __init__(self, made: Any) -> None:
        self.made = made

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Any:
        return self.made


def nothing(c: Comparison) -> Estimate:
    raise Omitted("nothing")


def trial_of(made: Any, dataset: Any, n: int) -> Trial:
    return Trial(Fixed(made), dataset, seed=0, n_samples=n, batch_size=n, device=torch.device("cpu"))


def kept(trial: Trial, folder: Path) -> dict[str, np.ndarray]:
    with np.load(io.BytesIO((folder / save_samples(folder, "x", trial.drawn, trial.dataset)).read_bytes())) as arrays:
        return dict(arrays)


@pytest.fixture
def scratch() -> Iterator[Registry]:
    """The registry, whose tables are put back."""
    registry.all("metrics")
    before = {kind: dict(table) for kind, table in registry.tables.items()}
    yield registry
    registry.tables.update(before)


def test_every_file_is_a_modality_of_its_name() -> None:
    assert {*MODALITIES} == {"image", "text", "music", "audio", "video", "vector"}
    assert all(modality_of(name).name == name for name in MODALITIES)


class TestStoredForm:
    def test_a_binary_piano_roll_stays_binary(self, tmp_path: Path) -> None:
        dataset = made_up("music")
        roll = dataset.test.data[:8]
        trial = trial_of(roll, dataset, 8)
        assert trial.samples.dtype == torch.uint8 and torch.equal(trial.samples.float(), roll)
        assert set(trial.reference.unique().tolist()) == {0, 1}
        assert np.array_equal(kept(trial, tmp_path)["samples"], roll.numpy())

    def test_a_probability_is_no_note(self) -> None:
        with pytest.raises(TrialError, match="piano rolls must be 0 or 1: draw them"):
            quantise(torch.full((1, 16, 12), 0.3), SPECS["music"])

    def test_a_quiet_tone_keeps_its_shape(self, tmp_path: Path) -> None:
        """Of 256 levels, a hundredth of full scale would leave four."""
        trial = trial_of(TONE.expand(4, T), made_up("audio"), 4)
        assert torch.equal(trial.samples[0], TONE) and len(trial.samples[0].unique()) > 10
        found = kept(trial, tmp_path)
        assert np.array_equal(found["samples"][0], TONE.numpy()) and found["rate"] == 8000

    def test_binary_pictures_are_black_and_white(self) -> None:
        spec = replace(SPECS["image"], kind="binary")
        assert quantise(torch.tensor([0.0, 1.0]).view(1, 1, 1, 2), spec).flatten().tolist() == [0, 255]

    def test_vectors_have_no_range(self) -> None:
        x = torch.randn(3, 5) * 1000
        assert torch.equal(quantise(x, SPECS["vector"]), x)

    @pytest.mark.parametrize("name", ["image", "audio", "video", "vector"])
    @pytest.mark.parametrize("value", [torch.nan, torch.inf])
    def test_no_modality_takes_what_is_no_number(self, name: str, value: float) -> None:
        with pytest.raises(TrialError, match="NaN or infinity"):
            quantise(torch.full((1, *SPECS[name].shape), value), SPECS[name])

    @pytest.mark.parametrize("name", ["image", "audio", "video"])
    def test_what_lies_beyond_the_range_is_refused(self, name: str) -> None:
        with pytest.raises(TrialError, match=r"must lie in \[-1, 1\], got \[0, 1.5\]"):
            quantise(torch.linspace(0, 1.5, 400).expand(1, 400), replace(SPECS[name], shape=(400,)))

    def test_a_waveform_that_is_never_negative_is_noticed(self) -> None:
        dataset = made_up("audio")
        halved = trial_of((TONE.expand(4, T) + 1) / 2, dataset, 4)
        assert halved.only_upper_half() and halved.only_upper_half(margin=0.2)
        faint = trial_of(TONE.expand(4, T).abs(), dataset, 4)
        assert faint.only_upper_half() and not faint.only_upper_half(margin=0.2)
        assert not trial_of(TONE.expand(4, T), dataset, 4).only_upper_half()


class TestUnequalLengths:
    spec = SPECS["audio"]

    def test_padding_is_neither_looked_at_nor_kept(self, tmp_path: Path) -> None:
        """What stands behind the end of the data here is NaN."""
        dataset = MadeUp(self.spec, unequal=True)
        lengths = dataset.test.lengths
        assert lengths is not None
        trial = trial_of(Batch(dataset.test.data, None, lengths), dataset, 20)
        drawn = trial.stored("samples")
        assert isinstance(drawn, Sequences) and [len(row) for row in drawn] == lengths.tolist()
        assert all(torch.equal(row, x[: len(row)]) for row, x in zip(drawn, dataset.test.data, strict=True))
        assert content_hash(drawn) == content_hash(trial.stored("reference"))
        found = kept(trial, tmp_path)
        assert np.array_equal(found["lengths"], lengths.numpy()) and np.isfinite(found["samples"]).all()

    def test_order_does_not_tell_them_apart_and_lengths_do(self) -> None:
        one, other = torch.zeros(2, 4), torch.tensor([2, 3])
        assert unordered_hash(Sequences(one, other)) == unordered_hash(Sequences(one, other.flip(0)))
        assert content_hash(Sequences(one, other)) != content_hash(Sequences(one, other.flip(0)))
        assert unordered_hash(Sequences(one, other)) != unordered_hash(Sequences(one, other + 1))

    def test_an_extractor_sees_each_at_its_length(self, scratch: Registry) -> None:
        class Lengths:
            protocol: ClassVar = {"weights": "none"}

            def __call__(self, x: list[Tensor]) -> Features:
                return Features(torch.tensor([[float(len(row)), row.abs().sum()] for row in x]), None)

        extractor("acme/ear", on={"audio"})(Lengths)
        dataset = MadeUp(self.spec, unequal=True)
        features = trial_of(None, dataset, 1).space("acme/ear").real
        assert dataset.test.lengths is not None
        assert features[:, 0].tolist() == dataset.test.lengths.tolist() and torch.isfinite(features).all()

    def test_texts_end_where_their_tokens_end(self, tmp_path: Path) -> None:
        dataset = made_up("text")
        tokens = torch.tensor([list(b"abcdefghijklmnop"), list(b"ABCDEFGHIJKLMNOP")])
        trial = trial_of(Batch(tokens, None, torch.tensor([3, 0])), dataset, 2)
        assert trial.texts("samples") == ["abc", ""]
        assert json.loads((tmp_path / save_samples(tmp_path, "x", trial.drawn, dataset)).read_text()) == ["abc", ""]

    @pytest.mark.parametrize("lengths", [[T + 1], [-1], [1, 2], [1.0]])
    def test_lengths_that_do_not_fit_are_named(self, lengths: list[float]) -> None:
        with pytest.raises(TrialError, match="lengths must"):
            _ = trial_of(Batch(TONE[None], None, torch.tensor(lengths)), made_up("audio"), 1).samples

    def test_pictures_have_none(self) -> None:
        with pytest.raises(TrialError, match="images have no lengths"):
            _ = trial_of(Batch(torch.zeros(1, 1, 8, 8), None, torch.tensor([3])), made_up("image"), 1).samples

    def test_the_mask_says_where_there_is_data(self) -> None:
        found = Batch(torch.zeros(2, 4, 3), None, torch.tensor([1, 4])).mask
        assert found.tolist() == [[True, False, False, False], [True] * 4]
        assert Batch(torch.zeros(2, 4)).mask.all()


class TestWhatPeopleBring:
    x, y = (torch.randn(30, 1600, generator=torch.Generator().manual_seed(seed)).tanh().numpy() for seed in (0, 1))

    def test_raw_waveforms_are_no_features(self, scratch: Registry) -> None:
        for name, entry in [*scratch.all("extractors").items()]:
            if "audio" in entry.default_for:
                del scratch.tables["extractors"][name]
        with pytest.raises(GenbenchError, match="fd: waveforms are seen through an extractor"):
            bench.evaluate(self.x, self.y, modality="audio", metrics=["fd"])

    def test_they_are_seen_through_one(self, scratch: Registry) -> None:
        class Ear:
            protocol: ClassVar = {"weights": "none"}

            def __call__(self, x: Tensor) -> Features:
                return Features(x.view(len(x), 4, -1).square().mean(2), None)

        extractor("acme/ear", on={"audio"})(Ear)
        seen = partial(bench.evaluate, modality="audio", metrics=["fd"], extractor="acme/ear")
        table = seen(self.x, self.y)
        assert table.protocol[0]["extractor"] == "acme/ear" and table.value[0] > 0
        sixteen = (self.x * 2**15).astype(np.int16)
        assert seen(sixteen, self.y).value[0] > 0
        lists = [[*side] for side in (self.x, self.y)]
        assert seen(*lists).value[0] == pytest.approx(table.value[0])

    @pytest.mark.parametrize(
        ("name", "wrong", "message"),
        [
            ("audio", np.full((3, 16000), 300.0), r"waveforms must lie in \[-1, 1\]"),
            ("audio", np.zeros((3, 16000), np.int64), "floats in .* or int16"),
            ("audio", np.zeros(16000), r"waveforms must be \(n, T\)"),
            ("audio", ["la"], "waveforms must be an array of numbers, not text"),
            ("music", np.full((3, 16, 12), 90), "piano rolls must be 0 and 1"),
            ("music", np.full((3, 16), 0.5), "tokens must be whole numbers"),
            ("video", np.zeros((3, 4, 1, 8, 8)), "videos must be uint8"),
            ("video", np.zeros((3, 1, 8, 8), np.uint8), r"videos must be \(n, T, C, H, W\)"),
        ],
    )
    def test_what_is_none_of_them_is_refused(self, name: str, wrong: Any, message: str) -> None:
        with pytest.raises(DataError, match=message):
            bench.evaluate(wrong, wrong, modality=name, metrics=["fd"])

    def test_lists_of_unequal_length_are_taken_where_it_is_said_what_they_are(self, scratch: Registry) -> None:
        class Ear:
            protocol: ClassVar = {"weights": "none"}

            def __call__(self, x: list[Tensor]) -> Features:
                return Features(torch.stack([torch.stack([row.mean(), row.std()]) for row in x]), None)

        extractor("acme/ear", on={"audio"})(Ear)
        sides = [[row[: 100 + 7 * i] for i, row in enumerate(side)] for side in (self.x, self.y)]
        assert bench.evaluate(*sides, modality="audio", metrics=["fd"], extractor="acme/ear").n[0] == 30
        with pytest.raises(DataError, match="vectors of one length"):
            bench.evaluate(*sides, metrics=["fd"])


class TestNames:
    def test_defaults_are_declared_where_extractors_register(self) -> None:
        assert (
            modality_of("image").default_extractor == "inception" and modality_of("text").default_extractor == "minilm"
        )
        assert modality_of("audio").default_extractor == "ear"
        assert modality_of("vector").default_extractor is None

    @pytest.mark.parametrize("kind", ["generator", "metric", "extractor"])
    def test_an_unknown_one_is_answered_with_the_nearest(self, kind: str) -> None:
        register = {
            "generator": lambda: generator("x", modalities={"vidoe"})(Fixed),
            "metric": lambda: metric("x", on={"vidoe"}, aspect="realism", unit="1", better="none")(nothing),
            "extractor": lambda: extractor("x", on={"vidoe"})(Fixed),
        }[kind]
        with pytest.raises(GenbenchError, match=f"{kind} 'x': unknown modality 'vidoe'; did you mean 'video'"):
            register()

    def test_a_plugin_can_bring_one(self, scratch: Registry, tmp_path: Path) -> None:
        @modality("acme/graph")
        class Graph(Modality):
            """Adjacency matrices, 0 and 1."""

            examples = "graphs"

        generator("acme/tree", modalities={"acme/graph"})(Fixed)
        dataset = MadeUp(DataSpec("acme/graph", (4, 4), "binary"))
        trial = trial_of(dataset.test.data, dataset, 20)
        assert torch.equal(trial.samples.float(), dataset.test.data)
        assert kept(trial, tmp_path)["samples"].shape == (20, 4, 4)
        with pytest.raises(Omitted, match="graphs are seen through an extractor"):
            trial.space(None)


class TestNearest:
    def test_of_a_copy_it_is_the_original_and_of_any_other_the_closest(self) -> None:
        dataset = registry.get("datasets", "digits").make()
        held = modality_of(dataset.spec).held(dataset, "train")
        assert isinstance(held, Tensor)
        asked = torch.cat([held[[3, 700]], 255 - held[[5]]])
        found = modality_of(dataset.spec).nearest(asked, dataset)
        assert isinstance(found, Tensor)
        assert torch.equal(found[:2], held[[3, 700]])
        apart = (held.float() - asked[2].float()).flatten(1).square().sum(1)
        assert torch.equal(found[2], held[apart.argmin()])

    def test_of_text_it_is_the_window_around_the_longest_stretch_that_both_share(self) -> None:
        dataset = registry.get("datasets", "kjv").make(window=64)
        stream = dataset.tokens("train")
        row = torch.full((64,), ord("~"))
        row[10:40] = stream[100_010:100_040]
        (found,) = modality_of(dataset.spec).nearest(row[None], dataset)
        assert torch.equal(found, stream[100_000:100_064])

    def test_at_the_end_of_the_text_it_is_a_whole_window_still(self, tmp_path: Path) -> None:
        letters = torch.randint(97, 123, (9000,), generator=torch.Generator().manual_seed(0))
        (tmp_path / "a.txt").write_bytes(bytes(letters.tolist()))
        dataset = registry.get("datasets", f"text:{tmp_path / 'a.txt'}").make(window=64)
        stream = dataset.tokens("train")
        row = torch.full((64,), ord("~"))
        row[:20] = stream[-20:]
        (found,) = modality_of(dataset.spec).nearest(row[None], dataset)
        assert torch.equal(found, stream[-64:])
