"""A suite measures whatever its data is made of, and says of what it names and cannot have why there is no number."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from bench import (
    Batch,
    DataSpec,
    Modality,
    RunRecord,
    SuiteError,
    dataset,
    evaluate,
    extractor,
    generator,
    modality,
    normal,
)
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import record_of, run_trial
from bench.record import Failure
from bench.registry import registry
from bench.testing import made_up
from tests.suites import IMAGE_FAMILY, TEXT_FAMILY

VECTORS = np.random.default_rng(0).normal(size=(400, 3)) @ np.array([[1, 0.5, 0], [0, 1, 0], [0, 0, 2]])
ROWS = VECTORS.astype(np.float32)


class Line(nn.Module):
    """The mean of the data and noise around it, on data of any form."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(spec.shape))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        self.mean.lerp_(batch.data.mean(0), 0.1)
        return {"loss": float((batch.data - self.mean).square().mean())}

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return (self.mean + 0.1 * normal(rng, n, *self.mean.shape)).clamp(-1, 1)


@pytest.fixture(autouse=True)
def theirs(own_names: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """A family of vectors and waveforms, and waveforms, which nothing that is registered makes features of."""
    monkeypatch.setattr(registry, "importing", True)  # nobody but this process needs to find them
    for name, entry in registry.all("extractors").items():
        if "audio" in entry.on:
            monkeypatch.delitem(registry.tables["extractors"], name)
    generator("test/line", modalities={"vector", "audio"})(Line)
    dataset("test/waves", modality="audio")(lambda: made_up("audio", n=40))


def of_vectors(tmp_path: Path, **more: Any) -> dict[str, Any]:
    np.savez(tmp_path / "x.npz", vectors=VECTORS)
    data = {"rows": {"source": f"npz:{tmp_path / 'x.npz'}"}}
    return suite(data, {"test/line": {}}, **more)


def suite(datasets: Mapping[str, Any], generators: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    budget = {"samples": 4, "train_steps": 3, **more.pop("budget", {})}
    return {"datasets": datasets, "generators": generators, "budget": budget, **more}


def records(table: Mapping[str, Any], out: Path) -> dict[str, RunRecord]:
    """By generator and dataset."""
    return {f"{p.generator} on {p.dataset}": run_trial(p, out) for p in plan_trials(check_suite(table, "test"), "cpu")}


class TestVectors:
    """They are features: whatever is measured of features is measured of them, as ``bench.evaluate`` does."""

    def test_by_default_every_measure_of_features_is_taken_of_them_by_its_own_name(self, tmp_path: Path) -> None:
        plan = plan_trials(check_suite(of_vectors(tmp_path), "test"), "cpu")[0]
        wanted = {
            name
            for name, entry in registry.all("metrics").items()
            if entry.of == "features" and "vector" in entry.on and entry.extractors is None
        }
        assert {"fd", "kid", "precision", "vendi"} <= wanted <= {*plan.metrics}
        assert not plan.omitted

    def test_the_numbers_are_those_of_evaluate(self, tmp_path: Path) -> None:
        names = ["fd", "kid", "precision", "cmmd_v"]  # kid is also a name of Inception's, which sees no vectors
        table = of_vectors(tmp_path, metrics=names, budget={"samples": 40})
        real = records(table, tmp_path)["real on rows"]
        assert real.status == "ok" and not real.omitted
        found = {m.metric: m.value for m in real.measurements}
        assert {m.protocol["extractor"] for m in real.measurements} == {"none"}
        data = registry.get("datasets", table["datasets"]["rows"]["source"]).make()
        truth = evaluate(data.valid.rows.numpy(), data.test.rows.numpy(), metrics=names).set_index("metric").value
        assert found == pytest.approx({name: truth[name] for name in names}, rel=1e-6)

    def test_on_the_way_too_and_the_best_is_kept_by_one(self, tmp_path: Path) -> None:
        table = of_vectors(tmp_path, metrics=["fd"], budget={"evaluate_every": 1, "keep": "kid"}, controls=False)
        found = records(table, tmp_path)["test/line on rows"]
        assert found.status == "ok" and found.kept_step is not None, found.error
        assert all("kid" in point.metrics for point in found.curve if point.metrics)
        with pytest.raises(SuiteError, match="keep: unknown metric 'kid'"):
            check_suite(suite({"digits": {}}, {IMAGE_FAMILY: {}}, budget={"evaluate_every": 1, "keep": "kid"}), "test")


class TestWhatThereIsNone:
    """Named, and not to be had on such data: in every record, with the reason."""

    def test_where_no_extractor_reads_the_data(self, tmp_path: Path) -> None:
        table = suite({"test/waves": {}}, {"test/line": {}}, metrics=["fd", "kid", "parameters"])
        why = "no extractor that reads audio is registered, and features are made by one"
        for found in records(table, tmp_path).values():
            assert found.omitted.items() >= {"fd": why, "kid": why}.items()

    def test_all_that_was_read_off_the_clocks_is_kept(self, tmp_path: Path) -> None:
        table = suite({"digits": {}}, {IMAGE_FAMILY: {}}, metrics=["latency_p50", "sample_throughput"], controls=False)
        (found,) = records(table, tmp_path).values()
        assert found.timings in found.files and found.timings
        raw = json.loads((tmp_path / "samples" / found.timings).read_text())
        latency, rate = found.measurements
        assert {*raw} == {"single-stream", "offline"} and latency.n == len(raw["single-stream"]["calls"])
        assert latency.value in raw["single-stream"]["calls"]
        drawn = rate.protocol["batch_size"] * len(raw["offline"]["calls"])
        assert rate.value == pytest.approx(drawn / raw["offline"]["total"])
        assert latency.busy is raw["single-stream"]["load"]["busy"]

    def test_where_nothing_is_named_it_is_said_once(self, tmp_path: Path) -> None:
        plan = plan_trials(check_suite(suite({"test/waves": {}}, {"test/line": {}}), "test"), "cpu")[0]
        assert {*plan.omitted} == {"fd"} and "sample_throughput" in plan.metrics
        extractor("test/ear", on={"audio"})(object)
        plan = plan_trials(check_suite(suite({"test/waves": {}}, {"test/line": {}}), "test"), "cpu")[0]
        assert not plan.omitted and "fd_test/ear" in plan.metrics

    def test_where_another_dataset_of_the_suite_has_it(self) -> None:
        table = suite({"digits": {}, "kjv": {}}, {IMAGE_FAMILY: {}, TEXT_FAMILY: {}},
                      metrics=["fd", "perplexity", "mse"], extractors=["lenet"])  # fmt: skip
        found = {plan.dataset: plan for plan in plan_trials(check_suite(table, "test"), "cpu")}
        assert found["digits"].metrics == ("fd_lenet", "mse") and found["kjv"].metrics == ("perplexity",)
        assert found["digits"].omitted == {"perplexity": "for text, but the data is image"}
        assert found["kjv"].omitted == {
            "fd": "none of the suite's extractors (lenet) is for such data",
            "mse": "for image, but the data is text",
        }
        unwanted = plan_trials(check_suite({**table, "without": ["mse"]}, "test"), "cpu")
        assert not any("mse" in plan.omitted for plan in unwanted)

    def test_where_no_weights_are_here(self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", images=np.random.default_rng(0).integers(0, 256, (60, 3, 8, 8), dtype=np.uint8))
        for name in registry.all("extractors"):
            extractor_entry = registry.tables["extractors"][name]
            monkeypatch.setattr(type(extractor_entry), "here", False)
        data = {"photos": {"source": f"npz:{tmp_path / 'x.npz'}"}}
        plan = plan_trials(check_suite(suite(data, {IMAGE_FAMILY: {}}, metrics=["recall"]), "test"), "cpu")[0]
        assert plan.metrics == () and "are not here: see `genbench doctor`" in plan.omitted["recall"]

    def test_where_an_extractor_that_is_named_is_not_for_the_data(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", images=np.random.default_rng(0).integers(0, 256, (60, 3, 8, 8), dtype=np.uint8))
        data = {"photos": {"source": f"npz:{tmp_path / 'x.npz'}"}}
        table = suite(data, {IMAGE_FAMILY: {}}, metrics=["kid_lenet", "parameters"])
        plan = plan_trials(check_suite(table, "test"), "cpu")[0]
        assert plan.metrics == ("parameters",)
        assert plan.omitted["kid_lenet"].startswith("lenet is not for such data: ")

    def test_what_no_data_of_the_suite_can_have_is_refused(self) -> None:
        with pytest.raises(SuiteError, match="perplexity is for text, but the suite's data is audio"):
            check_suite(suite({"test/waves": {}}, {"test/line": {}}, metrics=["fd", "perplexity"]), "test")

    def test_to_name_one_more_is_another_record_of_the_same_training(self) -> None:
        few, more = (
            plan_trials(check_suite(suite({"test/waves": {}}, {"test/line": {}}, metrics=names), "test"), "cpu")[0]
            for names in (["parameters"], ["parameters", "fd"])
        )
        assert few.training_id == more.training_id and few.run_id != more.run_id

    def test_a_worker_that_could_not_answer_lost_none(self) -> None:
        table = suite({"test/waves": {}}, {"test/line": {}}, metrics=["fd"])
        plan = plan_trials(check_suite(table, "test"), "cpu")[0]
        assert "fd" in record_of(plan, "failed", Failure(kind="killed", message="gone")).omitted


def test_of_data_that_no_family_makes_the_yardsticks_are_named() -> None:
    modality("test/grid")(Modality)
    spec = DataSpec("test/grid", (4, 4), "continuous")
    dataset("test/grids", modality="test/grid")(lambda: made_up(spec, n=40))
    with pytest.raises(SuiteError, match=r"test/grids is test/grid, which no family here makes: .*yardsticks.*real"):
        check_suite(suite({"test/grids": {}, "test/waves": {}}, {"test/line": {}}), "test")
    table = suite({"test/grids": {}}, {"real": {}}, metrics=["fd"])
    assert plan_trials(check_suite(table, "test"), "cpu")


def test_a_model_that_cannot_go_on_loses_no_number(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is shown on the page is not worth a trial: the reason is told instead."""

    def broken(*_: Any) -> None:
        raise RuntimeError("out of words")

    monkeypatch.setattr("bench.engine.worker.continuations", broken)
    plans = plan_trials(check_suite(of_vectors(tmp_path, metrics=["fd"]), "test"), "cpu")
    record = run_trial(next(plan for plan in plans if not plan.control), tmp_path)
    assert record.status == "ok" and record.continued is None and record.measurements
    assert any("no continuation is shown" in remark and "out of words" in remark for remark in record.remarks)
