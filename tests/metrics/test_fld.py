"""Feature likelihood: near 0 for new data, high for bad samples, and a copy is found out by the gap."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from scipy import stats
from torch import Tensor

from bench import GenbenchError, TooFew
from metrics import fld
from metrics.fld import Mixture, divergence, fld_of, gap_of

D = 8


def rows(n: int, seed: int) -> Tensor:
    """Three clusters."""
    rng = torch.Generator().manual_seed(seed)
    centres = 4 * torch.eye(D)[:3]
    return centres[torch.randint(3, (n,), generator=rng)] + torch.randn(n, D, generator=rng)


TRAIN, TEST, NEW = rows(1500, 0), rows(600, 1), rows(500, 2)


def test_the_mixture_is_what_scipy_says() -> None:
    centres, log_variance = rows(5, 3).double(), torch.linspace(-1, 1, 5, dtype=torch.float64)
    x = rows(20, 4).double()
    densities = [
        stats.multivariate_normal(c.numpy(), math.exp(v)).pdf(x.numpy())
        for c, v in zip(centres, log_variance.tolist(), strict=True)
    ]
    expected = -np.log(np.mean(densities, axis=0)) / D
    np.testing.assert_allclose(Mixture(centres, log_variance).nll(x), expected, rtol=1e-10)


def test_the_fit_is_the_maximum() -> None:
    """One centre at the mean: its variance is the mean squared distance a dimension."""
    data = rows(400, 5).double()
    alone = fld._step(
        list(fld._squares(data, data.mean(0)[None])), torch.zeros(1).double(), torch.full((400, 1), -torch.inf), D
    )
    expected = (data - data.mean(0)).square().mean().log()
    assert float(alone[0]) == pytest.approx(float(expected), rel=1e-10)


def test_new_data_is_near_zero_and_worse_samples_are_worse() -> None:
    found = [fld_of(divergence(x, TEST, TRAIN)) for x in (NEW, NEW + 1, NEW + 3)]
    real, shifted, far = (e.value for e in found)
    assert abs(real) < 3 < shifted < far
    assert found[0].interval is not None


def test_copies_and_near_copies_fall_through_the_gap() -> None:
    jitter = 0.01 * torch.randn(500, D, generator=torch.Generator().manual_seed(6))
    new, near, copies = (gap_of(divergence(x, TEST, TRAIN)).value for x in (NEW, TRAIN[:500] + jitter, TRAIN[:500]))
    assert abs(new) < 10 and near < -40 and copies < -40


def test_a_model_that_shrinks_to_one_mode_is_bad_but_no_copy() -> None:
    shrunk = divergence(NEW[NEW[:, 0] > 2.5], TEST, TRAIN)
    assert fld_of(shrunk).value > 10 and abs(gap_of(shrunk).value) < 10


def test_duplicates_and_constant_columns_are_numbers() -> None:
    constant = [torch.cat([x, torch.ones(len(x), 1)], 1) for x in (NEW[:50].repeat(4, 1), TEST, TRAIN)]
    assert math.isfinite(fld_of(divergence(*constant)).value)


def test_order_and_what_is_kept_in_memory_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = fld_of(divergence(NEW, TEST, TRAIN)).value
    order = torch.randperm(len(NEW), generator=torch.Generator().manual_seed(7))
    assert fld_of(divergence(NEW[order], TEST, TRAIN)).value == pytest.approx(whole, rel=1e-8)
    monkeypatch.setattr(fld, "KEPT", 0)
    monkeypatch.setattr(fld, "ROWS", 100)
    assert fld_of(divergence(NEW, TEST, TRAIN)).value == pytest.approx(whole, rel=1e-8)


@pytest.mark.parametrize("seed", [8, 9])
def test_real_samples_vary_less_than_the_interval_says(seed: int) -> None:
    """Coverage of the truth of one mixture, new held-out data each time."""
    mixture_of = [fld_of(divergence(NEW, rows(300, 100 * seed + i), TRAIN)) for i in range(20)]
    truth = np.mean([e.value for e in mixture_of])
    held = [e.interval is not None and e.interval.lo <= truth <= e.interval.hi for e in mixture_of]
    assert np.mean(held) >= 0.85


def test_bad_input_is_named() -> None:
    with pytest.raises(GenbenchError, match="one width"):
        divergence(NEW, TEST, TRAIN[:, :3])
    with pytest.raises(GenbenchError, match="NaN"):
        divergence(NEW.clone().fill_(torch.nan), TEST, TRAIN)
    with pytest.raises(TooFew, match="at least 4"):
        divergence(NEW, TEST, TRAIN[:3])
