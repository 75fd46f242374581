"""Evaluations of the net that a sample takes: what samplers are compared by, whatever the machine."""

from __future__ import annotations

from bench import Estimate, Evaluated, Trial, metric


@metric("nfe", aspect="efficiency", unit="evaluations", better="lower", least=0, exact=True)
def nfe(trial: Trial[Evaluated]) -> Estimate:
    """Evaluations of its net for each sample (NFE), as the family counts them; guidance by a second counts twice."""
    return Estimate(value=trial.model.nfe, n=1)
