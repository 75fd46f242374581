"""Yardsticks for images: what the best, the worst and the laziest of generators score under the same protocol."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import cycle

import torch
from torch import Tensor

from bench import Dataset, GenbenchError, Split, generator, uniform


class Deck:
    """Examples of a split, dealt in a random order, each at most once. ``what`` they are, for messages."""

    def __init__(self, split: Split, what: str) -> None:
        self.split, self.what = split, what
        self.left: Tensor | None = None
        self.by_class: dict[int, Iterator[int]] | None = None

    def deal(self, n: int, rng: torch.Generator, condition: Tensor | None) -> Tensor:
        """The next n examples, of the classes asked for if any are. Raises GenbenchError when they run out."""
        taken = self._next(n, rng) if condition is None else self._of_classes(condition.tolist(), rng)
        return self.split.batch(taken).data

    def _next(self, n: int, rng: torch.Generator) -> Tensor:
        if self.left is None:
            self.left = torch.randperm(len(self.split), generator=rng)
        if n > len(self.left):
            raise GenbenchError(f"only {len(self.split)} {self.what} examples: lower budget.samples")
        taken, self.left = self.left[:n], self.left[n:]
        return taken

    def _of_classes(self, labels: list[int], rng: torch.Generator) -> Tensor:
        """Examples of each class in a random order of their own, from the start again when a class runs out."""
        if self.by_class is None:
            self.by_class = {}
            order = torch.randperm(len(self.split), generator=rng)
            known = self.split.batch(order).condition
            if known is None:
                raise GenbenchError("the data has no labels")
            for label in known.unique().tolist():
                self.by_class[label] = cycle(order[known == label].tolist())
        if unknown := set(labels) - set(self.by_class):
            raise GenbenchError(f"no {self.what} example has the label {min(unknown)}")
        return torch.tensor([next(self.by_class[label]) for label in labels])


@generator("real", modalities={"image"}, control=True)
class Real:
    """Held-out data, each at most once (of a class, in turn): what a perfect generator scores, but for chance."""

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.deck = Deck(dataset.valid, "held-out")

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.deck.deal(n, rng, condition)


@generator("copycat", modalities={"image"}, control=True)
class Copycat:
    """Training data, each example at most once: what measures of realism take for perfect and novelty must find out."""

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.deck = Deck(dataset.train, "training")

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return self.deck.deal(n, rng, condition)


@generator("noise", modalities={"image"}, control=True)
class Noise:
    """Uniform noise: what a generator scores that learned nothing."""

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.shape = dataset.spec.shape

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return uniform(rng, n, *self.shape) * 2 - 1
