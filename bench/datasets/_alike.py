"""Pictures that are the same but for how they were saved: found by a perceptual hash, held to be so by their pixels.

The hash has 64 bits: which of the 8x8 lowest frequencies of the grey picture, brought to 16x16, lie above their median
(Zauner 2010, pHash). Two that differ in at most 7 bits are the same in one of four bands of 16 bits but for one bit at
most, so that a sorted table of each band finds every such pair without comparing all with all (Norouzi et al. 2012,
arXiv:1307.2982). A hash alone would call two drawings alike that differ in one stroke, so that what it finds must also
agree in its pixels.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

_GREY = (0.299, 0.587, 0.114)
SIDE, COARSE = 16, 8  # pixels that pictures are compared by: of a thumb, and of a glance at it
RADIUS, BAND = 7, 16  # bits
SHARE = 0.005  # of the variance of a picture by which another may differ and still be the same
LEVEL = 1.0  # squared levels that rounding may take
FAINT = 0.25  # of its variance, where that is less than LEVEL: two that are nearly flat are not the same by that
MOST = 32  # others that are looked at of those that share a band, in the order of their hashes
Hashes = NDArray[np.uint64]
Rows = NDArray[np.int64]


def thumbs(x: Tensor) -> Tensor:
    """``(n, C, H, W)`` uint8 as ``(n, C, 16, 16)`` float32: means of areas, so that no detail is missed."""
    return torch.nn.functional.adaptive_avg_pool2d(x.float(), SIDE)


def grey_of(thumb: Tensor) -> Tensor:
    """``(n, 16, 16)``, weighed as JPEG does (ITU-R 601)."""
    return torch.einsum("nchw,c->nhw", thumb, torch.tensor(_GREY)) if thumb.shape[1] == 3 else thumb[:, 0]


def traits(thumb: Tensor) -> NDArray[np.float32]:
    """``(n, numbers)`` by which pictures are compared: grey at 16x16 and, since JPEG blurs them, colours at 4x4."""
    grey = grey_of(thumb)
    colours = torch.nn.functional.adaptive_avg_pool2d(thumb - grey[:, None], SIDE // 4)
    return torch.cat([grey.flatten(1), 2 * colours.flatten(1)], 1).numpy()


def glances(thumb: Tensor) -> NDArray[np.uint8]:
    """Thumbs as ``(n, 64)`` levels of grey: little enough to be kept of every picture."""
    grey = torch.nn.functional.adaptive_avg_pool2d(grey_of(thumb), COARSE)
    return grey.round().to(torch.uint8).flatten(1).numpy()


def perceptual_hashes(thumb: Tensor) -> Hashes:
    """``(n,)`` of 64 bits."""
    from scipy.fft import dctn

    waves = dctn(grey_of(thumb).numpy(), axes=(1, 2))[:, :COARSE, :COARSE].reshape(-1, 64)
    bits = waves > np.median(waves[:, 1:], axis=1, keepdims=True)
    found: Hashes = np.packbits(bits, axis=1).view(np.uint64).ravel()
    return found


def near_pairs(hashes: Hashes, glance: NDArray[np.uint8], thumbs_of: Callable[[Rows], Tensor]) -> NDArray[np.int64]:
    """``(pairs, 2)`` rows, the lower first, of pictures that are the same but for how they were saved.

    thumbs_of: of these rows. They are asked for where hashes and glances agree, and that is seldom.
    """
    found: set[tuple[int, int]] = set()
    for pairs in _candidates(hashes):
        pairs = pairs[_agree(*(glance[pairs[:, side]].astype(np.float32) for side in (0, 1)))]
        for some in np.array_split(pairs, max(1, len(pairs) // 256)):
            new = np.array([pair for pair in some.tolist() if tuple(pair) not in found], np.int64).reshape(-1, 2)
            if len(new):
                one, other = (traits(thumbs_of(new[:, side])) for side in (0, 1))
                found.update(map(tuple, new[_agree(one, other)].tolist()))
    return np.array(sorted(found), np.int64).reshape(-1, 2)


def _agree(one: NDArray[np.float32], other: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which rows of numbers differ by no more than a share of their own variance: flat ones do not agree at all."""
    apart: NDArray[np.float32] = np.square(one - other).mean(1)
    own = np.minimum(one.var(1), other.var(1))
    found: NDArray[np.bool_] = apart < np.maximum(SHARE * own, np.minimum(FAINT * own, LEVEL))
    return found


def _candidates(hashes: Hashes) -> Iterator[NDArray[np.int64]]:
    """Pairs of rows, the lower first, whose hashes differ in at most 7 bits; some come several times."""
    for band in range(0, 64, BAND):
        # The band first, then all other bits: neighbours in this order are most alike.
        turned = (hashes << np.uint64(band)) | (hashes >> np.uint64((64 - band) % 64))
        order = np.argsort(turned, kind="stable")
        turned = turned[order]
        keys = turned >> np.uint64(64 - BAND)
        first = np.arange(1, len(keys) + 1)  # each pair of one band once
        yield from _within(hashes, order, first, np.minimum(np.searchsorted(keys, keys, "right"), first + MOST))
        for flip in (np.uint64(1 << bit) for bit in range(BAND)):
            nearest = np.searchsorted(turned, turned ^ (flip << np.uint64(64 - BAND))) - MOST // 2
            first = np.maximum(np.searchsorted(keys, keys ^ flip, "left"), nearest)
            last = np.minimum(np.searchsorted(keys, keys ^ flip, "right"), first + MOST)
            yield from _within(hashes, order, first, last)


def _within(hashes: Hashes, order: Rows, first: Rows, last: Rows) -> Iterator[NDArray[np.int64]]:
    """Of each place in an order and those from ``first`` to ``last`` the pairs that differ in few bits."""
    place = np.arange(len(order))
    for step in range(int((last - first).max(initial=0))):
        has = first + step < last
        one, other = order[place[has]], order[(first + step)[has]]
        close = np.bitwise_count(hashes[one] ^ hashes[other]) <= RADIUS
        pairs = np.stack([np.minimum(one, other), np.maximum(one, other)], 1)[close]
        if len(pairs):
            yield pairs
