"""Ranks, tiers, fronts and plans: by hand, against published definitions, and by simulation."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest
from scipy import stats

from bench.statistics import (
    compact_letters,
    iqm,
    leads,
    mean_draws,
    non_dominated,
    performance_profile,
    probability_non_dominated,
    probability_of_improvement,
    rank_intervals,
    seeds_to_tell,
    simulated_power,
    summarise,
    told_apart,
    welch_difference,
)


def p_of(samples: np.ndarray) -> np.ndarray:
    """Welch's p of all pairs of rows."""
    groups = [summarise(row.tolist()) for row in samples]
    p = np.ones((len(groups), len(groups)))
    for i, j in combinations(range(len(groups)), 2):
        p[i, j] = p[j, i] = welch_difference(groups[i], groups[j]).p
    return p


class TestRankIntervals:
    def test_by_hand(self) -> None:
        """b is told from a and from d; c from none."""
        nothing = float("nan")
        p = np.array([[1, 0.01, 0.5, 0.001], [0.01, 1, 0.5, 0.01], [0.5, 0.5, 1, nothing], [0.001, 0.01, nothing, 1]])
        assert rank_intervals([1.0, 2.0, 2.5, 3.0], p) == [(1, 1, 2), (2, 2, 3), (3, 1, 4), (4, 3, 4)]

    def test_a_pair_of_which_nothing_tells_is_no_test(self) -> None:
        """0.02 is told by itself, and by the third of three tests no more."""
        alone = np.full((3, 3), float("nan"))
        alone[0, 1] = alone[1, 0] = 0.02
        assert told_apart(alone).tolist() == [[False, True, False], [True, False, False], [False, False, False]]
        assert not told_apart(np.where(np.isnan(alone), 0.9, alone)).any()

    def test_equals_share_a_place(self) -> None:
        assert rank_intervals([1.0, 1.0, 2.0], np.ones((3, 3))) == [(1, 1, 3), (1, 1, 3), (3, 1, 3)]
        assert rank_intervals([], np.ones((0, 0))) == [] and rank_intervals([1.0], np.ones((1, 1))) == [(1, 1, 1)]

    @pytest.mark.parametrize("seeds", [3, 5])
    @pytest.mark.parametrize("means", [(0, 0, 0, 0, 0), (0, 0.5, 1, 1.5, 2), (0, 0, 3, 3, 9)])
    def test_all_hold_their_true_places_together(self, means: tuple[float, ...], seeds: int) -> None:
        """Where several are equal, each true place that they share is one that must be held."""
        rng, held = np.random.default_rng(0), []
        for _ in range(300):
            x = rng.normal(np.array(means)[:, None], 1, (5, seeds))
            places = [(1 + sum(m < true for m in means), sum(m <= true for m in means)) for true in means]
            found = rank_intervals(x.mean(1).tolist(), p_of(x))
            held.append(all(r.lo <= lo and hi <= r.hi for r, (lo, hi) in zip(found, places, strict=True)))
        assert np.mean(held) > 0.93

    def test_they_and_tiers_tell_the_same_pairs_apart(self) -> None:
        """Who shares no tier with the best is behind it in place, too, and no other is."""
        rng = np.random.default_rng(1)
        for _ in range(50):
            x = rng.normal(rng.normal(0, 2, (7, 1)), 1, (7, 3))
            means, p = x.mean(1).tolist(), p_of(x)
            tiers, first = compact_letters(means, p), int(np.argmin(means))
            for k, (found, tier) in enumerate(zip(rank_intervals(means, p), tiers, strict=True)):
                assert k == first or bool(set(tier) & set(tiers[first])) == (not told_apart(p)[first, k])
                assert found.lo == 1 or set(tier) != set(tiers[first])


class TestTiers:
    def test_by_hand(self) -> None:
        """The textbook case: neighbours alike, ends not."""
        p = np.array([[1, 0.5, 0.001], [0.5, 1, 0.5], [0.001, 0.5, 1]])
        assert compact_letters([1.0, 2.0, 3.0], p) == ["a", "ab", "b"]
        assert compact_letters([3.0, 2.0, 1.0], p) == ["b", "ab", "a"]
        assert compact_letters([1.0, 2.0], np.zeros((2, 2))) == ["a", "b"]
        assert compact_letters([], np.ones((0, 0))) == []

    def test_two_share_a_letter_exactly_where_they_are_not_told_apart(self) -> None:
        rng = np.random.default_rng(0)
        for _ in range(30):
            x = rng.normal(rng.normal(0, 2, (9, 1)), 1, (9, 4))
            p = p_of(x)
            letters = compact_letters(x.mean(1).tolist(), p)
            pairs = list(combinations(range(9), 2))
            from bench.statistics import adjusted

            for (i, j), q in zip(pairs, adjusted([p[i, j] for i, j in pairs]), strict=True):
                assert bool(set(letters[i]) & set(letters[j])) == (q > 0.05)
            assert all(letters)

    def test_more_than_26_tiers_have_names(self) -> None:
        found = compact_letters([float(i) for i in range(30)], np.zeros((30, 30)))
        assert len({*found}) == 30 and found[25:28] == ["z", "a1", "b1"]
        assert [leads(letters) for letters in found] == [True] + 29 * [False]
        assert leads("ab") and leads("ab1") and not leads("ba1")


