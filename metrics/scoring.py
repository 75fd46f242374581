"""Scores a text under a model: nats and counts of the exact string, every token once, in disjoint windows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from bench import Estimate, GenbenchError, Likelihood, Omitted, Textual, Trial, ratio_interval


@dataclass(frozen=True)
class TextScore:
    """Per window: negative log-likelihood in nats, tokens and bytes; ``(windows,)`` each."""

    nats: np.ndarray
    tokens: np.ndarray
    bytes: np.ndarray
    bound: bool
    protocol: Mapping[str, str | int | float | bool]


def score(trial: Trial) -> TextScore:
    """The test split under the trial's model, computed once a trial. Raises Omitted where text is no text."""
    return trial.once("text score", lambda: _score(trial))


def per(score: TextScore, unit: np.ndarray) -> Estimate:
    """Nats per ``unit``: sum over sum, never a mean of per-window ratios, with the windows as sampling units."""
    return Estimate(
        value=float(score.nats.sum() / unit.sum()),
        n=int(unit.sum()),
        interval=ratio_interval(score.nats, unit),
        kind="bound" if score.bound else "point",
        protocol=score.protocol,
    )


def transformed(estimate: Estimate, function: Callable[[float], float]) -> Estimate:
    """The estimate under an increasing function, its interval carried along end by end."""
    interval = estimate.interval
    if interval is not None:
        interval = interval.model_copy(update={"lo": function(interval.lo), "hi": function(interval.hi)})
    return estimate.model_copy(update={"value": function(estimate.value), "interval": interval})


def _score(trial: Trial) -> TextScore:
    dataset, model = trial.dataset, trial.model
    if not isinstance(dataset, Textual) or not isinstance(model, Likelihood):
        raise Omitted("needs text that can be decoded, and a model with log_prob")
    window = trial.spec.shape[0]
    windows = dataset.tokens("test").split(window)
    nats = negative_log_likelihood(model, windows, trial.batch_size, trial.device)
    return TextScore(
        nats=nats,
        tokens=np.array([len(w) for w in windows]),
        bytes=np.array([dataset.count_bytes(w) for w in windows]),
        bound=model.bound,
        protocol={"split": "test", "windows": "disjoint", "context": window, "reset": "window"},
    )


@torch.no_grad()
def negative_log_likelihood(
    model: Likelihood, windows: tuple[Tensor, ...], batch_size: int, device: torch.device
) -> np.ndarray:
    """Nats of each window, ``(windows,)`` float64; all but the last have one length. Raises GenbenchError for NaN."""
    whole, tail = torch.stack(windows[:-1] or windows), windows[-1:] if len(windows) > 1 else ()
    batches = [*whole.split(batch_size), *(w[None] for w in tail)]
    nats = torch.cat([-model.log_prob(batch.to(device)).double().cpu() for batch in batches])
    if not torch.isfinite(nats).all():
        raise GenbenchError("log_prob returned NaN or infinity")
    return nats.numpy()
