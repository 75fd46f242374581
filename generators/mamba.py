"""Mamba-2: a selective state space (Dao & Gu 2024, arXiv:2405.21060, section 7; Gu & Dao 2023, arXiv:2312.00752).

    S_t = exp(dt_t A) S_{t-1} + dt_t B_t x_t',    y_t = C_t' S_t + D x_t          of each head, S: (state, size)

A < 0 and D are learned numbers of a head; dt_t > 0, B_t and C_t are read off the step itself, which is what selects.
The recurrence is linear in S, and is found in chunks (section 6): within one as attention with weights
C_i' B_j exp(dt_{j+1} A + ... + dt_i A), between them by the state, so that time and memory are linear in the length.
"""

from __future__ import annotations

import math
from typing import Any

import torch
import torch.nn.functional as F
from pydantic import NonNegativeInt, PositiveInt
from torch import Tensor, nn

from bench import DataSpec, GenbenchError, Presets, generator
from generators._autoregressive import SEQUENCES, Net, Sequence
from generators._drawing import SAMPLING

PRESETS: Presets = {
    "test": {"width": 16, "layers": 2, "head": 8, "state": 4, "chunk": 4, "lr": 5e-3},
    "tiny": {"width": 96, "layers": 2, "head": 32, "state": 16, "lr": 5e-3},
    "paper": {
        "width": 768,
        "layers": 24,
        "head": 64,
        "state": 128,
        "chunk": 256,
        "lr": 6e-4,
        "weight_decay": 0.1,
    },  # 130M
}
State = list[tuple[Tensor, Tensor]]  # of each layer: inputs of the convolution (batch, 3, channels), and S


@generator("mamba", modalities=SEQUENCES, paper="arXiv:2405.21060", presets=PRESETS, sampling=SAMPLING)
class Mamba(Sequence):
    """Selective state space in its chunked form.

    layers: of state spaces; width: of the residual stream; the layers work at twice that, a multiple of ``head``, the
    size of a head. state: numbers that each of these remembers. chunk: steps that are taken at once.
    """

    def __init__(
        self,
        spec: DataSpec,
        *,
        width: PositiveInt = 128,
        layers: PositiveInt = 4,
        head: PositiveInt = 32,
        state: PositiveInt = 16,
        chunk: PositiveInt = 32,
        truncate: NonNegativeInt = 0,
        **rest: Any,
    ) -> None:
        if 2 * width % head:
            raise GenbenchError(f"twice width = {width} must be a multiple of head = {head}")
        super().__init__(spec, Layers(width, layers, head, state, chunk), truncate, **rest)
        nn.init.normal_(self.read.weight, std=0.02)


