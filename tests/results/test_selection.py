"""Choosing a model and comparing two: constraints before quality, quality before price, and how sure it all is."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import GenbenchError, RunRecord
from bench.cli._main import run_command
from bench.results.board import Board, leaderboards
from bench.results.pairs import BY_PARTS, SINGLE, UNSEEN, compare
from bench.results.ranks import NO_MERIT
from bench.results.selection import Choice, Condition, select
from bench.results.store import write_record
from tests.report_records import interval, measured, record


def trials(name: str, fd: list[float], speed: float, memory: float = 1e8, **more: Any) -> list[RunRecord]:
    return [
        record(
            name, seed, **more,
            scores={"fd_lenet": value, "sample_throughput": speed + seed, "peak_rss_bytes": memory + 1e5 * seed},
        )
        for seed, value in enumerate(fd)
    ]  # fmt: skip


GOOD = trials("good", [10.0, 10.4, 9.6], 50)
ALIKE = trials("alike", [10.2, 10.6, 9.9], 400)
FAST = trials("fast", [30.0, 30.5, 29.0], 4000)
HUGE = trials("huge", [5.0, 5.1, 4.9], 300, 9e9)


def board(*groups: list[RunRecord]) -> Board:
    (found,) = leaderboards([r for group in groups for r in group])
    return found


def choose(*groups: list[RunRecord], where: tuple[str, ...] = (), **options: Any) -> Choice:
    rng = np.random.default_rng(0)
    return select(board(*groups), rng, conditions=[Condition.read(text) for text in where], **options)


def names(choice: Choice) -> list[str]:
    return [candidate.row.name for candidate in choice.chosen]


class TestSelect:
    def test_of_the_best_tier_the_cheapest_is_taken(self) -> None:
        choice = choose(GOOD, ALIKE, FAST, objective="fd_lenet")
        assert names(choice) == ["alike"]
        assert {c.row.name: c.tier for c in choice.candidates} == {"alike": "a", "good": "a", "fast": "b"}

    def test_each_that_is_not_taken_is_told_why(self) -> None:
        choice = choose(GOOD, ALIKE, FAST, HUGE, where=("peak_rss_bytes <= 5e8",), objective="fd_lenet")
        assert {c.row.name: choice.passed_over(c) for c in choice.candidates} == {
            "alike": "", "huge": "", "good": "dearer by sample_throughput", "fast": "told to be worse by fd_lenet",
        }  # fmt: skip
        front = choose(GOOD, trials("slower", [12.0, 12.4, 11.6], 20))
        assert [front.passed_over(c) for c in front.candidates] == ["", "good is as good in all, and better in some"]

    @pytest.mark.parametrize("together", [True, False])
    def test_what_both_find_hard_is_no_doubt_between_them(self, together: bool) -> None:
        """Single runs whose intervals overlap by far: with the parts of their data the better one is sure."""
        rng = np.random.default_rng(0)
        hard = rng.normal(2, 0.5, 80)
        runs = []
        for name, better in (("near", 0.03), ("far", 0.0)):
            nats, ones = hard - better + rng.normal(0, 0.01, 80), np.ones(80)
            number = measured(
                "bits_per_byte", float(nats.mean()), interval=bench.ratio_interval(nats, ones),
                parts=bench.ratio_parts(nats, ones) if together else (),
            )  # fmt: skip
            runs.append([record(name, measurements=(number,))])
        choice = choose(*runs, objective="bits_per_byte")
        (near,) = (c for c in choice.candidates if c.row.name == "near")
        assert near.best is not None and (near.best > 0.999 if together else near.best < 0.8)
        assert {c.tier for c in choice.candidates} == ({"a", "b"} if together else {"a"})
        (contrast,) = compare(board(*runs), "near", "far")
        assert contrast.better == ("first" if together else "")
        assert contrast.method == (BY_PARTS if together else SINGLE)

    def test_a_bound_is_told_to_be_one(self, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
        for name, kind in (("flow", "point"), ("vae", "bound")):
            write_record(tmp_path, record(name, measurements=(measured("bits_per_byte", 2.0, kind=kind),)))
        assert run_command(["select", str(tmp_path), "--minimize", "bits_per_byte"]) == 0
        assert "Of vae only bounds are known" in capsys.readouterr().out.replace("\n", " ")

    def test_a_choice_by_price_says_what_would_tell(self) -> None:
        """alike is cheaper, and good a little better by its mean."""
        choice = choose(GOOD, ALIKE, FAST, objective="fd_lenet")
        assert choice.leader and choice.leader.row.name == "good" and (choice.seeds or 0) > 3
        best = choose(GOOD, FAST, objective="fd_lenet")
        assert best.leader is not None and names(best) == [best.leader.row.name] and best.seeds is None

    def test_what_is_hardly_ever_the_best_is_no_bargain(self) -> None:
        """Too few data to tell 10.9 from the best, beside which it is so 1 time in 100, however cheap it is."""
        cheap = trials("cheap", [10.85, 11.4, 10.4], 4000)
        choice = choose(trials("good", [10.0, 10.1, 9.9], 50), ALIKE, cheap, objective="fd_lenet")
        found = {c.row.name: c for c in choice.candidates}
        assert found["cheap"].tier == "a" and not found["cheap"].likely and (found["cheap"].best or 0) < 0.05
        assert names(choice) == ["alike"]

    def test_who_is_left_out_wins_nothing(self) -> None:
        """Else the few draws in which one that failed in part is not the best would say who may be."""
        error = {"kind": "exception", "message": "loss is nan"}
        lucky = [*trials("lucky", [1.0], 50), *(record("lucky", s, status="failed", error=error) for s in (1, 2))]
        cheap = trials("cheap", [10.85, 11.4, 10.4], 4000)
        choice = choose(trials("good", [10.0, 10.1, 9.9], 50), ALIKE, cheap, lucky, objective="fd_lenet")
        assert names(choice) == ["alike"] and sum(c.best or 0 for c in choice.candidates) == pytest.approx(1)

    def test_one_that_hardly_keeps_the_conditions_gives_way(self) -> None:
        several = ("kid_lenet", "self_bleu", "nn_ratio_lenet", "latency_p50", "perplexity", "vendi_lenet")

        def side(name: str, fd: float, rest: float) -> list[RunRecord]:
            scores = [{"fd_lenet": fd + s / 10, **dict.fromkeys(several, rest + s)} for s in (-1, 0, 1)]
            return [record(name, seed, scores=its) for seed, its in enumerate(scores)]

        # Each of six means at its bound: together they are kept once in 64 times.
        choice = choose(
            side("edge", 10.0, 50.0), side("safe", 20.0, 5.0), objective="fd_lenet",
            where=tuple(f"{metric} <= 50" for metric in several),
        )  # fmt: skip
        found = {c.row.name: c for c in choice.candidates}
        assert not found["edge"].why and found["edge"].tier == "a" and found["edge"].keeps < 0.05
        assert names(choice) == ["safe"] and found["safe"].keeps > 0.95

    def test_what_beats_real_data_is_not_taken(self) -> None:
        choice = choose(GOOD, ALIKE, trials("real", [20.0, 20.1, 19.9], 50), FAST, objective="fd_lenet")
        why = {c.row.name: c.why for c in choice.candidates}
        assert NO_MERIT in why["good"] and NO_MERIT in why["alike"] and names(choice) == ["fast"]

    def test_an_objective_and_a_front_are_two_questions(self) -> None:
        with pytest.raises(GenbenchError, match="give one of them"):
            choose(GOOD, FAST, objective="fd_lenet", front=("fd_lenet", "sample_throughput"))

    def test_who_failed_in_part_is_not_taken(self) -> None:
        error = {"kind": "exception", "message": "loss is nan"}
        lucky = [*trials("lucky", [1.0], 50), *(record("lucky", s, status="failed", error=error) for s in (1, 2))]
        choice = choose(GOOD, lucky, objective="fd_lenet")
        assert names(choice) == ["good"]
        (left,) = (c.why for c in choice.candidates if c.row.name == "lucky")
        assert "not of all its trials" in left and "loss is nan" in left

    def test_constraints_come_first(self) -> None:
        every = (GOOD, ALIKE, FAST, HUGE)
        assert names(choose(*every, objective="fd_lenet")) == ["huge"]
        choice = choose(*every, objective="fd_lenet", where=("peak_rss_bytes <= 5e8", "sample_throughput > 100"))
        assert names(choice) == ["alike"]
        why = {c.row.name: c.why for c in choice.candidates}
        assert why["huge"] == "peak_rss_bytes is 9e+09, not <= 5e+08" and "sample_throughput is 51" in why["good"]

    def test_where_nothing_keeps_them_nothing_is_taken(self) -> None:
        choice = choose(GOOD, FAST, objective="fd_lenet", where=("fd_lenet < 1",))
        assert not choice.chosen and all(c.why for c in choice.candidates)

    def test_one_without_the_number_is_left_out_with_its_reason(self) -> None:
        lacking = [record("lacking", 0, scores={"kid_lenet": 1.0}, omitted={"fd_lenet": "too few samples"})]
        why = {c.row.name: c.why for c in choose(GOOD, lacking, objective="fd_lenet").candidates}
        assert why["lacking"] == "no fd_lenet: too few samples"

    def test_how_sure_it_is_is_what_repeating_it_gives(self) -> None:
        """Two whose means lie a standard error of their difference apart, of many seeds: better in 84 of 100."""
        n, rng = 200, np.random.default_rng(0)
        noise = rng.normal(0, 1, n)
        noise = (noise - noise.mean()) / noise.std(ddof=1)
        gap = (2 / n) ** 0.5
        a, b = (trials(name, (shift + noise).tolist(), 1.0) for name, shift in (("a", 10.0), ("b", 10.0 + gap)))
        choice = choose(a, b, objective="fd_lenet", price="fd_lenet")
        (taken,) = choice.chosen
        assert taken.row.name == "a" and taken.best == pytest.approx(0.841, abs=0.025)

    def test_a_constraint_that_is_kept_by_a_hair_is_kept_with_half_a_chance(self) -> None:
        choice = choose(GOOD, objective="fd_lenet", where=("fd_lenet <= 10.0001",))
        assert choice.candidates[0].keeps == pytest.approx(0.5, abs=0.03)
        assert choice.candidates[0].best == pytest.approx(0.5, abs=0.03)

    def test_a_front_where_nothing_is_to_be_best(self) -> None:
        choice = choose(GOOD, ALIKE, FAST, trials("poor", [40.0, 41.0, 39.0], 30))
        assert set(names(choice)) == {"good", "alike", "fast"} and choice.objective is None
        poor = next(c for c in choice.candidates if c.row.name == "poor")
        assert not poor.chosen and (poor.best or 0) < 0.01
        assert set(names(choose(GOOD, FAST, HUGE, front=("fd_lenet", "peak_rss_bytes")))) >= {"good", "huge"}

    def test_one_seed_without_an_interval_is_taken_as_exact_and_that_is_said(self) -> None:
        assert choose(GOOD, trials("single", [9.0], 10), objective="fd_lenet").fixed == ("single",)

    @pytest.mark.parametrize("text", ["", "fd_lenet", "fd_lenet = 3", "fd_lenet <= much", "<= 3", "fd_lenet <= inf"])
    def test_what_is_no_condition_is_refused(self, text: str) -> None:
        with pytest.raises(GenbenchError, match="--where"):
            Condition.read(text)

    def test_a_metric_that_is_not_there_or_has_no_direction_is_named(self) -> None:
        with pytest.raises(GenbenchError, match=r"no generator on mnist has a number for 'fd_lent'.*fd_lenet"):
            choose(GOOD, objective="fd_lent")
        wayless = [record("g", s, measurements=(measured("fd_lenet", 1.0, better="none"),)) for s in (0, 1)]
        with pytest.raises(GenbenchError, match="no direction"):
            choose(wayless, objective="fd_lenet")

    def test_of_several_protocols_one_is_to_be_named(self) -> None:
        other = [record("b", 0, measurements=(measured("fd_lenet", 3.0, protocol={"n_fake": 9}),))]
        with pytest.raises(GenbenchError, match="did you mean 'fd_lenet'"):
            choose(GOOD, objective="fd")  # as suites call it
        with pytest.raises(GenbenchError, match="measured in 2 ways"):
            choose(GOOD, other, objective="fd_lenet")


class TestCompare:
    def test_runs_of_one_seed_are_pairs(self) -> None:
        good = trials("good", [10.0, 10.4, 9.6, 10.9, 9.2], 50)
        alike = trials("alike", [10.2, 10.6, 9.9, 11.1, 9.5], 400)
        found = {c.column.metric: c for c in compare(board(good, alike), "good", "alike")}
        assert found["fd_lenet"].method == "pairs of 5 seeds" and found["fd_lenet"].better == "first"
        assert found["sample_throughput"].method == UNSEEN and found["sample_throughput"].better == ""

    def test_fewer_than_five_are_not(self) -> None:
        """As in a gate: what two or three differences scatter by is hardly known."""
        found = {c.column.metric: c for c in compare(board(GOOD, ALIKE), "good", "alike")}
        assert found["fd_lenet"].method == "Welch" and found["fd_lenet"].better == ""
        assert found["sample_throughput"].better == "second"

    def test_a_bound_is_not_told_to_be_worse_than_what_is_none(self) -> None:
        def side(name: str, values: list[float], kind: str) -> list[RunRecord]:
            numbers = [(measured("bits_per_byte", value, kind=kind),) for value in values]
            return [record(name, seed, measurements=found) for seed, found in enumerate(numbers)]

        point = side("flow", [3.20, 3.21, 3.19], "point")
        for kind, better in (("bound", ""), ("point", "first")):
            (found,) = compare(board(point, side("vae", [3.30, 3.32, 3.29], kind)), "flow", "vae")
            assert found.better == better

    def test_other_seeds_are_no_pairs(self) -> None:
        found = {c.column.metric: c for c in compare(board(GOOD, ALIKE[:2]), "good", "alike")}
        assert found["fd_lenet"].method == "Welch" and found["fd_lenet"].better == ""

    def test_many_claims_are_adjusted_together(self) -> None:
        """Of two hundred pairs of equals about ten would be told apart one by one; together hardly any."""
        rng = np.random.default_rng(0)
        metrics = [f"m{i}" for i in range(200)]

        def side(name: str) -> list[RunRecord]:
            shape = {"aspect": "realism", "unit": "1", "better": "lower"}
            return [
                record(name, s, measurements=tuple(measured("fd_lenet", float(rng.normal()), **shape)
                       .model_copy(update={"metric": m}) for m in metrics))
                for s in range(4)
            ]  # fmt: skip

        found = compare(board(side("a"), side("b")), "a", "b")
        assert len(found) == 200 and sum(bool(c.better) for c in found) <= 3

    def test_what_is_exact_needs_no_seeds(self) -> None:
        a, b = (
            [record(n, 0, measurements=(measured("parameters", v, exact=True),))] for n, v in (("a", 10), ("b", 12))
        )
        (found,) = compare(board(a, b), "a", "b")
        assert found.method == "exact" and found.difference is not None and found.difference.value == -2

    def test_single_runs_are_told_apart_by_their_intervals(self) -> None:
        def one(name: str, value: float) -> list[RunRecord]:
            return [
                record(name, 0, measurements=(measured("fd_lenet", value, interval=interval(value - 1, value + 1)),))
            ]

        (found,) = compare(board(one("a", 5.0), one("b", 9.0)), "a", "b")
        assert found.better == "first" and "single runs" in found.method

    def test_an_unknown_name_is_hinted_at(self) -> None:
        with pytest.raises(GenbenchError, match=r"no 'goood' on mnist.*good"):
            compare(board(GOOD), "goood", "good")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("COLUMNS", "300")
    for r in [*GOOD, *ALIKE, *FAST]:
        write_record(tmp_path / "run", r)
    return tmp_path / "run"


def test_the_same_from_python(folder: Path) -> None:
    assert bench.check(folder, folder).verdict == "pass"
    (choice,) = bench.select(folder, "fd_lenet", where=["sample_throughput >= 100"]).values()
    assert names(choice) == ["alike"]


class TestCommands:
    def test_select_prints_the_choice_and_why_others_are_out(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        asked = ["select", str(folder), "--minimize", "fd_lenet", "--where", "sample_throughput >= 100"]
        assert run_command(asked) == 0
        said = capsys.readouterr().out
        assert "take alike" in said and "left out because" in said and "sample_throughput is 51" in said
        assert run_command([*asked, "--json"]) == 0
        (choice,) = json.loads(capsys.readouterr().out)
        assert choice["chosen"] == ["alike"] and choice["candidates"][0]["probability_best"] > 0.9

    def test_a_wrong_direction_is_told(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command(["select", str(folder), "--maximize", "fd_lenet"]) == 2
        assert "use --minimize" in capsys.readouterr().err
        assert run_command(["select", str(folder), "--maximize", "fd_lenet", "--minimize", "fd_lenet"]) == 2

    def test_nothing_found_is_1(self, folder: Path) -> None:
        assert run_command(["select", str(folder), "--minimize", "fd_lenet", "--where", "fd_lenet < 0"]) == 1

    def test_of_several_datasets_those_that_have_the_metric_are_chosen_on(
        self, folder: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        write_record(folder, record("vae", dataset="texts", scores={"bits_per_byte": 2.0}))
        assert run_command(["select", str(folder), "--minimize", "fd_lenet", "--json"]) == 0
        said = capsys.readouterr()
        assert len(json.loads(said.out)) == 1 and "no choice: no generator on texts" in said.err

    def test_compare_prints_a_row_a_number(self, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command(["compare", str(folder), "good", "fast"]) == 0
        said = capsys.readouterr().out
        assert "good is told to be better in fd_lenet" in said and "Welch" in said
        assert run_command(["compare", str(folder), "good", "fast", "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["mnist"][0]["better"] == "first"

    def test_check_exits_by_its_verdict(self, folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        for name, shift in (("worse", 9.0), ("open", 0.6)):
            for r in trials("good", [10.0 + shift, 10.4 + shift, 9.6 + shift], 50):
                write_record(tmp_path / name, r)
        against = ["--margin", "fd_lenet=5%"]
        assert run_command(["check", str(folder), str(folder), *against]) == 0
        assert run_command(["check", str(folder), str(tmp_path / "worse"), *against]) == 1
        assert "FAIL" in capsys.readouterr().out
        assert run_command(["check", str(folder), str(tmp_path / "open"), *against]) == 3
        assert "seeds a side would tell" in capsys.readouterr().out
        assert run_command(["check", str(folder), str(tmp_path / "missing")]) == 2
        assert "there is no such run folder, record or bundle" in capsys.readouterr().err
        outputs = {kind: tmp_path / kind for kind in ("markdown", "junit", "sarif")}
        options = [word for kind, path in outputs.items() for word in (f"--{kind}", str(path))]
        run_command(["check", str(folder), str(tmp_path / "worse"), *options])
        assert all(path.stat().st_size > 100 for path in outputs.values())
