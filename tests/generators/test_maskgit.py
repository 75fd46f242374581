"""MaskGIT: how much is masked when, what stays, and that many steps draw from the model."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from bench import DataSpec, Rows
from bench.streams import stream
from generators.maskgit import MaskGIT, masks

GREY = DataSpec("image", (1, 8, 8), "continuous", classes=3)
SMALL: dict[str, Any] = {"levels": (4, 3), "width": 8, "blocks": 1, "layers": 1, "heads": 2, "prior_width": 16}


class Recorder(torch.nn.Module):
    """A prior that says one thing everywhere and remembers how much was masked."""

    mask = 12

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits, self.masked = logits, list[int]()

    def forward(self, codes: Tensor, label: Tensor | None = None) -> Tensor:
        self.masked.append(int((codes == self.mask).sum(1).max()))
        return self.logits.expand(*codes.shape, 12)


@pytest.mark.parametrize("steps", [1, 3, 8, 30])
def test_after_each_step_a_cosine_of_the_places_is_masked_and_at_the_end_none(steps: int) -> None:
    model = MaskGIT(GREY, **SMALL, steps=steps).eval()
    model.prior = Recorder(torch.zeros(12))  # type: ignore[assignment]
    codes = model.draw_codes(Rows(stream(0, "s"), 5), 5, None)
    assert codes.max() < 12 and codes.min() >= 0
    places, expected = model.places, [model.places]
    for t in range(1, steps):
        by_cosine = math.ceil(places * math.cos(math.pi / 2 * t / steps) - 1e-9)
        expected.append(max(0, min(by_cosine, expected[-1] - 1)))
    assert model.prior.masked == expected


def test_without_chance_in_the_choice_the_surest_stay() -> None:
    """Of a prior that is surer of code 0 than of others, codes that stay first are 0 wherever any is drawn."""
    model = MaskGIT(GREY, **SMALL, steps=2, choice_temperature=0.0).eval()
    logits = torch.zeros(12)
    logits[0] = 2.0
    seen: list[Tensor] = []
    model.prior = Recorder(logits)  # type: ignore[assignment]
    model.prior.register_forward_pre_hook(lambda module, given: seen.append(given[0].clone()))
    model.draw_codes(Rows(stream(0, "s"), 400), 400, None)
    kept = seen[1][seen[1] != 12]
    assert (kept == 0).double().mean() > 0.7  # of all that are drawn a share of .4 is 0


def test_the_share_that_is_masked_in_training_is_a_cosines() -> None:
    hidden = masks(torch.Size((20_000, 49)), stream(0, "m"))
    assert hidden.any(1).all()
    assert hidden.double().mean().item() == pytest.approx(2 / math.pi, abs=0.02)


def test_place_by_place_it_draws_from_the_model() -> None:
    """Two places: a pair of codes is as frequent as the chain rule says, over the two orders."""
    model = MaskGIT(GREY, **SMALL, steps=2, side=2).eval()
    model.places = 2

    def says(codes: Tensor, label: Tensor | None = None) -> Tensor:
        """Code 0 or 1; beside a known code, that code three times in four."""
        other, out = codes.flip(1), torch.full((*codes.shape, 12), -30.0)
        for code in (0, 1):
            out[..., code] = torch.where(other == 12, 0.5, torch.where(other == code, 0.75, 0.25)).log()
        return out

    class Pair(Recorder):
        def forward(self, codes: Tensor, label: Tensor | None = None) -> Tensor:
            return says(codes, label)

    model.prior = Pair(torch.zeros(12))  # type: ignore[assignment]
    codes = model.draw_codes(Rows(stream(0, "s"), 8000), 8000, None)
    pairs = torch.bincount(codes[:, 0] * 2 + codes[:, 1], minlength=4) / 8000
    torch.testing.assert_close(pairs, torch.tensor([0.375, 0.125, 0.125, 0.375]), atol=0.02, rtol=0)


def test_guidance_of_one_is_the_conditional_model_and_of_none_the_other() -> None:
    torch.manual_seed(0)
    model = MaskGIT(GREY, **SMALL, labels=True).eval()
    assert model.prior.label is not None
    torch.nn.init.normal_(model.prior.label.weight)
    codes, label = torch.full((3, model.places), model.prior.mask), torch.arange(3)
    with torch.no_grad():
        for guidance, told in ((1.0, label), (0.0, torch.full((3,), 3))):
            model.guidance = guidance
            expected = model.prior(codes, told).log_softmax(2)
            torch.testing.assert_close(model.log_p(codes, label), expected, atol=1e-5, rtol=1e-5)
        model.guidance = 3.0
        assert not torch.allclose(model.log_p(codes, label), expected, atol=1e-2)
