"""Splits of what people bring: what they have set apart stays so, and what is missing is cut from the training set."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Annotated

import numpy as np
from pydantic import Field

from bench.datasets._image import Splits
from bench.errors import DataError
from bench.protocols import SplitName

Share = Annotated[float, Field(gt=0, lt=0.5)]
ALIASES: Mapping[str, SplitName] = {"train": "train", "valid": "valid", "val": "valid", "test": "test"}
LEAST = 10  # examples that can be split


def complete(what: str, given: Splits, valid: float, test: float) -> Splits:
    """All three splits, those not given cut from the training set, which is all there is where nothing was set apart.

    valid, test: their shares of the training set. Which examples are held out is decided by their content alone (they
    are ordered by its hash), so files may be renamed and moved; the same example twice stays on one side.
    Raises DataError for fewer than ten examples to cut from.
    """
    examples, labels = given["train"]
    shares: Mapping[SplitName, float] = {"valid": valid, "test": test}
    wanted = {name: share for name, share in shares.items() if name not in given}
    if wanted and len(examples) < LEAST:
        raise DataError(f"{what} holds {len(examples)} examples, too few to be split: at least {LEAST} are needed")
    hashes = np.array([hashlib.sha256(np.ascontiguousarray(x).data).hexdigest() for x in examples])
    order = np.argsort(hashes, kind="stable") if wanted else np.arange(len(examples))
    ends: list[int] = []
    for share in wanted.values():
        end = (ends[-1] if ends else 0) + max(1, round(share * len(examples)))
        while end < len(order) and hashes[order[end]] == hashes[order[end - 1]]:
            end += 1
        ends.append(end)
    names: list[SplitName] = [*wanted, "train"]
    parts = dict(zip(names, np.split(order, ends), strict=True))
    if not all(map(len, parts.values())):
        raise DataError(f"{what} holds the same example so often that it cannot be split")
    cut = {name: (examples[rows], None if labels is None else labels[rows]) for name, rows in parts.items()}
    return {**given, **cut}


def numbered(labels: Mapping[SplitName, np.ndarray]) -> tuple[dict[SplitName, np.ndarray], int]:
    """Labels of any kind as 0..classes-1, in their own order over all splits, and how many classes there are."""
    classes = np.unique(np.concatenate([x.ravel() for x in labels.values()]))
    return {name: np.searchsorted(classes, x.ravel()) for name, x in labels.items()}, len(classes)
