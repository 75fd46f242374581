"""Looks at a model while it trains: a few cheap metrics against the validation split. The test split never chooses."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from typing import Any

import torch

from bench.engine.arithmetic import evaluating
from bench.engine.plan import TrialPlan
from bench.errors import Omitted, TrialError
from bench.measure.names import find_metric
from bench.measure.trial import Trial, measure_model
from bench.modalities import NotFinite
from bench.protocols import Dataset, Generator

log = logging.getLogger("genbench")


class Validation:
    """A dataset whose test split is its validation split: what a metric takes for held-out data is that."""

    def __init__(self, dataset: Dataset) -> None:
        self._dataset = dataset

    @property
    def test(self) -> Any:
        return self._dataset.valid

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._dataset, name)
        if name not in ("tokens", "text"):
            return found
        return lambda split: found("valid" if split == "test" else split)  # of text, read by the name of a split


def look(
    plan: TrialPlan, model: Generator, dataset: Dataset, device: torch.device, drawn: Callable[[], None]
) -> dict[str, float]:
    """The metrics of the plan's curve of the model as it is; one that cannot be measured is left out, and logged.

    drawn: called when samples are drawn, and no network has looked at them yet; not where none is needed.
    """
    trial = Trial(
        model,
        Validation(dataset),
        seed=plan.seed,
        n_samples=min(plan.budget.evaluate_samples or plan.budget.samples, len(dataset.valid)),
        batch_size=plan.budget.batch_size,
        device=device,
    )
    with evaluating(model):
        if any(find_metric(name, plan.modality).of != "model" for name in plan.curve_metrics):
            with contextlib.suppress(NotFinite):  # which every metric of them will say
                _ = trial.drawn
            drawn()
        return _measured(plan, trial)


def _measured(plan: TrialPlan, trial: Trial) -> dict[str, float]:
    """Early in a training, or late, a model may make NaN: such a look has no number, and the training goes on."""
    found = {}
    for name in plan.curve_metrics:
        try:
            found[name] = measure_model(find_metric(name, plan.modality), trial).value
        except NotFinite as error:
            log.warning(f"a look at the validation split gave no {name}: {error}")
        except Omitted as reason:
            if name == plan.keep:
                raise TrialError(f"keep = {name!r} cannot be measured: {reason}") from reason
            log.warning(f"no {name} in the learning curve: {reason}")
    return found
