"""Guidance of what turns noise into images, by a net that is known: 0 is the model without labels, 1 that with them."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from bench import DataSpec, Rows
from bench.streams import stream
from generators._denoising import Denoising
from generators.consistency import Consistency
from generators.ddpm import DDPM
from generators.edm import EDM
from generators.flow_matching import FlowMatching
from tests.generators.mixture import Says

SPEC = DataSpec("image", (1, 4, 4), "continuous", classes=3)
LABEL, NONE = torch.tensor([0, 2, 1, 1]), torch.full((4,), 3)
CASES: dict[str, tuple[type[Denoising], dict[str, Any]]] = {
    "ddpm": (DDPM, {"noise_steps": 20, "steps": 5, "measured_steps": 3}),
    "ddpm, learned": (DDPM, {"noise_steps": 20, "steps": 5, "measured_steps": 3, "variance": "learned"}),
    "edm": (EDM, {"steps": 3}),
    "flow_matching": (FlowMatching, {"steps": 3}),
    "consistency": (Consistency, {"steps": 2}),
}


def says(x: Tensor, t: Tensor, label: Tensor | None) -> Tensor:
    """Something else of each label and time, in as many parts as a net of a learned variance has."""
    assert label is not None
    parts = [(x + 0.3 * label.view(-1, 1, 1, 1) + t.view(-1, 1, 1, 1)).sin(), label.view(-1, 1, 1, 1) * x.cos() / 4]
    return torch.cat(parts, dim=1)


def guided_by(case: str, guidance: float) -> Any:
    make, changes = CASES[case]
    model: Any = make(SPEC, width=8, labels=True, guidance=guidance, **changes)
    parts = 2 if case == "ddpm, learned" else 1
    model.average = Says(lambda x, t, label: says(x, t, label)[:, :parts])
    return model.eval()


@pytest.mark.parametrize("guidance", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("case", CASES)
def test_what_is_followed_lies_on_the_line_through_what_is_said_with_and_without(case: str, guidance: float) -> None:
    """A learned variance is that of the label, whatever the guidance."""
    x, t = torch.randn(4, 1, 4, 4, generator=stream(0, "x")), torch.rand(4, generator=stream(0, "t"))
    found = guided_by(case, guidance).guided(x, t, LABEL)
    told, untold = says(x, t, LABEL), says(x, t, NONE)
    torch.testing.assert_close(found[:, :1], untold[:, :1] + guidance * (told - untold)[:, :1])
    assert torch.equal(found[:, 1:], told[:, 1 : found.shape[1]])


@pytest.mark.parametrize(("guidance", "as_of"), [(0.0, NONE), (1.0, LABEL)])
@pytest.mark.parametrize("case", CASES)
def test_samples_of_0_are_those_without_labels_and_of_1_those_with(case: str, guidance: float, as_of: Tensor) -> None:
    made = guided_by(case, guidance).generate(Rows(stream(0, "s"), 4), 4, LABEL)
    alone = guided_by(case, 1.0).generate(Rows(stream(0, "s"), 4), 4, as_of)
    torch.testing.assert_close(made, alone)
    other = guided_by(case, 1.0).generate(Rows(stream(0, "s"), 4), 4, NONE if as_of is LABEL else LABEL)
    assert not torch.allclose(made, other, atol=1e-2)
