"""Floating point operations for one sample: what it costs whatever the machine."""

from __future__ import annotations

from bench import Estimate, Trial, count_flops, metric
from metrics.cost._cost import draw_anew


@metric("sample_flops", aspect="efficiency", unit="FLOP", better="lower", least=0, exact=True)
def sample_flops(trial: Trial) -> Estimate:
    """Operations of matrix products, convolutions and attention for each sample of a batch; a product and sum are two.

    Activations, norms and what is not of torch are not counted, as is custom.
    """
    size = min(trial.batch_size, trial.n_samples)
    return Estimate(value=count_flops(lambda: draw_anew(trial, size)) / size, n=1, protocol={"batch_size": size})
