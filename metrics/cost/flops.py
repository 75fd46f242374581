"""Floating point operations for one example, to train on and to draw: what it costs whatever the machine.

How much of a machine's peak the training reached (MFU: PaLM, arXiv:2204.02311, appendix B) follows from them.
"""

from __future__ import annotations

from bench import Estimate, Omitted, Trainable, Trial, count_flops, metric, peak_flops
from metrics.cost._cost import costs, draw_anew

HOW = "set profile = true in the suite, or let it be looked at on the way (budget.evaluate_every)"


@metric("sample_flops", aspect="efficiency", unit="FLOP", better="lower", least=0, exact=True)
def sample_flops(trial: Trial) -> Estimate:
    """Operations of matrix products, convolutions and attention for each sample of a batch; a product and sum are two.

    Activations, norms and what is not of torch are not counted, as is custom.
    """
    size = min(trial.batch_size, trial.n_samples)
    if not (spent := count_flops(lambda: draw_anew(trial, size))):
        raise Omitted("none was counted: the work is not done by torch")
    return Estimate(value=spent / size, n=1, protocol={"batch_size": size})


@metric("training_flops", aspect="efficiency", unit="FLOP", better="lower", least=0, exact=True)
def training_flops(trial: Trial[Trainable]) -> Estimate:
    """Operations of a training step, gradients included, for each example of its batch; the mean of a few steps."""
    spent = costs(trial)
    if spent.flops is None:
        if spent.train_examples == 0:
            raise Omitted("nothing was trained: the weights were loaded")
        raise Omitted(f"none was counted: {HOW}")
    return Estimate(value=spent.flops, n=1, protocol={"batch_size": trial.batch_size})


@metric("mfu", aspect="efficiency", unit="1", better="higher", least=0)
def mfu(trial: Trial[Trainable]) -> Estimate:
    """Share of the device's peak that the training's operations reached (model FLOPs utilisation)."""
    spent = costs(trial)
    if spent.train_examples == 0:
        raise Omitted("nothing was trained: the weights were loaded")
    if spent.flops is None:
        raise Omitted(f"the operations of a training step were not counted: {HOW}")
    peak = peak_flops(trial.device, spent.precision)
    value = spent.flops * spent.train_examples / spent.train_seconds / peak
    return Estimate(
        value=value, n=1, protocol={**trial.conditions, "batch_size": trial.batch_size, "peak": f"{peak:g}"}
    )
