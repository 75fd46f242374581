"""What families of video share."""

from __future__ import annotations

import torch

from bench import Batch


def filled(batch: Batch) -> Batch:
    """Clips of one length: one that is shorter than the others stands still at its last frame."""
    if batch.lengths is None:
        return batch
    last = (batch.lengths - 1).clamp(min=0)[:, None]
    at = torch.minimum(torch.arange(batch.data.shape[1], device=last.device), last)  # (batch, frames)
    return Batch(batch.data.take_along_dim(at.view(*at.shape, *[1] * (batch.data.ndim - 2)), 1), batch.condition)
