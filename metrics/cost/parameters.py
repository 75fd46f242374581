"""Size of a model in learned numbers."""

from __future__ import annotations

from torch import nn
from torch.optim.swa_utils import AveragedModel

from bench import Estimate, Omitted, Trial, metric


@metric("parameters", aspect="efficiency", unit="1", better="lower", least=0, exact=True)
def parameters(trial: Trial) -> Estimate:
    """Distinct learned numbers, shared ones counted once, those that only training needs included.

    A running average of others (``torch.optim.swa_utils.AveragedModel``) is not learned itself.
    """
    if not isinstance(trial.model, nn.Module):
        raise Omitted("counts the tensors of a torch module, and this generator is none")
    copies = [module for module in trial.model.modules() if isinstance(module, AveragedModel)]
    averages = {id(p) for copy in copies for p in copy.parameters()}
    return Estimate(value=sum(p.numel() for p in trial.model.parameters() if id(p) not in averages), n=1)
