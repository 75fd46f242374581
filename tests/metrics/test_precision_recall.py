"""Precision, recall, density, coverage: against prdc and torch-fidelity, the right way round, with true intervals."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable

import numpy as np
import pytest
import torch
from prdc import compute_prdc
from torch import Tensor
from torch_fidelity.metric_prc import prc_features_to_metric

from bench import Estimate, GenbenchError, Omitted, TooFew
from bench.measure.evaluation import Given
from bench.modalities._examples import Examples
from bench.registry import Side
from metrics.features._balls import NARROW, Overlap, overlap, shared_overlap
from metrics.features.clipped import clipped_coverage_of
from metrics.features.density_coverage import ball_coverage, ball_density, coverage_of, density_of
from metrics.features.precision_recall import manifold_precision, manifold_recall, precision_of, recall_of
from tests.metrics.coverage import assert_honest, covered

FOUR: dict[str, Callable[[Overlap], Estimate]] = {
    "precision": precision_of,
    "recall": recall_of,
    "density": density_of,
    "coverage": coverage_of,
}
Draw = Callable[[np.random.Generator], tuple[np.ndarray, np.ndarray]]


def values(fake: np.ndarray | Tensor, real: np.ndarray | Tensor, k: int = 5) -> dict[str, float]:
    found = overlap(fake, real, k)
    return {name: measure(found).value for name, measure in FOUR.items()}


def of_prdc(fake: np.ndarray, real: np.ndarray, k: int = 5) -> dict[str, float]:
    with contextlib.redirect_stdout(io.StringIO()):
        return {name: float(v) for name, v in compute_prdc(real, fake, k).items()}


def alike(rng: np.random.Generator, n: int, m: int, width: int) -> tuple[np.ndarray, np.ndarray]:
    return rng.standard_normal((n, width)), rng.standard_normal((m, width))


def modes(rng: np.random.Generator, n: int, centres: list[float]) -> np.ndarray:
    x = rng.standard_normal((n, 4))
    x[:, 0] += rng.choice(centres, n)
    return x


class TestAgainstOthers:
    @pytest.mark.parametrize(("n", "m", "width", "k"), [(300, 300, 64, 5), (200, 350, 8, 3), (350, 200, 2, 1)])
    def test_prdc_says_the_same(self, n: int, m: int, width: int, k: int) -> None:
        fake, real = alike(np.random.default_rng(n + width), n, m, width)
        fake = 0.9 * fake + 0.2
        assert values(fake, real, k) == pytest.approx(of_prdc(fake, real, k), abs=1e-12)

    @pytest.mark.parametrize("k", [1, 3, 5])
    def test_prdc_says_the_same_where_distances_are_shared(self, k: int) -> None:
        """On whole numbers distances are exact on both sides, and spheres run through many points."""
        rng = np.random.default_rng(0)
        fake, real = (rng.integers(0, 5, (250, 4)).astype(float) for _ in range(2))
        assert values(fake, real, k) == pytest.approx(of_prdc(fake, real, k), abs=1e-12)

    def test_prdc_says_the_same_of_copies(self) -> None:
        real = np.random.default_rng(0).standard_normal((200, 16))
        assert values(real, real) == pytest.approx(of_prdc(real, real), abs=1e-12)

    @pytest.mark.parametrize("k", [3, 5])
    def test_torch_fidelity_says_the_same_with_the_sphere_inside(self, k: int) -> None:
        fake, real = (torch.from_numpy(x) for x in alike(np.random.default_rng(1), 300, 250, 32))
        theirs = prc_features_to_metric(
            0.9 * fake, real, prc_neighborhood=k, prc_batch_size=10_000, save_cpu_ram=False, verbose=False
        )
        assert manifold_precision(0.9 * fake, real, k, strict=False).value == pytest.approx(
            theirs["precision"], abs=1e-6
        )
        assert manifold_recall(0.9 * fake, real, k, strict=False).value == pytest.approx(theirs["recall"], abs=1e-6)

    def test_strictness_matters_and_is_told(self) -> None:
        grid = torch.arange(10.0)[:, None]
        inside, outside = (manifold_precision(grid, grid + 1, k=1, strict=strict) for strict in (False, True))
        assert inside.value > outside.value
        assert inside.protocol == {"k": 1, "strict": False} and outside.protocol == {"k": 1, "strict": True}

    @pytest.mark.slow
    def test_the_values_of_the_prdc_readme(self) -> None:
        """N = 10,000, D = 1,000, k = 5, from a draw of its own: within four standard errors of the difference."""
        fake, real = alike(np.random.default_rng(0), 10_000, 10_000, 1_000)
        found = overlap(fake, real)
        published = {"precision": 0.4772, "recall": 0.4705, "density": 1.0555, "coverage": 0.9735}
        theirs = of_prdc(fake, real)
        for name, measure in FOUR.items():
            estimate = measure(found)
            assert estimate.value == pytest.approx(theirs[name], abs=1e-12)
            assert estimate.interval is not None
            error = (estimate.interval.hi - estimate.interval.lo) / 3.92
            assert abs(estimate.value - published[name]) < 4 * 2**0.5 * error


class TestRightWayRound:
    def test_mode_collapse_keeps_precision_and_loses_recall(self) -> None:
        rng = np.random.default_rng(0)
        real = modes(rng, 500, [0, 10, 20, 30, 40])
        found = values(0.05 * rng.standard_normal((500, 4)), real)
        assert found["precision"] > 0.95 and found["recall"] < 0.05 and found["coverage"] < 0.2

    def test_invented_modes_lose_precision_and_keep_recall(self) -> None:
        rng = np.random.default_rng(0)
        found = values(modes(rng, 500, [0, 10, 20, 30, 40, 50, 60, 70]), modes(rng, 500, [0, 10]))
        assert found["precision"] < 0.4 and found["recall"] > 0.85
        assert found["density"] < 0.4 and found["coverage"] > 0.65

    def test_real_against_real_is_as_the_paper_says(self) -> None:
        """Density has expectation 1; coverage 1 - (m - 1) ... (m - k) / ((n + m - 1) ... (n + m - k)) (Lemma 2)."""
        draws = [values(*alike(np.random.default_rng(s), 150, 150, 6)) for s in range(40)]
        density, coverage = (np.array([d[name] for d in draws]) for name in ("density", "coverage"))
        expected = 1 - np.prod([(150 - j) / (299 - j + 1) for j in range(1, 6)])
        for found, truth in ((density, 1.0), (coverage, expected)):
            assert abs(found.mean() - truth) < 3.5 * found.std() / 40**0.5

    def test_sets_in_each_others_place_swap_precision_and_recall(self) -> None:
        fake, real = alike(np.random.default_rng(3), 120, 160, 5)
        assert manifold_precision(fake, real).value == manifold_recall(real, fake).value


def heavy_tailed(rng: np.random.Generator, n: int, width: int) -> np.ndarray:
    return rng.normal(size=(n, width)) / np.sqrt(rng.chisquare(5, (n, 1)) / 5)


def _shifted(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    fake, real = alike(rng, 200, 200, 8)
    fake[:, 0] += 1
    return fake, real


def _uneven(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return alike(rng, 100, 250, 16)


def _collapsed(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    return modes(rng, 200, [0, 6]), modes(rng, 200, [0, 6, 12, 18])


def coverages(draw: Draw, seeds: range) -> dict[str, float]:
    found = [overlap(*draw(np.random.default_rng(s))) for s in seeds]
    return {name: covered(map(measure, found)) for name, measure in FOUR.items()}


class TestIntervals:
    @pytest.mark.slow
    @pytest.mark.parametrize("draw", [_shifted, _uneven, _collapsed])
    def test_they_cover_the_expectation_as_often_as_they_say(self, draw: Draw) -> None:
        """Nominal 95 %; both sets are drawn anew each time."""
        for share in coverages(draw, range(250)).values():
            assert_honest(share, 250)

    @pytest.mark.slow
    @pytest.mark.parametrize("draw", [_shifted, _uneven, _collapsed])
    def test_they_do_so_in_a_long_simulation(self, draw: Draw) -> None:
        """Within one error of so many drawings: the widest, precision of few and uneven rows, holds 98 % of them."""
        for share in coverages(draw, range(100_000, 101_500)).values():
            assert_honest(share, 1500, errors=1)

    @pytest.mark.parametrize(("shift", "told"), [(0.0, 0.0), (0.5, 0.0), (1.5, None), (3.0, 1.0)])
    def test_on_heavy_tails_they_hold_it_or_say_that_they_may_not(self, shift: float, told: float | None) -> None:
        """Multivariate t, 5 degrees of freedom: where sides lie apart, a ball or two decide, and none says how often.

        told: what share says so; None where it is some.
        """
        found = []
        for rng in map(np.random.default_rng, range(80)):
            fake, real = (heavy_tailed(rng, 200, 8) for _ in range(2))
            found.append(overlap(fake + shift, real))
        for measure in (precision_of, recall_of, density_of):
            estimates = [measure(one) for one in found]
            truth = np.mean([e.value for e in estimates])
            ends = [(e.interval.lo, e.interval.hi, NARROW in e.interval.method) for e in estimates if e.interval]
            held = [lo <= truth <= hi for lo, hi, narrow in ends if not narrow]
            said = np.mean([narrow for *_, narrow in ends])
            assert told is None or abs(said - told) < 0.05
            assert sum(held) >= 0.90 * len(held) - 2 * (0.09 * len(held)) ** 0.5

    def test_they_hold_near_the_end_too(self) -> None:
        """Sides that hardly meet, 200 times: none below 90 %; where a value is nearly always 0, all may hold it."""
        found = []
        for rng in map(np.random.default_rng, range(200)):
            fake, real = alike(rng, 150, 150, 16)
            found.append(overlap(fake + 1.4, real))
        for measure in FOUR.values():
            assert covered(map(measure, found)) > 0.90 - 2 * (0.9 * 0.1 / 200) ** 0.5

    @pytest.mark.parametrize("width", [2, 16])
    def test_they_are_no_wider_than_they_need_near_the_upper_end(self, width: int) -> None:
        """Equal sides, 100 times: the usual width is about four standard deviations, and none spans half the range."""
        found = [overlap(*alike(rng, 100, 100, width)) for rng in map(np.random.default_rng, range(100))]
        for measure in (*FOUR.values(), clipped_coverage_of):
            estimates = [measure(one) for one in found]
            ends = np.array([(e.interval.lo, e.interval.hi) for e in estimates if e.interval])
            widths, spread = np.diff(ends).ravel(), np.std([e.value for e in estimates])
            assert 0.8 <= np.median(widths) / (2 * 1.96 * spread) <= 2
            assert measure is density_of or widths.max() < 0.6
            assert covered(estimates) > 0.90 - 2 * (0.9 * 0.1 / 100) ** 0.5

    @pytest.mark.parametrize("measure", FOUR.values(), ids=FOUR)
    def test_sides_apart_leave_room(self, measure: Callable[[Overlap], Estimate]) -> None:
        rows = np.random.default_rng(0).standard_normal((200, 4))
        found = measure(overlap(rows, rows + 100))
        assert found.value == 0 and found.interval is not None
        assert found.interval.lo == 0 and 1 / 200 < found.interval.hi < 10 / 200

    def test_they_say_what_they_are_of(self) -> None:
        found = overlap(*alike(np.random.default_rng(0), 50, 50, 3))
        for measure in FOUR.values():
            interval = measure(found).interval
            assert interval is not None and interval.method.endswith("of the expectation at this n")

    def test_where_few_balls_decide_they_say_so(self) -> None:
        """One real row so far out that its ball alone reaches the samples."""
        rng = np.random.default_rng(0)
        fake, real = alike(rng, 100, 100, 3)
        fake[:, 0] += 20
        real[0] = [30, 0, 0]
        found = overlap(fake, real)
        assert found.real.decisive == pytest.approx(1) and precision_of(found).value > 0.9
        for measure in (precision_of, density_of):
            interval = measure(found).interval
            assert interval is not None and interval.method.endswith(NARROW)

    def test_no_share_is_certain(self) -> None:
        """All in or all out of 50 still leaves room, and never beyond what a share can be."""
        rng = np.random.default_rng(0)
        real = rng.standard_normal((50, 3))
        for fake, value in ((0.01 * rng.standard_normal((50, 3)), 1.0), (rng.standard_normal((50, 3)) + 99, 0.0)):
            found = manifold_precision(fake, real)
            assert found.value == value and found.interval is not None
            assert 0 <= found.interval.lo <= value <= found.interval.hi <= 1
            assert found.interval.hi - found.interval.lo > 0.05


class TestRepeatedRows:
    """Beside k copies of itself a row has a ball of radius 0, strictly in which nothing lies."""

    def test_where_all_are_there_is_no_number_but_the_reason(self) -> None:
        rng = np.random.default_rng(0)
        once, often = rng.standard_normal((200, 4)), np.repeat(rng.standard_normal((20, 4)), 10, axis=0)
        for measure in (manifold_precision, ball_density, ball_coverage):
            with pytest.raises(Omitted, match=r"100% of the real rows have 5 copies or more, .* hold nothing: leave"):
                measure(once, often)
        assert manifold_precision(often, once).value > 0
        with pytest.raises(Omitted, match="100% of the fake rows"):
            manifold_recall(often, once)
        with pytest.raises(Omitted, match="hold nothing but copies"):
            manifold_precision(once, often, strict=False)

    def test_of_a_few_the_method_tells(self) -> None:
        rng = np.random.default_rng(0)
        fake, real = alike(rng, 200, 200, 4)
        real[:20] = real[0]
        for measure in (manifold_precision, ball_density, ball_coverage):
            interval = measure(fake, real).interval
            assert interval is not None and interval.method.endswith("; 10 % of the real balls have radius 0")
        assert values(fake, real) == pytest.approx(of_prdc(fake, real), abs=1e-12)

    def test_a_remark_tells_their_share_too(self) -> None:
        rng = np.random.default_rng(0)
        fake, real = alike(rng, 200, 200, 4)
        real[:46] = real[0]
        sides: dict[Side, Examples] = {"samples": torch.from_numpy(fake), "reference": torch.from_numpy(real)}
        given = Given(sides, "vector", seed=0, device=torch.device("cpu"), prompts=None)
        shared_overlap(given.space(None))
        assert given.remarks == [
            "23 % of the reference have 5 copies or more; the balls around them have radius 0, "
            "which lowers precision, density and coverage"
        ]

    @pytest.mark.parametrize("measure", FOUR.values(), ids=FOUR)
    def test_rows_in_another_order_change_nothing(self, measure: Callable[[Overlap], Estimate]) -> None:
        rng = np.random.default_rng(0)
        fake, real = (rng.integers(0, 4, (150, 4)) for _ in range(2))
        before = measure(overlap(fake, real))
        after = measure(overlap(rng.permutation(fake), rng.permutation(real)))
        assert after.value == pytest.approx(before.value, abs=1e-12)
        assert before.interval is not None and after.interval is not None
        assert after.interval.lo == pytest.approx(before.interval.lo, abs=1e-9)
        assert after.interval.hi == pytest.approx(before.interval.hi, abs=1e-9)


@pytest.mark.parametrize("measure", [manifold_precision, manifold_recall, ball_density, ball_coverage])
class TestHostileInput:
    def test_too_few_names_the_number(self, measure: Callable[..., Estimate]) -> None:
        rows = np.random.default_rng(0).standard_normal((6, 3))
        assert measure(rows, rows + 1).value >= 0
        with pytest.raises(TooFew, match="5 examples are too few: at least 6 are needed"):
            measure(rows[:5], rows)
        with pytest.raises(TooFew, match="5 examples are too few: at least 6 are needed"):
            measure(rows, rows[:5])

    def test_what_is_no_features_is_refused(self, measure: Callable[..., Estimate]) -> None:
        rows = np.random.default_rng(0).standard_normal((20, 3))
        with pytest.raises(GenbenchError, match="NaN or infinity"):
            measure(np.where(rows > 1, np.nan, rows), rows)
        with pytest.raises(GenbenchError, match="one width, got 3 and 2"):
            measure(rows, rows[:, :2])
        with pytest.raises(GenbenchError, match="all 20 examples are the same"):
            measure(np.ones((20, 3)), rows)
        with pytest.raises(GenbenchError, match="k must be at least 1"):
            measure(rows, rows, k=0)
