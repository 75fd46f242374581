"""Measures of features compute where the features lie: on a GPU, on the GPU, and to the same numbers."""

from __future__ import annotations

import pandas as pd
import pytest
import torch

import bench
from bench.measure import evaluation
from bench.registry import MetricEntry, registry
from tests.elsewhere import Elsewhere, pretended_gpu

EVERY: dict[str, MetricEntry] = registry.all("metrics")
# Of logits, of which bare features have none; of a thousand rows each; of sides that a model has to make.
NONE = {"is", "is_1", "kid_subsets", "class_accuracy", "rfd"}
NAMES = [name for name, entry in EVERY.items() if entry.of == "features" and name not in NONE]


def test_every_measure_is_the_same_on_a_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    fake, real, train = torch.randn(3, 60, 4, generator=torch.Generator().manual_seed(0)).relu()

    def table() -> pd.DataFrame:
        return bench.evaluate(1.1 * fake, real, train=train, metrics=NAMES).set_index("metric")[["value", "lo", "hi"]]

    here = table()
    assert here["value"].notna().all()
    with pretended_gpu(monkeypatch) as gpu:
        monkeypatch.setattr(evaluation, "choose_device", lambda name: gpu)
        pd.testing.assert_frame_equal(table(), here)


def test_what_is_pretended_refuses_what_a_gpu_refuses(monkeypatch: pytest.MonkeyPatch) -> None:
    with pretended_gpu(monkeypatch) as gpu:
        x = torch.ones(2, 3).to(gpu)
        assert isinstance(x @ x.T, Elsewhere) and x.sum().item() == 6
        x[0] += 1
        assert x.cpu().tolist() == [[2, 2, 2], [1, 1, 1]]
        with pytest.raises(RuntimeError, match="same device"):
            x + torch.ones(2, 3)
        with pytest.raises(RuntimeError, match="numpy"):
            x.numpy()
        with pytest.raises(RuntimeError, match="generator"):
            torch.randn(3, device=gpu, generator=torch.Generator())
