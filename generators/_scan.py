"""The linear recurrence h_t = a_t h_{t-1} + b_t for all t at once."""

from __future__ import annotations

import torch
from torch import Tensor


def scan(a: Tensor, b: Tensor, start: Tensor | None = None) -> Tensor:
    """h ``(batch, steps, ...)`` of the recurrence, by doubling (Hillis & Steele 1986): in log2(steps) passes.

    a, b: ``(batch, steps, ...)``. start: ``(batch, ...)``, h before the first step; 0 if left out. After the pass of
    distance d, a and b of each step are those of the last 2 d steps taken as one: a'' = a a', b'' = a b' + b.
    """
    if start is not None:
        b = torch.cat([torch.addcmul(b[:, 0], a[:, 0], start)[:, None], b[:, 1:]], dim=1)
    distance, steps = 1, a.shape[1]
    while distance < steps:
        b = torch.cat([b[:, :distance], torch.addcmul(b[:, distance:], a[:, distance:], b[:, :-distance])], dim=1)
        if 2 * distance < steps:
            a = torch.cat([a[:, :distance], a[:, distance:] * a[:, :-distance]], dim=1)
        distance *= 2
    return b
