"""Measures of features compute where the features lie: on a GPU, on the GPU, and to the same numbers."""

from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pytest
import torch

import bench
from bench import Estimate, Space
from bench.measure import evaluation
from bench.measure.comparison import measure
from bench.modalities._examples import Examples
from bench.registry import MetricEntry, Side, registry
from tests.elsewhere import Elsewhere, pretended_gpu

EVERY: dict[str, MetricEntry] = registry.all("metrics")
# Of logits, of which bare features have none; of a thousand rows each; of sides that a model has to make.
NONE = {"is", "is_1", "kid_subsets", "class_accuracy", "rfd"}
NAMES = [name for name, e in EVERY.items() if e.of == "features" and "vector" in e.on and name not in NONE]


def test_every_measure_is_the_same_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real, train = 0.1 + torch.rand(3, 120, 4, generator=torch.Generator().manual_seed(0))

    def table() -> pd.DataFrame:
        return bench.evaluate(1.1 * fake, real, train=train, metrics=NAMES).set_index("metric")[["value", "lo", "hi"]]

    here = table()
    assert here["value"].notna().all()
    with pretended_gpu(monkeypatch) as gpu:
        monkeypatch.setattr(evaluation, "choose_device", lambda name: gpu)
        pd.testing.assert_frame_equal(table(), here)


def test_features_lie_on_the_gpu_as_long_as_it_has_the_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def greedy(space: Space) -> Estimate:
        if isinstance(space.fake, Elsewhere):
            raise torch.OutOfMemoryError
        return Estimate(value=space.fake.mean().item(), n=len(space.fake))

    sides: dict[Side, Examples] = {"samples": torch.ones(5, 2), "reference": torch.zeros(5, 2)}
    with pretended_gpu(monkeypatch) as gpu:
        given = evaluation.Given(sides, "vector", seed=0, device=gpu, prompts=None)
        assert isinstance(given.space(None).real, Elsewhere)
        assert measure(replace(EVERY["kid"], compute=greedy), given).value == 1
    assert "compared on the CPU" in given.remarks[0]


def test_what_is_pretended_refuses_what_a_gpu_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch) as gpu:
        x = torch.ones(2, 3).to(gpu)
        assert isinstance(x @ x.T, Elsewhere) and x.sum().item() == 6
        x[0] += 1
        assert x.cpu().tolist() == [[2, 2, 2], [1, 1, 1]]
        assert x[torch.tensor([1])].cpu().tolist() == [[1, 1, 1]]
        here, mask = torch.ones(2, 3), torch.ones(2, 3, dtype=torch.bool).to(gpu)
        for wrong in (
            lambda: x + here, lambda: here[mask], lambda: x.__setitem__(torch.tensor([0, 1]), here),
            lambda: torch.stack([x.sum(), here.sum()]),
        ):  # fmt: skip
            with pytest.raises(RuntimeError, match="same device"):
                wrong()
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, device=gpu, generator=torch.Generator())
