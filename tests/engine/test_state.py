"""A training that goes on from a checkpoint ends as if it had never stopped, whatever a family keeps its state in."""

from __future__ import annotations

import collections
import copy
import functools
import itertools
import logging
import operator
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.optim import lr_scheduler

from bench import Batch
from bench.datasets._image import ImageDataset
from bench.datasets.digits import digits
from bench.engine.budget import Target
from bench.engine.checkpoint import restore, save_checkpoint
from bench.engine.state import Baseline, capture
from bench.engine.training import Progress, Schedule, train

STEPS, EVERY, KILLED = 12, 4, 10


class Plain(nn.Module):
    """The mean image, learned by gradient descent; those below keep one more thing."""

    def __init__(self) -> None:
        super().__init__()
        self.mean = nn.Parameter(torch.zeros(1, 8, 8))
        self.opt = torch.optim.SGD([self.mean], lr=0.1, momentum=0.9)
        self.prepare()

    def prepare(self) -> None:
        """What the family keeps, as it is before the first step."""

    def after(self, loss: float, batch: Batch) -> None:
        """What it does with it once a step is done."""

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        loss = (batch.data - self.mean).square().mean()
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        self.after(loss.item(), batch)
        return {"loss": loss.item()}

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.mean.detach().expand(n, 1, 8, 8)

    def slow(self, rate: float) -> None:
        self.opt.param_groups[0]["lr"] = 0.1 * rate


class Counter(Plain):
    def prepare(self) -> None:
        self.steps = 0

    def after(self, loss: float, batch: Batch) -> None:
        self.steps += 1
        self.slow(0.9**self.steps)


class Groups(Plain):
    """Knows its learning rate from the optimiser alone."""

    def after(self, loss: float, batch: Batch) -> None:
        self.opt.param_groups[0]["lr"] *= 0.8


class Steps(Plain):
    def prepare(self) -> None:
        self.schedule: Any = lr_scheduler.StepLR(self.opt, step_size=2, gamma=0.5)

    def after(self, loss: float, batch: Batch) -> None:
        self.schedule.step()


class Milestones(Steps):
    def prepare(self) -> None:
        self.schedule = lr_scheduler.MultiStepLR(self.opt, [2, 5, 9], gamma=0.3)


class Sequence(Steps):
    def prepare(self) -> None:
        parts = [lr_scheduler.LinearLR(self.opt, 0.1, total_iters=4), lr_scheduler.CosineAnnealingLR(self.opt, T_max=8)]
        self.schedule = lr_scheduler.SequentialLR(self.opt, parts, milestones=[5])


class Function(Steps):
    def prepare(self) -> None:
        self.schedule = lr_scheduler.LambdaLR(self.opt, lambda step: 0.9**step)


class Plateau(Plain):
    def prepare(self) -> None:
        self.schedule = lr_scheduler.ReduceLROnPlateau(self.opt, patience=1, factor=0.5)

    def after(self, loss: float, batch: Batch) -> None:
        self.schedule.step(1.0)


class InAList(Plain):
    def prepare(self) -> None:
        self.schedules: dict[str, Any] = {"slow": lr_scheduler.StepLR(self.opt, 3), "name": "x"}

    def after(self, loss: float, batch: Batch) -> None:
        self.schedules["slow"].step()


class InAModule(Plain):
    def prepare(self) -> None:
        self.inner = nn.Module()
        self.inner.schedule = lr_scheduler.StepLR(self.opt, 3)  # type: ignore[assignment]

    def after(self, loss: float, batch: Batch) -> None:
        self.inner.schedule.step()  # type: ignore[operator, union-attr]


class Recent(Plain):
    """Its pace depends on the last losses, which a helper holds too."""

    def prepare(self) -> None:
        self.recent: collections.deque[float] = collections.deque(maxlen=5)
        self.helper = lambda: sum(self.recent) / len(self.recent)
        self.table: dict[str, Any] = {"best": (float("inf"), None)}

    def after(self, loss: float, batch: Batch) -> None:
        self.recent.append(loss)
        self.table["best"] = min(self.table["best"], (loss, len(self.recent)), key=lambda pair: pair[0])
        self.slow(self.helper() / self.table["best"][0])


