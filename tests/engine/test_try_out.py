"""Two samples are drawn before the first step: a broken promise is told before the training, and nothing is moved."""

from __future__ import annotations

import runpy
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, generator
from bench.engine import worker
from bench.engine.runner import plan
from bench.engine.worker import run_trial
from bench.record import RunRecord
from bench.registry import registry
from bench.results.claims import problems
from bench.results.store import write_record

SUITE = """
metrics = ["parameters"]
controls = false
budget = { train_steps = 3, samples = 40, checkpoint_every = 1 }
[datasets.digits]
[generators.tried]
"""
Draw = Callable[["Family", int, torch.Generator, Tensor | None], Any]


STEPS: list[int] = []  # of all models of the family


class Family(torch.nn.Module):
    """A family whose samples a test makes."""

    conditional = True
    draw: Draw

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.seen, self.drawn = 0, 0
        self.weight = torch.nn.Parameter(torch.rand(()))

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        STEPS.append(1)
        self.seen += 1
        return {"loss": float(self.weight.detach() + torch.rand(()) + self.drawn + self.training)}

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Any:
        assert not self.training and not torch.is_grad_enabled()
        self.drawn += 1
        return Family.draw(self, n, rng, condition)


def spread(n: int, rng: torch.Generator) -> Tensor:
    return 2 * torch.rand(n, 1, 8, 8, generator=rng) - 1


Trained = Callable[..., RunRecord]


@pytest.fixture
def trained(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, own_names: None) -> Trained:
    """The record of a trial whose family draws as told, in a folder of this name."""
    with monkeypatch.context() as patch:
        patch.setattr(registry, "importing", True)  # as from a package: no other process has to find it
        generator("tried", modalities={"image"})(Family)
    (tmp_path / "suite.toml").write_text(SUITE)

    def run(draw: Draw, out: str = "out", as_it_is: bool = False) -> RunRecord:
        monkeypatch.setattr(Family, "draw", staticmethod(draw), raising=False)
        STEPS.clear()
        (trial,) = plan(tmp_path / "suite.toml", device="cpu")
        return run_trial(trial, tmp_path / out, as_it_is=as_it_is)

    return run


BROKEN: dict[str, tuple[Draw, str]] = {
    "count": (lambda _, n, rng, y: spread(n + 1, rng), "sample(2) has shape (3, 1, 8, 8), not (2, 1, 8, 8)"),
    "shape": (lambda _, n, rng, y: spread(n, rng)[:, 0], "sample(2) has shape (2, 8, 8), not (2, 1, 8, 8)"),
    "range": (lambda _, n, rng, y: 255 * spread(n, rng), "pixels must lie in [-1, 1], got [-2"),
    "dtype": (lambda _, n, rng, y: spread(n, rng).sign().long(), "pixels must be floats in [-1, 1], got torch.int64"),
    "complex": (lambda _, n, rng, y: spread(n, rng) * 1j, "pixels must be floats in [-1, 1], got torch.complex64"),
    "type": (lambda _, n, rng, y: spread(n, rng).numpy(), "sample(2) returned ndarray, not a tensor"),
    "labels": (lambda _, n, rng, y: spread(n if y is None else 10, rng), "sample(2) has shape (10, 1, 8, 8)"),
}


@pytest.mark.parametrize(("draw", "message"), BROKEN.values(), ids=BROKEN.keys())
def test_a_broken_promise_is_told_before_training(trained: Trained, draw: Draw, message: str) -> None:
    record = trained(draw)
    assert record.status == "failed" and record.error is not None
    assert record.error.message.startswith(f"before the first training step, {message}")
    assert len(STEPS) == 0


def unable(model: Family, n: int, rng: torch.Generator, y: Tensor | None) -> Tensor:
    raise RuntimeError("fit me first")


