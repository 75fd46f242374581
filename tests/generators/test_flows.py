"""Normalising flows: inverses, volumes, and densities that integrate to 1."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import Batch, DataSpec, Omitted, Rows, Trial, Unsupported
from bench.registry import registry
from bench.streams import stream
from bench.testing import made_up
from generators._flows import (
    ROOM,
    ActNorm,
    CheckerboardCoupling,
    Coupling,
    Invertible1x1,
    NormalisingFlow,
    Squeeze,
    from_logits,
    logits,
    spline,
)
from generators.tarflow import TarFlow
from metrics.likelihood.bits_per_dim import bits_per_dim

GREY, COLOUR = (DataSpec("image", (channels, 8, 8), "continuous") for channels in (1, 3))
FLOWS = sorted(
    name for name, entry in registry.all("generators").items()
    if isinstance(entry.make, type) and issubclass(entry.make, NormalisingFlow)
)  # fmt: skip


# What each flow is tried with: at the pixels, of their logits, and among latents.
FORMS: dict[str, dict[str, Any]] = {
    "pixels": {},
    "colour": {"spec": COLOUR},
    "logits": {"logit": True},
    "latent": {"space": "latent", "latent": 6},
}


def shaken(family: str, *, spec: DataSpec = GREY, **changes: Any) -> Any:
    """A flow whose layers are no longer the identity, in evaluation mode."""
    torch.manual_seed(0)
    entry = registry.get("generators", family)
    own: dict[str, Any] = {"noise": 0.0, "patch": 1 if changes.get("latent") == 2 else 2} if family == "tarflow" else {}
    model: Any = entry.make(spec, **{**entry.presets["test"], **own, **changes})
    with torch.enable_grad():
        model.train_step(Batch(2 * torch.rand(16, *spec.shape) - 1), stream(0, "train"))
    with torch.no_grad():
        for parameter in model.scales.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    return model.eval()


def examples(model: Any, n: int, spec: DataSpec = GREY) -> Tensor:
    """Such as it is asked about, of its space."""
    images = 2 * torch.rand(n, *spec.shape, generator=stream(0, "x")) - 1
    out: Tensor = model.encode(Batch(images), stream(0, "z"))[0]
    return out


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("family", FLOWS)
class TestEveryFlow:
    @torch.no_grad()
    def test_its_inverse_undoes_it(self, family: str, form: str) -> None:
        model = shaken(family, **FORMS[form])
        x = examples(model, 8, FORMS[form].get("spec", GREY))
        z, _ = model.to_noise(x)
        assert (z - x).abs().max() > 0.05 and (model.from_noise(z) - x).abs().max() < 1e-5

    def test_its_volume_is_that_of_its_jacobian(self, family: str, form: str) -> None:
        model = shaken(family, **FORMS[form]).double()
        x = examples(shaken(family, **FORMS[form]), 2, FORMS[form].get("spec", GREY)).double()[:2]

        def flat(v: Tensor) -> Tensor:
            out: Tensor = model.to_noise(v.view(1, *model.shape))[0].flatten()
            return out

        for row, log_det in zip(x, model.to_noise(x)[1], strict=True):
            jacobian = torch.autograd.functional.jacobian(flat, row.flatten())
            assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(log_det.item(), abs=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("family", FLOWS)
def test_in_the_plane_a_density_integrates_to_one(family: str) -> None:
    """Of a latent space of two numbers, by a grid."""
    model, side = shaken(family, space="latent", latent=2), torch.linspace(-9, 9, 401)
    grid = torch.cartesian_prod(side, side)
    total = model.log_p(grid).double().exp().sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=2e-3)


class TestSplines:
    def test_they_are_the_identity_where_the_net_says_nothing(self) -> None:
        x = torch.linspace(-6, 6, 50)
        y, log_slope = spline(x, torch.zeros(50, 23))
        torch.testing.assert_close(y, x)
        torch.testing.assert_close(log_slope, torch.zeros(50), atol=1e-5, rtol=0)

    def test_they_rise_and_their_slopes_are_derivatives(self) -> None:
        torch.manual_seed(0)
        x = torch.linspace(-5, 5, 400, dtype=torch.float64, requires_grad=True)
        out = torch.randn(23, dtype=torch.float64).expand(400, 23)
        y, log_slope = spline(x, 2 * out)
        (slope,) = torch.autograd.grad(y.sum(), x)
        assert (y.diff() > 0).all() and (slope > 0).all()
        torch.testing.assert_close(log_slope.exp(), slope, rtol=1e-6, atol=1e-9)

    def test_their_inverse_undoes_them(self) -> None:
        """In double precision, however steep; in single, as steep as a net makes them that was just begun."""
        torch.manual_seed(0)
        x, out = 3 * torch.randn(500, dtype=torch.float64), torch.randn(500, 23, dtype=torch.float64)
        for by, numbers, tolerance in ((4.0, torch.float64, 1e-6), (0.3, torch.float32, 1e-5)):
            at, of = x.to(numbers), (by * out).to(numbers)
            y, there = spline(at, of)
            back, again = spline(y, of, backwards=True)
            torch.testing.assert_close(back, at, atol=tolerance, rtol=0)
            torch.testing.assert_close(again, -there, atol=100 * tolerance, rtol=0)


class TestPieces:
    def test_actnorm_makes_the_first_batch_normal_and_no_other(self) -> None:
        layer, x = ActNorm(3).train(), 5 + 2 * torch.randn(64, 3, 4, 4, generator=stream(0, "x"))
        y, log_det = layer(x)
        flat = y.movedim(1, 0).flatten(1)
        assert flat.mean(1).abs().max() < 1e-5 and (flat.std(1) - 1).abs().max() < 1e-3
        assert log_det[0].item() == pytest.approx(-16 * sum(x.movedim(1, 0).flatten(1).std(1).log().tolist()), rel=1e-3)
        assert not torch.equal(layer(x + 1)[0], y)
        assert not any(p.any() for p in layer.parameters())  # what is learned on top of it begins at 0

    def test_a_mixing_of_channels_begins_as_a_rotation(self) -> None:
        torch.manual_seed(0)
        layer, x = Invertible1x1(5), torch.randn(7, 5, generator=stream(0, "x"))
        y, log_det = layer(x)
        torch.testing.assert_close(y.norm(dim=1), x.norm(dim=1))
        torch.testing.assert_close(log_det, torch.zeros(7), atol=1e-5, rtol=0)

    @pytest.mark.parametrize(("second", "stays"), [(False, slice(0, 3)), (True, slice(2, 5))])
    def test_a_coupling_moves_one_half_by_the_other(self, second: bool, stays: slice) -> None:
        """Of five numbers three stay, the first or the last."""
        torch.manual_seed(0)
        layer, x = Coupling(torch.nn.Linear(3, 4), second=second), torch.randn(6, 5, generator=stream(0, "x"))
        y, _ = layer(x)
        moved = (y != x).any(0)
        assert not moved[stays].any() and moved.sum() == 2

    @pytest.mark.parametrize("odd", [False, True])
    def test_a_checkerboard_moves_fields_of_one_colour_by_those_of_the_other(self, odd: bool) -> None:
        torch.manual_seed(0)
        layer = CheckerboardCoupling(torch.nn.Conv2d(2, 4, 3, padding=1), odd=odd)
        x = torch.randn(3, 2, 4, 6, generator=stream(0, "x"))
        y, _ = layer(x)
        fields = (torch.arange(4)[:, None] + torch.arange(6)) % 2 == 0
        assert torch.equal((y != x).any(0).any(0), fields if odd else ~fields)
        other = x + (~fields if not odd else fields)  # what is moved tells nothing of how
        shifted = layer(other)[0] - y
        torch.testing.assert_close(layer(x)[1], layer(other)[1])
        assert (shifted[:, :, fields if not odd else ~fields] == 0).all()

    def test_half_of_the_channels_of_a_squeezed_image_are_half_of_its_places(self) -> None:
        """And not its first colours."""
        x = torch.arange(3 * 4 * 4.0).view(1, 3, 4, 4)
        y, _ = Squeeze()(x)
        assert torch.equal(y[:, :3], x[:, :, ::2, ::2]) and torch.equal(y[:, 3:6], x[:, :, ::2, 1::2])
        assert torch.equal(Squeeze().inverse(y), x)

    def test_logits_of_pixels_come_back_and_have_the_slope_of_autograd(self) -> None:
        x = (torch.rand(5, 3, dtype=torch.float64) * 2 - 1) * ROOM
        y, log_det = logits(x)
        torch.testing.assert_close(from_logits(y), x)
        jacobian = torch.autograd.functional.jacobian(lambda v: logits(v[None])[0][0], x[0])
        assert torch.linalg.slogdet(jacobian)[1].item() == pytest.approx(log_det[0].item())

    def test_sides_that_cannot_be_halved_are_refused(self) -> None:
        digits = DataSpec("image", (1, 28, 28), "continuous")
        assert registry.get("generators", "realnvp").make(digits, width=8, scales=3).shape == digits.shape
        with pytest.raises(Unsupported, match="28x28 are no multiples of 8: set fewer scales"):
            registry.get("generators", "glow").make(digits, scales=3)


class TestTarFlow:
    def test_what_is_said_of_a_patch_sees_only_those_before(self) -> None:
        layer, tokens = shaken("tarflow").scales[0][0], torch.randn(1, 16, 4, generator=stream(0, "x"))
        before = layer._said(tokens[:, :-1])[1]
        for i in (1, 7, 14):
            other = tokens.clone()
            other[:, i] += 1
            moved = (layer._said(other[:, :-1])[1] != before).any(2)[0]  # of the patches 1 to 15
            assert not moved[:i].any() and moved[i:].all()

    def test_samples_are_cleaned_by_their_score(self) -> None:
        """Of N(0, 1), which is N(0, 1 - s^2) with noise, the mean of what was there is x (1 - s^2)."""
        model = TarFlow(GREY, patch=4, blocks=1, layers=1, width=8, heads=2, noise=0.5).eval()  # begins as N(0, I)
        rows = stream(0, "s")
        made = model.draw(Rows(rows, 3), 3, None)
        noised = Rows(stream(0, "s"), 3).normal(1, 8, 8)
        torch.testing.assert_close(made, noised * (1 - 0.25))

    def test_a_density_of_noised_images_is_none_of_images(self) -> None:
        model = TarFlow(GREY, patch=4, blocks=1, layers=1, width=8, heads=2, noise=0.1)
        with pytest.raises(Omitted, match="set noise = 0"):
            model.log_prob(Batch(torch.zeros(2, 1, 8, 8)))


def test_temperature_narrows_what_samples_are_made_of() -> None:
    model = shaken("glow")
    model.temperature = 1e-6
    made = model.sample(4, stream(0, "s"))
    assert (made - made[:1]).abs().max() < 1e-3 and math.isfinite(made.sum())


def test_a_uniform_density_of_levels_costs_eight_bits() -> None:
    """The constant between nats of [-ROOM, ROOM) and bits of a level."""
    model: Any = shaken("realnvp")
    model.log_p = lambda x: torch.full((len(x),), -64 * math.log(2 * ROOM))
    trial = Trial(model, made_up(GREY, n=20), seed=0, n_samples=2, batch_size=5, device=torch.device("cpu"))
    assert bits_per_dim(trial).value == pytest.approx(8, abs=1e-4)


@torch.no_grad()
def test_logits_of_a_density_integrate_to_one_too() -> None:
    """Of images of two pixels, over all that they could be."""
    model = shaken("maf", spec=DataSpec("image", (1, 1, 2), "continuous"), logit=True)
    side = torch.linspace(-1.1, 1.1, 601, dtype=torch.float64)[1:-1]
    grid = torch.cartesian_prod(side, side).view(-1, 1, 1, 2)
    total = model.double().log_p(grid).exp().sum() * (side[1] - side[0]) ** 2
    assert total.item() == pytest.approx(1, abs=0.01)
