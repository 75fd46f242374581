"""Attention over sequences, whole or step by step, and what is remembered of the steps before.

softmax(Q K' / sqrt(d)) V        (Vaswani et al. 2017, arXiv:1706.03762, Eq. 1)
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


class Cache:
    """Keys and values of each layer of the last ``room`` steps, in memory that grows by ``BLOCK`` steps.

    inputs: what the net was given at each, ``(n, room, inside)``, for one that reads it again; else None.
    A state that goes on writes over what one that went on from the same place wrote.
    """

    BLOCK = 32

    def __init__(self, room: int, *, inputs: bool = False) -> None:
        self.room, self.length = room, 0
        self.keys: dict[int, Tensor] = {}  # by layer, (n, heads, steps of whole blocks, width / heads)
        self.values: dict[int, Tensor] = {}
        self.behind = torch.cat([torch.zeros(room), torch.full((self.BLOCK,), -torch.inf)])  # ``keep`` gives a stretch
        self.inputs: Tensor | None = None
        self.keeps_inputs = inputs

    def keep(self, layer: int, k: Tensor, v: Tensor, *, band: int = 0) -> tuple[Tensor, Tensor, Tensor | None]:
        """Write the keys and values of new steps, and return those of all that are remembered.

        Past the room the oldest are written over; in which order they stand then, attention does not ask.
        A single step without a band gets whole blocks, as memory is read up to twice as fast without gaps, and what
        hides the places behind the steps: 0 for each that is known, -inf behind, ``(places,)``.
        """
        place, steps = self.length % self.room, k.shape[2]
        known = min(self.length + steps, self.room)
        keys, values = self._grown(layer, k, v, known)
        keys[:, :, place : place + steps] = k
        values[:, :, place : place + steps] = v
        if steps > 1 or band:
            return keys[:, :, :known], values[:, :, :known], None
        return keys, values, self.behind[self.room - known : self.room - known + keys.shape[2]]

    def _grown(self, layer: int, k: Tensor, v: Tensor, known: int) -> tuple[Tensor, Tensor]:
        """Memory of the layer for so many steps, zero where nothing stands yet."""
        if layer not in self.keys:
            self.keys[layer], self.values[layer] = k[:, :, :0], v[:, :, :0]
            self.behind = self.behind.to(k)
        more = known - self.keys[layer].shape[2]
        if more > 0:
            more += -known % self.BLOCK
            self.keys[layer], self.values[layer] = (F.pad(x[layer], (0, 0, 0, more)) for x in (self.keys, self.values))
        return self.keys[layer], self.values[layer]

    def note(self, inputs: Tensor) -> None:
        """Count new steps, ``(n, steps, ...)``, once all layers have kept theirs."""
        if self.keeps_inputs:
            if self.inputs is None:
                self.inputs = inputs.new_empty(len(inputs), self.room, inputs.shape[2])
            self.inputs[:, self.length : self.length + inputs.shape[1]] = inputs
        self.length += inputs.shape[1]

    def newer_half(self, inputs: Tensor) -> Tensor:
        """Of what is known and these new inputs the last, half of the room, at least one: to be read again.

        Behind the first of all, which began every text that was learned, where the room is for both.
        """
        known = inputs if self.inputs is None else torch.cat([self.inputs[:, : self.length], inputs], dim=1)
        newer = known[:, -max(1, self.room // 2) :]
        return newer if self.room == 1 else torch.cat([known[:, :1], newer], dim=1)


def attend(
    q: Tensor,
    k: Tensor,
    v: Tensor,
    *,
    causal: bool = True,
    band: int = 0,
    sees: Tensor | None = None,
    unknown: Tensor | None = None,
    dropout: float = 0.0,
) -> Tensor:
    """What each of the last steps finds among all that are known, ``(batch, heads, steps, size)``.

    q: ``(batch, heads, steps, size)``. k, v: of at least as many steps, the last of which are those of q; of fewer
    heads, each for as many of q's in a row (grouped queries, Ainslie et al. 2023, arXiv:2305.13245). causal: none looks
    at what comes after it, and with ``band`` at no more than so many steps, itself the last. sees: of what is not
    causal, which steps each sees, ``(..., steps, known)`` bool; all where left out. unknown: of a single step, as of
    ``Cache.keep``.
    """
    steps, known = q.shape[2], k.shape[2]
    if steps == 1 and sees is None:
        if band:
            k, v = k[:, :, -band:], v[:, :, -band:]
        return _one(q, k, v, q.new_zeros(1) if unknown is None else unknown)
    if 0 < band < known and steps == known:
        return _banded(q, k, v, band, dropout)
    if causal and steps > 1 and (steps < known or 0 < band < known):
        sees = _within(steps, known, band or known, q.device)
    plain = causal and steps > 1 and sees is None
    grouped = q.shape[1] != k.shape[1]
    return F.scaled_dot_product_attention(q, k, v, sees, is_causal=plain, dropout_p=dropout, enable_gqa=grouped)


def _one(q: Tensor, k: Tensor, v: Tensor, unknown: Tensor) -> Tensor:
    """Of a single step, plainly: on a CPU a quarter of the time of the fused one, which is made for many."""
    heads, groups = q.shape[1], k.shape[1]
    q = q.reshape(len(q) * groups, heads // groups, q.shape[3])  # those that share keys side by side
    k, v = k.flatten(0, 1), v.flatten(0, 1)
    weights = torch.baddbmm(unknown, q, k.transpose(1, 2), alpha=q.shape[2] ** -0.5).softmax(-1)
    return torch.bmm(weights, v).view(-1, heads, 1, v.shape[2])


def _within(steps: int, known: int, band: int, device: torch.device) -> Tensor:
    """``(steps, known)`` bool: which of the known steps the last ones see."""
    back = torch.arange(known - steps, known, device=device)[:, None] - torch.arange(known, device=device)
    return (back >= 0) & (back < band)


def _banded(q: Tensor, k: Tensor, v: Tensor, band: int, dropout: float) -> Tensor:
    """In blocks of ``band`` steps, each of which looks at itself and at the one before: a mask alone saves nothing."""
    heads, steps = q.shape[1:3]
    blocks = -(-steps // band)
    q, k, v = (F.pad(x, (0, 0, 0, blocks * band - steps)).unflatten(2, (blocks, band)) for x in (q, k, v))
    k, v = (
        torch.cat([F.pad(x, (0, 0, 0, 0, 1, 0))[:, :, :-1], x], dim=3) for x in (k, v)
    )  # (..., blocks, 2 band, size)
    mask = _within(band, 2 * band, band, q.device).repeat(blocks, 1, 1)
    mask[0, :, :band] = False  # nothing stands before the first block
    if heads != k.shape[1]:
        k, v = (x.repeat_interleave(heads // x.shape[1], dim=1) for x in (k, v))
    out = F.scaled_dot_product_attention(q, k, v, mask, dropout_p=dropout)
    return out.flatten(2, 3)[:, :, :steps]