class Accumulating(Plain):
    """Moves at every third step only, on the sum of three gradients."""

    def prepare(self) -> None:
        self.steps = 0

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        loss = (batch.data - self.mean).square().mean()
        loss.backward()
        self.steps += 1
        if self.steps % 3 == 0:
            self.opt.step()
            self.opt.zero_grad()
        return {"loss": loss.item()}


class Freezing(Plain):
    def prepare(self) -> None:
        self.bias = nn.Parameter(torch.zeros(()))
        self.opt = torch.optim.SGD([self.mean, self.bias], lr=0.1)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        loss = (batch.data - self.mean - self.bias).square().mean()
        self.opt.zero_grad()
        loss.backward()
        self.opt.step()
        self.bias.requires_grad_(self.bias.item() > -0.1)
        return {"loss": loss.item()}


class Extra(Plain):
    """State that a module hands out beside its tensors."""

    def prepare(self) -> None:
        self.rates = [1.0]

    def get_extra_state(self) -> Any:
        return {"rates": self.rates}

    def set_extra_state(self, state: Any) -> None:
        self.rates = state["rates"]

    def after(self, loss: float, batch: Batch) -> None:
        self.rates = [self.rates[0] * 0.9]
        self.slow(self.rates[0])


class OnlyInItsSchedule(Plain):
    """An optimiser that its scheduler alone holds."""

    def prepare(self) -> None:
        self.schedule = lr_scheduler.StepLR(torch.optim.Adam([self.mean], lr=0.1), 3)
        del self.opt

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        loss = (batch.data - self.mean).square().mean()
        self.schedule.optimizer.zero_grad()
        loss.backward()
        self.schedule.optimizer.step()
        self.schedule.step()
        return {"loss": loss.item()}


class Sharing(Plain):
    """A function that refers to what is kept all the same."""

    def prepare(self) -> None:
        recent = self.recent = [1.0]
        self.rate = lambda: self.opt.param_groups[0]["momentum"] * recent[-1]

    def after(self, loss: float, batch: Batch) -> None:
        self.recent.append(0.9 * self.recent[-1])
        self.slow(self.rate())


class Clocked(torch.optim.SGD):
    time = 0

    def step(self, closure: Any = None) -> None:  # type: ignore[override]
        self.time += 1
        self.param_groups[0]["lr"] = 0.1 * 0.9**self.time
        super().step()


class NamedClock(Clocked):
    """An optimiser that hands out its clock under a like name."""

    def state_dict(self) -> dict[str, Any]:
        return {**super().state_dict(), "time": self.time}

    def load_state_dict(self, state: Any) -> None:
        self.time = state["time"]
        super().load_state_dict({key: state[key] for key in ("state", "param_groups")})


class HandsOut(Plain):
    def prepare(self) -> None:
        self.opt = NamedClock([self.mean], lr=0.1)


class LBFGS(Plain):
    """Sums over all that it holds, which comes out otherwise where a tensor lies otherwise in memory."""

    def prepare(self) -> None:
        self.bias, self.net = nn.Parameter(torch.zeros(3)), nn.Linear(64, 37)
        self.opt: Any = torch.optim.LBFGS(self.parameters(), lr=0.1, max_iter=3)

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        def loss() -> Tensor:
            self.opt.zero_grad()
            made: Tensor = (
                self.net((batch.data - self.mean).flatten(1)).square().mean() + (self.bias - 1).square().mean()
            )
            made.backward()
            return made

        return {"loss": self.opt.step(loss).item()}


class GlobalDice(Plain):
    def after(self, loss: float, batch: Batch) -> None:
        self.slow(np.random.rand() + random.random() + torch.rand(()).item())


KEPT = [Counter, Groups, Steps, Milestones, Sequence, Function, Plateau, InAList, InAModule, Recent, Accumulating]
KEPT += [Freezing, Extra, GlobalDice, OnlyInItsSchedule, Sharing, HandsOut, LBFGS]


class Replay(Plain):
    def prepare(self) -> None:
        self.buffer: collections.deque[Tensor] = collections.deque(maxlen=3)

    def after(self, loss: float, batch: Batch) -> None:
        self.buffer.append(batch.data.mean())
        self.slow(1 + sum(self.buffer).item())  # type: ignore[union-attr]