@pytest.mark.parametrize(
    ("untrained", "remark"),
    [
        (lambda _, n, rng, y: spread(n, rng) / 0, "untrained, it makes NaN or infinity"),
        (unable, "untrained, it raised RuntimeError: fit me first"),
    ],
)
def test_what_cannot_sample_before_it_has_seen_data_is_trained(trained: Trained, untrained: Draw, remark: str) -> None:
    record = trained(lambda model, n, rng, y: spread(n, rng) if model.seen else untrained(model, n, rng, y))
    assert record.error is None and len(STEPS) == 3
    assert [told.endswith(remark) for told in record.remarks] == [True]


@pytest.mark.parametrize(
    ("draw", "told"),
    [
        (lambda _, n, rng, y: spread(n, rng).abs(), 1),
        (lambda _, n, rng, y: spread(n, rng), 0),
        (lambda _, n, rng, y: torch.zeros(n, 1, 8, 8), 0),  # one level says nothing of a range
        (lambda model, n, rng, y: spread(n, rng) if model.seen else spread(n, rng).abs(), 0),
    ],
)
def test_samples_that_use_half_the_range_are_remarked_on(trained: Trained, draw: Draw, told: int) -> None:
    record = trained(draw)
    assert record.status == "ok"
    assert ["below the middle (0) of [-1, 1]" in remark for remark in record.remarks] == [True] * told


