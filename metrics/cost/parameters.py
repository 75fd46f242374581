"""Size of a model in learned numbers."""

from __future__ import annotations

from torch import nn

from bench import Estimate, Omitted, Trial, metric


@metric("parameters", aspect="efficiency", unit="1", better="lower")
def parameters(trial: Trial) -> Estimate:
    """Distinct learned numbers, shared ones counted once, those that only training needs included."""
    if not isinstance(trial.model, nn.Module):
        raise Omitted("not a torch module")
    return Estimate(value=sum(p.numel() for p in trial.model.parameters()), n=1)
