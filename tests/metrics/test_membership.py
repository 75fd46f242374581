"""Membership inference: against scikit-learn, and with models that remember everything or nothing."""

from __future__ import annotations

import itertools
import math
from typing import Any, Literal

import numpy as np
import pytest
import torch
from scipy import stats
from sklearn.metrics import roc_auc_score
from torch import Tensor

from bench import Batch, Estimate, GenbenchError, Interval, TooFew, Trial
from bench.datasets._text import TextDataset
from metrics.likelihood.membership import auc, membership_auc, pair_counts_auc
from tests.metrics.coverage import assert_honest


def interval_of(estimate: Estimate) -> Interval:
    assert estimate.interval is not None
    return estimate.interval


def trial_of(model: Any, dataset: Any, batch_size: int = 32) -> Trial[Any]:
    return Trial(model, dataset, seed=0, n_samples=8, batch_size=batch_size, device=torch.device("cpu"))


@pytest.fixture(scope="module")
def text() -> TextDataset:
    rng = np.random.default_rng(0)
    sizes = {"train": 30000, "valid": 100, "test": 10005}
    texts = {split: "".join(rng.choice(list("abcdefgh"), n)) for split, n in sizes.items()}
    return TextDataset("letters", texts, window=10)  # type: ignore[arg-type]


class TestArea:
    @pytest.mark.parametrize("levels", [3, 10, 10**9])
    def test_it_is_scikit_learns(self, levels: int) -> None:
        """With many ties, with some, with none."""
        rng = np.random.default_rng(levels)
        train, test = (rng.integers(0, levels, n).astype(float) + shift for n, shift in ((80, 1), (60, 0)))
        truth = np.r_[np.ones(80), np.zeros(60)]
        assert auc(train, test).value == pytest.approx(roc_auc_score(truth, np.r_[train, test]), rel=1e-12)

    def test_it_is_the_share_of_pairs(self) -> None:
        assert auc(np.array([1.0, 3.0]), np.array([2.0, 3.0, 0.0])).value == pytest.approx((1 + 2.5) / 6)

    def test_the_variance_is_delongs(self) -> None:
        """From the placements written out pair by pair (DeLong et al. 1988, Eq. 3-5)."""
        rng = np.random.default_rng(0)
        train, test = rng.integers(0, 12, 40) + 2.0, rng.integers(0, 12, 30).astype(float)
        wins = (train[:, None] > test) + 0.5 * (train[:, None] == test)
        error = math.sqrt(wins.mean(1).var(ddof=1) / 40 + wins.mean(0).var(ddof=1) / 30)
        found = auc(train, test)
        assert interval_of(found).method == "DeLong"
        assert interval_of(found).hi == pytest.approx(found.value + 1.959964 * error, rel=1e-6)

    @pytest.mark.parametrize("shift", [0.0, 1.0])
    def test_the_interval_covers_the_truth(self, shift: float) -> None:
        """Of normal scores a shift apart the area is Phi(shift / sqrt 2)."""
        rng, hits = np.random.default_rng(3), 0
        for _ in range(400):
            found = interval_of(auc(rng.normal(shift, 1, 100), rng.normal(0, 1, 100)))
            hits += found.lo < stats.norm.cdf(shift / math.sqrt(2)) < found.hi
        assert 0.90 <= hits / 400 <= 0.98

    @pytest.mark.parametrize("shift", [2.5, 3.5])
    def test_it_covers_near_the_end(self, shift: float) -> None:
        """Areas of .96 and .993, of 50 against 60."""
        rng, hits = np.random.default_rng(4), 0
        for _ in range(400):
            found = interval_of(auc(rng.normal(shift, 1, 50), rng.normal(0, 1, 60)))
            hits += found.lo < stats.norm.cdf(shift / math.sqrt(2)) < found.hi
        assert_honest(hits / 400, 400)

    def test_sides_apart_are_not_certain(self) -> None:
        found = auc(np.arange(50.0) + 100, np.arange(60.0))
        assert found.value == 1 == interval_of(found).hi
        assert 0.9 < interval_of(found).lo < 0.95
        assert auc(np.arange(60.0), np.arange(50.0) + 100).value == 0

    def test_one_score_for_all_tells_nothing_and_is_not_certain(self) -> None:
        found = auc(np.zeros(300), np.zeros(400))
        assert found.value == 0.5
        assert interval_of(found).lo == pytest.approx(0.444, abs=1e-3)
        assert interval_of(found).hi == pytest.approx(0.556, abs=1e-3)

    def test_an_impossible_example_has_the_lowest_score(self) -> None:
        assert auc(np.array([0.0, 1.0]), np.array([-np.inf, -np.inf])).value == 1

    def test_bad_scores_are_refused(self) -> None:
        with pytest.raises(TooFew, match="1 training examples are too few: at least 2"):
            auc(np.zeros(1), np.zeros(5))
        with pytest.raises(TooFew, match="1 held-out examples"):
            auc(np.zeros(5), np.zeros(1))
        with pytest.raises(GenbenchError, match="NaN"):
            auc(np.zeros(5), np.array([0, np.nan]))


