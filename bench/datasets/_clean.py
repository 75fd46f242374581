"""The first stage: what stands twice, and what is in training and held out at once.

Of two that are the same the one that is held out stays, since what others have been tested on should not change. Of
two in one split it is the first; of two that were saved in different ways the larger, then the one saved without loss.
Where their labels differ, none of them stays: whose label is right cannot be told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterable, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from torch import Tensor

from bench.datasets._alike import glances, near_pairs, perceptual_hashes, thumbs
from bench.datasets._findings import GROUPS, LABELS, LEAK, NEAR_LEAK, NEARLY, TWICE, Twin
from bench.protocols import SplitName

_HELD_OUT: Sequence[SplitName] = ("test", "valid", "train")  # which of two that are the same stays


class Looks(NamedTuple):
    """What is kept of every picture to be compared by: ``(n,)`` SHA-256, ``(n,)`` of 64 bits, ``(n, 64)`` levels."""

    digests: NDArray[np.bytes_]
    hashes: NDArray[np.uint64]
    glances: NDArray[np.uint8]

    @classmethod
    def of(cls, chunks: Iterable[np.ndarray], n: int, near: bool) -> Looks:
        """Of n pictures ``(..., C, H, W)`` that come a few at a time. near: whether more than digests is needed."""
        digests, seen = np.empty(n, "S32"), n if near else 0
        hashes, levels, start = np.empty(seen, np.uint64), np.empty((seen, 64), np.uint8), 0
        for chunk in chunks:
            end = start + len(chunk)
            digests[start:end] = [hashlib.sha256(np.ascontiguousarray(picture).data).digest() for picture in chunk]
            if near:
                small = thumbs(torch.from_numpy(np.array(chunk)))
                hashes[start:end], levels[start:end] = perceptual_hashes(small), glances(small)
            start = end
        return cls(digests, hashes, levels)


def twins(
    looks: Looks,
    splits: Sequence[SplitName] | None,
    take: Callable[[NDArray[np.int64]], np.ndarray] | None,
    worth: Sequence[int] | None = None,
    labels: Sequence[str | None] = (),
) -> list[Twin]:
    """Every example that is the same as one that stays. splits: of each row; None where nothing is set apart.

    take: the pixels of rows; None of what has none, and is the same only to the last character.
    worth: of each row; of two that are nearly the same that of the higher stays, else the first.
    labels: of each row; where those of a split that are the same bear different ones, none of them stays.
    """
    n = len(looks.digests)
    rank = np.zeros(n, int) if splits is None else np.array([_HELD_OUT.index(split) for split in splits])
    place = np.empty(n, np.int64)  # in the order in which they may stay
    place[np.lexsort((np.arange(n), -np.array(worth or np.zeros(n), np.int64), rank))] = np.arange(n)
    order = np.lexsort((np.arange(n), rank, looks.digests))
    heads = np.flatnonzero(np.r_[True, looks.digests[order][1:] != looks.digests[order][:-1]]) if n else order
    stays = np.empty(n, np.int64)
    stays[order] = order[np.repeat(heads, np.diff(np.r_[heads, n]))]
    exactly = {int(row): int(stays[row]) for row in np.flatnonzero(stays != np.arange(n))}
    nearly = _near_twins(looks, np.sort(order[heads]), place, take) if take and len(looks.hashes) else {}
    found = [(row, other, TWICE, LEAK) for row, other in exactly.items()]
    found += [(row, other, NEARLY, NEAR_LEAK) for row, other in nearly.items()]
    same = [Twin(row, other, twice if rank[row] == rank[other] else leak) for row, other, twice, leak in sorted(found)]
    return _with_contested(same, rank, labels) if labels and None not in labels else same


def _with_contested(same: Sequence[Twin], rank: NDArray[np.int64], labels: Sequence[str | None]) -> list[Twin]:
    """The same, and all of a split that are one picture under several labels, each beside one that bears another."""
    stays = {twin.row: twin.stays for twin in same}
    alike: dict[int, list[int]] = {}
    for row in stays:
        first = row
        while first in stays:
            first = stays[first]
        if rank[row] == rank[first]:
            alike.setdefault(first, [first]).append(row)
    found = {
        row: Twin(row, next(other for other in rows if labels[other] != labels[row]), LABELS)
        for rows in alike.values()
        if len({labels[row] for row in rows}) > 1
        for row in rows
    }
    return sorted([*(twin for twin in same if twin.row not in found), *found.values()])


def _near_twins(
    looks: Looks, rows: NDArray[np.int64], place: NDArray[np.int64], take: Callable[[NDArray[np.int64]], np.ndarray]
) -> dict[int, int]:
    """Of rows that all differ each that is nearly another one, which stays: taken by place, those before it count."""

    def thumbs_of(places: NDArray[np.int64]) -> Tensor:
        return thumbs(torch.from_numpy(take(rows[places])))

    beside: dict[int, list[int]] = {}
    for one, other in rows[near_pairs(looks.hashes[rows], looks.glances[rows], thumbs_of)].tolist():
        first, second = sorted((one, other), key=place.__getitem__)
        beside.setdefault(second, []).append(first)
    found: dict[int, int] = {}
    for row in sorted(beside, key=place.__getitem__):
        if stays := [other for other in beside[row] if other not in found]:
            found[row] = stays[0]
    return found


def straddling(groups: Sequence[str | None], splits: Sequence[SplitName], known: Collection[int]) -> list[Twin]:
    """Rows of groups that are held out elsewhere too, each beside one of those that stay, but for those known."""
    first: dict[str, int] = {}
    found = []
    for row in sorted(range(len(splits)), key=lambda row: _HELD_OUT.index(splits[row])):
        group = groups[row]
        if group is not None and splits[row] != splits[other := first.setdefault(group, row)] and row not in known:
            found.append(Twin(row, other, GROUPS))
    return found


def keys_of(looks: Looks, groups: Sequence[str | None], same: Sequence[Twin]) -> NDArray[np.bytes_]:
    """``(rows,)``: what decides where a row goes; one for all of a group, and for all that are the same."""
    keys = np.array(looks.digests)
    for row, group in enumerate(groups):
        if group is not None:
            keys[row] = hashlib.sha256(group.encode("utf-8", "surrogatepass")).digest()
    names, places = np.unique(keys, return_inverse=True)
    ends = places[np.array([twin[:2] for twin in same], np.int64).reshape(-1, 2)]
    graph = coo_array((np.ones(len(ends)), (ends[:, 0], ends[:, 1])), (len(names), len(names)))
    joined = connected_components(graph, directed=False)[1]
    _, lowest = np.unique(joined, return_index=True)
    found: NDArray[np.bytes_] = names[lowest][joined[places]]
    return found
