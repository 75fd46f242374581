"""Yardsticks for images: what the best and the worst of generators would score under the same protocol."""

from __future__ import annotations

import torch
from torch import Tensor

from bench import Dataset, GenbenchError, generator, uniform


@generator("real", modalities={"image"}, control=True)
class Real:
    """Held-out data, each example at most once: no generator does better, so its score is the floor."""

    def __init__(self, dataset: Dataset) -> None:
        self.held_out = dataset.valid
        self.left: Tensor | None = None

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        """The next n examples of a random order of the valid split. Raises GenbenchError when they run out."""
        if self.left is None:
            self.left = torch.randperm(len(self.held_out), generator=rng)
        if n > len(self.left):
            raise GenbenchError(f"only {len(self.held_out)} held-out examples: lower budget.samples")
        taken, self.left = self.left[:n], self.left[n:]
        return self.held_out.batch(taken).data


@generator("noise", modalities={"image"}, control=True)
class Noise:
    """Uniform noise: a generator that learned nothing, so its score is the ceiling."""

    def __init__(self, dataset: Dataset) -> None:
        self.shape = dataset.spec.shape

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return uniform(rng, n, *self.shape) * 2 - 1
