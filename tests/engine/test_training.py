"""The training loop: its data order, and that an interruption leaves no trace in the result."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from bench import Batch, DataError, TrialError
from bench.datasets._image import ImageDataset
from bench.datasets.digits import digits
from bench.engine.budget import Target
from bench.engine.checkpoint import read_checkpoint, restore, save_checkpoint
from bench.engine.state import capture
from bench.engine.training import Keep, Progress, Schedule, batch_index, best_path, load, train
from bench.protocols import Split, Trainable
from bench.testing import family_for

CPU = torch.device("cpu")
SCHEDULE = Schedule(Target("steps", 12), batch_size=16, checkpoint_every=4)


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return digits()


def fresh(data: ImageDataset, **params: Any) -> Any:
    torch.manual_seed(0)
    family = family_for("image", Trainable)
    model: Any = family.make(data.spec, **{**family.presets["test"], **params})
    return model


def run(model: Trainable, data: ImageDataset, path: Path, **changes: Any) -> Progress:
    return train(model, data.train, SCHEDULE, seed=0, device=CPU, checkpoint=path, about={"family": "x"}, **changes)


class Killed(Exception):
    pass


def kill_at(step: int) -> Any:
    def on_step(progress: Progress, losses: object) -> None:
        if progress.step == step:
            raise Killed

    return on_step


@pytest.mark.parametrize("step", [3, 6, 11])
def test_going_on_after_a_kill_ends_in_the_same_weights(tmp_path: Path, data: ImageDataset, step: int) -> None:
    """Of one family; that it is so of every one is among their promises."""
    whole = fresh(data)
    progress = run(whole, data, tmp_path / "whole.safetensors")

    path = tmp_path / "killed.safetensors"
    with pytest.raises(Killed):
        run(fresh(data), data, path, on_step=kill_at(step))
    second = fresh(data)
    steps: list[int] = []
    resumed = run(second, data, path, on_step=lambda progress, losses: steps.append(progress.step))

    assert steps[0] == step // 4 * 4 + 1  # from the last checkpoint, not from the start
    assert all(torch.equal(a, b) for a, b in zip(states(whole), states(second), strict=True))
    assert [p["losses"] for p in resumed.curve] == [p["losses"] for p in progress.curve]


def states(model: Any) -> list[Tensor]:
    return list(model.state_dict().values())


def test_a_finished_training_is_not_repeated(tmp_path: Path, data: ImageDataset) -> None:
    path = tmp_path / "x.safetensors"
    first = run(fresh(data), data, path)
    again = run(fresh(data), data, path, on_step=kill_at(1))
    assert again.complete and again.seconds == first.seconds


def test_a_damaged_checkpoint_counts_as_none(tmp_path: Path, data: ImageDataset) -> None:
    path = tmp_path / "x.safetensors"
    path.write_bytes(b"half a che")
    assert run(fresh(data), data, path).complete


def test_an_epoch_visits_every_example_once() -> None:
    seen = Counter(i for step in range(10) for i in batch_index(103, 10, step, seed=0).tolist())
    assert len(seen) == 100 and set(seen.values()) == {1}
    second = torch.cat([batch_index(103, 10, step, seed=0) for step in range(10, 20)])
    assert second.tolist() != list(seen)


def test_the_order_depends_on_the_seed() -> None:
    assert not torch.equal(batch_index(100, 50, 0, seed=0), batch_index(100, 50, 0, seed=1))


class Diverging(nn.Module):
    """Its loss is what the test says."""

    def __init__(self, losses: dict[str, float]) -> None:
        super().__init__()
        self.losses = losses

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        return self.losses

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 1, 8, 8)


@pytest.mark.parametrize(
    ("losses", "answer"),
    [
        ({"loss": float("nan")}, "loss became nan at step 1"),
        ({"g": 1.0}, "must return a 'loss'"),
        ({"loss": 1.0, 7: 1.0}, "by strings, not by 7"),
    ],
)
def test_a_broken_loss_is_named(tmp_path: Path, data: ImageDataset, losses: dict[Any, float], answer: str) -> None:
    with pytest.raises(TrialError, match=answer):
        run(Diverging(losses), data, tmp_path / "x.safetensors")


class Told(Diverging):
    """Notes what it is told of its training, and fits the mean of what it saw when that ends."""

    def __init__(self) -> None:
        super().__init__({"loss": 0.0})
        self.shares: list[float] = []
        self.refits = 0
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(()))

    def pace(self, share: float) -> None:
        assert self.training
        self.shares.append(share)

    def refit(self, data: Split, rng: torch.Generator) -> None:
        assert not self.training and rng.device.type == "cpu"
        self.refits += 1
        self.mean.copy_(data.batch(torch.arange(100)).data.mean() + torch.rand((), generator=rng))


class TestWhatAFamilyIsTold:
    @pytest.mark.parametrize("target", [Target("steps", 12), Target("examples", 12 * 16)])
    def test_the_share_that_is_done_whatever_ends_the_training(
        self, tmp_path: Path, data: ImageDataset, target: Target
    ) -> None:
        model, schedule = Told(), Schedule(target, batch_size=16, checkpoint_every=4)
        train(model, data.train, schedule, seed=0, device=CPU, checkpoint=tmp_path / "x", about={})
        assert model.shares == pytest.approx([step / 12 for step in range(12)])

    def test_when_it_ends_and_before_each_look(self, tmp_path: Path, data: ImageDataset) -> None:
        model, means = Told(), list[float]()
        schedule = Schedule(Target("steps", 12), batch_size=16, checkpoint_every=4, evaluate_every=5)

        def look(drawn: Callable[[], None]) -> dict[str, float]:
            means.append(model.mean.item())
            return {}

        path = tmp_path / "x.safetensors"
        train(model, data.train, schedule, seed=0, device=CPU, checkpoint=path, about={}, evaluate=look)
        assert model.refits == len(means) == len(set(means)) == 3 and model.training
        other = Told()
        restore(path, other, training=False)
        assert other.mean == model.mean == means[-1]

    @pytest.mark.parametrize("at", [3, 4])  # a checkpoint is due at 4
    def test_when_it_is_stopped_for_it_is_measured_then(self, tmp_path: Path, data: ImageDataset, at: int) -> None:
        model = Told()
        run(model, data, tmp_path / "x.safetensors", stop=lambda: len(model.shares) == at)
        assert model.refits == 1 and model.mean != 0
        again = Told()
        run(again, data, tmp_path / "x.safetensors", stop=lambda: True)
        assert again.mean == model.mean

    def test_when_an_unfinished_training_is_loaded(self, tmp_path: Path, data: ImageDataset) -> None:
        def killed(progress: Progress, losses: Mapping[str, float]) -> None:
            if progress.step == 5:
                raise Killed

        path, model = tmp_path / "x.safetensors", Told()
        with pytest.raises(Killed):
            run(Told(), data, path, on_step=killed)
        load(path, model, data.train, seed=0)
        assert model.refits == 1
        whole = Told()
        run(Told(), data, tmp_path / "z.safetensors")
        load(tmp_path / "z.safetensors", whole, data.train, seed=0)
        assert whole.refits == 1  # the one that its file tells of
        stopped = Told()
        run(stopped, data, tmp_path / "y.safetensors", stop=lambda: len(stopped.shares) == 4)
        assert model.mean == stopped.mean

    def test_and_not_when_the_best_model_is_loaded_which_was_fitted_for_its_look(
        self, tmp_path: Path, data: ImageDataset
    ) -> None:
        worth, model = iter([1.0, 2.0, 3.0]), Told()
        schedule = Schedule(Target("steps", 12), batch_size=16, checkpoint_every=4, evaluate_every=5)
        more: dict[str, Any] = {"evaluate": lambda drawn: {"fd": next(worth)}, "keep": Keep("fd", "lower")}
        path = tmp_path / "x.safetensors"
        train(Told(), data.train, schedule, seed=0, device=CPU, checkpoint=path, about={}, **more)
        load(best_path(path), model, data.train, seed=1)
        assert model.refits == 1  # the one before the first look, as its file tells

    def test_what_it_takes_to_fit_is_training_time(
        self, tmp_path: Path, data: ImageDataset, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Told, "refit", lambda *_: time.sleep(0.2))
        progress = run(Told(), data, tmp_path / "x.safetensors")
        assert progress.seconds >= 0.2 and progress.curve[-1]["seconds"] >= 0.2


class TestCheckpoint:
    def test_weights_and_optimisers_come_back(self, tmp_path: Path, data: ImageDataset) -> None:
        path = tmp_path / "x.safetensors"
        model = fresh(data)
        run(model, data, path)
        other = fresh(data)
        restore(path, other)
        for name in [name for name, part in vars(model).items() if isinstance(part, torch.optim.Optimizer)]:
            ours, theirs = (vars(m)[name].state_dict()["state"] for m in (model, other))
            assert ours and all(torch.equal(ours[i][k], theirs[i][k]) for i in ours for k in ours[i])

    def test_shared_weights_can_be_saved(self, tmp_path: Path) -> None:
        model = Diverging({})
        model.a = nn.Linear(2, 2)
        model.b = nn.Linear(2, 2)
        model.b.weight = model.a.weight
        save_checkpoint(tmp_path / "x.safetensors", capture(model), {})
        restore(tmp_path / "x.safetensors", model)
        assert model.b.weight is model.a.weight

    def test_a_checkpoint_of_another_model_is_refused(self, tmp_path: Path, data: ImageDataset) -> None:
        save_checkpoint(tmp_path / "x.safetensors", capture(fresh(data)), {})
        with pytest.raises(DataError, match="does not fit this model"):
            restore(tmp_path / "x.safetensors", fresh(data, width=24))

    def test_a_foreign_or_damaged_file_is_refused(self, tmp_path: Path) -> None:
        path = tmp_path / "x.safetensors"
        save_file({"x": torch.zeros(100)}, path)
        whole, words = path.read_bytes(), r"x\.safetensors is no checkpoint that genbench saved \(it"
        with pytest.raises(DataError, match=f"{words} holds weights, and does not say of what model"):
            read_checkpoint(path)
        for damaged in (b"PK\x03\x04 not ours", whole[:-10], whole[:20], b""):
            path.write_bytes(damaged)
            with pytest.raises(DataError, match=f"{words} is damaged, cut off, or no safetensors file: copy or downl"):
                read_checkpoint(path)
