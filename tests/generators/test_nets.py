"""Shared nets, schedules and averages: against torch's own modules, closed forms, and training that was interrupted."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from bench import Batch, DataSpec, Trial, normal
from bench.datasets.digits import digits
from bench.engine.budget import Target
from bench.engine.training import Schedule, train
from bench.streams import seed_globals, stream
from generators._ema import averaged_copy
from generators._nets import Block, ResidualMLP, UNet, waves
from generators._schedule import adamw, set_rate
from metrics.cost.parameters import parameters

CPU = torch.device("cpu")


def test_a_layer_is_torchs() -> None:
    torch.manual_seed(0)
    ours = Block(16, 4)
    theirs = nn.TransformerEncoderLayer(16, 4, 64, 0.0, "gelu", batch_first=True, norm_first=True)
    with torch.no_grad():
        theirs.self_attn.in_proj_weight.copy_(ours.attention.qkv.weight)
        theirs.self_attn.in_proj_bias.copy_(ours.attention.qkv.bias)
        theirs.self_attn.out_proj.load_state_dict(ours.attention.out.state_dict())
        for i, linear in ((0, theirs.linear1), (2, theirs.linear2)):
            linear.load_state_dict(ours.mlp[i].state_dict())
        for own, norm in ((ours.norm1, theirs.norm1), (ours.norm2, theirs.norm2)):
            norm.load_state_dict(own.state_dict())
    x = torch.randn(3, 7, 16)
    torch.testing.assert_close(ours(x), theirs(x), atol=1e-5, rtol=1e-4)


def test_on_a_grid_a_head_begins_with_a_place_beside_each() -> None:
    """Of three by four places: right, below, left, above; where there is none, the place itself or one near it."""
    bias = Block(16, 4, grid=(3, 4)).attention.bias
    assert bias is not None
    first = bias.argmax(2).view(4, 3, 4)
    place = torch.arange(12).view(3, 4)
    assert torch.equal(first[0, :, :-1], place[:, 1:]) and torch.equal(first[1, :-1], place[1:])
    assert torch.equal(first[2, :, 1:], place[:, :-1]) and torch.equal(first[3, 1:], place[:-1])
    assert torch.equal(first[0, :, -1], place[:, -1])


def test_waves_are_sines_and_cosines() -> None:
    t = torch.tensor([0.0, 0.1, 1.0])
    for i, time in enumerate(t.tolist()):
        angles = [time * 10000 ** (-j / 4) for j in range(4)]
        expected = [*map(math.sin, angles), *map(math.cos, angles)]
        assert waves(t, 8)[i].tolist() == pytest.approx(expected, abs=1e-3)


NETS: dict[str, tuple[Any, tuple[int, ...]]] = {
    "unet": (lambda: UNet(2, width=8, classes=3), (2, 8, 8)),
    "unet on patches": (lambda: UNet(1, width=8, multiples=(1, 2), times=2, classes=3, patch=2), (1, 28, 28)),
    "residual mlp": (lambda: ResidualMLP(5, 5, width=16, depth=3, times=1, classes=3), (5,)),
}


@pytest.mark.parametrize(("make", "shape"), NETS.values(), ids=NETS)
class TestDenoisers:
    def make(self, make: Any) -> Any:
        """A net of random weights, those that start at zero included."""
        torch.manual_seed(0)
        net = make()
        for parameter in net.parameters():
            nn.init.normal_(parameter, std=0.2)
        return net

    def inputs(self, net: Any, shape: tuple[int, ...], n: int = 4) -> tuple[Tensor, Tensor, Tensor]:
        rng = torch.Generator().manual_seed(1)
        t = torch.rand(n, net.told.times, generator=rng).squeeze(1)
        return torch.randn(n, *shape, generator=rng), t, torch.arange(n) % 3

    def test_everything_that_it_is_told_matters(self, make: Any, shape: tuple[int, ...]) -> None:
        net = self.make(make)
        x, t, label = self.inputs(net, shape)
        out = net(x, t, label)
        assert out.shape == x.shape
        for other in (net(-x, t, label), net(x, t / 2, label), net(x, t, label.roll(1))):
            assert not torch.allclose(out, other, atol=1e-4)

    def test_no_label_is_a_label_of_its_own(self, make: Any, shape: tuple[int, ...]) -> None:
        net = self.make(make)
        x, t, label = self.inputs(net, shape)
        assert torch.equal(net(x, t), net(x, t, torch.full((4,), 3)))
        assert not torch.allclose(net(x, t), net(x, t, label), atol=1e-4)

    def test_neighbours_in_a_batch_change_nothing(self, make: Any, shape: tuple[int, ...]) -> None:
        net = self.make(make)
        x, t, label = self.inputs(net, shape)
        torch.testing.assert_close(net(x, t, label)[1:3], net(x[1:3], t[1:3], label[1:3]), atol=1e-4, rtol=1e-4)

    def test_two_steps_reach_every_parameter(self, make: Any, shape: tuple[int, ...]) -> None:
        torch.manual_seed(0)
        net = make()
        before = {name: p.clone() for name, p in net.named_parameters()}
        optimiser = torch.optim.Adam(net.parameters(), lr=1e-2)
        x, t, label = self.inputs(net, shape)
        for _ in range(2):
            optimiser.zero_grad()
            (net(x, t, label) - x).square().mean().backward()
            optimiser.step()
        assert not [name for name, p in net.named_parameters() if torch.equal(p, before[name])]


@pytest.mark.parametrize("size", [8, 9, 28, 32, 64])
def test_images_of_any_size_go_through_a_unet(size: int) -> None:
    net, x = UNet(1, width=8), torch.randn(2, 1, size, size)
    assert net(x, torch.rand(2)).shape == x.shape
    assert not net(x, torch.rand(2)).any(), "its last layer starts at zero"


def test_a_perceptron_that_is_told_nothing_is_the_sum_of_its_layers() -> None:
    torch.manual_seed(0)
    net, x = ResidualMLP(5, 3, width=8, depth=2), torch.randn(4, 5)
    h = net.inward(x)
    for layer in net.layers:
        h = h + layer(h)
    torch.testing.assert_close(net(x), net.outward(h * h.sigmoid()))


def test_a_small_unet_learns_to_undo_noise() -> None:
    """Of blank images that are black or white, under noise as large: the mean over pixels tells which it was."""
    torch.manual_seed(0)
    net = UNet(1, width=8, multiples=(1, 2))
    optimiser = torch.optim.Adam(net.parameters(), lr=5e-3)
    for _ in range(60):
        x = torch.randint(2, (16, 1, 1, 1)).float().expand(16, 1, 8, 8) * 2 - 1
        loss = (net(x + torch.randn(16, 1, 8, 8), torch.full((16,), 0.5)) - x).square().mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert loss.item() < 0.15  # from 1; pixel by pixel no better than 0.4 can be had


@pytest.mark.parametrize(("share", "rate"), [(0.0, 0.0), (0.1, 0.5), (0.2, 1.0), (0.5, 1.0), (0.75, 0.5), (1.0, 0.0)])
def test_the_learning_rate_rises_holds_and_falls(share: float, rate: float) -> None:
    parameters = [nn.Parameter(torch.zeros(1)) for _ in range(2)]
    optimiser = torch.optim.SGD([{"params": [p]} for p in parameters], lr=3.0)
    set_rate(optimiser, share, hold=0.5, rise=0.2)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([3 * rate] * 2, abs=0.02)
    set_rate(optimiser, 0.0)
    assert optimiser.param_groups[0]["lr"] == 3.0  # without a rise it begins at its full rate


def test_matrices_decay_and_nothing_else_does() -> None:
    net = nn.Sequential(nn.Embedding(3, 4), nn.Linear(4, 5), nn.LayerNorm(5))
    decays, others = adamw(net, 1e-3, 0.1).param_groups
    assert [tuple(p.shape) for p in decays["params"]] == [(5, 4)] and decays["weight_decay"] == 0.1
    assert len(others["params"]) == 4 and others["weight_decay"] == 0.0


class TestAverage:
    def test_it_is_the_recursion_written_out(self) -> None:
        net = nn.Linear(1, 1, bias=False)
        copy, expected = averaged_copy(net, decay=0.6), 0.0
        weight: Any = copy.module.weight
        for n in range(12):
            net.weight.data.fill_(n**2)
            copy.update_parameters(net)
            rate = min(0.6, (1 + n) / (10 + n)) if n else 0.0  # the first update takes the weights as they are
            expected = rate * expected + (1 - rate) * n**2
            assert weight.item() == pytest.approx(expected, rel=1e-5)

    def test_what_is_counted_in_the_net_is_copied(self) -> None:
        net: Any = nn.BatchNorm1d(2)
        copy: Any = averaged_copy(net)
        for _ in range(3):
            net(torch.randn(8, 2) * 5 + 1)
            copy.update_parameters(net)
        assert torch.equal(copy.module.running_var, net.running_var)
        assert copy.module.num_batches_tracked == 3


class Pixels(nn.Module):
    """A toy family with all that is shared: an average that samples, and a schedule."""

    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.net = nn.Linear(2, math.prod(spec.shape))
        self.average = averaged_copy(self.net, decay=0.9)
        self.optimiser = torch.optim.Adam(self.net.parameters(), lr=1e-2)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(self.optimiser, lambda done: 1 / (1 + done))
        self.shape = spec.shape

    def train_step(self, batch: Batch, rng: torch.Generator) -> dict[str, float]:
        z = torch.randn(len(batch.data), 2, generator=rng)
        loss = (self.net(z).tanh() - batch.data.flatten(1)).square().mean()
        self.optimiser.zero_grad()
        loss.backward()
        self.optimiser.step()
        self.schedule.step()
        self.average.update_parameters(self.net)
        return {"loss": loss.item()}

    @torch.no_grad()
    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.average(normal(rng, n, 2)).tanh().view(n, *self.shape)  # type: ignore[no-any-return]


class TestTraining:
    def model(self) -> Pixels:
        seed_globals(0)
        return Pixels(digits().spec)

    def train(self, model: Pixels, path: Path, until: int = 20) -> Pixels:
        """Twenty steps, a checkpoint every four; stopped before step ``until``."""
        asked = iter(range(1000))
        train(
            model, digits().train, Schedule(Target("steps", 20), 16, 4), seed=0, device=CPU, checkpoint=path, about={},
            stop=lambda: next(asked) >= until,
        )  # fmt: skip
        return model

    def test_resumed_it_is_the_same_to_the_last_bit(self, tmp_path: Path) -> None:
        whole = self.train(self.model(), tmp_path / "whole.safetensors")
        self.train(self.model(), tmp_path / "x.safetensors", until=9)
        resumed = self.train(self.model(), tmp_path / "x.safetensors")
        state, other = whole.state_dict(), resumed.state_dict()
        assert state.keys() == other.keys() and all(torch.equal(state[name], other[name]) for name in state)
        assert whole.schedule.get_last_lr() == resumed.schedule.get_last_lr() == [pytest.approx(1e-2 / 21)]
        assert torch.equal(whole.sample(3, stream(0, "s")), resumed.sample(3, stream(0, "s")))

    def test_the_average_is_what_samples(self, tmp_path: Path) -> None:
        model = self.train(self.model(), tmp_path / "x.safetensors")
        before = model.sample(3, stream(0, "s"))
        nn.init.zeros_(model.net.weight)
        assert torch.equal(before, model.sample(3, stream(0, "s")))

    def test_the_average_counts_as_no_parameter(self) -> None:
        trial = Trial(self.model(), digits(), seed=0, n_samples=2, batch_size=2, device=CPU)
        assert parameters(trial).value == 2 * 64 + 64


def test_a_perceptron_that_is_told_the_time_learns_the_flow_between_two_normal_laws() -> None:
    """Of 256 numbers that nothing else can be said of: E Var(x_1 - x_0 | x_t) = E 1 / (t^2 + (1 - t)^2) = pi / 2."""
    torch.manual_seed(0)
    net = ResidualMLP(256, 256, width=128, depth=2, times=1)
    optimiser = torch.optim.Adam(net.parameters(), lr=2e-3)
    losses = []
    for _ in range(150):
        noise, x, t = torch.randn(256, 256), torch.randn(256, 256), torch.rand(256)
        at = t[:, None]
        loss = (net((1 - at) * noise + at * x, t) - (x - noise)).square().mean()
        loss.backward()
        optimiser.step()
        optimiser.zero_grad()
        losses.append(loss.item())
    assert sum(losses[-30:]) / 30 == pytest.approx(torch.pi / 2, rel=0.03)
