"""PixelCNN++ and MADE: what is said of a pixel sees those before it, and masses sum to 1."""

from __future__ import annotations

import itertools
from typing import Any, cast

import pytest
import torch

from bench import Batch, DataSpec, Rows
from bench.streams import stream
from generators._pixels import Logistic
from generators.made import MADE, Masked
from generators.pixelcnn import CachedSampler, CausalStacks, PixelCNN

COLOUR = DataSpec("image", (3, 6, 5), "continuous", classes=4)
BLACK = DataSpec("image", (1, 6, 5), "binary")


def shaken(spec: DataSpec, **changes: Any) -> PixelCNN:
    torch.manual_seed(0)
    model = PixelCNN(spec, width=8, layers=2, **changes).eval()
    with torch.no_grad():
        for parameter in model.average.parameters():
            parameter.add_(0.2 * torch.randn_like(parameter))
    return model


@pytest.mark.parametrize("spec", [COLOUR, BLACK], ids=["colour", "binary"])
class TestCausality:
    @torch.no_grad()
    def test_nothing_before_a_pixel_moves_with_it_and_all_after_does(self, spec: DataSpec) -> None:
        model, x = shaken(spec), torch.rand(4, *spec.shape)
        before = model.average(x)
        for row, column in [(0, 0), (2, 3), (5, 4)]:
            other = x.clone()
            other[:, :, row, column] += 1
            moved = (model.average(other) - before).abs().amax((0, 1)).flatten()
            at = row * spec.shape[2] + column
            assert moved[: at + 1].max() == 0 and (moved[at + 1 :] > 0).all()

    @torch.no_grad()
    def test_pixel_by_pixel_it_says_what_it_says_at_once(self, spec: DataSpec) -> None:
        """With what it keeps of the pixels before; on images of any content."""
        model, x = shaken(spec, labels=True), torch.rand(4, *spec.shape)
        label = torch.arange(4) if spec.classes else None
        whole = model.average(x, label)
        walk = CachedSampler(cast(CausalStacks, model.average.module), len(x), spec.shape, label)
        walk.image.copy_(x)
        for row in range(spec.shape[1]):
            walk.begin(row)
            for column in range(spec.shape[2]):
                torch.testing.assert_close(walk.at(row, column), whole[:, :, row, column], atol=1e-5, rtol=1e-4)


@torch.no_grad()
@pytest.mark.parametrize("changes", [{}, {"labels": True}, {"labels": True, "guidance": 2.0}])
def test_cached_sampling_is_naive_sampling(changes: dict[str, Any]) -> None:
    """The same uniform numbers, and all of the net anew for each pixel, give the same image."""
    model, n = shaken(COLOUR, **changes), 3
    rows = Rows(stream(0, "s"), n)
    label = rows.labels(4) if model.classes else None
    u = rows.uniform(*COLOUR.shape)
    x = torch.zeros(n, *COLOUR.shape)
    for row, column in itertools.product(*map(range, COLOUR.shape[1:])):
        out = model.average(x, label)[:, :, row, column]
        if model.guidance != 1:
            out = torch.cat([out, model.average(x, torch.full((n,), 4))[:, :, row, column]])
        x[:, :, row, column] = model.pixel(out, u[:, :, row, column], len(out) // n)
    torch.testing.assert_close(model.sample(n, stream(0, "s")), x)


class TestMass:
    """Over all images that there are."""

    @torch.no_grad()
    def test_of_four_levels_and_two_by_two_pixels(self) -> None:
        levels = torch.linspace(-1, 1, 4)
        every = torch.tensor(list(itertools.product(levels.tolist(), repeat=4))).view(-1, 1, 2, 2)
        spec = DataSpec("image", (1, 2, 2), "continuous")
        for model in (shaken(spec), made(spec)):
            model.pixels = Logistic(1, levels=4)
            assert torch.equal(model.pixels.levels(), levels)
            assert model.log_prob(Batch(every)).exp().sum().item() == pytest.approx(1, abs=1e-5)

    @torch.no_grad()
    def test_of_256_levels_and_two_pixels(self) -> None:
        levels = torch.linspace(-1, 1, 256)
        every = torch.cartesian_prod(levels, levels).view(-1, 1, 1, 2)
        spec = DataSpec("image", (1, 1, 2), "continuous")
        for model in (shaken(spec), made(spec)):
            assert model.log_prob(Batch(every)).exp().sum().item() == pytest.approx(1, abs=1e-4)

    @torch.no_grad()
    def test_of_black_and_white(self) -> None:
        every = torch.tensor(list(itertools.product((0.0, 1.0), repeat=6))).view(-1, 1, 2, 3)
        spec = DataSpec("image", (1, 2, 3), "binary")
        for model in (shaken(spec), made(spec)):
            assert model.log_prob(Batch(every)).exp().sum().item() == pytest.approx(1, abs=1e-5)

    def test_channel_by_channel_is_the_mass_of_a_pixel(self) -> None:
        rng = stream(0, "x")
        law, out = Logistic(3), torch.randn(5, Logistic(3).maps, 1, 1, generator=rng)
        x = (torch.rand(5, 3, 1, 1, generator=rng) * 255).round() / 127.5 - 1
        total, done = torch.zeros(5), torch.zeros(5, 0)
        for channel in range(3):
            log_p = law.next_channel(out[:, :, 0, 0], done).log_softmax(1)
            at = ((x[:, channel, 0, 0] + 1) * 127.5).round().long()
            total += log_p[torch.arange(5), at]
            done = torch.cat([done, x[:, channel, :, 0]], dim=1)
        torch.testing.assert_close(total, law.log_prob(x, out), atol=1e-4, rtol=1e-4)


class TestMADE:
    def test_no_path_leads_from_a_value_to_what_is_said_of_it(self) -> None:
        torch.manual_seed(0)
        net = Masked(7, (20, 20), outputs=2)
        jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0], torch.randn(7))  # (2, 7, 7)
        assert (jacobian.triu() == 0).all() and (jacobian.tril(-1)[:, -1, :-1] != 0).all()

    def test_few_hidden_units_are_spread_over_all_values(self) -> None:
        torch.manual_seed(0)
        net = Masked(50, (8, 8), outputs=1)
        for weights in net.parameters():
            weights.detach_().abs_()  # that no unit is off
        jacobian = torch.autograd.functional.jacobian(lambda x: net(x[None])[0, 0, -1], torch.rand(50))
        assert jacobian[-9] != 0 and (jacobian != 0).sum() > 35  # the last is said by nearly all before it

    @torch.no_grad()
    def test_samples_are_drawn_value_by_value_from_what_it_says(self) -> None:
        """As by the whole net anew for each value."""
        for spec in (DataSpec("image", (1, 3, 3), "continuous"), DataSpec("image", (1, 3, 3), "binary")):
            model, n = made(spec), 5
            u, x = Rows(stream(0, "s"), n).uniform(9), torch.zeros(n, 9)
            for d in range(9):
                log_p = model.pixels.next_channel(model.net(x)[:, :, d], x[:, :0])
                x[:, d] = model.pixels.drawn(log_p, u[:, d])
            torch.testing.assert_close(model.sample(n, stream(0, "s")).flatten(1), x)


def made(spec: DataSpec) -> MADE:
    torch.manual_seed(0)
    return MADE(spec, hidden=(16, 16)).eval()