class TestAggregates:
    def test_iqm_is_the_mean_of_the_middle_half(self) -> None:
        assert iqm([1, 2, 3, 4, 5, 6, 7, 100]) == pytest.approx(4.5)
        assert iqm(np.array([[1, 2], [3, 100]])) == pytest.approx(2.5)
        assert iqm([5, 1]) == pytest.approx(3)
        assert iqm([0, 1, 2, 3, 100]) == pytest.approx((0.75 * 1 + 2 + 0.75 * 3) / 2.5)

    def test_probability_of_improvement_is_mann_whitneys(self) -> None:
        rng = np.random.default_rng(0)
        a, b = rng.integers(0, 6, 7).tolist(), rng.integers(0, 6, 5).tolist()
        u = stats.mannwhitneyu(a, b).statistic
        assert probability_of_improvement([a], [b]) == pytest.approx(1 - u / 35)
        assert probability_of_improvement([[1], [1]], [[2], [1]]) == 0.75
        with pytest.raises(ValueError, match="no runs"):
            probability_of_improvement([], [])

    def test_profile(self) -> None:
        assert performance_profile([1, 2, 2, 5], [0, 1, 2, 5]) == [0, 0.25, 0.75, 1]


class TestFront:
    def test_by_hand(self) -> None:
        losses = np.array([[1, 3], [2, 2], [3, 1], [2, 3], [2, 2], [math.nan, 0]])
        assert non_dominated(losses).tolist() == [True, True, True, False, True, False]

    def test_a_front_is_as_sure_as_its_numbers(self) -> None:
        """Of two objectives, both equal in the mean: one dominates the other in half of all draws."""
        rng = np.random.default_rng(0)
        draws = np.stack([mean_draws({"a": (1, 0.1, math.inf), "b": (1, 0.1, 4)}, rng, 4000) for _ in range(2)], axis=2)
        assert probability_non_dominated(draws) == pytest.approx([0.75, 0.75], abs=0.03)
        exact = np.stack([mean_draws({"a": (1, 0, 1), "b": (2, 0, 1)}, rng, 10)] * 2, axis=2)
        assert probability_non_dominated(exact).tolist() == [1, 0]

    def test_draws_scatter_as_students(self) -> None:
        found = mean_draws({"a": (5.0, 2.0, 3.0)}, np.random.default_rng(0), 20000)[:, 0]
        assert stats.kstest((found - 5) / 2, stats.t(3).cdf).pvalue > 0.01


class TestPlans:
    @pytest.mark.parametrize(("effect", "published"), [(1.0, 14), (1.5, 7), (2.0, 5), (3.0, 3)])
    def test_seeds_for_an_effect_in_spreads(self, effect: float, published: int) -> None:
        """One-sided at 5 % with a power of 80 %; Welch's test wants one more than Student's of few seeds."""
        assert abs(seeds_to_tell(effect, (1.0, 1.0), sides=1) - published) <= 1

    @pytest.mark.parametrize("effect", [1.0, 1.5, 3.0])
    def test_the_number_of_seeds_has_the_power_that_it_is_for(self, effect: float) -> None:
        n = seeds_to_tell(effect, (1.0, 1.0))
        rng = np.random.default_rng(0)

        def told(a: np.ndarray, b: np.ndarray) -> bool:
            return welch_difference(summarise(a.tolist()), summarise(b.tolist())).p <= 0.05

        assert simulated_power(told, (effect, 0.0), (1.0, 1.0), n, rng) > 0.77
        assert simulated_power(told, (effect, 0.0), (1.0, 1.0), n - 1, rng) < 0.83

    def test_many_tests_want_more(self) -> None:
        assert seeds_to_tell(1.0, (1.0, 1.0), tests=10) > seeds_to_tell(1.0, (1.0, 1.0))
