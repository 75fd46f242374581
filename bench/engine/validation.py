"""Looks at a model while it trains: a few cheap metrics against the validation split. The test split never chooses."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import torch

from bench.engine.plan import TrialPlan
from bench.errors import Omitted
from bench.measure.comparison import measure
from bench.measure.names import find_metric
from bench.measure.trial import Trial
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
        return _of_validation(found) if name in ("tokens", "text") else found


def _of_validation(read: Callable[[str], Any]) -> Callable[[str], Any]:
    """Of a dataset of text: what reads a split by its name."""
    return lambda split: read("valid" if split == "test" else split)


def look(plan: TrialPlan, model: Generator, dataset: Dataset, device: torch.device) -> dict[str, float]:
    """The metrics of the plan's curve of the model as it is; one that cannot be measured is left out, and logged."""
    if module := model if isinstance(model, torch.nn.Module) and model.training else None:
        module.eval()
    trial = Trial(
        model,
        Validation(dataset),
        seed=plan.seed,
        n_samples=min(plan.budget.samples, len(dataset.valid)),
        batch_size=plan.budget.batch_size,
        device=device,
    )
    found = _measured(plan.curve, trial)
    if module:
        module.train()
    return found


def _measured(names: tuple[str, ...], trial: Trial) -> dict[str, float]:
    found = {}
    for name in names:
        try:
            found[name] = measure(find_metric(name), trial).value
        except Omitted as reason:
            log.warning(f"no {name} in the learning curve: {reason}")
    return found