class Lookup:
    """Remembers its training windows to the letter, or (``share``) only so many of them."""

    bound = False
    log_prob_of: Literal["mass", "density"] = "mass"

    def __init__(self, dataset: TextDataset, share: float = 1.0) -> None:
        windows = dataset.tokens("train").split(10)
        self.known = {tuple(w.tolist()) for w in windows[: int(share * len(windows))]}

    def log_prob(self, batch: Batch) -> Tensor:
        return torch.tensor([-1.0 if tuple(row.tolist()) in self.known else -20.0 for row in batch.data])

    def sample(self, n: int, rng: torch.Generator, condition: Tensor | None = None) -> Tensor:
        return torch.zeros(n, 10, dtype=torch.int64)


class Counts(Lookup):
    """Knows the letters' frequencies and nothing of its training text."""

    def log_prob(self, batch: Batch) -> Tensor:
        return -batch.data.double().sum(1)


class TestModels:
    def test_a_lookup_table_is_found_out(self, text: TextDataset) -> None:
        found = membership_auc(trial_of(Lookup(text), text))
        assert found.value == 1 and interval_of(found).lo > 0.99
        assert (found.protocol["n_train"], found.protocol["n_heldout"]) == (1000, 1000)

    def test_half_a_memory_is_half_found_out(self, text: TextDataset) -> None:
        """Half of the training windows stand out, the others tie with those held out: 0.5 + 0.5 / 2."""
        found = interval_of(membership_auc(trial_of(Lookup(text, 0.5), text)))
        assert found.lo < 0.75 < found.hi and found.lo > 0.7

    def test_a_model_that_remembers_nothing_cannot_tell(self, text: TextDataset) -> None:
        found = interval_of(membership_auc(trial_of(Counts(text), text)))
        assert found.lo < 0.5 < found.hi and found.hi - found.lo < 0.06

    def test_splits_that_differ_by_themselves_are_told(self, caplog: pytest.LogCaptureFixture) -> None:
        """Letters of the held-out text in another order than in the training text; of one law nothing is said."""
        rng = np.random.default_rng(1)
        texts = {split: "".join(rng.choice(list("abcd"), 20000)) for split in ("train", "valid", "test")}
        for test, told in ((texts["test"], False), ("".join(sorted(texts["test"][:10000])) * 2, True)):
            caplog.clear()
            data = TextDataset("letters", {**texts, "test": test}, window=10)  # type: ignore[dict-item]
            membership_auc(trial_of(Counts(data), data))
            said = "counts of pairs of tokens, which remember no example, tell training from held-out text"
            assert (said in caplog.text) == told

    def test_counts_of_pairs_are_their_definition(self) -> None:
        """Of 3 tokens: p(b | a) = (n_ab + 1/2) / (n_a + 3/2), written out pair by pair."""
        rng = np.random.default_rng(2)
        train, test, others = (rng.integers(0, 3, (n, 6)) for n in (30, 40, 5))
        n = np.zeros((3, 3))
        for row in others:
            for a, b in itertools.pairwise(row):
                n[a, b] += 1
        log_p = np.log((n + 0.5) / (n.sum(1, keepdims=True) + 1.5))
        scores = [log_p[rows[:, :-1], rows[:, 1:]].sum(1) for rows in (train, test)]
        assert pair_counts_auc(train, test, others, 3).value == pytest.approx(auc(*scores).value, abs=0.01)

    def test_counts_of_pairs_know_no_example(self) -> None:
        """Also where every pair is rare: of one law it stays at 0.5."""
        rng = np.random.default_rng(3)
        train, test, others = (rng.integers(0, 256, (400, 20)) for _ in range(3))
        found = interval_of(pair_counts_auc(train, test, others, 256))
        assert found.lo < 0.5 < found.hi

    def test_it_can_be_repeated_at_any_batch_size(self, text: TextDataset) -> None:
        found = [membership_auc(trial_of(Lookup(text, 0.5), text, batch)) for batch in (1, 7, 1000)]
        assert found[0] == found[1] == found[2]
