"""The file of a checkpoint: one flipped bit is noticed, and whatever stands in it is answered in a sentence."""

from __future__ import annotations

import contextlib
import json
import logging
import random
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from torch import nn

from bench import DataError, SuiteError
from bench.datasets._image import ImageDataset
from bench.datasets.digits import digits
from bench.engine.checkpoint import read_about, read_checkpoint, restore, save_checkpoint
from bench.engine.plan import checkpoint_path
from bench.engine.runner import plan
from bench.engine.state import State, capture
from bench.engine.suite import check_suite
from bench.engine.worker import run_trial
from tests.engine.test_state import EVERY, STEPS, Average, Counter, Killed, assert_same, run

ABOUT = {"family": "vae", "params": {}, "spec": {"shape": [1, 8, 8]}}


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return digits()


@pytest.fixture
def cut(data: ImageDataset, tmp_path: Path) -> Path:
    """The checkpoint of a training that was killed."""
    path = tmp_path / "cut.safetensors"
    with pytest.raises(Killed):
        run(Counter, data, path, kill_at=STEPS - 2)
    return path


def rewrite(path: Path, text: str, **said: str) -> None:
    """The same weights under other metadata, without a checksum, as older files are."""
    state, _ = read_checkpoint(path)
    save_file({k: t.clone() for k, t in state.tensors.items()}, path, metadata={"genbench": text, **said})


def meta_of(path: Path) -> dict[str, Any]:
    with safe_open(path, framework="pt") as file:
        found: dict[str, Any] = json.loads(file.metadata()["genbench"])
        return found


def test_a_flipped_bit_is_noticed_wherever_it_is(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, State({"model.w": torch.arange(3.0), "model.n": torch.tensor(7)}), {"about": "é"})
    whole = path.read_bytes()
    assert len(whole) < 1000
    for i in range(len(whole)):
        broken = bytearray(whole)
        broken[i] ^= 1 << i % 8
        path.write_bytes(broken)
        with pytest.raises(DataError, match=r"x\.safetensors"):
            read_checkpoint(path)


