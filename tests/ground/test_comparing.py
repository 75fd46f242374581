"""Comparisons against scipy and statsmodels, by hand, and by simulation at the rates that they promise."""

from __future__ import annotations

import math

import numpy as np
import pytest
from scipy import stats

from bench.statistics import (
    Difference,
    adjusted,
    bootstrap_interval,
    non_inferiority,
    paired_difference,
    permutation_p,
    resampled,
    summarise,
    verdict_of,
    welch_difference,
)

RNG = np.random.default_rng(0)
A, B = RNG.normal(0, 1, 6).tolist(), RNG.normal(0.7, 2, 6).tolist()
P = [0.01, 0.04, 0.03, 0.005, 0.6, 0.04]


class TestDifferences:
    def test_of_independent_replicates_it_is_welchs(self) -> None:
        found = welch_difference(summarise(A), summarise(B))
        theirs = stats.ttest_ind(A, B, equal_var=False)
        assert found.p == pytest.approx(theirs.pvalue)
        low, high = theirs.confidence_interval(0.9)
        assert found.value - found.reach(0.9) == pytest.approx(low) and found.value + found.reach(0.9) == pytest.approx(
            high
        )

    def test_of_pairs_it_is_students(self) -> None:
        assert paired_difference(A, B).p == pytest.approx(stats.ttest_rel(A, B).pvalue)

    @pytest.mark.parametrize("least", [-1.0, 0.0, 0.3])
    def test_one_sided_p(self, least: float) -> None:
        found = paired_difference(A, B)
        theirs = stats.ttest_1samp(np.subtract(A, B), least, alternative="greater").pvalue
        assert found.p_above(least) == pytest.approx(theirs)
        assert found.p_below(least) == pytest.approx(1 - theirs)

    def test_what_never_moves_is_told_exactly(self) -> None:
        assert Difference(0.1, 0.0).p == 0 and Difference(0.0, 0.0).p == 1
        assert Difference(0.1, 0.0).p_above(0.1) == 1 and Difference(0.1, 0.0).p_above(0.05) == 0
        assert Difference(0.1, 0.0).p_below(0.1) == 1

    def test_one_replicate_has_no_spread(self) -> None:
        with pytest.raises(ValueError, match="two replicates"):
            welch_difference(summarise(A), summarise([1.0]))
        with pytest.raises(ValueError, match="two pairs"):
            paired_difference([1.0], [2.0])


class TestPermutation:
    def test_few_orders_are_counted(self) -> None:
        """Three beside three: 20 ways to share them out, of which two are as far apart."""
        assert permutation_p([1, 2, 3], [4, 5, 6], np.random.default_rng(0)) == pytest.approx(0.1)
        assert permutation_p([1, 2, 3], [4, 6, 8], np.random.default_rng(0), paired=True) == pytest.approx(0.25)

    def test_it_is_drawn_from_the_generator_that_is_given(self) -> None:
        a, b = RNG.normal(0, 1, 12).tolist(), RNG.normal(0.5, 1, 12).tolist()
        one, again, other = (permutation_p(a, b, np.random.default_rng(s), draws=999) for s in (0, 0, 1))
        assert one == again != other

    def test_nothing_is_compared_with_nothing(self) -> None:
        with pytest.raises(ValueError, match="no numbers"):
            permutation_p([], [1.0], np.random.default_rng(0))