def test_data_that_is_bright_itself_gives_no_remark(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bench.measure.trial.Trial.held_out", torch.full((9, 1, 8, 8), 200, dtype=torch.uint8))
    assert trained(lambda _, n, rng, y: spread(n, rng).abs()).remarks == ()


def test_it_moves_nothing(trained: Trained, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Not even in a family that draws from the global generator, and whose sampling leaves a trace in it."""

    def careless(model: Family, n: int, rng: torch.Generator, y: Tensor | None) -> Tensor:
        return spread(n, rng) * torch.rand(()) * model.weight / model.drawn

    tried = trained(careless, "tried")
    monkeypatch.setattr("bench.engine.worker._try_out", lambda *_: None)
    plain = trained(careless, "plain")
    assert [point.losses for point in tried.curve] == [point.losses for point in plain.curve]
    (one, *_), (other, *_) = (sorted(tmp_path.glob(f"{out}/samples/*[!t].npz")) for out in ("tried", "plain"))
    assert np.array_equal(np.load(one)["samples"], np.load(other)["samples"])


def test_nearest_training_examples_that_cannot_be_found_cost_no_number(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*given: Any) -> Any:
        raise RuntimeError("no memory left")

    monkeypatch.setattr("bench.modalities._base.Modality.nearest", broken)
    record = trained(lambda _, n, rng, y: spread(n, rng))
    assert record.status == "ok" and record.nearest is None and record.measurements
    assert "no nearest training examples are shown: RuntimeError: no memory left" in record.remarks


def test_labels_are_asked_for_where_they_are_heeded(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[int] | None] = []

    def noting(model: Family, n: int, rng: torch.Generator, y: Tensor | None) -> Tensor:
        asked.append(None if y is None else y.tolist())
        return spread(n, rng)

    trained(noting)
    shown = [label for label in range(10) for _ in range(4)]  # to be shown, of 40 samples
    assert asked == [None, [0, 1], None, shown]
    monkeypatch.setattr(Family, "conditional", False)
    trained(noting, "unconditional")
    assert asked[4:] == [None, None]


def shades(model: Family, n: int, rng: torch.Generator, y: Tensor | None) -> Tensor:
    """Each label a level of its own, about which a little is drawn."""
    shade = torch.full((n,), -1.0) if y is None else y / 10
    return shade.view(n, 1, 1, 1) + 0.05 * torch.rand(n, 1, 8, 8, generator=rng)


def pixels(folder: Path, record: RunRecord) -> Tensor:
    assert record.asked is not None
    return torch.from_numpy(np.load(folder / "samples" / record.asked.file)["samples"])


def test_what_was_asked_for_is_kept_beside_its_caption(trained: Trained, tmp_path: Path) -> None:
    record = trained(shades)
    assert record.status == "ok" and record.asked is not None and record.asked.captions is not None
    assert record.asked.labels == tuple(label for label in range(10) for _ in range(4))
    assert [record.asked.captions[row] for row in (0, 4, 39)] == ["a zero", "a one", "a nine"]
    made = pixels(tmp_path / "out", record)
    found = ((made.flatten(1).amin(1).double() / 127.5 - 1) * 10 + 0.1).long()
    assert found.tolist() == list(record.asked.labels)
    assert record.asked.file in record.files and record.asked.file in record.hashes
    assert problems(write_record(tmp_path / "out", record)) == []


def test_a_training_that_goes_on_is_asked_the_same(trained: Trained, tmp_path: Path) -> None:
    first = trained(shades)
    whole, on = pixels(tmp_path / "out", first), trained(shades, as_it_is=True)
    assert torch.equal(pixels(tmp_path / "out", on), whole) and on.asked == first.asked
    assert on.hashes == first.hashes


def test_who_heeds_no_labels_is_asked_for_nothing(trained: Trained, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Family, "conditional", False)
    record = trained(shades)
    assert record.status == "ok" and record.asked is None and "ask" not in record.phases


def test_a_yardstick_is_asked_for_nothing(tmp_path: Path) -> None:
    (tmp_path / "suite.toml").write_text(SUITE.replace("tried", "vae").replace("controls = false", ""))
    noise = next(trial for trial in plan(tmp_path / "suite.toml", device="cpu") if trial.family == "noise")
    assert run_trial(noise, tmp_path / "out").asked is None


def test_one_that_fails_when_it_is_asked_loses_no_number(trained: Trained) -> None:
    def failing(model: Family, n: int, rng: torch.Generator, y: Tensor | None) -> Tensor:
        if y is not None and model.seen:
            raise RuntimeError("not now")
        return spread(n, rng)

    record = trained(failing)
    assert record.status == "ok" and record.asked is None and record.measurements
    assert "it is not shown what was asked for: RuntimeError: not now" in record.remarks


def test_a_training_that_goes_on_is_not_tried_again(trained: Trained, tmp_path: Path) -> None:
    drawn: list[int] = []

    def noting(model: Family, n: int, rng: torch.Generator, y: Tensor | None) -> Tensor:
        drawn.append(n)
        return spread(n, rng)

    trained(noting)
    trained(noting)
    assert drawn == [2, 2, 40, 40, 40, 40]  # each time its samples, and those that it is asked for


def test_a_stopped_training_whose_checkpoint_lacks_something_is_measured_and_says_so(
    trained: Trained, monkeypatch: pytest.MonkeyPatch
) -> None:
    def forgetful(model: Family, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        model.kept = torch.full((), float(model.seen))
        model.seen += 1
        if model.seen == 3:
            raise RuntimeError("stopped here")
        return {"loss": 0.0}

    monkeypatch.setattr(Family, "train_step", forgetful)
    draw: Draw = lambda _, n, rng, y: spread(n, rng)  # noqa: E731
    assert trained(draw).status == "failed"
    record = trained(draw, as_it_is=True)
    assert "load" in record.phases and "train" not in record.phases
    assert record.status == "failed" and record.error is not None and record.steps == 2
    assert [m.metric for m in record.measurements] == ["parameters"]
    assert record.error.message == (
        "measured at step 2 of 3, its last checkpoint, which does not hold kept; run again, and it starts over"
    )
    assert ["the model may sample otherwise" in remark for remark in record.remarks] == [True]


def test_the_module_itself_is_no_process_of_a_trial() -> None:
    with pytest.raises(SystemExit, match=r"python -m bench\.engine OUT"):
        runpy.run_path(worker.__file__, run_name="__main__")
