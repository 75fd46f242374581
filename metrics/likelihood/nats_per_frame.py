"""Negative log-likelihood of polyphonic music: nats a frame, as the literature of piano rolls reports it
(Boulanger-Lewandowski et al. 2012, arXiv:1206.6392, table 1)."""

from __future__ import annotations

import numpy as np

from bench import Estimate, Likelihood, Omitted, Scored, Trial, metric, ratio_interval, ratio_parts
from metrics.likelihood._examples import nats_of, told


@metric("nats_per_frame", on={"music"}, aspect="likelihood", unit="nat", better="lower", least=0, lead=0, curve=1,
        paper="arXiv:1206.6392, table 1")  # fmt: skip
def nats_per_frame(trial: Trial[Likelihood]) -> Estimate:
    """Nats that the model spends on a frame of the test pieces, all frames alike, the first of a piece too.

    Given how long each piece is: where it ends costs nothing, as in the literature. Of events that spell a piano roll
    it is a bound, since others may be read as the same roll, and the event at the end is paid for.
    """
    if isinstance(trial.dataset, Scored):
        frames = np.array([len(roll) for roll in trial.dataset.rolls(trial.held_out)])
        return told(per_frame(nats_of(trial).nats, frames), trial, bound=True, of="events")
    if trial.spec.kind != "binary" or len(trial.spec.shape) != 2:
        raise Omitted("needs piano rolls of 0 and 1")
    nats, sizes = nats_of(trial)
    return told(per_frame(nats, sizes // trial.spec.shape[1]), trial, bound=trial.model.bound)


def per_frame(nats: np.ndarray, frames: np.ndarray) -> Estimate:
    """All nats over all frames, of pieces that have so many of each, ``(pieces,)``; normal interval over pieces."""
    interval = ratio_interval(nats, frames, method="normal, over pieces")
    value, parts = float(nats.sum() / frames.sum()), ratio_parts(nats, frames)
    return Estimate(value=value, n=int(frames.sum()), interval=interval, parts=parts)