class TestManyTests:
    def test_by_hand(self) -> None:
        assert adjusted([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
        assert adjusted([0.01, 0.04, 0.03], "bh") == pytest.approx([0.03, 0.04, 0.04])
        assert adjusted([]) == []

    @pytest.mark.parametrize(("ours", "theirs"), [("holm", "holm"), ("bh", "fdr_bh")])
    def test_as_statsmodels(self, ours: str, theirs: str) -> None:
        from statsmodels.stats.multitest import multipletests

        assert adjusted(P, ours) == pytest.approx(multipletests(P, method=theirs)[1].tolist())  # type: ignore[arg-type]

    def test_holm_keeps_the_rate_of_any_false_claim(self) -> None:
        rng = np.random.default_rng(0)
        false = np.mean([min(adjusted(rng.uniform(size=8).tolist())) <= 0.05 for _ in range(4000)])
        assert 0.04 < false < 0.06


class TestNonInferiority:
    @pytest.mark.parametrize(
        ("loss", "margin", "verdict"),
        [
            (Difference(0.0, 0.01, 4), 0.05, "pass"),
            (Difference(0.2, 0.01, 4), 0.05, "fail"),
            (Difference(0.2, 0.20, 4), 0.05, "inconclusive"),
            (Difference(0.04, 0.01, 4), 0.05, "inconclusive"),
            (Difference(0.0, 0.0), 0.0, "inconclusive"),
            (Difference(0.0, 0.0), 0.01, "pass"),
            (Difference(0.02, 0.0), 0.01, "fail"),
        ],
    )
    def test_three_answers(self, loss: Difference, margin: float, verdict: str) -> None:
        assert verdict_of(*non_inferiority(loss, margin)) == verdict

    def test_at_the_margin_itself_it_fails_and_passes_at_most_as_often_as_it_says(self) -> None:
        rng = np.random.default_rng(0)
        found = [
            verdict_of(*non_inferiority(paired_difference(rng.normal(1.05, 0.1, 4).tolist(), [1.0] * 4), 0.05))
            for _ in range(4000)
        ]
        assert 0.04 < found.count("fail") / 4000 < 0.06
        assert 0.04 < found.count("pass") / 4000 < 0.06


class TestBootstrap:
    def test_clusters_are_drawn_whole_and_strata_keep_their_number(self) -> None:
        clusters, strata = ["a", "a", "b", "c", "c", "c", "d"], [0, 0, 0, 1, 1, 1, 1]
        for index in resampled(7, np.random.default_rng(0), 50, clusters=clusters, strata=strata):
            drawn = [clusters[i] for i in index]
            assert drawn.count("a") % 2 == 0 and drawn.count("c") % 3 == 0
            assert drawn.count("a") / 2 + drawn.count("b") == 2 and drawn.count("c") / 3 + drawn.count("d") == 2

    def test_of_a_mean_it_is_as_wide_as_students(self) -> None:
        x = np.random.default_rng(1).normal(0, 1, 40)
        found = bootstrap_interval(lambda i: float(x[i].mean()), len(x), np.random.default_rng(0))
        reach = float(stats.t.ppf(0.975, 39)) * x.std(ddof=1) / math.sqrt(40)
        assert (found.hi - found.lo) / 2 == pytest.approx(reach, rel=0.06)

    def test_units_of_one_cluster_are_not_counted_as_many(self) -> None:
        """Of 12 documents of 20 windows, alike within one, the interval covers; that of windows does not."""
        rng, covered = np.random.default_rng(0), {"clusters": 0, "units": 0}
        for _ in range(100):
            x = (rng.normal(0, 1, (12, 1)) + rng.normal(0, 0.3, (12, 20))).ravel()
            for which, clusters in (("clusters", np.repeat(np.arange(12), 20).tolist()), ("units", None)):
                found = bootstrap_interval(lambda i, x=x: float(x[i].mean()), 240, rng, clusters=clusters, draws=199)  # type: ignore[misc]
                covered[which] += found.lo <= 0 <= found.hi
        assert covered["clusters"] > 89 and covered["units"] < 50

    def test_what_cannot_be_drawn_is_named(self) -> None:
        rng = np.random.default_rng(0)
        with pytest.raises(ValueError, match="no units"):
            next(resampled(0, rng, 1))
        with pytest.raises(ValueError, match="2 labels for 3"):
            next(resampled(3, rng, 1, clusters=[0, 1]))
        with pytest.raises(ValueError, match="two strata"):
            next(resampled(3, rng, 1, clusters=[0, 0, 1], strata=[0, 1, 1]))
        with pytest.raises(ValueError, match="two clusters"):
            bootstrap_interval(lambda i: 0.0, 3, rng, clusters=[0, 0, 0])