class Average(Plain):
    """An average of the weights beside the module's own tables."""

    def prepare(self) -> None:
        self.averages = [copy.deepcopy(nn.Linear(1, 1))]

    def after(self, loss: float, batch: Batch) -> None:
        self.averages[0].weight.data.lerp_(self.mean.data.mean(), 0.1)
        self.slow(1 + self.averages[0].weight.item())


class Dice(Plain):
    def prepare(self) -> None:
        self.dice = np.random.default_rng(0)

    def after(self, loss: float, batch: Batch) -> None:
        self.slow(self.dice.random())


class TorchDice(Plain):
    def prepare(self) -> None:
        self.dice = torch.Generator().manual_seed(0)

    def after(self, loss: float, batch: Batch) -> None:
        self.slow(torch.rand((), generator=self.dice).item())


class Rates(Plain):
    def prepare(self) -> None:
        self.rates: Iterator[float] = (0.9**i for i in itertools.count())

    def after(self, loss: float, batch: Batch) -> None:
        self.slow(next(self.rates))


class Cycle(Rates):
    def prepare(self) -> None:
        self.rates = itertools.cycle([1.0, 0.5, 0.2])


class Helper(Plain):
    """An object of the family's own, which holds a lock as well."""

    def prepare(self) -> None:
        self.helper = Pace()

    def after(self, loss: float, batch: Batch) -> None:
        self.slow(self.helper.next())


class Pace:
    def __init__(self) -> None:
        self.lock, self.rate = threading.Lock(), 1.0

    def next(self) -> float:
        with self.lock:
            self.rate *= 0.9
        return self.rate


class Unsaved(Plain):
    def prepare(self) -> None:
        self.count: Tensor
        self.register_buffer("count", torch.ones(()), persistent=False)

    def after(self, loss: float, batch: Batch) -> None:
        self.count.mul_(0.9)
        self.slow(self.count.item())


class LateOptimiser(Plain):
    def prepare(self) -> None:
        self.second: Any = None

    def after(self, loss: float, batch: Batch) -> None:
        self.second = self.second or torch.optim.Adam([self.mean], lr=0.01)
        self.mean.grad = torch.full_like(self.mean, loss)
        self.second.step()


class Swapped(Plain):
    """Another function, method, class or module in the place of one that is half way through."""

    before: Any = staticmethod(F.mse_loss)
    later: Any = staticmethod(F.l1_loss)

    def prepare(self) -> None:
        self.steps, self.part = 0, self.choose(False)

    def choose(self, late: bool) -> Any:
        return self.later if late else self.before

    def rate(self) -> float:
        return float(self.part(torch.tensor(0.5), torch.tensor(0.0)))

    def after(self, loss: float, batch: Batch) -> None:
        self.steps += 1
        if self.steps == 3:
            self.part = self.choose(True)
        self.slow(self.rate())


class SwappedBuiltin(Swapped):
    before, later = torch.sub, torch.add


class SwappedMethod(Swapped):
    def choose(self, late: bool) -> Any:
        return self.cool if late else self.warm

    def warm(self, *_: Any) -> float:
        return 1.0

    def cool(self, *_: Any) -> float:
        return 0.1


class SwappedClosure(Swapped):
    def choose(self, late: bool) -> Any:
        factor = 0.1 if late else 1.0
        return lambda *_: factor


class SwappedDefault(Swapped):
    def choose(self, late: bool) -> Any:
        def rate(*_: Any, factor: float = 0.1 if late else 1.0) -> float:
            return factor

        return rate


class SwappedLambda(Swapped):
    def choose(self, late: bool) -> Any:
        return (lambda *_: 0.1) if late else (lambda *_: 1.0)


class SwappedClass(Swapped):
    before, later = nn.Tanh, nn.Sigmoid

    def rate(self) -> float:
        return float(self.part()(torch.tensor(0.5)))


class SwappedModule(Swapped):
    def choose(self, late: bool) -> Any:
        return nn.Tanh() if late else nn.Sigmoid()

    def rate(self) -> float:
        return float(self.part(torch.tensor(0.5)))


class SwappedAlias(Swapped):
    """One of its own two modules, under a third name."""

    def choose(self, late: bool) -> Any:
        if not late:
            self.one, self.two = nn.Linear(1, 1), nn.Linear(1, 1)
        return self.two if late else self.one

    def rate(self) -> float:
        return float(self.part.weight.detach())


