"""How a model descends its loss, and how the learning rate moves while it does."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer


def descend(optimiser: Optimizer, loss: Tensor, max_norm: float | None = None) -> None:
    """One step down a loss by the weights of this optimiser; no gradient is made for others.

    max_norm: of the gradient, which is shortened to it, as is usual for recurrent nets and transformers.
    """
    weights = [p for group in optimiser.param_groups for p in group["params"]]
    loss.backward(inputs=weights)
    if max_norm is not None:
        nn.utils.clip_grad_norm_(weights, max_norm)
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)  # now, or a checkpoint would keep gradients that are used


def adamw(model: nn.Module, lr: float, weight_decay: float) -> torch.optim.AdamW:
    """AdamW for transformers and recurrent nets; of vectors, such as biases and norms, and of tables nothing decays."""
    tables = {id(p) for part in model.modules() if isinstance(part, nn.Embedding) for p in part.parameters()}
    groups: dict[bool, list[nn.Parameter]] = {True: [], False: []}
    for p in model.parameters():
        groups[p.dim() >= 2 and id(p) not in tables].append(p)
    decays = [{"params": groups[True], "weight_decay": weight_decay}, {"params": groups[False], "weight_decay": 0.0}]
    return torch.optim.AdamW(decays, lr=lr, betas=(0.9, 0.99), fused=True)  # of a few thousand tokens a step


def set_rate(optimiser: Optimizer, share: float, hold: float = 0.4, rise: float = 0.0) -> None:
    """Set its learning rate to that at a share of the training.

    It rises in a line over the first share ``rise``, is constant until ``hold``, and then falls in a line to 0. For
    ``pace`` (``bench.Paced``), so that it falls within any budget: there a short training gains most.
    """
    begun = min(1.0, (share + 1e-3) / (rise + 1e-3))  # not 0 at the first step
    for group in optimiser.param_groups:
        group["lr"] = optimiser.defaults["lr"] * begun * min(1.0, (1 - share) / (1 - hold))
