"""Clipped density and coverage: linear in the share of bad samples, 1 for real data, blind to outliers."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from scipy import stats

from bench import Estimate, GenbenchError, Omitted, TooFew
from metrics.features.clipped import clipped_ball_coverage, clipped_ball_density, expected_fill, share_of_good
from metrics.features.density_coverage import ball_density
from tests.metrics.coverage import assert_honest, covered

BOTH = [clipped_ball_density, clipped_ball_coverage]
Measure = Callable[..., Estimate]


def drawn(seed: int, n: int, bad: float = 0.0, width: int = 8) -> np.ndarray:
    """Standard normal rows, each with probability ``bad`` far away."""
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, width))
    return x + 100 * (rng.random(n) < bad)[:, None]


def written_out(fake: np.ndarray, real: np.ndarray, k: int) -> tuple[float, float]:
    """Both, unclipped at 1 and uncalibrated, from every distance."""
    within = np.linalg.norm(real[:, None] - real[None], axis=2)
    np.fill_diagonal(within, np.inf)
    radii = np.sort(within, axis=1)[:, k - 1]
    across = np.linalg.norm(real[:, None] - fake[None], axis=2)
    limit = np.minimum(radii, np.median(radii))[:, None]
    fakes, reals = (np.minimum((d <= limit).sum(0) / k, 1).mean() for d in (across, within))
    return fakes / reals, np.minimum((across < radii[:, None]).sum(1) / k, 1).mean()


@pytest.mark.parametrize(("n", "m", "k"), [(90, 120, 5), (150, 81, 3)])
def test_they_are_their_definitions(n: int, m: int, k: int) -> None:
    fake, real = drawn(0, n, 0.3), drawn(1, m)
    density, fill = written_out(fake, real, k)
    assert clipped_ball_density(fake, real, k).value == pytest.approx(density, abs=1e-12)
    expected = share_of_good(expected_fill(n, m, k), fill)
    assert clipped_ball_coverage(fake, real, k).value == pytest.approx(expected, abs=1e-12)


def quantised(seed: int, n: int) -> np.ndarray:
    """Whole numbers, where most distances are shared."""
    return np.round(1.5 * drawn(seed, n, width=4))


def test_ties_are_their_definition() -> None:
    """All reals on a sphere are inside it, not only k of them."""
    fake, real = quantised(0, 200), quantised(1, 150)
    density, fill = written_out(fake, real, 5)
    assert density < 1
    assert clipped_ball_density(fake, real).value == pytest.approx(density, abs=1e-12)
    expected = share_of_good(expected_fill(200, 150, 5), fill)
    assert clipped_ball_coverage(fake, real).value == pytest.approx(expected, abs=1e-12)


class TestCalibration:
    def test_the_expected_fill_is_a_beta_binomial_mean(self) -> None:
        found = expected_fill(60, 40, 4)
        for s in (0, 1, 3, 25, 60):
            counts = np.arange(s + 1)
            p = stats.betabinom(s, 4, 36).pmf(counts)
            assert found[s] == pytest.approx((p * np.minimum(counts, 4) / 4).sum(), abs=1e-12)

    def test_it_is_what_real_data_shows(self) -> None:
        fills = [written_out(drawn(2 * s, 80), drawn(2 * s + 1, 60), 5)[1] for s in range(150)]
        assert abs(np.mean(fills) - expected_fill(80, 60, 5)[-1]) < 3.5 * np.std(fills) / 150**0.5

    def test_large_sets_do_not_overflow(self) -> None:
        found = expected_fill(50_000, 10_000, 5)
        assert np.isfinite(found).all() and found[0] == 0 and (np.diff(found) >= -1e-12).all() and found[-1] <= 1


@pytest.mark.parametrize("measure", BOTH)
class TestMeaning:
    def test_it_falls_linearly_with_the_share_of_bad_samples(self, measure: Measure) -> None:
        for bad in (0.1, 0.3, 0.5, 0.7, 0.9):
            found = [measure(drawn(2 * s, 500, bad), drawn(2 * s + 1, 500)).value for s in range(8)]
            assert np.mean(found) == pytest.approx(1 - bad, abs=0.04)

    def test_real_data_is_about_one(self, measure: Measure) -> None:
        found = [measure(drawn(2 * s, 500), drawn(2 * s + 1, 500)).value for s in range(8)]
        assert 0.95 < np.mean(found) <= 1

    def test_it_stays_between_0_and_1(self, measure: Measure) -> None:
        real = drawn(0, 200)
        for fake in (0.1 * drawn(1, 200), drawn(1, 200) + 100, drawn(1, 1000), real.copy()):
            found = measure(fake, real)
            assert found.interval is not None
            assert 0 <= found.interval.lo <= found.value <= found.interval.hi <= 1

    def test_no_end_is_certain(self, measure: Measure) -> None:
        """Sides apart, or so near that the value would lie far above 1: the interval still has a width."""
        real = drawn(0, 200)
        for fake, value in ((drawn(1, 200) + 100, 0.0), (0.1 * drawn(1, 200), 1.0), (real.copy(), 1.0)):
            found = measure(fake, real)
            assert found.interval is not None
            if found.value == value:
                assert 0.005 < found.interval.hi - found.interval.lo < 0.1
        assert measure(drawn(1, 200) + 100, real).value == 0

    def test_rows_in_another_order_change_nothing(self, measure: Measure) -> None:
        fake, real = quantised(0, 200), quantised(1, 150)
        before = measure(fake, real)
        for rng in map(np.random.default_rng, range(3)):
            after = measure(rng.permutation(fake), rng.permutation(real))
            assert after.value == pytest.approx(before.value, abs=1e-12)
            assert before.interval is not None and after.interval is not None
            assert after.interval.lo == pytest.approx(before.interval.lo, abs=1e-9)
            assert after.interval.hi == pytest.approx(before.interval.hi, abs=1e-9)

    def test_rows_that_are_all_repeated_have_no_number(self, measure: Measure) -> None:
        with pytest.raises(Omitted, match="100% of the real rows have 5 copies or more"):
            measure(drawn(0, 200), np.repeat(drawn(1, 20), 10, axis=0))

    def test_a_real_outlier_changes_nothing(self, measure: Measure) -> None:
        """Half of the fakes lie around one far real example, whose ball would reach them all."""
        real, fake = drawn(0, 400), drawn(1, 400)
        fake[:200] += 100
        honest = measure(fake, real).value
        real[0] = 150
        assert measure(fake, real).value == pytest.approx(honest, abs=0.05)
        assert honest == pytest.approx(0.5, abs=0.1)

    def test_intervals_cover_the_expectation(self, measure: Measure) -> None:
        """Nominal 95 %, with a fifth of the samples bad on average."""
        found = (measure(drawn(2 * s, 150, 0.2), drawn(2 * s + 1, 200)) for s in range(250))
        assert_honest(covered(found), 250)

    @pytest.mark.parametrize("shift", [0.0, 2.0])
    def test_and_do_near_the_ends(self, measure: Measure, shift: float) -> None:
        """Real data, and sides that hardly meet."""
        found = [measure(drawn(2 * s, 150) + shift, drawn(2 * s + 1, 150)) for s in range(120)]
        assert covered(found) > 0.90 - 2 * (0.9 * 0.1 / 120) ** 0.5

    def test_bad_input_is_refused(self, measure: Measure) -> None:
        rows = drawn(0, 20)
        with pytest.raises(TooFew, match="at least 6 are needed"):
            measure(rows[:5], rows)
        with pytest.raises(GenbenchError, match="NaN or infinity"):
            measure(np.full((20, 8), np.nan), rows)
        with pytest.raises(GenbenchError, match="one width"):
            measure(rows[:, :3], rows)
        with pytest.raises(GenbenchError, match="are the same"):
            measure(np.ones((20, 8)), rows)


def test_density_is_fooled_where_clipped_density_is_not() -> None:
    """Samples drawn to the mean lie in many balls at once: density rewards it, no sample counts for more than one."""
    fake, real = 0.3 * drawn(0, 300), drawn(1, 300)
    assert ball_density(fake, real).value > 2
    assert clipped_ball_density(fake, real).value <= 1


def test_samples_that_every_ball_holds_are_good_and_their_interval_is_one() -> None:
    """In the middle of a sphere the density of 128 dimensions is far above 1, and so are both ends before the cut."""
    rng = np.random.default_rng(0)
    real = rng.normal(size=(300, 128))
    found = clipped_ball_density(0.1 * real[::-1], real)
    assert found.value == 1 and found.interval is not None and 0.9 < found.interval.lo < found.interval.hi == 1


def test_coverage_needs_a_real_row_more() -> None:
    rows = drawn(0, 20)
    with pytest.raises(TooFew, match="at least 7 are needed"):
        clipped_ball_coverage(rows, rows[:6])
