"""Recurrent families: stacked layers, over many steps by torch's layers and over a single one by its cells.

    state_t = cell(x_t, state_{t-1}; W, U, b, d)

A file of a family says its cell's equations, which a test holds against both. For a single step the cell takes half of
the layer's time, which is made for many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import torch
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from bench import DataSpec
from generators._autoregressive import Net, Sequence

State = tuple[Tensor, ...]  # of a layer, (batch, width) each, the hidden state first


class Recurrent(Sequence, ABC):
    """Stacked recurrent layers.

    layers: one above the other; width: of each layer's state. embedding: of the vector of a step. dropout: of what
    leaves a layer (Zaremba et al. 2014, arXiv:1409.2329).
    """

    layer: ClassVar[Callable[..., nn.RNNBase]]

    @staticmethod
    @abstractmethod
    def cell(x: Tensor, state: State, *weights: Tensor) -> State:
        """The next state, each part ``(batch, width)``; weights: W, U, b and d, of ``gates width`` rows each."""

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 256,
        embedding: PositiveInt = 64,
        layers: PositiveInt = 1,
        dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
        truncate: NonNegativeInt = 0,
        **rest: Any,
    ) -> None:
        super().__init__(spec, Layers(self, embedding, width, layers, dropout), truncate, **rest)


class Layers(Net):
    """The layers of a recurrent family."""

    def __init__(self, family: Recurrent, inside: int, outside: int, layers: int, dropout: float) -> None:
        super().__init__()
        self.inside, self.outside, self.cell = inside, outside, family.cell
        between = dropout if layers > 1 else 0.0
        self.layers = family.layer(inside, outside, layers, batch_first=True, dropout=between)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor, state: list[State] | None = None) -> tuple[Tensor, list[State]]:
        given: Any = None if state is None else tuple(torch.stack(part) for part in zip(*state, strict=True))
        features, after = self.layers(x, given if given is None or len(given) > 1 else given[0])
        parts = after if isinstance(after, tuple) else (after,)  # torch's layers take and give a single part bare
        return self.dropout(features), list(zip(*(part.unbind() for part in parts), strict=True))

    def step(self, h: Tensor, state: list[State] | None) -> tuple[Tensor, list[State]]:
        if state is None or self.training:
            return super().step(h, state)
        after = []
        for weights, parts in zip(self.layers.all_weights, state, strict=True):
            after.append(self.cell(h, parts, *weights))
            h = after[-1][0]
        return h, after
