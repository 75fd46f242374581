"""What adversarial families owe: while one net stands still, the other wins."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from bench import Batch
from bench.registry import registry
from bench.streams import stream
from bench.testing import families_for, made_up
from generators._adversarial import Adversarial

FAMILIES = sorted(n for n in families_for("image") if issubclass(registry.get("generators", n).make, Adversarial))
# What the discriminator lowers (-1: raises) and the generator lowers, by the names of the losses.
LOSSES: dict[str, tuple[int, str, str]] = {
    "dcgan": (1, "loss_discriminator", "loss"),
    "projection_gan": (1, "loss", "loss_generator"),
    "r3gan": (1, "loss_discriminator", "loss"),
    "sngan": (1, "loss", "loss_generator"),
    "wgan_gp": (-1, "loss", "loss_generator"),
}


@pytest.mark.parametrize("family", FAMILIES)
def test_a_discriminator_learns_to_tell_what_stands_still(family: str) -> None:
    sign, name, _ = LOSSES[family]
    first, last = ends(family, "opt_g", name)
    assert sign * last < sign * first - 0.1


@pytest.mark.parametrize("family", FAMILIES)
def test_a_generator_learns_to_please_what_stands_still(family: str) -> None:
    first, last = ends(family, "opt_d", LOSSES[family][2])
    assert last < first - 0.01


def ends(family: str, still: str, name: str) -> tuple[float, float]:
    """Means of the first and the last ten values of a loss, on one batch, while one of the nets has a rate of 0."""
    torch.manual_seed(0)
    entry, data = registry.get("generators", family), made_up("image")
    model: Any = entry.make(data.spec, **entry.presets["test"]).train()
    vars(model)[still].param_groups[0]["lr"] = 0.0
    batch, found = data.train.batch(torch.arange(16)), []
    for step in range(150):
        losses = model.train_step(Batch(batch.data, batch.condition), stream(0, "train", step))
        found += [losses[name]] if name in losses else []
    return sum(found[:10]) / 10, sum(found[-10:]) / 10