class SwappedTensor(SwappedAlias):
    def prepare(self) -> None:
        super().prepare()
        self.held = [self.one.weight]

    def choose(self, late: bool) -> Any:
        if late:
            self.held[0] = self.two.weight
        return super().choose(False) if not late else self.part

    def rate(self) -> float:
        return float(self.held[0].detach())


class Untied(SwappedTensor):
    """Two layers share their weights until half way."""

    def prepare(self) -> None:
        super().prepare()
        self.two.weight = self.one.weight

    def choose(self, late: bool) -> Any:
        if late:
            self.two.weight = nn.Parameter(self.two.weight.detach().clone())
        return super().choose(False) if not late else self.part

    def rate(self) -> float:
        with torch.no_grad():
            self.two.weight.mul_(1.1)
        return float(self.one.weight.detach())


class Closure(Plain):
    """State that only a function holds."""

    def prepare(self) -> None:
        time = 0

        def rate(*_: Any) -> float:
            nonlocal time
            time += 1
            return 0.9**time

        self.keep(rate)

    def keep(self, rate: Any) -> None:
        self.rate = rate

    def after(self, loss: float, batch: Batch) -> None:
        self.slow(self.rate())


class BehindAMethod(Closure):
    def keep(self, rate: Any) -> None:
        self.rate = Ticks().__call__


class Ticks:
    count = 0

    def __call__(self) -> float:
        self.count += 1
        return 0.9**self.count


class Hook(Closure):
    def keep(self, rate: Any) -> None:
        self.inner = nn.Identity()
        self.inner.register_forward_hook(lambda module, given, made: self.slow(rate()))

    def after(self, loss: float, batch: Batch) -> None:
        self.inner(batch.data)


class TensorHook(Closure):
    def keep(self, rate: Any) -> None:
        self.mean.register_hook(lambda gradient: gradient * rate())

    def after(self, loss: float, batch: Batch) -> None:
        pass


class ClassAttribute(Plain):
    time = 0

    def prepare(self) -> None:
        type(self).time = 0

    def after(self, loss: float, batch: Batch) -> None:
        type(self).time += 1
        self.slow(0.9**self.time)


class HelpersClass(Plain):
    def prepare(self) -> None:
        Shared.time, self.helper = 0, Shared()

    def after(self, loss: float, batch: Batch) -> None:
        Shared.time += 1
        self.slow(0.9**self.helper.time)


class Shared:
    time = 0


class OnParameter(Plain):
    def after(self, loss: float, batch: Batch) -> None:
        mean: Any = self.mean
        mean.rate = getattr(mean, "rate", 1.0) * 0.9
        self.slow(mean.rate)


class OwnOptimiser(Plain):
    """An optimiser with a clock of its own, which its ``state_dict`` leaves out."""

    def prepare(self) -> None:
        self.opt = Clocked([self.mean], lr=0.1)


class Lookahead(Plain):
    def prepare(self) -> None:
        self.opt: Any = Slow(self.opt)


class Slow:
    """Slow weights, which are nowhere in what it hands out."""

    def __init__(self, inner: torch.optim.Optimizer) -> None:
        self.inner, self.param_groups, self.time = inner, inner.param_groups, 0
        self.slow = [p.detach().clone() for group in inner.param_groups for p in group["params"]]

    def state_dict(self) -> dict[str, Any]:
        return self.inner.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.inner.load_state_dict(state)
        self.param_groups = self.inner.param_groups

    def zero_grad(self) -> None:
        self.inner.zero_grad()

    def step(self) -> None:
        self.inner.step()
        self.time += 1
        if self.time % 3 == 0:
            for slow, p in zip(self.slow, self.param_groups[0]["params"], strict=True):
                p.data.copy_(slow.lerp_(p.data, 0.5))


class StatefulSchedule(Closure):
    def keep(self, rate: Any) -> None:
        self.schedule = lr_scheduler.LambdaLR(self.opt, rate)

    def after(self, loss: float, batch: Batch) -> None:
        self.schedule.step()


class OptimiserHook(Closure):
    def keep(self, rate: Any) -> None:
        self.opt.register_step_pre_hook(lambda *_: self.slow(rate()))

    def after(self, loss: float, batch: Batch) -> None:
        pass


