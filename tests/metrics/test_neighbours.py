"""Neighbours and balls against every distance written out in float64, where it is easy and where it is not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from bench import GenbenchError
from metrics._arrays import TILE, by_content
from metrics.features._balls import Balls, contained
from metrics.features._neighbours import Pairs, as_pair, neighbours, neighbours_among

MATMUL: Any = torch.backends.mkldnn.matmul  # type: ignore[attr-defined]


def rows(n: int, width: int, seed: int = 0) -> Tensor:
    return torch.randn(n, width, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def squared_distances(x: Tensor, y: Tensor) -> Tensor:
    """All of them, as sums of squared differences."""
    return torch.stack([(row - y.double()).square().sum(1) for row in x.double()])


def lattice(n: int, seed: int = 0) -> Tensor:
    """Points on a coarse grid, where nearly every distance is shared by many."""
    return torch.randint(0, 4, (n, 3), generator=torch.Generator().manual_seed(seed)).double()


def far_clusters(n: int, seed: int = 0) -> Tensor:
    """Tight clusters a million of their widths apart."""
    return rows(n, 16, seed) + 1e6 * rows(5, 16, seed + 1)[torch.arange(n) % 5]


def near_copies(n: int, seed: int = 0) -> Tensor:
    """Every row once more at a millionth of the usual distance, with a large common offset."""
    half = rows(n // 2, 300, seed)
    return torch.cat([half, half + 1e-6 * rows(n // 2, 300, seed + 1)]) + 1000


def outlier(n: int, seed: int = 0) -> Tensor:
    x = rows(n, 8, seed)
    x[3] = 1e12
    return x


def repeated(n: int, seed: int = 0) -> Tensor:
    """Ten different rows, over and over."""
    return rows(10, 40, seed)[torch.arange(n) % 10]


HARD = {
    "plain": lambda n, seed=0: rows(n, 200, seed),
    "float32": lambda n, seed=0: rows(n, 200, seed).float(),
    "one column": lambda n, seed=0: rows(n, 1, seed),
    "lattice": lattice,
    "far clusters": far_clusters,
    "near copies": near_copies,
    "outlier": outlier,
    "repeated": repeated,
    "tiny": lambda n, seed=0: 1e-40 * rows(n, 9, seed),
    "huge": lambda n, seed=0: 1e100 * rows(n, 9, seed),
}


@pytest.mark.parametrize("kind", HARD)
class TestAgainstEveryDistance:
    def test_neighbours_within_a_set(self, kind: str) -> None:
        x = HARD[kind](150)
        every = squared_distances(x, x).fill_diagonal_(torch.inf)
        found = neighbours(x, 4)
        torch.testing.assert_close(found.squared, every.sort(dim=1).values[:, :4], rtol=1e-12, atol=0)
        torch.testing.assert_close(every.gather(1, found.indices), found.squared, rtol=1e-12, atol=0)
        assert all(len(set(row)) == 4 for row in found.indices.tolist())

    def test_neighbours_in_another_set(self, kind: str) -> None:
        x, y = HARD[kind](120), HARD[kind](150, 0)[20:]
        every = squared_distances(x, y)
        found = neighbours_among(x, y, 4)
        torch.testing.assert_close(found.squared, every.sort(dim=1).values[:, :4], rtol=1e-12, atol=0)
        torch.testing.assert_close(every.gather(1, found.indices), found.squared, rtol=1e-12, atol=0)

    @pytest.mark.parametrize("strict", [True, False])
    def test_what_lies_in_which_ball(self, kind: str, strict: bool) -> None:
        x, y = HARD[kind](120), HARD[kind](150, 0)[20:]
        around_x, around_y = (Balls(neighbours(side, 3).squared[:, -1], strict) for side in (x, y))
        every = squared_distances(x, y)
        (in_x,), (in_y,) = contained(x, y, [around_x], [around_y], 3)
        for found, distances, balls in ((in_x, every, around_x), (in_y, every.T, around_y)):
            sphere = balls.squared[:, None]
            inside = distances < sphere if strict else distances <= sphere
            assert torch.equal(found.points, inside.sum(1))
            assert torch.equal(found.balls, inside.sum(0))
            assert torch.equal(found.alone, inside[:, inside.sum(0) == 1].sum(1))
            for limit in (1, 3):
                assert torch.equal(found.scarce(limit), inside[inside.sum(1) <= limit].sum(0).double())


def test_tiles_are_joined_as_one() -> None:
    """More rows than two tiles hold, and not a multiple of them."""
    x, y = rows(2 * TILE + 77, 5, 0), rows(TILE + 5, 5, 1)
    alone = torch.cdist(x, x, compute_mode="donot_use_mm_for_euclid_dist").fill_diagonal_(torch.inf)
    torch.testing.assert_close(neighbours(x, 3).distances, alone.sort(dim=1).values[:, :3], rtol=1e-10, atol=0)
    across = torch.cdist(x, y, compute_mode="donot_use_mm_for_euclid_dist")
    found = neighbours_among(x, y, 3)
    torch.testing.assert_close(found.distances, across.sort(dim=1).values[:, :3], rtol=1e-10, atol=0)
    radius = torch.full((len(x),), 0.5, dtype=torch.float64)
    (balls,), _ = contained(x, y, [Balls(radius.square())], [])
    assert torch.equal(balls.points, (across < 0.5).sum(1)) and torch.equal(balls.balls, (across < 0.5).sum(0))


def test_a_copy_is_at_distance_zero_and_a_near_copy_where_it_is() -> None:
    """float32 matrix products put these, at 2,048 columns, some 0.006 of the usual distance away."""
    x = rows(300, 2048).float() + 50
    moved = x.clone()
    moved[:, 0] += 1e-3
    assert neighbours_among(x, x, 1).squared.eq(0).all()
    gap = (moved[:, 0].double() - x[:, 0].double()).abs()
    torch.testing.assert_close(neighbours_among(moved, x, 1).distances[:, 0], gap, rtol=1e-12, atol=0)


@pytest.mark.parametrize("kind", HARD)
def test_the_bound_holds_for_every_pair(kind: str) -> None:
    x, y = HARD[kind](90), HARD[kind](80, 7)
    pairs = Pairs(x, y)
    i, j = torch.meshgrid(torch.arange(90), torch.arange(80), indexing="ij")
    exact = pairs.exact(i.flatten(), j.flatten()).view(90, 80) / pairs.scale**2
    lower = pairs.lower(slice(None), slice(None)).double()
    assert (lower <= exact).all()
    assert (lower + 2 * pairs.width(i.flatten(), j.flatten()).view(90, 80) >= exact).all()


def test_rounded_products_are_not_trusted() -> None:
    """Where float32 products are made of fewer digits (TF32, bfloat16), the coarse pass is float64 and stays right."""
    x = near_copies(100)
    before = MATMUL.fp32_precision
    try:
        MATMUL.fp32_precision = "bf16"
        found = neighbours(x, 2)
    finally:
        MATMUL.fp32_precision = before
    every = squared_distances(x, x).fill_diagonal_(torch.inf)
    torch.testing.assert_close(found.squared, every.sort(dim=1).values[:, :2], rtol=1e-12, atol=0)


def test_order_of_rows_does_not_matter() -> None:
    x = rows(200, 6)
    turn = torch.randperm(200, generator=torch.Generator().manual_seed(3))
    assert torch.equal(neighbours(x, 3).squared[turn], neighbours(x[turn], 3).squared)


@pytest.mark.parametrize("kind", ["lattice", "repeated", "plain"])
@pytest.mark.parametrize("within", [True, False])
def test_nor_does_it_where_distances_are_shared(kind: str, within: bool) -> None:
    """The same rows are named, told by what they hold, in the same order."""
    x, y = HARD[kind](120), HARD[kind](150, 5)
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(3))

    def named(y: Tensor) -> Tensor:
        return y[(neighbours(y, 5) if within else neighbours_among(x, y, 5)).indices]

    before, after = named(y), named(y[order])
    assert torch.equal(before[order] if within else before, after)


def test_the_order_of_contents_is_that_of_no_rows() -> None:
    x = lattice(200)
    turned = x[torch.randperm(200, generator=torch.Generator().manual_seed(3))]
    assert torch.equal(x[by_content(x)], turned[by_content(turned)])
    assert torch.equal(by_content(x), by_content(x.float()))


def test_what_has_no_distances_is_refused() -> None:
    good = rows(20, 3)
    with pytest.raises(GenbenchError, match="rescale them"):
        as_pair(1e200 * good, good, 2)
    with pytest.raises(GenbenchError, match="one width, got 3 and 4"):
        as_pair(good, rows(20, 4), 2)
    with pytest.raises(GenbenchError, match="at least 21 are needed"):
        as_pair(good, good, 21)
    with pytest.raises(GenbenchError, match="NaN or infinity"):
        as_pair(good, np.full((20, 3), np.nan), 2)
