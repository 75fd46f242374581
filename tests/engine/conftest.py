"""A family that is made up for suites: they check what they say of it, and train none."""

from __future__ import annotations

from typing import Literal

import pytest
import torch
from pydantic import PositiveFloat, PositiveInt
from torch import Tensor

from bench import DataSpec, Presets, generator

PRESETS: Presets = {"test": {"latent": 2}, "tiny": {"latent": 16, "width": 256, "lr": 2e-3}, "paper": {}}


class Mixture:
    """A model of nothing, with parameters of every form."""

    def __init__(
        self,
        spec: DataSpec,
        *,
        latent: PositiveInt = 20,
        width: PositiveInt = 500,
        decoder: Literal["bernoulli", "gaussian"] = "bernoulli",
        lr: PositiveFloat = 1e-3,
    ) -> None:
        self.shape = spec.shape

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, *self.shape)


@pytest.fixture
def mixture(own_names: None) -> None:
    """It is registered, for a while."""
    generator("mixture", modalities={"image"}, presets=PRESETS)(Mixture)
