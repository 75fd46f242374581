"""What a board claims: against simulation, against scipy, and in the cases where nothing may be claimed."""

from __future__ import annotations

import html
import re
from pathlib import Path

import numpy as np
import pytest
from scipy import stats

import reports.html
import reports.markdown
from bench import RunRecord, Summary, ratio_interval, ratio_parts, summarise
from bench.record import LARGEST
from bench.results.ranks import RULE, Evidence, by_parts, difference, marks, p_values, same, seeds_needed, told
from bench.statistics import MOST
from reports._content import gather
from tests.report_records import interval, measured, record

REPEATS = 2000


def over(mean: float, sd: float | None, n: int, bound: bool = False) -> Evidence:
    return Evidence(Summary(mean, sd, n), bound=bound)


def scored(nats: np.ndarray) -> Evidence:
    """Of one run, which spent so much on each part of the test data."""
    ones = np.ones(len(nats))
    return Evidence(Summary(float(nats.mean()), None, 1), ratio_interval(nats, ones), parts=ratio_parts(nats, ones))


def run(mean: float, low: float, high: float) -> Evidence:
    return Evidence(Summary(mean, None, 1), interval(low, high))


def drawn(rng: np.random.Generator, generators: int, seeds: int) -> dict[str, Evidence]:
    """Generators that are equally good, and so are their numbers but for the seeds."""
    return {f"g{i}": Evidence(summarise(rng.normal(5, 1, seeds).tolist())) for i in range(generators)}


def trials(name: str, values: list[float], metric: str = "fd_lenet", **changes: object) -> list[RunRecord]:
    return [record(name, s, measurements=(measured(metric, v, **changes),)) for s, v in enumerate(values)]


def timed(name: str, values: list[float], speeds: list[float]) -> list[RunRecord]:
    pairs = enumerate(zip(values, speeds, strict=True))
    return [record(name, seed, scores={"fd_lenet": fd, "sample_throughput": speed}) for seed, (fd, speed) in pairs]


def said(*groups: list[RunRecord]) -> str:
    (section,) = gather([r for group in groups for r in group], Path(), []).sections
    return section.verdict


# ---- differences --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("other", [(12.0, 0.5, 2), (11.2, 3.0, 5), (10.1, 0.0, 3), (-4.0, 1e-3, 2)])
def test_over_seeds_it_is_welchs_test(other: tuple[float, float, int]) -> None:
    a, b = over(10.0, 0.5, 3), over(*other)
    theirs = stats.ttest_ind_from_stats(10.0, 0.5, 3, *other, equal_var=False)
    found = difference(a, b)
    assert found is not None
    assert 2 * stats.t.sf(abs(found.value) / found.error, found.freedom) == pytest.approx(theirs.pvalue)
    assert told(a, b) == told(b, a) == (theirs.pvalue < 0.05)


def test_one_seed_on_both_sides_is_judged_by_the_intervals_within_the_runs() -> None:
    """sqrt(0.2² + 0.2²) = 0.28, though the intervals touch from 0.4 on only."""
    assert not told(run(4.1, 3.9, 4.3), run(4.12, 3.92, 4.32))
    assert not told(run(4.1, 3.9, 4.3), run(4.37, 4.17, 4.57))
    assert told(run(4.1, 3.9, 4.3), run(4.39, 4.19, 4.59))


def test_of_a_lopsided_interval_the_half_that_faces_the_other_counts() -> None:
    assert told(run(0.0, 0.0, 0.3), run(-0.2, -0.3, -0.1))
    assert not told(run(0.0, 0.0, 0.3), run(0.2, 0.1, 0.3))


def test_the_intervals_of_single_runs_claim_as_often_as_they_say() -> None:
    rng = np.random.default_rng(0)
    false = 0
    for one, two in rng.normal(3, [1, 2], (REPEATS, 2)).tolist():
        false += told(run(one, one - 1.96, one + 1.96), run(two, two - 3.92, two + 3.92))
    assert 0.03 < false / REPEATS < 0.07


