"""Labels of what a conditional family is told, and guidance by them.

Where one net shall know p(x|y) and p(x), labels are withheld from some of the examples. Samples then follow

    f(x) + w (f(x|y) - f(x))

where f is a score, a velocity, an image or log p, and w the guidance: classifier-free guidance (Ho & Salimans 2022,
arXiv:2207.12598, Eq. 6, with its w + 1 for w), of which 1 is p(x|y) itself and 0 p(x).
"""

from __future__ import annotations

import torch
from torch import Tensor

from bench import DataSpec, GenbenchError, Unsupported, checked_labels

LABEL_DROPOUT = 0.1  # of examples from which labels are withheld, if nothing is said


def classes_of(spec: DataSpec, conditional: bool, family: str, twin: str) -> int:
    """How many classes a family is told of: none where it is not ``conditional``.

    family: its name where it is, and twin: that of the same without labels. Raises Unsupported for data without labels.
    """
    if not conditional:
        return 0
    if not spec.classes:
        raise Unsupported(f"{family} makes what labels ask for, and the data has none: take {twin}")
    return spec.classes


def classes_if(labels: bool | str, spec: DataSpec, label_dropout: float, guidance: float) -> int | None:
    """How many classes a family is told of for which labels are an option; None where it is told of none.

    Raises GenbenchError for ``label_dropout``, unless it is as if left out, and for guidance where ``labels`` are not
    asked for; Unsupported for guidance by labels that the data has not.
    """
    if not labels and guidance != 1:
        raise GenbenchError(f"guidance = {guidance:g} is that of labels: take labels = true")
    if not labels and label_dropout != LABEL_DROPOUT:
        raise GenbenchError(f"label_dropout = {label_dropout:g} is a share of labels: take labels = true")
    if not spec.classes and guidance != 1:
        raise Unsupported(f"guidance = {guidance:g} is that of labels, and the data has none: leave it out")
    return spec.classes if labels else None


def needed(label: Tensor | None, classes: int = 0) -> Tensor:
    """The labels ``(batch,)`` of a model that cannot do without. Raises GenbenchError where there are none, and as
    ``known``."""
    if label is None:
        raise GenbenchError("this model makes and scores what it is told: give Batch.condition, which is None here")
    found = known(label, classes)
    return label if found is None else found


def known(label: Tensor | None, classes: int | None) -> Tensor | None:
    """The labels ``(batch,)`` that a model of so many classes is told; None without classes.

    Raises GenbenchError for a label that is none of them; on an accelerator, where to look would be to wait for it in
    each step, the net itself does.
    """
    if not classes or label is None:
        return None
    return checked_labels(label, len(label), classes) if label.device.type == "cpu" else label


def withheld(label: Tensor | None, classes: int | None, share: float, rng: torch.Generator) -> Tensor | None:
    """Labels ``(batch,)``, a ``share`` of them replaced by ``classes``, which stands for none; None without classes.

    Raises as ``known``.
    """
    if (label := known(label, classes)) is None or classes is None:
        return None
    return label.masked_fill(torch.rand(len(label), generator=rng, device=rng.device) < share, classes)


def twice(label: Tensor, classes: int | None) -> Tensor:
    """Labels ``(batch,)``, and behind them as many that stand for none: what ``guided`` is to be asked for."""
    return torch.cat([label, torch.full_like(label, classes or 0)])


def guided(both: Tensor, guidance: float) -> Tensor:
    """Of what was said for ``twice``, ``(2 batch, ...)``, what samples follow, ``(batch, ...)``."""
    conditional, unconditional = both.chunk(2)
    return unconditional + guidance * (conditional - unconditional)
