"""Share of label-conditional samples that an independent classifier takes for what was asked.

Ravuri & Vinyals 2019 (arXiv:1905.10887) judge conditional models by classifiers; this is the half that needs no
training: the classifier saw real data only. Read it beside a measure of diversity: one good picture a class, drawn
again and again, scores 1. The classifier's own errors bound it from above, so compare with its accuracy on real data.
"""

from __future__ import annotations

import torch

from bench import Estimate, GenbenchError, Omitted, Space, metric, proportion_interval
from metrics._arrays import Array


def class_accuracy(logits: Array, labels: Array) -> Estimate:
    """In [0, 1], with Wilson's interval; 1 / classes for a model that does not listen.

    logits: ``(n, classes)``, the largest one is the answer.  labels: ``(n,)`` integers in [0, classes).
    Raises GenbenchError for other shapes, NaN or infinity, labels out of range, or a single class.
    """
    scores, asked = torch.as_tensor(logits), torch.as_tensor(labels)
    if scores.ndim != 2 or asked.shape != scores.shape[:1] or not len(asked):
        raise GenbenchError(
            f"logits must be (n, classes) and labels (n,), got {tuple(scores.shape)} and {tuple(asked.shape)}"
        )
    if asked.is_floating_point() or asked.dtype == torch.bool:
        raise GenbenchError(f"labels must be integers, got {asked.dtype}")
    if not torch.isfinite(scores).all():
        raise GenbenchError("logits hold NaN or infinity")
    n, classes = scores.shape
    if classes < 2 or len(asked.unique()) < 2:
        raise GenbenchError("one class alone is nothing to tell apart: ask for samples of at least two classes")
    if not 0 <= int(asked.min()) <= int(asked.max()) < classes:
        raise GenbenchError(f"labels must lie in [0, {classes}), as the classifier has that many classes")
    right = int((scores.argmax(1) == asked.to(scores.device)).sum())
    return Estimate(value=right / n, n=n, interval=proportion_interval(right, n), protocol={"classes": classes})


@metric(
    "class_accuracy",
    sides=("conditional",),
    on={"audio", "image"},
    aspect="relevance",
    unit="1",
    better="higher",
    least=0,
    most=1,
    lead=1,
    paper="arXiv:1905.10887",
)
def class_accuracy_of(space: Space) -> Estimate:
    """Share of samples made for a label that an independent classifier takes for that label."""
    labels = space.labels
    logits = space.of("conditional").logits
    if logits is None:
        raise Omitted(f"{space.name or 'a table of vectors'} is no classifier: this needs an extractor that is one")
    if not space.knows_classes:
        raise Omitted(f"{space.name} tells other classes apart than those that this data has")
    asked = int(labels.max()) + 1
    if asked != logits.shape[1]:
        raise Omitted(f"{space.name} knows {logits.shape[1]} classes, and samples were asked for of {asked}")
    if space.comparison.spec and not space.comparison.spec.captions:
        space.remark("the classes of the data have no names: its first was taken for the classifier's, and so on")
    return class_accuracy(logits, labels)