def test_one_seed_beside_several_scatters_as_they_do_and_no_less_than_within_its_run() -> None:
    several = over(10.0, 1.0, 3)
    # Student's t at 2 degrees of freedom, 4.303 * sqrt(1 + 1/3) = 4.97.
    assert not told(over(14.9, None, 1), several) and told(over(15.1, None, 1), several)
    assert not told(run(15.1, 11.0, 19.2), several)
    exact = over(10.0, 0.0, 3)
    assert told(run(11.0, 10.1, 11.9), exact) and not told(run(11.0, 9.9, 12.1), exact)
    assert difference(over(11.0, None, 1), exact) is None


def test_one_seed_beside_three_claims_no_more_than_it_may() -> None:
    rng = np.random.default_rng(1)
    false = sum(
        told(Evidence(summarise(values[:1])), Evidence(summarise(values[1:])))
        for values in rng.normal(0, 1, (REPEATS, 4)).tolist()
    )
    assert false / REPEATS < 0.065


def test_where_nothing_is_known_nothing_is_told() -> None:
    assert difference(over(1.0, None, 1), over(9.0, None, 1)) is None
    assert difference(over(1.0, None, 1), run(9.0, 8.0, 10.0)) is None


def test_numbers_that_never_move_are_told_apart_and_equal_ones_never() -> None:
    assert told(over(1.0, 0.0, 2), over(1.1, 0.0, 2))
    assert not told(over(0.1 + 0.2, 0.0, 3), over(0.3, 0.0, 3))


@pytest.mark.parametrize(
    ("a", "b", "apart"),
    [
        (over(0.0, LARGEST, 2), over(1.0, LARGEST, 2), False),
        (over(LARGEST, 0.0, 2), over(-LARGEST, 0.0, 2), True),
        (over(1e300, 1e299, 3), over(1e-300, 1e-301, 3), True),
        (over(1.0, 1e-200, 2), over(1.5, 1e200, 2), False),
        (over(0.0, 5e-324, 2), over(1e-320, 5e-324, 2), True),
    ],
)
def test_numbers_at_the_ends_of_floats_are_judged_as_any(a: Evidence, b: Evidence, apart: bool) -> None:
    assert told(a, b) == apart
    assert (seeds_needed(a, b) or 0) > 100 if not apart else (seeds_needed(a, b) or 0) <= 3


