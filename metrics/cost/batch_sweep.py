"""Sampling at batch sizes 1, 2, 4, 8 and so on in a fresh process, until that gains nothing twice or does not fit."""

from __future__ import annotations

import numpy as np

from bench import Estimate, Omitted, Trial, metric
from metrics.cost._cost import told_alone
from metrics.cost.throughput import rate

SWEEP = "1, 2, 4, ..., until 5 % are gained no more"


@metric("best_throughput", aspect="efficiency", unit="examples/s", better="higher", least=0, asked=True)
def best_throughput(trial: Trial) -> Estimate:
    """Examples a second at the batch size at which they are most; its interval is of the calls at that size."""
    sweep = _sweep(trial)
    best = max(sweep, key=lambda size: sweep[size])
    calls = trial.alone().calls(best)
    pace = rate(best * len(calls), sum(calls), np.full(len(calls), best), calls, "calls") if calls else None
    found = told_alone(trial, sweep[best], len(sweep), batch_sizes=SWEEP)
    return found.model_copy(update={"interval": pace and pace.interval})


@metric("best_batch_size", aspect="efficiency", unit="examples", better="none", least=0, asked=True)
def best_batch_size(trial: Trial) -> Estimate:
    """The batch size at which examples a second are most."""
    sweep = _sweep(trial)
    return told_alone(trial, max(sweep, key=lambda size: sweep[size]), len(sweep), batch_sizes=SWEEP)


@metric("largest_batch", aspect="efficiency", unit="examples", better="higher", least=0, asked=True)
def largest_batch(trial: Trial) -> Estimate:
    """The largest of these batches that fits into memory, beside the process that trained; twice as many did not."""
    found = trial.alone()
    if found.beyond is None:
        raise Omitted(f"{found.fits:,} fit, and more were not tried: they would be no faster, or take too long")
    return told_alone(trial, found.fits, len(found.sweep), batch_sizes=SWEEP)


def _sweep(trial: Trial) -> dict[int, float]:
    sweep = dict(trial.alone().sweep)
    if not sweep:
        raise Omitted("not one example fits into memory")
    return sweep
