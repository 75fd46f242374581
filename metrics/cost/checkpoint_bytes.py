"""Size of a model as it is kept."""

from __future__ import annotations

from torch import nn

from bench import Estimate, Omitted, Trial, metric


@metric("checkpoint_bytes", aspect="efficiency", unit="B", better="lower", least=0, exact=True)
def checkpoint_bytes(trial: Trial) -> Estimate:
    """Bytes of all that a checkpoint holds of the model, averages and buffers too; what is shared counts once."""
    if not isinstance(trial.model, nn.Module):
        raise Omitted("counts the tensors of a torch module, and this generator is none")
    stored = {t.untyped_storage().data_ptr(): t.untyped_storage().nbytes() for t in trial.model.state_dict().values()}
    return Estimate(value=sum(stored.values()), n=1)
