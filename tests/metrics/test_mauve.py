"""MAUVE and the frontier integral against the authors' own package on the same histograms, integrals and simulation."""

from __future__ import annotations

from collections.abc import Callable

import mauve as published
import numpy as np
import pytest
import torch
from mauve.compute_mauve import get_divergence_curve_for_multinomials, get_fronter_integral
from scipy import integrate
from sklearn.metrics import auc

from bench import Estimate, GenbenchError, TooFew
from bench.streams import normal
from metrics.features.mauve import Clusters, area, clusters, divergence, frontier_integral, integral, mauve, smoothed
from tests.metrics.coverage import assert_honest, covered

Measure = Callable[[Clusters], Estimate]


def shares(rng: np.random.Generator, clusters: int) -> np.ndarray:
    """Counts of 200 examples, some clusters empty."""
    return rng.multinomial(200, rng.dirichlet(np.full(clusters, 0.5))) / 200


PAIRS = [
    (shares(np.random.default_rng(i), k), shares(np.random.default_rng(100 + i), k))
    for i, k in enumerate((2, 3, 5, 10, 30, 100))
]
APART = (np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.25, 0.75]))


class TestCurve:
    @pytest.mark.parametrize(("p", "q"), [*PAIRS, APART])
    def test_the_area_is_the_authors(self, p: np.ndarray, q: np.ndarray) -> None:
        curve = get_divergence_curve_for_multinomials(p, q, np.linspace(1e-6, 1 - 1e-6, 25), 5)
        x, y = curve.T
        along_x, along_y = np.argsort(x), np.argsort(y)
        expected = (auc(x[along_x], y[along_x]) + auc(y[along_y], x[along_y])) / 2
        assert area(p, q) == pytest.approx(expected, abs=1e-9)

    @pytest.mark.parametrize(("p", "q"), [*PAIRS, APART])
    def test_the_frontier_integral_is_the_authors(self, p: np.ndarray, q: np.ndarray) -> None:
        assert integral(p, q) == pytest.approx(get_fronter_integral(p, q), abs=1e-9)

    @pytest.mark.parametrize(("p", "q"), PAIRS)
    def test_the_frontier_integral_is_an_integral(self, p: np.ndarray, q: np.ndarray) -> None:
        def cost(w: float) -> float:
            mixture = (w * p + (1 - w) * q)[None]
            return 2 * float(w * divergence(p, mixture)[0] + (1 - w) * divergence(q, mixture)[0])

        assert integral(p, q) == pytest.approx(integrate.quad(cost, 0, 1)[0], abs=1e-6)

    def test_alike_and_apart(self) -> None:
        p = PAIRS[3][0]
        assert area(p, p) == pytest.approx(1)
        assert integral(p, p) == 0
        assert integral(*APART) == pytest.approx(1)
        assert area(*APART) < 0.01

    @pytest.mark.parametrize(("p", "q"), PAIRS)
    def test_both_are_symmetric(self, p: np.ndarray, q: np.ndarray) -> None:
        assert area(p, q) == pytest.approx(area(q, p), rel=1e-9)
        assert integral(p, q) == pytest.approx(integral(q, p), rel=1e-9)

    def test_smoothing_adds_half_a_count(self) -> None:
        np.testing.assert_allclose(smoothed(np.array([0, 1, 2])), np.array([0.5, 1.5, 2.5]) / 4.5)


def rows(seed: int, n: int, d: int, shift: float = 0) -> torch.Tensor:
    return normal(torch.Generator().manual_seed(seed), n, d) + shift


class TestFeatures:
    def test_all_of_it_is_near_the_authors(self) -> None:
        """Their k-means is another implementation with other starts; our interval covers the choice."""
        x, y = rows(0, 400, 10), rows(1, 400, 10, 0.5)
        sides = {"p_features": x.numpy(), "q_features": y.numpy()}
        theirs = [published.compute_mauve(**sides, kmeans_max_iter=100, seed=seed) for seed in range(5)]
        found = clusters(x, y)
        for ours, value in (
            (mauve(found), np.mean([t.mauve for t in theirs])),
            (frontier_integral(found), np.mean([t.frontier_integral_star for t in theirs])),
        ):
            assert ours.interval is not None
            assert ours.interval.lo < value < ours.interval.hi
            assert ours.interval.hi - ours.interval.lo < 0.3

    def test_nearer_is_better(self) -> None:
        real = rows(0, 300, 8)
        near, far = (clusters(rows(1, 300, 8, shift), real) for shift in (0.2, 1.0))
        assert mauve(near).value > mauve(far).value + 0.2
        assert frontier_integral(near).value < frontier_integral(far).value - 0.1

    def test_a_set_against_itself_is_perfect(self) -> None:
        real = rows(0, 200, 8)
        found = clusters(real, real.clone())
        assert mauve(found).value == pytest.approx(1)
        assert frontier_integral(found).value == 0

    def test_dropping_half_of_the_modes_is_seen(self) -> None:
        centres = 10 * torch.eye(4)
        real = centres[torch.arange(200) % 4] + rows(0, 200, 4)
        fake = centres[torch.arange(200) % 2] + rows(1, 200, 4)
        assert mauve(clusters(fake, real)).value < 0.4

    def test_it_is_the_same_every_time(self) -> None:
        x, y = rows(0, 120, 5), rows(1, 150, 5)
        first, second = clusters(x, y), clusters(x, y)
        np.testing.assert_array_equal(first.fake, second.fake)
        assert (first.fake.shape, first.real.shape, first.count) == ((5, 120), (5, 150), 12)

    def test_the_order_of_rows_does_not_matter(self) -> None:
        x, y = rows(0, 120, 5), rows(1, 150, 5)
        assert mauve(clusters(x.flip(0), y.roll(9, 0))).value == pytest.approx(mauve(clusters(x, y)).value, rel=1e-9)

    def test_length_of_the_features_does_not_matter(self) -> None:
        x, y = rows(0, 120, 5), rows(1, 120, 5)
        np.testing.assert_array_equal(clusters(3 * x, y).fake, clusters(x, y).fake)

    def test_fewer_than_a_hundred_are_too_few(self) -> None:
        with pytest.raises(TooFew, match="99 examples are too few: at least 100"):
            clusters(rows(0, 99, 4), rows(1, 200, 4))

    def test_other_widths_and_nan_are_refused(self) -> None:
        with pytest.raises(GenbenchError, match="one width"):
            clusters(rows(0, 100, 4), rows(1, 100, 5))
        with pytest.raises(GenbenchError, match="NaN"):
            clusters(rows(0, 100, 4) * torch.nan, rows(1, 100, 4))

    def test_features_on_one_ray_are_refused(self) -> None:
        with pytest.raises(GenbenchError, match="length only"):
            clusters(rows(0, 100, 1).abs() + 1, rows(1, 100, 1).abs() + 1)

    def test_a_collapsed_generator_is_measured_without_a_warning(self) -> None:
        fake, real = rows(0, 2, 4).repeat(60, 1), rows(1, 3, 4).repeat(40, 1)
        assert mauve(clusters(fake, real)).value < 0.05


