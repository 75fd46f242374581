"""Streamed moments against numpy's, whatever the batches, their order and the shards."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bench.measure.moments import Moments, MomentSum

X = 1e4 + torch.randn(1000, 12, generator=torch.Generator().manual_seed(0))


def streamed(*batches: torch.Tensor) -> Moments:
    total = MomentSum()
    for batch in batches:
        total.update(batch)
    return total.result()


def same(a: Moments, b: Moments) -> None:
    assert a.n == b.n
    torch.testing.assert_close(a.mean, b.mean, rtol=1e-12, atol=0)
    torch.testing.assert_close(a.covariance, b.covariance, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("size", [1, 7, 250, 1000])
def test_they_are_numpys_in_float64_at_any_batch_size(size: int) -> None:
    """At a mean of 10,000 and a spread of 1, sums of raw float32 squares would keep no digit."""
    found = streamed(*X.split(size))
    exact = X.double().numpy()
    np.testing.assert_allclose(found.mean, exact.mean(0), rtol=1e-13)
    np.testing.assert_allclose(found.covariance, np.cov(exact, rowvar=False), rtol=1e-9, atol=1e-9)
    assert found.n == 1000


def test_order_and_shards_change_nothing() -> None:
    whole = streamed(X)
    same(streamed(X[torch.randperm(1000, generator=torch.Generator().manual_seed(1))]), whole)
    left, right = MomentSum().update(X[:300]), MomentSum().update(X[300:])
    same(right.merge(left).merge(MomentSum()).result(), whole)


def test_one_row_has_no_covariance() -> None:
    with pytest.raises(ValueError, match="at least two rows"):
        streamed(X[:1])
