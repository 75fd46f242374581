"""What the cost measures share: where and how they were taken, so that only like is compared with like."""

from __future__ import annotations

from bench import Costs, Omitted, Trial


def costs(trial: Trial) -> Costs:
    """What training and sampling took. Raises Omitted for a trial put together outside a run."""
    if trial.costs is None:
        raise Omitted("only a run measures what training takes")
    return trial.costs
