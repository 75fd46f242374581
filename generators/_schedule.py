"""How a model descends its loss, and how the learning rate moves while it does."""

from __future__ import annotations

import math
from typing import Literal

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR

Fall = Literal["cosine", "linear"]


def descend(optimiser: Optimizer, loss: Tensor) -> None:
    """One step down a loss by the weights of this optimiser; no gradient is made for others."""
    loss.backward(inputs=[p for group in optimiser.param_groups for p in group["params"]])
    optimiser.step()
    optimiser.zero_grad(set_to_none=True)  # now, or a checkpoint would keep gradients that are used


def scheduled(
    optimiser: Optimizer, *, warmup: int = 0, decay: int = 0, fall: Fall = "cosine", floor: float = 0.0
) -> LambdaLR:
    """The schedule of ``rate_share`` on an optimiser; call its ``step`` after each of the optimiser's.

    Kept as an attribute of the model, it is in every checkpoint.
    """
    return LambdaLR(optimiser, lambda done: rate_share(done + 1, warmup, decay, fall, floor))


def rate_share(step: int, warmup: int, decay: int, fall: Fall = "cosine", floor: float = 0.0) -> float:
    """Share of the learning rate at a step, counted from 1.

    It rises in a line over ``warmup`` steps and falls until step ``decay`` to ``floor``, where it stays. decay = 0: no
    fall.
    """
    if step <= warmup:
        return step / warmup
    done = min(1.0, (step - warmup) / (decay - warmup)) if decay > warmup else float(decay > 0)
    left = 1 - done if fall == "linear" else 0.5 * (1 + math.cos(math.pi * done))
    return floor + (1 - floor) * left


def set_rate(optimiser: Optimizer, share: float, hold: float = 0.4) -> None:
    """Set its learning rate to that at a share of the training: constant until ``hold``, then linear down to 0.

    For ``pace`` (``bench.Paced``), so that it falls within any budget: there a short training gains most.
    """
    for group in optimiser.param_groups:
        group["lr"] = optimiser.defaults["lr"] * min(1.0, (1 - share) / (1 - hold))