def test_what_a_later_genbench_wrote_is_not_read_as_what_an_earlier_did(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "x.safetensors"
    with monkeypatch.context() as later:
        later.setattr("bench.engine.checkpoint.FORMAT", 3)
        save_checkpoint(path, State({"model.w": torch.arange(3.0)}), {})
    with pytest.raises(DataError, match=r"x\.safetensors has format 3, and this genbench reads up to 2$"):
        read_checkpoint(path)


def test_tensors_lie_in_memory_as_torch_lays_them(tmp_path: Path) -> None:
    """In the file they begin at odd places, where a vectorised sum rounds otherwise than the one it goes on from."""
    path = tmp_path / "x.safetensors"
    own = {f"model.{n}": torch.arange(float(n)) for n in (1, 3, 7)}
    for length in range(8):
        save_checkpoint(path, State(own), {"about": "x" * length})
        state, _ = read_checkpoint(path)
        assert all(t.data_ptr() % 64 == own[name].data_ptr() % 64 == 0 for name, t in state.tensors.items())


def test_a_flipped_bit_costs_a_training_its_start_and_not_its_result(
    cut: Path, data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = bytearray(cut.read_bytes())
    broken[-5] ^= 4
    cut.write_bytes(broken)
    resumed = run(Counter, data, cut)
    assert resumed[2][0] == 1
    assert f"training starts over: {cut} is damaged: its content is not what its checksum says" in caplog.text
    assert_same(run(Counter, data, tmp_path / "whole.safetensors"), resumed)


def test_the_record_says_that_a_training_started_over(small: Path, out: Path) -> None:
    (trial,) = plan(small, overrides=["controls=false", "metrics=['parameters']"])
    assert not run_trial(trial, out).remarks
    path = checkpoint_path(out, trial)
    path.write_bytes(path.read_bytes()[:-1] + b"?")
    record = run_trial(trial, out)
    assert record.status == "ok" and record.curve[-1].step == 20
    assert [f"training starts over: {path} is damaged" in remark for remark in record.remarks] == [True]
    assert not run_trial(trial, out).remarks  # and what it wrote is whole again


DEEP = "[" * 10**5 + "]" * 10**5
METADATA = {"list": "[]", "number": "3", "null": "null", "text": '"x"', "nested deep": DEEP, "cut": '{"a"', "": ""}
METADATA |= {"nested within": f'{{"progress": {DEEP}}}', "digits": f'{{"progress": {"9" * 5000}}}'}


@pytest.mark.parametrize("text", METADATA.values(), ids=METADATA)
def test_odd_metadata_is_answered_and_trained_over(
    text: str, cut: Path, data: ImageDataset, caplog: pytest.LogCaptureFixture
) -> None:
    rewrite(cut, text)
    with pytest.raises(DataError, match="no checkpoint that genbench saved") as caught:
        read_about(cut)
    assert len(str(caught.value)) < 1000
    suite = {"datasets": {"digits": {}}, "generators": {"ours": {"load": str(cut)}}}
    with pytest.raises(SuiteError, match=r"^generators\.ours\.load: [^\n]*no checkpoint that genbench saved[^\n]*$"):
        check_suite(suite, "test")
    assert run(Counter, data, cut)[1].complete
    assert "training starts over" in caplog.text


PROGRESS: dict[str, Any] = {
    "missing": None,
    "a list": [],
    "a field more": {"luck": 1},
    "a wrong type": {"step": "4"},
    "a number for a list": {"curve": 3},
    "a point that no record holds": {"curve": [{"step": 1, "seconds": 0.5}]},
    "less than nothing": {"step": -1},
    "not finite": {"seconds": float("nan")},
    "beyond the end": {"step": 10**9},
    "complete too soon": {"complete": True},
    "huge": {"examples": 10**400},
}


@pytest.mark.parametrize("change", PROGRESS.values(), ids=PROGRESS)
def test_odd_progress_is_trained_over(
    change: Any, cut: Path, data: ImageDataset, caplog: pytest.LogCaptureFixture
) -> None:
    state, meta = read_checkpoint(cut)
    was = meta.pop("progress")
    if change is not None:
        meta["progress"] = {**was, **change} if isinstance(change, dict) else change
    save_checkpoint(cut, State({name: t.clone() for name, t in state.tensors.items()}, state.about), meta)
    _, progress, steps = run(Counter, data, cut)
    assert progress.complete and steps[0] == 1
    assert caplog.text.count("training starts over") == 1


class TestOlder:
    """Files from before there was a checksum: weights, and optimisers without their settings."""

    @pytest.fixture
    def old(self, cut: Path) -> Path:
        state, meta = read_checkpoint(cut)
        tensors = {k: t.clone() for k, t in state.tensors.items() if k.startswith("model.")}
        tensors["optimizer.opt.0.momentum_buffer"] = torch.ones(1, 8, 8)
        text = {**ABOUT, "progress": meta["progress"]}
        save_file(tensors, cut, metadata={"genbench": json.dumps(text)})
        return cut

    def test_they_are_loaded(self, old: Path) -> None:
        model = Counter()
        restore(old, model, training=False)
        assert model.mean.any() and read_about(old).family == "vae"

    def test_a_training_that_ended_is_not_repeated(self, old: Path, data: ImageDataset) -> None:
        meta = meta_of(old)
        meta["progress"] |= {"step": STEPS, "complete": True}
        rewrite(old, json.dumps(meta))
        assert run(Counter, data, old)[2] == []

    def test_one_that_did_not_end_starts_over(
        self, old: Path, data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
    ) -> None:
        resumed = run(Counter, data, old)
        assert "was written by an older genbench" in caplog.text
        assert_same(run(Counter, data, tmp_path / "whole.safetensors"), resumed)


def test_a_checkpoint_that_does_not_fit_leaves_no_trace(
    data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Found under the name of another training, it has changed half a model before that is seen."""
    path = tmp_path / "x.safetensors"
    other = Counter()
    other.mean.data += 5
    other.opt = torch.optim.SGD([{"params": [other.mean]}, {"params": [nn.Parameter(torch.zeros(3))]}], lr=0.1)
    progress = {"step": EVERY, "seconds": 1.0, "curve": [], "pending": [], "examples": 64, "complete": False}
    save_checkpoint(path, capture(other), {"progress": progress})
    resumed = run(Counter, data, path)
    assert "does not fit this model" in caplog.text
    assert_same(run(Counter, data, tmp_path / "whole.safetensors"), resumed)


@pytest.mark.parametrize("about", [None, [], {}, {**State({}).about, "lost": None}, {**State({}).about, "more": 1}])
def test_a_state_that_nobody_saved_is_refused(about: Any, tmp_path: Path) -> None:
    save_checkpoint(tmp_path / "x.safetensors", State({}, about), ABOUT)
    with pytest.raises(DataError, match="its state is missing or wrong"):
        read_checkpoint(tmp_path / "x.safetensors")


@pytest.mark.parametrize("change", [{"family": 3}, {"params": []}, {"spec": None}])
def test_a_checkpoint_says_what_it_is_of(change: dict[str, Any], tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_checkpoint(path, State({}), {**ABOUT, **change})
    with pytest.raises(DataError, match=f"its {next(iter(change))} is missing or wrong"):
        read_about(path)


def test_a_loaded_model_is_said_to_lack_what_no_checkpoint_holds(
    data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run(Average, data, tmp_path / "x.safetensors")
    caplog.clear()
    with caplog.at_level(logging.WARNING, "genbench"):
        restore(tmp_path / "x.safetensors", Average(), training=False)
    assert "does not hold averages, which training changed" in caplog.text


ODD: list[Any] = [None, [], {}, 3, -1, "x", True, 10**400, [[]], {"a": 1}, float("nan"), {"tensor": "x"}, {"list": 3}]


def changed(value: Any, rng: random.Random) -> Any:
    """Metadata with something in it left out, added or replaced."""
    if isinstance(value, dict) and value and rng.random() < 0.85:
        key, action = rng.choice(list(value)), rng.random()
        if action < 0.15:
            return {k: v for k, v in value.items() if k != key}
        if action < 0.25:
            return {**value, rng.choice(["new", "format", "step"]): rng.choice(ODD)}
        return {**value, key: changed(value[key], rng)}
    if isinstance(value, list) and value and rng.random() < 0.7:
        at = rng.randrange(len(value))
        return [*value[:at], changed(value[at], rng), *value[at + 1 :]]
    return rng.choice(ODD)


@pytest.mark.slow
@pytest.mark.parametrize("checksum", [True, False])
def test_whatever_the_metadata_say_there_is_a_result_or_an_answer(
    checksum: bool, cut: Path, data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(Counter, data, tmp_path / "whole.safetensors")
    state, meta = read_checkpoint(cut)
    tensors = {name: t.clone() for name, t in state.tensors.items()}
    for number in range(250):
        found = changed(meta, random.Random(number))
        if checksum and isinstance(found, dict):
            save_checkpoint(cut, State(tensors, state.about), found)
        else:
            save_file(tensors, cut, metadata={"genbench": json.dumps(found)})
        with contextlib.suppress(DataError):
            restore(cut, Counter(), training=False)
        caplog.clear()
        resumed = run(Counter, data, cut)
        if "training starts over" in caplog.text:
            assert_same(whole, resumed)
