"""Labels of what a conditional family is told."""

from __future__ import annotations

from torch import Tensor

from bench import GenbenchError


def needed(label: Tensor | None) -> Tensor:
    """The labels ``(batch,)`` of a model that cannot do without. Raises GenbenchError where there are none."""
    if label is None:
        raise GenbenchError("this model makes and scores what it is told: give Batch.condition, which is None here")
    return label
