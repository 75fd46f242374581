"""A trained model as a folder of its own: what it makes, what it says, and who takes it."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
from huggingface_hub import ModelCard

import bench
from bench import DataError, GenbenchError, OutputError, TrialPlan, UnknownName
from bench.engine.plan import plan_trials
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from bench.registry import registry
from bench.results.store import record_path, write_record

TABLE: dict[str, Any] = {
    "metrics": ["kid_lenet"], "controls": False, "datasets": {"digits": {}}, "seeds": [1, 0],
    "budget": {"samples": 40, "train_steps": 3, "batch_size": 8},
    "generators": {
        "mine": {"family": "vae", "preset": "test"}, "other": {"family": "dcgan", "preset": "test"},
    },
}  # fmt: skip


def ran(table: dict[str, Any], out: Path) -> list[TrialPlan]:
    plans = plan_trials(check_suite(table, "test"), "cpu")
    for plan in plans:
        record = run_trial(plan, out)
        assert record.status == "ok", record.error
        write_record(out, record)
    return plans


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("run")
    ran(TABLE, out)
    return out


def test_the_folder_makes_what_the_model_made(run: Path, tmp_path: Path) -> None:
    folder = bench.save_model(run, tmp_path / "mine", generator="mine", seed=1)
    table = {**TABLE, "seeds": [1], "generators": {"again": {"load": str(folder)}}}
    (plan,) = ran(table, tmp_path / "again")
    found, before = (
        json.loads(record_path(out, id).read_text())
        for out, id in (
            (tmp_path / "again", plan.run_id),
            (run, next(p.run_id for p in plan_trials(check_suite(TABLE, "test"), "cpu") if p.generator == "mine")),
        )
    )
    made, made_before = (record["hashes"][record["samples"]] for record in (found, before))
    assert made == made_before
    assert "load" in found["phases"] and "train" not in found["phases"]
    assert found["measurements"][0]["value"] == before["measurements"][0]["value"]


def test_what_only_training_needs_is_left_out(run: Path, tmp_path: Path) -> None:
    folder = bench.save_model(run, tmp_path / "mine", generator="mine")
    names = set(safetensors.torch.load_file(folder / "model.safetensors"))
    model: Any = bench.build("vae", registry.get("datasets", "digits").make(), preset="test")
    assert names == {f"model.{name}" for name in model.state_dict()}


def test_its_card_is_read_by_the_hub(run: Path, tmp_path: Path) -> None:
    folder = bench.save_model(run, tmp_path / "mine", generator="mine")
    about = json.loads((folder / "config.json").read_text())
    assert (about["family"], about["training"]["seed"], about["training"]["steps"]) == ("vae", 0, 3)
    card = ModelCard.load(folder / "README.md")
    (first, *_) = card.data.eval_results or []
    assert (first.metric_type, first.dataset_name) == ("kid_lenet", "digits") and card.data.library_name == "genbench"
    assert 'load = "FOLDER"' in card.text and "| kid_lenet ↓ |" in card.text and "dcgan" not in card.text
    for facts in ("| train | 1,197 examples |", "| test | 300 examples |", "| batch_size | 8 |"):
        assert facts in card.text
    assert "stall_limit" not in card.text and "checkpoint_every" not in card.text
    for line in card.text.splitlines():
        if line.startswith("!["):
            assert (folder / line.partition("](")[2].rstrip(")")).is_file(), line


def test_of_two_runs_the_newest_is_saved(tmp_path: Path) -> None:
    table = {**TABLE, "seeds": [0], "generators": {"mine": TABLE["generators"]["mine"]}}
    ran(table, tmp_path / "run")
    time.sleep(1.1)  # records are dated to the second
    ran({**table, "generators": {"mine": {**TABLE["generators"]["mine"], "latent": 5}}}, tmp_path / "run")
    folder = bench.save_model(tmp_path / "run", tmp_path / "x")
    assert json.loads((folder / "config.json").read_text())["params"]["latent"] == 5


class TestWrong:
    def test_a_choice_that_is_none_or_several(self, run: Path, tmp_path: Path) -> None:
        with pytest.raises(GenbenchError, match="say which: --generator mine --dataset digits; --generator other"):
            bench.save_model(run, tmp_path / "x")
        with pytest.raises(GenbenchError, match=r"no such model .* there is mine on digits, seed 0; mine on digits"):
            bench.save_model(run, tmp_path / "x", seed=7)
        with pytest.raises(UnknownName, match="unknown generator 'minne'; did you mean 'mine'"):
            bench.save_model(run, tmp_path / "x", generator="minne")
        with pytest.raises(UnknownName, match="unknown dataset 'digit'; did you mean 'digits'"):
            bench.save_model(run, tmp_path / "x", dataset="digit")

    def test_what_was_not_trained_here(self, tmp_path: Path) -> None:
        np.savez(tmp_path / "x.npz", images=np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8))
        ran(
            {**TABLE, "seeds": [0], "generators": {"mine": {"family": f"samples:{tmp_path / 'x.npz'}"}}},
            tmp_path / "run",
        )
        with pytest.raises(
            GenbenchError, match=r"only what was trained here is saved, and here is mine \(made elsewhere"
        ):
            bench.save_model(tmp_path / "run", tmp_path / "saved")

    def test_a_yardstick(self, tmp_path: Path) -> None:
        table = {**TABLE, "seeds": [0], "generators": {"mine": TABLE["generators"]["mine"], "real": {}}}
        ran(table, tmp_path / "run")
        with pytest.raises(GenbenchError, match=r"here is real \(a yardstick\)"):
            bench.save_model(tmp_path / "run", tmp_path / "saved", generator="real")

    def test_a_folder_that_is_not_empty(self, run: Path, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("")
        with pytest.raises(OutputError, match="is there and not empty"):
            bench.save_model(run, tmp_path, generator="mine")

    def test_weights_that_are_gone(self, tmp_path: Path) -> None:
        table = {**TABLE, "seeds": [0], "generators": {"mine": TABLE["generators"]["mine"]}}
        (plan,) = ran(table, tmp_path / "run")
        (tmp_path / "run" / "checkpoints" / f"{plan.training_id}.safetensors").unlink()
        with pytest.raises(DataError, match="is gone: run the suite again"):
            bench.save_model(tmp_path / "run", tmp_path / "x")
