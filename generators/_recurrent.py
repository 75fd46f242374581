"""Recurrent families: stacked layers, trained by torch's fast ones and run step by step by their equations.

    h_t = cell(W x_t + b, U h_{t-1} + d, state_{t-1})

A file of a family writes out its cell, which a test holds against torch's layer. For a single step that is the faster
of the two: torch's layer is made for many.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Annotated, Any, ClassVar

import torch
import torch.nn.functional as F
from annotated_types import Ge, Lt
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from bench import DataSpec
from generators._autoregressive import Net, Sequence

State = tuple[Tensor, ...]  # (layers, batch, width) each, the hidden state first


class Recurrent(Sequence, ABC):
    """Stacked recurrent layers.

    width: of each layer's state. embedding: of the vector of a step. dropout: of what leaves a layer (Zaremba et al.
    2014, arXiv:1409.2329).
    """

    layer: ClassVar[Callable[..., nn.RNNBase]]

    @staticmethod
    @abstractmethod
    def cell(x: Tensor, h: Tensor, state: State) -> State:
        """The next state, each part ``(batch, width)``, from ``W x + b`` and ``U h + d``, ``(batch, gates width)``."""

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

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        if state is not None and x.shape[1] == 1 and not torch.is_grad_enabled():
            return self._step(x[:, 0], state)
        given = state if state is None or len(state) > 1 else state[0]  # torch's take one part bare
        features, after = self.layers(x, given)
        return self.dropout(features), after if isinstance(after, tuple) else (after,)

    def _step(self, x: Tensor, state: State) -> tuple[Tensor, State]:
        """One step of each, ``(batch, inside)``."""
        after = []
        for i, parts in enumerate(zip(*(part.unbind() for part in state), strict=True)):
            w, u, b, d = self.layers.all_weights[i]
            after.append(self.cell(F.linear(x, w, b).float(), F.linear(parts[0], u, d).float(), parts))
            x = after[-1][0]
        if len(after) == 1:
            return x[:, None], tuple(part[None] for part in after[0])
        return x[:, None], tuple(torch.stack(part) for part in zip(*after, strict=True))
