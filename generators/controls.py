"""Yardsticks: what the best, the worst and the laziest of generators score under the same protocol, on any data."""

from __future__ import annotations

import math
from collections.abc import Iterator
from itertools import cycle

import numpy as np
import torch
from scipy import linalg
from torch import Tensor

from bench import (
    Batch,
    Dataset,
    GenbenchError,
    Split,
    SplitName,
    Unsupported,
    alive,
    checked_labels,
    generator,
    modality_of,
    normal,
    uniform,
)

LARGEST = 3 * 64 * 64  # numbers of an example whose covariance is fitted: it takes 1.2 GB then, and its root minutes
AT_A_TIME = 2000  # examples that are read at once


class Deck:
    """Examples of a split that share nothing, in random order, each at most once. ``what`` they are in messages."""

    def __init__(self, dataset: Dataset, split: SplitName, what: str) -> None:
        self.split, self.what = modality_of(dataset.spec).disjoint(dataset, split), what
        self.classes = dataset.spec.classes
        self.left: Tensor | None = None
        self.by_class: dict[int, Iterator[int]] | None = None

    def deal(self, n: int, rng: torch.Generator, condition: Tensor | None) -> Batch:
        """The next n examples, of the classes asked for if any are. Raises GenbenchError when they run out, and for
        labels that the data has not.
        """
        if condition is not None:
            labels = checked_labels(condition, n, self.classes) if self.classes else condition
            return self.split.batch(self._of_classes(labels.tolist(), rng))
        if self.left is None:
            self.left = torch.randperm(len(self.split), generator=rng)
        if n > len(self.left):
            raise GenbenchError(f"only {len(self.split)} {self.what} examples: lower budget.samples")
        taken, self.left = self.left[:n], self.left[n:]
        return self.split.batch(taken)

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


@generator("real", modalities=None, control="ceiling")
class Real:
    """Held-out data, each at most once (of a class, in turn): what a perfect generator scores, but for chance."""

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.deck = Deck(dataset, "valid", "held-out")

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Batch:
        return self.deck.deal(n, rng, condition)


@generator("copycat", modalities=None, control="plagiarist")
class Copycat:
    """Training data, each example at most once: what measures of realism take for perfect and novelty must find out."""

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.deck = Deck(dataset, "train", "training")

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Batch:
        return self.deck.deal(n, rng, condition)


@generator("shuffled", modalities={"text", "music", "audio", "video"}, control=True)
class Shuffled:
    """Held-out data, the tokens or frames of each example in random order: what is lost on a measure blind to order."""

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.deck = Deck(dataset, "valid", "held-out")

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Batch:
        batch = self.deck.deal(n, rng, condition)
        places = uniform(rng, n, batch.data.shape[1]).masked_fill(~batch.mask, 2)  # padding stays where it is
        order = places.argsort(1).view(*places.shape, *[1] * (batch.data.ndim - 2))  # (n, T, 1, ...)
        return batch._replace(data=batch.data.take_along_dim(order, 1))


@generator("frozen", modalities={"video"}, control=True)
class Frozen:
    """Held-out clips that stand still at their first frame: what is lost on a measure that looks at frames alone.

    As a predictor it says that nothing moves, which every predictor should beat.
    """

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.deck = Deck(dataset, "valid", "held-out")

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Batch:
        batch = self.deck.deal(n, rng, condition)
        return batch._replace(data=batch.data[:, :1].expand_as(batch.data))

    def forecast(self, start: Tensor, steps: int, rng: torch.Generator) -> Tensor:
        return start[:, -1:].expand(-1, steps, *start.shape[2:])


@generator("noise", modalities=None, control="floor")
class Noise:
    """Noise, uniform over all that data can be: what a generator scores that learned nothing.

    It takes labels and ignores them, so that measures of obedience to labels show what chance scores.
    """

    conditional = True

    def __init__(self, dataset: Dataset) -> None:
        self.spec = dataset.spec

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        if condition is not None and self.spec.classes:
            checked_labels(condition, n, self.spec.classes)
        return modality_of(self.spec).noise(uniform(rng, n, *self.spec.shape), self.spec)


@generator("gaussian", modalities={"image", "vector"}, control="floor")
class Gaussian:
    """One Gaussian with the mean and the covariance of the training data: what does not beat it has learned nothing.

    A draw is ``mean + z R`` with z standard normal and ``R' R`` the covariance, in float64; where there are fewer
    examples than numbers in one, R are the examples themselves, less their mean. Images are clipped to the range of
    images, binary data is cut at 1/2. It heeds no labels. Raises Unsupported for examples of more than 3x64x64 numbers.
    """

    def __init__(self, dataset: Dataset) -> None:
        self.spec, size = dataset.spec, math.prod(dataset.spec.shape)
        if self.spec.kind == "tokens" or size > LARGEST:
            what = "tokens" if self.spec.kind == "tokens" else f"the covariance of {size} numbers"
            raise Unsupported(f"gaussian fits examples of at most {LARGEST} real numbers, not {what}")
        self.mean, self.root = fitted(modality_of(self.spec).disjoint(dataset, "train"), size)

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        x = self.mean + normal(rng, n, len(self.root)).double() @ self.root
        x = x.float().view(n, *self.spec.shape)
        if self.spec.kind == "binary":
            return (x > 0.5).float()
        return x.clamp(-1, 1) if self.spec.modality == "image" else x


def fitted(data: Split, size: int) -> tuple[Tensor, Tensor]:
    """Mean ``(size,)`` and root ``(rank, size)`` of the covariance, which is ``root' root``, in float64."""
    chunks = torch.arange(len(data)).split(AT_A_TIME)
    mean = torch.stack([_rows(data, index).sum(0) for index in chunks]).sum(0) / len(data)
    degrees = max(1, len(data) - 1)
    if len(data) <= size:
        return mean, torch.cat([_rows(data, index) - mean for index in chunks]) / math.sqrt(degrees)
    products = np.zeros((size, size), order="F")  # of which the upper triangle is filled, in half the time
    for index in alive(chunks):
        rows = (_rows(data, index) - mean).numpy()
        products = linalg.blas.dsyrk(1 / degrees, rows.T, beta=1, c=products, overwrite_c=True)
    # Numbers that are the same in all examples, such as a black border, or sums of others would have no root.
    products[np.diag_indices(size)] *= 1 + 1e-9
    products[np.diag_indices(size)] += 1e-24
    return mean, torch.from_numpy(linalg.cholesky(products, overwrite_a=True, check_finite=False))


def _rows(data: Split, index: Tensor) -> Tensor:
    return data.batch(index).data.flatten(1).double()
