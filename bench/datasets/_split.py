"""Splits of what people bring: what they have set apart stays so, and what is missing is cut from the training set."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Annotated

import numpy as np
from pydantic import Field

from bench.datasets._image import SPLITS, Splits
from bench.errors import DataError, shown
from bench.protocols import SplitName

Share = Annotated[float, Field(gt=0, lt=0.5)]
ALIASES: Mapping[str, SplitName] = {
    "train": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}
LEAST = 10  # examples that can be split


def complete(what: str, given: Splits, valid: float, test: float) -> Splits:
    """All three splits, those not given cut from the training set, which is all there is where nothing was set apart.

    valid, test: their shares of the training set. Which examples are held out is decided by their content alone (they
    are ordered by its hash), so files may be renamed and moved; the same example twice stays on one side.
    Raises DataError for fewer than ten examples to cut from.
    """
    examples, labels = given["train"]
    hashes = np.array([hashlib.sha256(np.ascontiguousarray(x).data).digest() for x in examples], "S32")
    parts = held_out(what, hashes, hashes, missing(what, given, valid, test))
    cut = {name: (examples[rows], None if labels is None else labels[rows]) for name, rows in parts.items()}
    return {**given, **cut}


def missing(what: str, given: Collection[str], valid: float, test: float) -> dict[SplitName, float]:
    """The shares of the splits that are not given. Raises DataError where some are, and the training set is not."""
    if given and "train" not in given:
        raise DataError(f"{what} sets {' and '.join(given)} apart, and nothing to train on: name that part train")
    shares: Mapping[SplitName, float] = {"valid": valid, "test": test}
    return {name: share for name, share in shares.items() if name not in given}


def parted(
    what: str,
    one: str,
    left: np.ndarray,
    apart: Sequence[SplitName | None],
    keys: np.ndarray,
    hashes: np.ndarray,
    shares: tuple[float, float],
) -> dict[SplitName, np.ndarray]:
    """Rows by split: as they were set apart, and what is missing cut from the training set.

    one: what messages call a row.   left: the rows that are not dropped.   apart, keys, hashes: of every row, as
    ``held_out`` has the latter.   shares: to validate and to test. Raises DataError where a split would be empty.
    """
    given = {split: left[[apart[row] == split for row in left]] for split in SPLITS if split in apart}
    if empty := next((split for split, rows in given.items() if not len(rows)), ""):
        raise DataError(f"{what}, {empty}: no {one} is left")
    pool, gone = given.get("train", left), len(keys) - len(left)
    wanted = missing(what, given, *shares)
    whole = f"{what}, of {len(keys)} without {gone} that are dropped," if gone else what
    cut = held_out(whole, keys[pool], hashes[pool], wanted)
    return {**given, **{split: pool[places] for split, places in cut.items()}}


def held_out(
    what: str, keys: np.ndarray, hashes: np.ndarray, shares: Mapping[SplitName, float]
) -> dict[SplitName, np.ndarray]:
    """Rows of the training set by split: so large a share for each that is named, the rest for training.

    keys: ``(n,)`` bytes that decide where a row goes; rows of one key stay together.   hashes: ``(n,)``, of content.
    With nothing to hold out all rows stay in their order. Raises DataError where they cannot be split.
    """
    if not shares:
        return {"train": np.arange(len(keys))}
    if len(keys) < LEAST:
        raise DataError(f"{what} holds {len(keys)} examples, too few to be split: at least {LEAST} are needed")
    order = np.lexsort((hashes, keys))
    ends: list[int] = []
    for share in shares.values():
        end = (ends[-1] if ends else 0) + max(1, round(share * len(keys)))
        while end < len(order) and keys[order[end]] == keys[order[end - 1]]:
            end += 1
        ends.append(end)
    names: list[SplitName] = [*shares, "train"]
    parts = dict(zip(names, np.split(order, ends), strict=True))
    if not all(map(len, parts.values())):
        raise DataError(f"{what} holds the same example so often, or so few groups, that it cannot be split")
    return parts


def grouped(what: str, group: str, groups: Iterable[str | None]) -> None:
    """Raises DataError where a group is asked for and no example is of one."""
    if group and all(each is None for each in groups):
        raise DataError(f"{what}: group = {shown(group)} finds no key in any example: mend it, or leave it out")


def numbered(labels: Mapping[SplitName, np.ndarray]) -> tuple[dict[SplitName, np.ndarray], int]:
    """Labels of any kind as 0..classes-1, in their own order over all splits, and how many classes there are."""
    classes = np.unique(np.concatenate([x.ravel() for x in labels.values()]))
    return {name: np.searchsorted(classes, x.ravel()) for name, x in labels.items()}, len(classes)