class Layers(Net):
    """Layers of state spaces, each normalised before and added after."""

    tied = True

    def __init__(self, width: int, layers: int, head: int, state: int, chunk: int) -> None:
        super().__init__()
        self.inside = self.outside = width
        self.norms = nn.ModuleList(nn.RMSNorm(width, eps=1e-5) for _ in range(layers))
        self.layers = nn.ModuleList(StateSpace(width, head, state, chunk) for _ in range(layers))
        self.norm = nn.RMSNorm(width, eps=1e-5)

    def forward(self, x: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        after: State = []
        for i, (norm, layer) in enumerate(zip(self.norms, self.layers, strict=True)):
            y, kept = layer(norm(x), None if state is None else state[i])
            x = x + y
            after.append(kept)
        return self.norm(x), after


class StateSpace(nn.Module):
    """One layer: a short causal convolution, the recurrence, and a gate."""

    TAPS = 4  # of the convolution

    def __init__(self, width: int, head: int, state: int, chunk: int) -> None:
        super().__init__()
        self.inner, self.head, self.state, self.chunk = 2 * width, head, state, chunk
        self.heads, channels = self.inner // head, self.inner + 2 * state
        self.inward = nn.Linear(width, self.inner + channels + self.heads, bias=False)  # gate; x, B, C; dt
        self.conv = nn.Conv1d(channels, channels, self.TAPS, groups=channels)
        # dt begins evenly between 0.001 and 0.1 on a scale of logarithms, through the inverse of softplus.
        dt = torch.exp(torch.rand(self.heads) * math.log(100) + math.log(1e-3))
        self.dt_bias = nn.Parameter(dt + torch.log(-torch.expm1(-dt)))
        self.log_a = nn.Parameter(torch.empty(self.heads).uniform_(1, 16).log())
        self.skip = nn.Parameter(torch.ones(self.heads))
        self.norm = nn.RMSNorm(self.inner, eps=1e-5)
        self.outward = nn.Linear(self.inner, width, bias=False)

    def forward(self, u: Tensor, state: tuple[Tensor, Tensor] | None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        gate, xbc, dt = self.inward(u).split([self.inner, self.inner + 2 * self.state, self.heads], dim=-1)
        past = xbc.new_zeros(len(u), self.TAPS - 1, xbc.shape[2]) if state is None else state[0].to(xbc)
        seen = torch.cat([past, xbc], dim=1)
        xbc = F.silu(self.conv(seen.transpose(1, 2)).transpose(1, 2))
        x, b, c = xbc.float().split([self.inner, self.state, self.state], dim=-1)
        with torch.autocast(u.device.type, enabled=False):  # rounding would add up over the steps
            dt = F.softplus(dt.float() + self.dt_bias)
            x = x.unflatten(2, (self.heads, self.head))
            y, last = recurrence(x, dt, -self.log_a.exp() * dt, b, c, self.chunk, None if state is None else state[1])
            y = y + self.skip[:, None] * x
        out = self.outward(self.norm(y.flatten(2) * F.silu(gate)))
        return out, (seen[:, -(self.TAPS - 1) :], last)


def recurrence(
    x: Tensor, dt: Tensor, log_decay: Tensor, b: Tensor, c: Tensor, chunk: int, start: Tensor | None = None
) -> tuple[Tensor, Tensor]:
    """y ``(batch, steps, heads, size)`` and the last S ``(batch, heads, state, size)`` of the recurrence above.

    x: ``(batch, steps, heads, size)``. dt, log_decay = dt A: ``(batch, steps, heads)``. b, c: for all heads alike,
    ``(batch, steps, state)``. start: S before the first step; 0 if left out.
    """
    batch, steps, heads, size = x.shape
    last = x.new_zeros(batch, heads, b.shape[2], size) if start is None else start
    fed = x * dt[..., None]
    if steps == 1:
        last = last * log_decay[:, 0, :, None, None].exp() + torch.einsum("bn,bhp->bhnp", b[:, 0], fed[:, 0])
        return torch.einsum("bn,bhnp->bhp", c[:, 0], last)[:, None], last
    # What is added to make up the last chunk neither feeds the state nor lets it decay.
    more = -steps % chunk
    fed, log_decay = F.pad(fed, (0, 0, 0, 0, 0, more)), F.pad(log_decay, (0, 0, 0, more))
    b, c = F.pad(b, (0, 0, 0, more)), F.pad(c, (0, 0, 0, more))
    fed, log_decay, b, c = (t.unflatten(1, (-1, chunk)) for t in (fed, log_decay, b, c))  # (batch, chunks, chunk, ...)
    total = log_decay.cumsum(2).permute(0, 1, 3, 2)  # (batch, chunks, heads, chunk)
    # Within a chunk: step i sees step j <= i through the decays of j + 1 .. i.
    ahead = torch.ones(chunk, chunk, dtype=torch.bool, device=x.device).triu(1)
    decay = (total[..., :, None] - total[..., None, :]).masked_fill(ahead, -torch.inf).exp()  # (..., heads, i, j)
    weights = torch.einsum("bzin,bzjn->bzij", c, b)[:, :, None] * decay
    fed = fed.permute(0, 1, 3, 2, 4)  # (batch, chunks, heads, chunk, size)
    within = weights @ fed
    # Between chunks: what each adds to the state, and the state that each begins with.
    added = torch.einsum("bzjn,bzhj,bzhjp->bzhnp", b, (total[..., -1:] - total).exp(), fed)
    begins, kept = [], total[..., -1, None, None].exp()
    for share, new in zip(kept.unbind(1), added.unbind(1), strict=True):  # the gradient of x[:, z] is as large as x
        begins.append(last)
        last = last * share + new
    before = torch.einsum("bzin,bzhnp,bzhi->bzhip", c, torch.stack(begins, dim=1), total.exp())
    y = (within + before).permute(0, 1, 3, 2, 4).flatten(1, 2)  # (batch, steps, heads, size)
    return y[:, :steps], last