LOST: dict[type[Plain], str] = {
    Replay: "buffer",
    Average: "averages",
    Dice: "dice",
    TorchDice: "dice",
    Rates: "rates",
    Cycle: "rates",
    Helper: "helper",
    Unsaved: "count",
    LateOptimiser: "second",
    Swapped: "part",
    SwappedBuiltin: "part",
    SwappedMethod: "part",
    SwappedClosure: "part",
    SwappedDefault: "part",
    SwappedLambda: "part",
    SwappedClass: "part",
    SwappedModule: "part",
    SwappedAlias: "part, part.bias, part.weight",
    SwappedTensor: "held",
    Untied: "two.weight",
    Closure: "rate",
    BehindAMethod: "rate",
    Hook: "inner._forward_hooks",
    TensorHook: "mean.hooks",
    ClassAttribute: "ClassAttribute.time",
    HelpersClass: "helper",
    OnParameter: "mean.rate",
    OwnOptimiser: "opt",
    Lookahead: "opt",
    StatefulSchedule: "schedule",
    OptimiserHook: "opt",
}


def helper(x: Any, *, more: Any = (1, [2])) -> Any:
    return x


class Still(Plain):
    """All sorts of things that training does not change."""

    def prepare(self) -> None:
        self.shape, self.device, self.kind = (1, 8, 8), torch.device("cpu"), torch.float32
        self.weights = list(self.parameters())
        self.view = self.mean.data[:, :4]
        self.network = [nn.Linear(3, 3).eval()]
        self.table, self.array = torch.eye(3), np.eye(3)
        self.lstm = nn.LSTM(2, 2)
        self.log, self.lock, self.act = logging.getLogger("x"), threading.Lock(), torch.tanh
        self.itself = (self, self.opt)
        self.dice = random.Random(0)
        self.endless: list[Any] = []
        self.endless.append(self.endless)
        self.large = 10**5000
        self.loss, self.own, self.bound, self.kinds = F.mse_loss, helper, self.slow, [Pace, nn.Linear, dict]
        self.partial, self.cached = functools.partial(F.mse_loss, reduction="sum"), functools.cache(helper)
        self.network[0].register_forward_hook(lambda *_: None)
        self.register_forward_hook(lambda *_: None)
        self.scaler = torch.amp.GradScaler("cpu")
        self.shape_of, self.one = operator.attrgetter("shape"), nn.Linear(2, 2)
        self.tied = self.one


@pytest.fixture(scope="module")
def data() -> ImageDataset:
    return digits()


class Killed(Exception):
    pass


def run(family: type[Plain], data: ImageDataset, path: Path, kill_at: int = 0) -> tuple[Plain, Progress, list[int]]:
    """The model, what its training came to, and the steps that it took."""
    torch.manual_seed(0)
    model, steps = family(), []

    def on_step(progress: Progress, losses: object) -> None:
        steps.append(progress.step)
        if progress.step == kill_at:
            raise Killed

    schedule = Schedule(Target("steps", STEPS), 16, EVERY)
    progress = train(
        model, data.train, schedule, seed=0, device=torch.device("cpu"), checkpoint=path, about={}, on_step=on_step
    )
    return model, progress, steps


def interrupted(family: type[Plain], data: ImageDataset, path: Path) -> tuple[Plain, Progress, list[int]]:
    with pytest.raises(Killed):
        run(family, data, path, KILLED)
    return run(family, data, path)


def assert_same(one: tuple[Plain, Progress, list[int]], other: tuple[Plain, Progress, list[int]]) -> None:
    assert torch.equal(one[0].mean, other[0].mean)
    assert [p["losses"] for p in one[1].curve] == [p["losses"] for p in other[1].curve]