# ---- marks --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seeds", [2, 3, 5])
@pytest.mark.parametrize("generators", [2, 4])
def test_among_equals_a_best_alone_is_claimed_in_a_twentieth_at_most(generators: int, seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    alone = sum(len(marks(drawn(rng, generators, seeds), "lower")) == 1 for _ in range(REPEATS))
    assert alone / REPEATS < 0.065


@pytest.mark.parametrize("better", ["lower", "higher"])
def test_the_direction_of_a_claim_is_that_of_the_means(better: str) -> None:
    rng = np.random.default_rng(4)
    for _ in range(300):
        known = {f"g{i}": over(rng.normal(), abs(rng.normal()), int(rng.integers(2, 6))) for i in range(4)}
        found = marks(known, better)
        best = (min if better == "lower" else max)(known, key=lambda name: known[name].mean)
        assert [name for name, mark in found.items() if mark == "best"] == [best]
        assert all(told(known[name], known[best]) for name in known if name not in found)


@pytest.mark.parametrize(("better", "sign"), [("lower", 1), ("higher", -1)])
def test_beyond_real_data_nothing_is_the_best(better: str, sign: int) -> None:
    """Whichever of the models passes it; told to, it is beyond."""
    known = {"a": over(sign * 1.0, 0.1, 3), "b": over(sign * 5.0, 0.1, 3)}
    assert marks(known, better, over(sign * 3.0, 0.0, 3)) == {"a": "beyond"}
    assert marks(known, better, over(sign * 9.0, 0.1, 3)) == {"a": "beyond", "b": "beyond"}
    assert marks({"a": known["a"]}, better, over(sign * 3.0, 0.1, 3)) == {"a": "beyond"}
    assert marks(known, better, over(sign * 0.5, 0.0, 3)) == marks(known, better) == {"a": "best"}
    assert marks(known, better, over(sign * 1.1, 0.1, 3)) == {"a": "tied"}  # not told from real data, which it passes
    with_another, real = {**known, "c": over(sign * 1.2, 0.1, 3)}, over(sign * 1.1, 0.1, 3)
    assert marks(with_another, better, real) == {"a": "tied", "c": "tied"}
    assert marks(known, better, over(sign * 3.0, None, 1)) == {"a": "beyond"}
    assert marks(known, "none", over(sign * 3.0, 0.0, 3)) == {}
    single = {"a": run(sign * 1.0, sign * 1.0 - 0.1, sign * 1.0 + 0.1)}
    assert marks(single, better, run(sign * 3.0, sign * 3.0 - 0.1, sign * 3.0 + 0.1)) == {"a": "beyond"}


def test_two_seeds_need_a_wide_gap() -> None:
    """Welch's t at two degrees of freedom asks for 4.3 standard errors, not 2: 0.707 each here."""
    trio = {"a": over(10.0, 0.5, 2), "b": over(12.0, 0.5, 2), "c": over(12.3, 0.5, 2)}
    assert marks(trio, "lower") == {"a": "best", "b": "tied"}


def test_without_seeds_and_intervals_nothing_is_marked() -> None:
    assert marks({"a": over(1.0, None, 1), "b": over(9.0, None, 1)}, "lower") == {}
    assert marks({"a": over(1.0, None, 1)}, "lower") == {}
    assert marks({"a": over(1.0, None, 1), "b": over(1.0, None, 1)}, "none") == {}
    assert marks({"a": over(1.0, None, 1), "b": over(1.0, None, 1)}, "lower") == {"a": "best", "b": "best"}


def test_one_that_cannot_be_judged_is_not_called_worse() -> None:
    known = {"a": over(1.0, 0.1, 3), "b": over(5.0, 0.1, 3), "c": over(9.0, None, 1)}
    assert marks({**known, "a": run(1.0, 0.9, 1.1)}, "lower") == {"a": "best", "c": "tied"}


def test_a_bound_is_not_called_worse_than_what_is_none() -> None:
    point, bound, loose = over(3.0, 0.1, 3), over(4.0, 0.1, 3, bound=True), over(5.0, 0.1, 3, bound=True)
    assert marks({"a": point, "b": bound}, "lower") == {"a": "best", "b": "tied"}
    assert marks({"a": over(6.0, 0.1, 3), "b": bound}, "lower") == {"b": "best"}
    assert marks({"b": bound, "c": loose}, "lower") == {"b": "best"}


# ---- how many seeds -----------------------------------------------------------------------------------------


def power(gap: float, sds: tuple[float, float], n: int, rng: np.random.Generator) -> float:
    first, second = rng.normal(0, sds[0], (n, 20_000)), rng.normal(gap, sds[1], (n, 20_000))
    return float((stats.ttest_ind(first, second, equal_var=False).pvalue < 0.05).mean())


@pytest.mark.parametrize(
    ("gap", "sds"),
    [(35, (40, 10)), (1, (1, 1)), (1, (0.3, 0.3)), (1, (2, 1)), (3, (1, 0.01)), (5, (1, 1)), (-1, (1, 0.5))],
)
def test_the_number_of_seeds_agrees_with_simulation(gap: float, sds: tuple[float, float]) -> None:
    """So many tell the difference in four of five cases; one fewer does not, to within a seed."""
    rng = np.random.default_rng(0)
    n = seeds_needed(over(0.0, sds[0], 3), over(gap, sds[1], 3))
    assert n is not None and n > 2
    assert power(gap, sds, n + 1, rng) >= 0.79
    assert n == 3 or power(gap, sds, n - 2, rng) < 0.8


def test_the_number_of_seeds_has_ends() -> None:
    assert seeds_needed(over(1.0, 0.5, 3), over(1.0, 0.5, 3)) == MOST + 1
    assert seeds_needed(over(1.0, 0.5, 3), over(1.0001, 0.5, 3)) == MOST + 1
    assert seeds_needed(over(1.0, 1e-6, 3), over(9.0, 1e-6, 3)) == 2
    assert seeds_needed(over(1.0, None, 1), over(9.0, None, 1)) is None
    seeds = seeds_needed(over(1.0, 1 / 1.96, 3), over(2.0, 1 / 1.96, 3))
    assert seeds_needed(run(1.0, 0.0, 2.0), run(2.0, 1.0, 3.0)) == seeds


# ---- sentences ----------------------------------------------------------------------------------------------


def test_a_tie_says_how_many_seeds_would_tell() -> None:
    sentence = said(trials("dcgan", [190, 250]), trials("vae", [248, 262]))
    assert sentence == (
        "It is open whether dcgan (220 ± 40) or vae (255 ± 10) has the lowest fd_lenet: "
        "2 seeds each do not tell, about 15 each would."
    )


def test_a_yardstick_ahead_of_the_winner_follows_it_at_once() -> None:
    sentence = said(trials("a", [4.1, 4.2]), trials("b", [7.1, 7.2]), trials("noise", [1.4, 1.5]))
    assert sentence.startswith(
        "a has the lowest fd_lenet of the generators, 4.15 ± 0.07 over 2 seeds. "
        "But the yardstick noise (1.45 ± 0.07) does better than all of them."
    )


def test_no_more_seeds_are_advised_of_what_was_trained_elsewhere() -> None:
    read = record("theirs", scores={"fd_lenet": 250.0}).plan.model_copy(update={"read": "theirs.npz (sha256:0)"})
    theirs = record("theirs", scores={"fd_lenet": 250.0}).model_copy(update={"plan": read})
    sentence = said(trials("dcgan", [190, 250]), [theirs])
    assert sentence.endswith("do not tell, and of what was trained elsewhere more samples alone might.")


def test_nothing_far_better_than_noise_is_said_to_be_no_better() -> None:
    """220 ± 40 of two seeds is not told from 536, but 255 ± 10 is, and neither is worse."""
    sentence = said(trials("dcgan", [190, 250]), trials("vae", [248, 262]), trials("noise", [536.0, 537.2]))
    assert sentence.endswith(
        " Whether dcgan does better than noise (536.6 ± 0.8) is open: 2 seeds each do not tell, about 3 each would."
    )
    assert "none is better" not in sentence


def test_noise_that_does_better_is_said_to() -> None:
    assert said(trials("a", [4.1, 4.2]), trials("noise", [1.4, 1.5])).endswith(
        ". But the yardstick noise (1.45 ± 0.07) does better."
    )
    level = said(trials("a", [4.1, 4.2, 4.3]), trials("noise", [4.1, 4.2, 4.2]))
    assert re.search(
        r"\. But the yardstick noise \(4.17 ± 0.06\) may do better: 3 seeds each do not tell, about \d+ each would\.$",
        level,
    )
    assert said(trials("a", [4.1, 4.2]), trials("noise", [4.1, 4.2])).endswith(
        ". But the yardstick noise (4.15 ± 0.07) does as well."
    )
    assert "noise" not in said(trials("a", [4.1, 4.2, 4.3]), trials("noise", [9.1, 9.2, 9.3]))


def test_of_two_floors_the_one_that_is_harder_to_beat_counts() -> None:
    a, noise = trials("a", [4.1, 4.2, 4.3]), trials("noise", [9.1, 9.2, 9.3])
    assert said(a, noise, trials("gaussian", [2.1, 2.2, 2.3])).endswith(
        ". But the yardstick gaussian (2.20 ± 0.10) does better."
    )
    assert "gaussian" not in said(a, noise, trials("gaussian", [6.1, 6.2, 6.3]))


def test_who_is_no_better_than_a_floor_is_named_also_behind_a_winner() -> None:
    groups = trials("a", [1.1, 1.2, 1.3]), trials("b", [7.1, 7.2, 7.3]), trials("c", [5.1, 5.2, 5.3])
    sentence = said(*groups, trials("noise", [9.1, 9.2, 9.3]), trials("gaussian", [6.1, 6.2, 6.3]))
    assert sentence.startswith("a has the lowest fd_lenet") and sentence.endswith(
        ". b does not come out ahead of gaussian (6.20 ± 0.10)."
    )


def test_a_rival_that_is_told_to_be_worse_than_a_floor_is_not_called_open() -> None:
    """It is told from the floor, and only from the best not, whose seeds scatter."""
    best, rival = trials("best", [1.0, 1.2, 1.4]), trials("rival", [1.55, 1.56, 1.57])
    sentence = said(best, rival, trials("noise", [9.1, 9.2, 9.3]), trials("gaussian", [1.51, 1.51, 1.52]))
    assert "rival is" not in sentence and "rival does better" not in sentence


@pytest.mark.parametrize("seeds", [2, 3, 5])
def test_what_is_as_good_as_noise_is_called_better_in_a_twentieth_at_most(seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    better = 0
    for _ in range(300):
        groups = [trials(name, rng.normal(5, 1, seeds).tolist()) for name in ("a", "b", "noise")]
        better += "noise" not in said(*groups)
    assert better / 300 < 0.075


def test_with_one_seed_a_claim_says_what_it_rests_on() -> None:
    close = [record(n, measurements=(measured("fd_lenet", v, interval=interval(v - 0.2, v + 0.2)),))
             for n, v in (("a", 4.10), ("b", 4.12))]  # fmt: skip
    assert said(close).startswith("It is open whether a (4.10 [3.90, 4.30]) or b (4.12 [3.92, 4.32]) has the lowest")
    assert "one seed each does not tell, at least" in said(close)
    (column,) = gather(close, Path(), []).sections[0].board.columns
    cells = [row.cells[column.key].mark for row in gather(close, Path(), []).sections[0].board.rows]
    assert cells == ["best", "tied"]
    far = record("b", measurements=(measured("fd_lenet", 5.0, interval=interval(4.8, 5.2)),))
    assert said([close[0], far]).endswith("from one seed, as far as the intervals within single runs can tell.")


def test_one_seed_without_intervals_claims_nothing() -> None:
    sentence = said(trials("a", [4.1]), trials("b", [9.0]))
    assert sentence.startswith(
        "It is open whether a (4.10) or b (9) has the lowest fd_lenet: one seed each does not tell"
    )
    assert sentence.endswith("nobody knows how many would; 2 each are a start.")


def test_who_has_one_seed_among_several_is_mentioned() -> None:
    assert said(trials("a", [4.1, 4.2, 4.3]), trials("b", [9.0])).endswith(
        "though some of its rivals have one seed only."
    )
    one = record("a", measurements=(measured("fd_lenet", 5.0, interval=interval(4.9, 5.1)),))
    assert "though it has one seed and its rivals several." in said([one], trials("b", [9.0, 9.1, 9.2]))


def test_a_rounding_tells_nothing_apart() -> None:
    """Intervals that touch, .001 less .001 of them by the arithmetic of the machine."""
    low, high = (Evidence(summarise([value]), interval(value, value)) for value in (0.1, 0.3))
    near = Evidence(summarise([0.3]), interval(0.1 + 1e-17, 0.4))
    assert told(high, low) and not told(near, low)


def test_a_bound_leaves_the_question_open() -> None:
    point = trials("a", [4.10, 4.11], "bits_per_byte")
    bound = trials("b", [4.50, 4.51], "bits_per_byte", kind="bound")
    assert said(point, bound).endswith("of b only a bound is known (≤ 4.505 ± 0.007 over 2 seeds).")


def test_numbers_below_nothing_are_compared_as_any() -> None:
    sentence = said(trials("a", [-4.10, -4.11], "kid_lenet"), trials("b", [-1.10, -1.11], "kid_lenet"))
    assert sentence == "a has the lowest kid_lenet, −4.105 ± 0.007 over 2 seeds."


def test_of_many_rivals_the_first_are_named() -> None:
    sentence = said(*[trials(f"g{i}", [4 + i / 100, 5.0, 6.0]) for i in range(9)])
    assert re.search(r"whether g0 \([^()]*\), g1 \([^()]*\), g2 \([^()]*\) or one of 6 others has", sentence)


@pytest.mark.parametrize(
    ("mine", "other", "expected"),
    [
        ([410.0, 411.0, 412.0], [100.0, 101.0, 102.0], " It samples 4.1× as fast as b, the runner-up."),
        ([100.0, 101.0, 102.0], [410.0, 411.0, 412.0], " It takes 4.1× as long to sample as b, the runner-up."),
        ([100.0, 101.0, 102.0], [101.0, 100.0, 103.0], " It samples about as fast as b, the runner-up."),
        (
            [160.0, 110.0, 150.0],
            [100.0, 150.0, 102.0],
            " Whether it samples faster than b, the runner-up, is open: 3 seeds each do not tell, about 24 each would.",
        ),
        (
            [1e100, 1.1e100, 1.2e100],
            [1e-100, 1.1e-100, 1.2e-100],
            " It samples over 1,000,000× as fast as b, the runner-up.",
        ),
    ],
)
def test_speed_is_claimed_only_where_it_is_told(mine: list[float], other: list[float], expected: str) -> None:
    assert said(timed("a", [1.0, 1.1, 1.2], mine), timed("b", [9.0, 9.1, 9.2], other)).endswith(expected)


@pytest.mark.parametrize("found", [[], ["a"], ["a", "b"], ["a", "b", "c"]], ids=len)
@pytest.mark.parametrize("seeds", [1, 2, 3])
@pytest.mark.parametrize("noise", [[], ["noise"]], ids=len)
def test_what_is_said_are_whole_sentences(found: list[str], noise: list[str], seeds: int) -> None:
    rng = np.random.default_rng(seeds)
    for _ in range(20):
        groups = [trials(name, rng.normal(5, rng.choice([0.1, 2]), seeds).tolist()) for name in [*found, *noise]]
        if groups:
            sentences = re.split(r"(?<=\.) (?=[A-Z])", said(*groups))
            assert all(re.match(r"([A-Z]|[abc] |a, |[ab] and )", s) and s.endswith(".") for s in sentences)
            assert all(" tell" not in s or re.search(r"each would( not either)?\.$|a start\.$", s) for s in sentences)


def test_speed_may_decide_between_those_that_are_not_told_apart() -> None:
    quick, slow = timed("a", [1.0, 1.1, 1.2], [400.0, 401.0, 402.0]), timed("b", [1.0, 1.1, 1.3], [100.0, 101.0, 102.0])
    assert said(quick, slow).endswith(" Of the two, a samples fastest, at 4.0× the speed of the next.")
    assert "fastest" not in said(quick, timed("b", [1.0, 1.1, 1.3], [300.0, 401.0, 402.0]))


def test_pages_say_what_the_marks_rest_on(tmp_path: Path) -> None:
    for write in (reports.html.write, reports.markdown.write):
        close = trials("a", [1.0, 2.0]) + trials("b", [1.1, 2.1])
        text = write(close, tmp_path, tmp_path, []).read_text(encoding="utf-8")
        assert "≈" in text and RULE in html.unescape(text)


def test_a_training_that_was_stopped_is_a_row_of_its_own() -> None:
    stopped = {"status": "failed", "error": {"kind": "timeout", "message": "measured at step 200 of 600"}}
    records = [record("vae", seed, steps=600, scores={"fd_lenet": 1.0}) for seed in (0, 1)]
    records += [record("vae", 2, steps=200, scores={"fd_lenet": 9.0}, **stopped)]
    records += [record("gan", 0, steps=300, scores={"fd_lenet": 5.0}, **stopped), record("ar", 0, steps=9, **stopped)]
    (section,) = gather(records, Path(), []).sections
    found = {row.name: row.mean(section.board.main) for row in section.board.rows}
    assert found["vae (stopped_at=200)"] == 9 and found["gan (stopped_at=300)"] == 5 and found["ar"] is None
    assert sorted(v for v in found.values() if v) == [1, 5, 9]


# ---- a board's worth at once --------------------------------------------------------------------------------


def test_all_pairs_at_once_are_as_pair_by_pair() -> None:
    rng = np.random.default_rng(0)
    known = [over(float(m), float(s), int(n)) for m, s, n in zip(*rng.uniform(1, 9, (3, 6)), strict=True) if int(n) > 1]
    known += [run(float(m), float(m - 1), float(m + 2)) for m in rng.uniform(1, 9, 4)]
    known += [over(3.0, 0.0, 2), over(3.0, 0.0, 4), over(4.0, 0.0, 3), over(5.0, None, 1), over(3.0, None, 1)]
    known += [scored(rng.normal(m, 1, n)) for m, n in ((2.0, 30), (2.1, 30), (3.0, 29), (3.1, 29))]
    p = p_values(known, "lower")
    for i, a in enumerate(known):
        for j, b in enumerate(known):
            found = difference(a, b)
            if i == j:
                continue
            if same(a, b):
                assert p[i, j] == 1 or (found is None and np.isnan(p[i, j]))
            elif found is None:
                assert np.isnan(p[i, j])
            else:
                assert p[i, j] == pytest.approx(found.p), (a, b)


def test_models_that_find_the_same_data_hard_are_told_apart_part_by_part() -> None:
    """As scipy does in pairs; those that are alike are told apart in 5 % of tests, and intervals would tell nothing."""
    rng, false, by_intervals, repeats = np.random.default_rng(3), 0, 0, REPEATS // 3
    for _ in range(repeats):
        hard = rng.normal(3, 1, 60)
        one, other, better = (hard + rng.normal(0, 0.1, 60) for _ in range(3))
        a, b, c = scored(one), scored(other), scored(better - 0.1)
        found = difference(a, b)
        theirs = stats.ttest_rel(one, other)
        assert found and found.p == pytest.approx(theirs.pvalue, rel=1e-3) and by_parts(a, b)
        false += told(a, b)
        by_intervals += told(Evidence(c.summary, c.interval), Evidence(b.summary, b.interval))
        assert told(c, b) == (stats.ttest_rel(better - 0.1, other).pvalue < 0.05)
    assert 0.03 < false / repeats < 0.075 and by_intervals == 0
    assert set(marks({"b": b, "c": c}, "lower")) == {"c"}


def test_parts_are_for_single_runs_of_the_same_parts() -> None:
    rng = np.random.default_rng(0)
    a, b, short = scored(rng.normal(3, 1, 60)), scored(rng.normal(3, 1, 60)), scored(rng.normal(3, 1, 59))
    assert by_parts(a, b) and not by_parts(a, short) and not by_parts(a, over(3.0, 0.1, 3))
    assert difference(a, short) == difference(Evidence(a.summary, a.interval), short)
    assert not by_parts(Evidence(Summary(3.0, 0.1, 3), parts=a.parts), b)


def test_models_that_agree_on_every_part_show_no_scatter() -> None:
    """But for a shift, or the rounding of what they add to: then the intervals within the runs are all there is."""
    nats = np.random.default_rng(0).normal(3, 1, 60)
    a, shifted, rounded = scored(nats), scored(nats + 0.01), scored(nats * (1 + 1e-12))
    assert not by_parts(a, shifted) and not told(a, shifted) and not told(a, rounded)
    assert seeds_needed(a, scored(nats + np.random.default_rng(1).normal(0.01, 0.1, 60))) in range(2, 400)


@pytest.mark.parametrize("size", [1e-200, 1e200])
def test_parts_of_any_size_are_compared(size: float) -> None:
    nats = np.random.default_rng(0).normal(3, 1, 60)
    a, b = (Evidence(Summary(3 * size, None, 1), parts=tuple(size * (nats - i) / 60)) for i in (nats.mean(), 0.0))
    assert by_parts(a, b) and not told(a, b)


def test_a_bound_is_not_told_to_be_worse_than_what_is_none() -> None:
    known = [over(1.0, 0.1, 3), over(2.0, 0.1, 3, bound=True), over(3.0, 0.1, 3, bound=True)]
    lower, higher = (p_values(known, better) for better in ("lower", "higher"))
    assert np.isnan(lower[0, 1]) and np.isnan(lower[1, 0]) and lower[1, 2] < 0.01
    assert higher[0, 1] < 0.01 and higher[1, 2] < 0.01
