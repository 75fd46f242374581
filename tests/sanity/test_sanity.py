"""The setups are what they say, the criteria tell shapes apart, and what must come out does."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.sanity import criteria, setups, table
from tests.sanity.checks import CHECKS, Check, Question
from tests.sanity.criteria import Criterion, Curve
from tests.sanity.setups import Size

BY_NAME = {check.name: check for check in CHECKS}
SMALL = Size(n=200, steps=5)
SCORES = [name for name, kind in table.METRICS.items() if kind in ("fidelity", "diversity")]
FIDELITY = [name for name, kind in table.METRICS.items() if kind == "fidelity"]


def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def outcome(check: str, variant: str, names: list[str], question: Question = "shape") -> dict[str, str]:
    """Why each metric fails, empty where it passes; one variant, few rows, one seed."""
    found = BY_NAME[check]
    runs = table.measure(found, variant, SMALL, (0,), names)
    verdicts = {name: table.judge(found, question, table.METRICS[name], {variant: runs[name]}) for name in names}
    return {name: verdict.reason for name, verdict in verdicts.items() if verdict is not None}


class TestSetups:
    def test_there_are_fifteen(self) -> None:
        assert len(BY_NAME) == len(CHECKS) == 15

    @pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.name)
    def test_every_sweep_is_finite_and_the_same_for_a_seed(self, check: Check) -> None:
        for variant in check.variants:
            first, again = (list(check.sweep(variant, 1, Size(n=40, steps=5))) for _ in range(2))
            assert len({step.at for step in first}) == len(first) >= 5
            for step, other in zip(first, again, strict=True):
                assert np.isfinite(step.real).all() and np.isfinite(step.fake).all()
                assert step.real.shape[1] == step.fake.shape[1]
                assert np.array_equal(step.fake, other.fake) and np.array_equal(step.real, other.real)

    @pytest.mark.parametrize("d", [1, 8, 64])
    def test_cubes_share_a_fifth(self, d: int) -> None:
        *_, last = setups.hypercube_samples(rng(), Size(n=5000), d)
        assert (last.fake <= 1).all(axis=1).mean() == pytest.approx(0.2, abs=0.015)  # 5 standard errors of 20,000

    def test_ball_and_torus_do_not_touch(self) -> None:
        *_, last = setups.sphere_and_torus(rng(), Size(), "ball")
        assert np.linalg.norm(last.real, axis=1).max() <= 0.8
        ring = np.hypot(last.fake[:, 0], last.fake[:, 1]) - 1
        assert np.hypot(ring, last.fake[:, 2]).max() <= 0.1

    def test_spheres_have_their_radius(self) -> None:
        for step in setups.hypersphere(rng(), SMALL, 16):
            assert np.linalg.norm(step.fake, axis=1) == pytest.approx(step.at)

    def test_dropped_modes_are_gone_and_only_they(self) -> None:
        *_, last = setups.sequential_dropping(rng(), Size(), 1)
        assert np.abs(last.fake).max() < 1.1  # the first mode is at 0, the second at 10 / 9
        counts = np.histogram(last.real, bins=np.linspace(-5 / 9, 10 + 5 / 9, 11))[0]
        assert counts.min() > 50

    def test_an_outlier_is_one_row(self) -> None:
        for side in ("real", "fake"):
            step = next(iter(BY_NAME["Mean shift, one outlier"].sweep(f"{side} 8 d", 0, SMALL)))
            longer, other = (step.real, step.fake) if side == "real" else (step.fake, step.real)
            assert len(longer) == len(other) + 1
            assert (longer[-1] == setups.SHIFT[8]).all()

    def test_whole_numbers_are_whole_on_one_side(self) -> None:
        for step in setups.discrete(rng(), SMALL, "fake"):
            assert (step.fake % 1 == 0).all() and (step.real % 1 != 0).all()


AXIS = np.linspace(-2, 2, 9)
BELL = {at: float(np.exp(-(at**2) * 2)) for at in AXIS.tolist()}
FALL = {at: (2 - at) / 4 for at in AXIS.tolist()}
LINE = dict.fromkeys(AXIS.tolist(), 0.5)


def negative(curve: Curve) -> Curve:
    return {at: 1 - value for at, value in curve.items()}


@pytest.mark.parametrize(
    ("criterion", "passes", "fails"),
    [
        (criteria.bell(0), [BELL], [negative(BELL), FALL, LINE, {**BELL, 1.0: 2.0}]),
        (criteria.falls(), [FALL], [negative(FALL), BELL, LINE, {**FALL, 0.0: 2.0}]),
        (criteria.falls(by=-1), [FALL], [{**FALL, -1.0: 1.0}]),
        (criteria.rises(), [negative(FALL)], [FALL, BELL, LINE, {**negative(FALL), 0.0: -1.0}]),
        (criteria.flat(), [LINE], [FALL, BELL, {**LINE, 0.0: 0.6}]),
        (criteria.settles(), [LINE, {**LINE, -2.0: 1.0}], [FALL, BELL, {**LINE, 2.0: 0.6}]),
        (criteria.climbs(), [negative(FALL)], [FALL, negative(BELL), LINE, {**negative(FALL), 0.0: -1.0}]),
        (criteria.climbs(-1), [FALL], [negative(FALL), BELL, LINE]),
        (criteria.valley(0), [negative(BELL)], [BELL, FALL, LINE, {**negative(BELL), -1.0: -1.0}]),
        (criteria.steady(), [LINE, {at: 1e6 * v for at, v in LINE.items()}], [FALL, BELL, {**LINE, 0.0: 0.6}]),
        (criteria.steady_late(), [{**LINE, -2.0: 9.0}], [FALL]),
        (criteria.near(1, at=0), [BELL], [FALL, LINE]),
        (criteria.near_first(1), [FALL], [BELL, LINE]),
        (criteria.near_last(0), [FALL, BELL], [LINE]),
        (criteria.one_or_nothing(last=False), [FALL, BELL], [LINE]),
        (criteria.one_or_nothing(last=True), [negative(FALL)], [LINE]),
    ],
)
def test_a_criterion_tells_shapes_apart(criterion: Criterion, passes: list[Curve], fails: list[Curve]) -> None:
    assert [criterion(curve).reason for curve in passes] == [""] * len(passes)
    assert all(criterion(curve).reason for curve in fails)


def test_the_camp_of_a_diversity_metric_is_told() -> None:
    either = criteria.either(low=criteria.bell(0), high=criteria.rises())
    assert either(BELL).camp == "low"
    assert either(negative(FALL)).camp == "high"
    assert either(LINE).reason


def test_both_camps_in_one_check_are_a_failure() -> None:
    check = BY_NAME["Standard deviation"]
    low = {0.1: 0.0, 1.0: 1.0, 10.0: 0.0}
    runs = {"8 d": table.Run(low, ""), "64 d": table.Run({**low, 10.0: 1.0}, "")}
    both = table.judge(check, "shape", "diversity", runs)
    one = table.judge(check, "shape", "diversity", {"8 d": runs["8 d"]})
    assert both is not None and "high in one place, low in another" in both.reason
    assert one is not None and one.camp == "low"


class TestKnownOutcomes:
    """Consequences of the definitions, far from every threshold."""

    def test_every_score_and_distance_sees_a_shift(self) -> None:
        names = [name for name in table.METRICS if name != "vendi"]
        assert set(outcome("Mean shift", "8 d", names).values()) == {""}

    def test_one_real_outlier_lifts_precision_and_not_its_clipped_relative(self) -> None:
        found = outcome("Mean shift, one outlier", "real 1 d", ["precision", "clipped_density"])
        assert found["precision"] and not found["clipped_density"]

    def test_one_fake_outlier_lifts_recall_and_not_coverage(self) -> None:
        found = outcome("Mean shift, one outlier", "fake 1 d", ["recall", "coverage", "clipped_coverage"])
        assert found["recall"] and not found["coverage"] and not found["clipped_coverage"]

    def test_the_middle_of_a_sphere_lies_in_every_ball_in_many_dimensions(self) -> None:
        found = outcome("Surface of a sphere", "128 d", FIDELITY, "bounds")
        assert all(reason.endswith("0 is due") for reason in found.values())

    def test_dropped_modes_are_seen_by_every_diversity_score(self) -> None:
        assert set(outcome("Modes dropped in turn", "8 d", ["recall", "coverage", "clipped_coverage"]).values()) == {""}

    def test_no_score_is_blind_to_units_or_to_dimensions_that_say_nothing(self) -> None:
        assert all(outcome("Unit of one dimension", "2 d", SCORES).values())
        assert all(outcome("One dimension apart among equal ones", "2 to 1,001 d", SCORES).values())

    def test_the_classifier_is_blind_to_units(self) -> None:
        assert outcome("Unit of one dimension", "2 d", ["c2st", "c2st_nn"]) == {"c2st": "", "c2st_nn": ""}

    def test_variety_depends_on_where_samples_lie(self) -> None:
        assert outcome("Mean shift", "64 d", ["vendi"])["vendi"]

    def test_a_metric_without_a_number_fails_with_the_reason(self) -> None:
        check = BY_NAME["Mean shift"]
        found = table.judge(check, "shape", "fidelity", {"1 d": table.Run({0.0: np.nan}, "too few")})
        assert found is not None and found.reason == "no number: too few"


class TestPage:
    def test_every_check_and_metric_stands_in_the_page(self) -> None:
        cells = table.read_cells(table.DOCS)
        for check in CHECKS:
            for name, kind in table.METRICS.items():
                for question in table.QUESTIONS:
                    asked = any(check.asked(question, variant, kind) for variant in check.variants)
                    assert bool(cells.get((check.name, question, name))) == asked, (check.name, question, name)

    def test_what_is_written_is_read_back(self, tmp_path: Path) -> None:
        keys = [
            (check.name, question, name) for check in CHECKS for question in table.QUESTIONS for name in table.METRICS
        ]
        cells = {key: f"pass {i}" for i, key in enumerate(keys)}
        page = tmp_path / "page.md"
        page.write_text(f"before\n{table.BEGIN}\nold\n{table.END}\nafter\n")
        table.rewrite(page, table.render(cells))
        assert table.read_cells(page) == cells
        assert page.read_text().startswith("before\n") and page.read_text().endswith("\nafter\n")

    @pytest.mark.slow
    def test_the_page_says_what_the_code_gives(self) -> None:
        """A quarter of an hour on two cores."""
        stands = {key: text.startswith("pass") for key, text in table.read_cells(table.DOCS).items() if text}
        gives = {key: text.startswith("pass") for key, text in table.results().items() if text}
        assert stands == gives