@pytest.mark.parametrize("family", KEPT)
def test_what_a_checkpoint_holds_goes_on(
    family: type[Plain], data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(family, data, tmp_path / "whole.safetensors")
    resumed = interrupted(family, data, tmp_path / "killed.safetensors")
    assert resumed[2] == [9, 10, 11, 12]
    assert_same(whole, resumed)
    assert not caplog.records


@pytest.mark.parametrize("family", LOST)
def test_what_no_checkpoint_holds_is_named_and_starts_over(
    family: type[Plain], data: ImageDataset, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    whole = run(family, data, tmp_path / "whole.safetensors")
    said = [f"checkpoints do not hold {LOST[family]}, which training changes" in line for line in caplog.messages]
    assert said == [True]  # once, and not at every checkpoint
    caplog.clear()
    resumed = interrupted(family, data, tmp_path / "killed.safetensors")
    assert "training starts over: " in caplog.text
    assert resumed[2] == list(range(1, STEPS + 1))
    assert_same(whole, resumed)


def test_what_training_does_not_change_is_in_nobodys_way(data: ImageDataset, tmp_path: Path) -> None:
    model, *_ = run(Still, data, tmp_path / "x.safetensors")
    baseline = Baseline(model)
    state = capture(model, baseline)
    assert not state.lost and not state.about["values"]
    assert {name.split(".")[0] for name in state.tensors} == {"model", "object", "grad"}
    assert sum(name.startswith("model.") for name in state.tensors) == 9  # the mean, the LSTM, a layer twice


def test_numbers_found_in_training_are_there_after_loading(data: ImageDataset, tmp_path: Path) -> None:
    trained, *_ = run(Counter, data, tmp_path / "x.safetensors")
    other = Counter()
    restore(tmp_path / "x.safetensors", other, training=False)
    assert isinstance(trained, Counter) and other.steps == trained.steps == STEPS
    assert other.opt.param_groups[0]["lr"] == 0.1  # an optimiser that will not be used


def test_a_value_that_training_left_alone_can_be_chosen_anew(data: ImageDataset, tmp_path: Path) -> None:
    """A checkpoint is loaded with another temperature; only what training changed comes from the file."""

    class Warm(Counter):
        temperature = 1.0

        def prepare(self) -> None:
            super().prepare()
            self.heat = Warm.temperature

    run(Warm, data, tmp_path / "x.safetensors")
    Warm.temperature = 0.5
    other = Warm()
    restore(tmp_path / "x.safetensors", other, training=False)
    assert (other.heat, other.steps) == (0.5, STEPS)


def test_a_container_that_two_hold_stays_one(data: ImageDataset, tmp_path: Path) -> None:
    resumed, *_ = interrupted(Recent, data, tmp_path / "x.safetensors")
    assert isinstance(resumed, Recent)
    assert resumed.helper() == sum(resumed.recent) / 5 and resumed.recent.maxlen == 5


class Held:
    """A family that is no module, and forgets one of its two networks."""

    def __init__(self) -> None:
        self.net, self.other, self.steps = nn.Linear(2, 2), nn.Linear(2, 2), 0

    def state_dict(self) -> dict[str, Tensor]:
        return self.net.state_dict()

    def load_state_dict(self, state: Any) -> None:
        self.net.load_state_dict(state)


def test_a_family_that_is_no_module_is_looked_through_as_well() -> None:
    model: Any = Held()
    baseline = Baseline(model)
    assert not capture(model, baseline).lost
    model.net.weight.data += 1
    model.steps = 3
    assert not capture(model, baseline).lost and capture(model, baseline).about["values"] == {"steps": 3}
    model.other.weight.data += 1
    assert capture(model, baseline).lost == "other.weight"


class ChannelsLast(Plain):
    """A weight that lies in memory otherwise than a file has it, and a gradient that waits."""

    def prepare(self) -> None:
        self.weight = nn.Parameter(torch.rand(2, 3, 4, 5).to(memory_format=torch.channels_last))
        self.opt: Any = torch.optim.Adam([self.mean, self.weight])

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        (batch.data - self.mean).square().mean().backward()
        self.weight.square().sum().backward()
        self.opt.step()
        return {"loss": self.weight.square().sum().item()}


def test_moments_and_gradients_lie_in_memory_as_their_parameter_does(data: ImageDataset, tmp_path: Path) -> None:
    """A fused Adam on a GPU refuses them otherwise."""
    model, again = ChannelsLast(), ChannelsLast()
    batch = data.train.batch(torch.arange(4))
    model.train_step(batch, torch.Generator())
    save_checkpoint(tmp_path / "x.safetensors", capture(model, Baseline(ChannelsLast())), {})
    restore(tmp_path / "x.safetensors", again)
    kept = [t for t in again.opt.state[again.weight].values() if t.shape == again.weight.shape]
    assert again.weight.grad is not None and len(kept) == 2
    assert all(t.stride() == again.weight.stride() for t in [*kept, again.weight.grad])
    model.train_step(batch, torch.Generator())
    again.train_step(batch, torch.Generator())
    assert torch.equal(model.weight, again.weight)
