"""WaveNet: a waveform sample by sample, by dilated causal convolutions (van den Oord et al. 2016, arXiv:1609.03499).

    p(x) = prod_t p(x_t | x_<t)

Each sample is one of 256 cells that are even in f(x) = sign(x) ln(1 + mu |x|) / ln(1 + mu), mu = 255 (section 2.2), so
that quiet ones are told apart as finely as they are heard. A layer looks at its input and at that of ``dilation``
samples before, 1, 2, 4, ... in each stack (Eq. 2 and 3, with V of the label where there are classes):

    z = tanh(W_a [h_{t-d}, h_t] + V_a y) * sigmoid(W_b [h_{t-d}, h_t] + V_b y),    h' = h + W_out z,    skip += W_skip z

and what all layers skip to is heard through two more layers of one sample each. Samples are drawn one by one, and
nothing is computed twice: each layer keeps its last ``dilation`` inputs (Le Paine et al. 2016, arXiv:1611.09482).

Within a cell a density is even, so that of a waveform is exact: the probability of its cells over their widths.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Annotated, Any, NamedTuple

import torch
import torch.nn.functional as F
from annotated_types import Le
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from bench import Batch, DataSpec, Presets, Unsupported, generator
from generators._autoregressive import Net, Sequence
from generators._drawing import SAMPLING
from generators._labels import known

PRESETS: Presets = {
    "test": {"width": 8, "skip": 16, "layers": 2, "stacks": 2, "lr": 5e-3, "labels": True},
    "tiny": {"width": 32, "skip": 64, "layers": 9, "stacks": 1, "truncate": 2048, "lr": 4e-3},
    # dilations as in section 2.1; of widths the paper says nothing, and these are common in open implementations
    "paper": {"width": 32, "skip": 512, "layers": 10, "stacks": 3},
}
MU, CELLS = 255, 256


@generator("wavenet", modalities={"audio"}, paper="arXiv:1609.03499", presets=PRESETS, sampling=SAMPLING)
class WaveNet(Sequence):
    """Dilated causal convolutions over mu-law cells.

    width: of the residual path. skip: of what is heard of all layers. layers: of each of the ``stacks``, dilated by 1,
    2, 4, ...
    labels: whether it is told them, where the data has some; drawn evenly where none are asked for.
    truncate: samples through which a gradient goes back, in an update each; 0 = all.
    """

    conditional = True
    log_prob_of = "density"
    log_widths: Tensor

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 32,
        skip: PositiveInt = 128,
        layers: Annotated[PositiveInt, Le(16)] = 9,
        stacks: PositiveInt = 2,
        labels: bool = True,
        truncate: NonNegativeInt = 0,
        **rest: Any,
    ) -> None:
        classes = spec.classes if labels else None
        super().__init__(spec, Stacks(width, skip, layers, stacks, classes), truncate, **rest)
        if self.drawing.stop:
            raise Unsupported("a sound ends at its last sample: leave out stop")
        self.classes, self.conditional, self.log_prob_of = classes, bool(classes), "density"
        self.register_buffer("log_widths", cell_edges().diff().log(), persistent=False)

    @classmethod
    def sequence(cls, spec: DataSpec) -> DataSpec:
        if len(spec.shape) != 1 or spec.kind != "continuous":
            raise Unsupported(f"WaveNet makes waveforms (T,), not {spec.kind} data of {spec.shape}")
        return DataSpec("text", spec.shape, "tokens", vocab=CELLS)

    def steps(self, batch: Batch) -> Batch:
        return batch._replace(data=cells_of(batch.data))

    def made(self, x: Tensor) -> Tensor:
        return samples_of(x)

    def told(self, label: Tensor | None) -> Any:
        return None if (label := known(label, self.classes)) is None else State(label, [], 0)

    @torch.no_grad()
    def log_prob(self, batch: Batch) -> Tensor:
        """The exact log-density of each waveform in nats, ``(batch,)``; given labels where they are told."""
        return super().log_prob(batch) - self._spread(batch).sum(1)

    @torch.no_grad()
    def step_log_prob(self, batch: Batch, state: tuple[Tensor, Any] | None = None) -> tuple[Tensor, Any]:
        log_p, state = super().step_log_prob(batch, state)
        return log_p - self._spread(batch), state

    def stream_batch(self, prompts: Tensor, rng: torch.Generator) -> Iterator[Tensor]:
        """Continue waveforms ``(n, T)``, which may be empty, sample by sample, ``(n,)``, without end.

        Their labels are drawn, where it is told any.
        """
        return map(samples_of, super().stream_batch(cells_of(prompts), rng))

    def _spread(self, batch: Batch) -> Tensor:
        """log of how wide the cell of each sample is, ``(batch, T)``; 0 of padding."""
        data = batch.data.where(batch.mask, 0)
        return self.log_widths[cells_of(data)].where(batch.mask, 0)


class State(NamedTuple):
    """What a net goes on from. label: ``(batch,)`` or None. past: the last inputs of each layer, ``(dilation, batch,
    width)``, the oldest at ``turn`` modulo its dilation; empty before the first sample."""

    label: Tensor | None
    past: list[Tensor]
    turn: int


class Stacks(Net):
    """Stacks of layers whose dilations double."""

    def __init__(self, width: int, skip: int, layers: int, stacks: int, classes: int | None) -> None:
        super().__init__()
        self.inside = self.outside = skip
        self.width, self.dilations = width, [2**i for i in range(layers)] * stacks
        self.inward = nn.Linear(skip, width)
        self.gates = nn.ModuleList(nn.Linear(2 * width, 2 * width) for _ in self.dilations)
        self.skips = nn.ModuleList(nn.Linear(width, skip) for _ in self.dilations)
        self.outs = nn.ModuleList(nn.Linear(width, width) for _ in self.dilations[1:])  # nobody hears the last one's
        self.label = nn.Embedding(classes, 2 * width * len(self.dilations)) if classes else None
        self.last = nn.Linear(skip, skip)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        h, steps = self.inward(x).float(), x.shape[1]
        label, past, turn = self._opened(h, state)
        told, skip, kept = self._told(label), h.new_zeros(()), []
        for i, dilation in enumerate(self.dilations):
            before = past[i].roll(-turn % dilation, 0).transpose(0, 1)  # the oldest first, (batch, dilation, width)
            seen = torch.cat([before, h], dim=1)
            kept.append(seen[:, steps:].transpose(0, 1).contiguous())
            z = gated(self.gates[i](torch.cat([seen[:, :steps], h], dim=2)) + told[i][..., None, :])
            skip = skip + self.skips[i](z)
            h = h if i == len(self.outs) else h + self.outs[i](z)
        return F.relu(self.last(F.relu(skip))), State(label, kept, 0)

    def step(self, x: Tensor, state: State | None) -> tuple[Tensor, State]:
        """The state that it is handed is no more what it was: the oldest inputs give way to these."""
        h = self.inward(x).float()
        label, past, turn = self._opened(h, state)
        told, skip = self._told(label), h.new_zeros(())
        for i, dilation in enumerate(self.dilations):
            place = turn % dilation
            both = torch.cat([past[i][place], h], dim=1)
            past[i][place] = h
            z = gated(self.gates[i](both) + told[i])
            skip = skip + self.skips[i](z)
            h = h if i == len(self.outs) else h + self.outs[i](z)
        return F.relu(self.last(F.relu(skip))), State(label, past, turn + 1)

    def _opened(self, h: Tensor, state: State | None) -> State:
        """The state with its past, which is silent before the first sample."""
        if state is not None and state.past:
            return state
        past = [h.new_zeros(dilation, len(h), self.width) for dilation in self.dilations]
        return State(None if state is None else state.label, past, 0)

    def _told(self, label: Tensor | None) -> tuple[Tensor, ...]:
        """What the label adds within each layer, ``(batch, 2 width)``; nothing where there is none."""
        if self.label is None or label is None:
            return (self.last.weight.new_zeros(1),) * len(self.dilations)
        return tuple(self.label(label).float().chunk(len(self.dilations), dim=-1))


def gated(both: Tensor) -> Tensor:
    """tanh of one half times the sigmoid of the other."""
    a, b = both.chunk(2, dim=-1)
    return a.tanh() * b.sigmoid()


def cells_of(x: Tensor) -> Tensor:
    """The mu-law cell of each sample in [-1, 1], int64 in 0..255."""
    companded = x.sign() * torch.log1p(MU * x.abs()) / math.log1p(MU)
    return ((companded + 1) / 2 * CELLS).floor().clamp(0, CELLS - 1).long()


def samples_of(cells: Tensor) -> Tensor:
    """The sample in the middle of each cell, as the law has it, float32."""
    return expanded((cells.double() + 0.5) / CELLS * 2 - 1).float()


def expanded(companded: Tensor) -> Tensor:
    """The inverse of f."""
    return companded.sign() * torch.expm1(companded.abs() * math.log1p(MU)) / MU


def cell_edges() -> Tensor:
    """Where cells begin and end, ``(257,)`` float64 from -1 to 1."""
    return expanded(torch.linspace(-1, 1, CELLS + 1, dtype=torch.float64))
