"""What families of images owe beside the promises of all: the sizes that images have, and a compiler changes none."""

from __future__ import annotations

import pytest
import torch

from bench.engine.arithmetic import prepared
from bench.engine.training import advance
from bench.probes.flops import count_flops
from bench.protocols import DataSpec
from bench.registry import registry
from bench.testing import MadeUp, families_for
from bench.testing._models import CPU, make, sampled, trained

SIDES = {"made": 32, "pixelcnn": 32, "image_gpt": 16}  # of those that make a sample value by value
FAMILIES = sorted(families_for("image"))


@pytest.mark.parametrize(("family", "side"), [(f, SIDES.get(f, 64)) for f in FAMILIES])
def test_it_is_trained_on_colour_of_64_pixels(family: str, side: int) -> None:
    """Of those that make a sample value by value, of fewer."""
    tried(family, (3, side, side))


@pytest.mark.parametrize("family", FAMILIES)
def test_it_is_trained_on_digits(family: str) -> None:
    tried(family, (1, 28, 28))


def tried(family: str, shape: tuple[int, ...]) -> None:
    data = MadeUp(DataSpec("image", shape, "continuous", classes=3))
    made = sampled(trained(registry.get("generators", family), data), [2]).data
    assert made.shape == (2, *shape) and torch.isfinite(made).all()


@pytest.mark.parametrize("family", FAMILIES)
def test_the_operations_of_a_step_are_counted(family: str) -> None:
    """Also where a loss holds a gradient, as the penalties of WGAN-GP and R3GAN do."""
    data = MadeUp(DataSpec("image", (1, 8, 8), "continuous", classes=4))
    model = make(registry.get("generators", family), data)
    assert count_flops(lambda: advance(model, data.train, 8, 0, 0, CPU)) > 0


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_compiled_it_makes_the_same_pictures(family: str) -> None:
    entry, data = registry.get("generators", family), MadeUp(DataSpec("image", (1, 8, 8), "continuous", classes=4))
    plain, compiled = (
        sampled(prepared(trained(entry, data), "fp32", compiles, CPU), [4]).data for compiles in (False, True)
    )
    assert torch.allclose(plain, compiled, atol=1e-3)
