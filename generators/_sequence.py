"""What autoregressive families share: drawing a sequence step by step, and a limited update."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from generators._heads import Head


def draw_sequences(
    model: Callable[[Tensor, Any], tuple[Tensor, Any]],
    head: Head,
    u: Tensor,
    temperature: float,
    start: Tensor | None = None,
) -> Tensor:
    """Sequences step by step, ``(n, steps, ...)``, from uniform draws ``u`` ``(n, steps, *head.draws)``.

    model: maps a step of each, ``(n, 1, ...)``, and its state (None at first) to ``out`` ``(n, 1, size)`` and the next
    state. ``u`` lives on its device. start: what stands before each, where that is not the head's own start.
    """
    step, state = head.start(len(u), u.device) if start is None else start, None
    steps = []
    for each in u.unbind(1):
        out, state = model(step[:, None], state)
        step = head.draw(out[:, -1], each, temperature)
        steps.append(step)
    return torch.stack(steps, dim=1)


def clip_and_step(optimiser: torch.optim.Optimizer, loss: Tensor, max_norm: float = 1.0) -> None:
    """One update with the gradient's norm limited, as is usual for recurrent nets and transformers."""
    loss.backward()
    parameters = [p for group in optimiser.param_groups for p in group["params"]]
    torch.nn.utils.clip_grad_norm_(parameters, max_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)