def labels(rng: np.random.Generator, shares: np.ndarray, n: int) -> np.ndarray:
    """The cluster of each of n examples, under one seed that stands twice, so that no spread of seeds adds to it."""
    return np.tile(rng.choice(len(shares), n, p=shares), (2, 1))


class TestInterval:
    @pytest.mark.parametrize("far", [0.0, 0.8])
    @pytest.mark.parametrize("measure", [mauve, frontier_integral])
    def test_in_given_clusters_it_is_as_wide_as_values_scatter(self, measure: Measure, far: float) -> None:
        """Where both sides are alike too: there each way of leaving one example out shows noise twice over."""
        p = np.full(20, 0.05)
        q = (1 - far) * p + far * np.eye(20)[:4].mean(0)
        found = []
        for rng in map(np.random.default_rng, range(60)):
            found.append(measure(Clusters(labels(rng, p, 200), labels(rng, q, 200), 20)))
        scatter = np.std([e.value for e in found])
        # The upper end may be cut at 1.
        ends = [(e.value, e.interval.lo, e.interval.hi) for e in found if e.interval]
        claimed = np.mean([(hi - lo) / 2 if hi < 1 else value - lo for value, lo, hi in ends]) / 1.959964
        assert claimed == pytest.approx(scatter, rel=0.25)
        assert_honest(covered(found), 60)

    def test_clusters_of_another_kind_add_to_it(self) -> None:
        rng = np.random.default_rng(0)
        one, other = (labels(rng, np.full(20, 0.05), 200)[:1] for _ in range(2))
        apart = np.where(np.arange(200) < 100, 0, 1)[None]
        alike, unlike = (
            frontier_integral(Clusters(np.concatenate([one, p]), np.concatenate([other, q]), 20))
            for p, q in ((one, other), (apart, np.full((1, 200), 2)))
        )
        assert alike.interval and unlike.interval
        assert unlike.interval.hi - unlike.interval.lo > 2 * (alike.interval.hi - alike.interval.lo)

    def test_sides_that_share_nothing_leave_room_above_the_least_value(self) -> None:
        apart = Clusters(np.zeros((5, 300), int), np.ones((5, 300), int), 2)
        beside = Clusters(apart.fake.copy(), apart.real.copy(), 3)
        beside.fake[:, 0] = beside.real[:, 0] = 2
        none, one = mauve(apart), mauve(beside)
        assert none.interval and none.value == pytest.approx(0.00407, abs=1e-5)
        assert none.interval.lo == pytest.approx(none.value)
        # As many as a rate of 3.84 in place of the 3 of the rule of three.
        assert none.interval.hi - none.value == pytest.approx(3.84 * (one.value - none.value), rel=0.01)

    @pytest.mark.parametrize("shared", [0.001, 0.01])
    def test_it_covers_where_few_examples_share_a_cluster(self, shared: float) -> None:
        p, q = np.repeat([1.0, 0.0, shared], 10), np.repeat([0.0, 1.0, shared], 10)
        p, q = p / p.sum(), q / q.sum()
        rngs = map(np.random.default_rng, range(60))
        found = [mauve(Clusters(labels(rng, p, 300), labels(rng, q, 300), 30)) for rng in rngs]
        assert covered(found) > 0.9 - 2 * 0.039

    @pytest.mark.slow
    @pytest.mark.parametrize("measure", [mauve, frontier_integral])
    def test_it_covers(self, measure: Measure, drawn: list[Clusters]) -> None:
        """With clusters found anew each time."""
        assert_honest(covered(map(measure, drawn)), len(drawn))


@pytest.fixture(scope="module")
def drawn() -> list[Clusters]:
    return [clusters(rows(2 * i, 120, 3), rows(2 * i + 1, 120, 3, 0.5)) for i in range(80)]
