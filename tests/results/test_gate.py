"""The gate: three verdicts by an interval against a margin, exact where nothing varies, open where little is known."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np
import pytest

from bench import GenbenchError, RunRecord, ratio_interval, ratio_parts
from bench.record import CurvePoint, Failure
from bench.results.gate import Gate, Margin, Policy, check, read_policy, to_json, to_junit, to_markdown, to_sarif
from bench.statistics import MOST
from tests.report_records import interval, measured, record


def runs(values: Sequence[float], metric: str = "fd_lenet", name: str = "vae", **changes: Any) -> list[RunRecord]:
    changes = {"training_id": "00ff00ff00ff00ff", **changes}
    return [record(name, s, measurements=(measured(metric, v),), **changes) for s, v in enumerate(values)]


def verdict(old: list[RunRecord], new: list[RunRecord], **policy: Any) -> Any:
    (finding,) = check(old, new, rules(**policy)).findings
    return finding


def rules(**policy: Any) -> Policy:
    return Policy.model_validate(policy)


class TestVerdicts:
    def test_clearly_worse_fails_and_clearly_no_worse_passes(self) -> None:
        old = runs([10.0, 10.1, 9.9])
        assert verdict(old, runs([12.0, 12.1, 11.9])).verdict == "fail"
        assert verdict(old, runs([10.0, 10.05, 9.95])).verdict == "pass"
        assert verdict(old, runs([8.0, 9.0, 8.5])).verdict == "pass"

    def test_too_little_to_tell_is_open_and_says_how_many_seeds_would_do(self) -> None:
        found = verdict(runs([10.0, 11.0, 9.0]), runs([11.5, 10.6, 9.5]))
        assert found.verdict == "inconclusive" and found.seeds > 3

    @pytest.mark.parametrize(("metric", "worse"), [("fd_lenet", 12.0), ("sample_throughput", 8.0)])
    def test_worse_is_up_or_down_as_the_metric_says(self, metric: str, worse: float) -> None:
        old = runs([10.0, 10.1, 9.9], metric)
        new = runs([worse, worse + 0.1, worse - 0.1], metric)
        assert verdict(old, new).verdict == "fail" and verdict(new, old).verdict == "pass"

    def test_a_margin_is_a_share_or_an_amount(self) -> None:
        old, new = runs([10.0, 10.01, 9.99]), runs([11.0, 11.01, 10.99])
        for margin, expected in (("5%", "fail"), ("15%", "pass"), ("0.5", "fail"), ("1.5", "pass")):
            assert verdict(old, new, margin=margin).verdict == expected

    def test_of_a_negative_baseline_the_share_is_of_its_size(self) -> None:
        old, new = runs([-10.0, -10.01, -9.99]), runs([-9.0, -9.01, -8.99])
        assert verdict(old, new, margin="5%").verdict == "fail" and verdict(old, new, margin="15%").verdict == "pass"

    def test_the_same_numbers_pass_whatever_the_margin(self) -> None:
        """What is deterministic needs no statistics, not even a second seed."""
        found = verdict(runs([10.0]), runs([10.0]), margin="0%")
        assert found.verdict == "pass" and found.method == "the same, 1 seed"

    def test_one_seed_of_a_training_says_nothing_of_others(self) -> None:
        found = verdict(runs([10.0]), runs([14.0]))
        assert found.verdict == "inconclusive" and found.seeds == 3 and "seed to seed" in found.note
        assert verdict(runs([10.0]), runs([14.0, 14.1])).verdict == "inconclusive"

    def test_of_what_nobody_trained_the_interval_within_the_run_is_all_there_is(self) -> None:
        def loaded(value: float) -> list[RunRecord]:
            number = measured("fd_lenet", value, interval=interval(value - 0.2, value + 0.2))
            return [record("vae", 0, measurements=(number,), training_id=None)]

        assert verdict(loaded(10.0), loaded(14.0)).verdict == "fail"
        assert verdict(loaded(10.0), loaded(10.1)).verdict == "pass"
        assert verdict(loaded(10.0), loaded(10.4)).verdict == "inconclusive"

    def test_five_shared_seeds_are_pairs(self) -> None:
        """What all runs of a seed share does not hide a small change."""
        hard = np.array([0.0, 3.0, -2.0, 1.0, -1.0])
        old, new = runs((10 + hard).tolist()), runs((11 + 1.04 * hard).tolist())
        assert verdict(old, new).verdict == "fail" and verdict(old, new).method == "pairs of 5 seeds"
        assert verdict(old, new, paired=False).verdict == "inconclusive"

    def test_any_change_of_what_is_exact_is_one(self) -> None:
        def sized(parameters: float) -> list[RunRecord]:
            return [record("vae", 0, measurements=(measured("parameters", parameters, exact=True, better="lower"),))]

        assert verdict(sized(1000), sized(1001)).verdict == "fail"
        assert verdict(sized(1000), sized(999)).verdict == "pass"
        assert verdict(sized(1000), sized(1001), margins={"parameters": "1%"}).verdict == "pass"

    @pytest.mark.parametrize(("metric", "unit"), [("parameters", "evaluations"), ("parameters", "B")])
    def test_what_is_counted_is_the_same_on_any_machine(self, metric: str, unit: str) -> None:
        def counted(n: float, cpu: str) -> list[RunRecord]:
            number = measured(metric, n, exact=True, better="lower", unit=unit, aspect="efficiency", protocol={})
            return [record("vae", 0, measurements=(number,), environment={"cpu": cpu})]

        assert verdict(counted(50, "one"), counted(50, "another")).verdict == "pass"
        assert verdict(counted(50, "one"), counted(51, "another")).verdict == "fail"

    def test_a_time_taken_on_a_busy_machine_tells_nothing(self) -> None:
        def timed(values: Sequence[float], busy: bool) -> list[RunRecord]:
            return [
                record("vae", s, measurements=(measured("latency_p50", v, busy=busy, unit="s", aspect="efficiency"),))
                for s, v in enumerate(values)
            ]

        quiet, loaded = timed([1.0, 1.01, 0.99], False), timed([9.0, 9.1, 8.9], True)
        found = verdict(quiet, loaded, margin="5%")
        assert found.verdict == "inconclusive" and "timed on a busy or slowed machine" in found.note
        assert verdict(quiet, timed([9.0, 9.1, 8.9], False), margin="5%").verdict == "fail"


class TestWhatIsCompared:
    def test_what_blocks_by_default_leads_the_board(self) -> None:
        """The leading metric of each aspect; the rest is shown. What margins name blocks alone, once they name any."""

        def trial(seed: int, shift: float) -> RunRecord:
            scores = {"fd_lenet": 10 + shift, "kid_lenet": 1 + shift, "recall_lenet": 0.5, "sample_throughput": 100.0}
            return record("vae", seed, scores={k: v + seed / 1000 for k, v in scores.items()})

        old, new = [trial(s, 0.0) for s in range(3)], [trial(s, 0.0001) for s in range(3)]
        assert {"fd_lenet", "recall_lenet"} <= {f.metric for f in check(old, new).blocking}
        assert "sample_throughput" not in {f.metric for f in check(old, new).blocking}
        assert "sample_throughput" in {f.metric for f in check(old, new, rules(times=True)).blocking}
        found = check(old, new, rules(margins={"kid_*": "1%"}))
        assert [f.metric for f in found.blocking] == ["kid_lenet"] and len(found.findings) == 4
        assert not check(old, new, rules(ignore=("*",))).findings

    def test_many_numbers_fail_no_more_often_than_one(self) -> None:
        """Forty numbers of an unchanged model: one of 20 gates may fail, not each."""
        rng = np.random.default_rng(0)

        def side() -> list[RunRecord]:
            return [r for g in range(40) for r in runs(rng.normal(10, 0.1, 3).tolist(), name=f"g{g}")]

        failed = sum(check(side(), side(), rules(margin="0%", blocking=("*",))).verdict == "fail" for _ in range(30))
        assert failed / 30 < 0.17

    def test_other_data_and_other_protocols_are_not_compared(self) -> None:
        old = runs([10.0, 10.1])
        other = [record("vae", s, measurements=(measured("fd_lenet", 10.0, protocol={"n_fake": 9}),)) for s in (0, 1)]
        gate = check(old, other)
        assert gate.verdict is None and "n_fake 1000, 9" in gate.notes[0]
        gate = check(old, [r.model_copy(update={"plan": r.plan.model_copy(update={"fingerprint": "x"})}) for r in old])
        assert gate.verdict is None and "not the same data" in gate.notes[0]

    def test_times_of_another_machine_are_not_compared(self) -> None:
        old = runs([10.0, 10.1], "sample_throughput", environment={"cpu": "one"})
        new = runs([20.0, 20.1], "sample_throughput", environment={"cpu": "other"})
        assert check(old, new).verdict is None and "cpu one, other" in check(old, new).notes[0]

    def test_by_parts_the_margin_keeps_its_level(self) -> None:
        """Of models that nothing here trained: where the loss is the margin, either verdict is as rare as promised."""
        rng, verdicts = np.random.default_rng(0), Counter[str | None]()
        for _ in range(300):
            hard = rng.normal(3, 1, 60)
            base = hard + rng.normal(0, 0.03, 60)
            sides = [base, 1.05 * hard + rng.normal(0, 0.03, 60)]
            old, new = (
                [record("lm", measurements=(measured("bits_per_byte", float(x.mean()), interval=ratio_interval(x, one),
                                                     parts=ratio_parts(x, one)),))]
                for x, one in ((x, np.ones(60)) for x in sides)
            )  # fmt: skip
            verdicts[check(old, new).verdict] += 1
        assert verdicts["fail"] < 0.09 * 300 and verdicts["pass"] < 0.09 * 300

    def test_settings_that_differ_are_told(self) -> None:
        old, new = runs([1.0, 1.1]), runs([1.0, 1.1])
        assert check(old, new).settings == ()
        longer = [r.model_copy(update={"plan": r.plan.model_copy(update={"params": {"width": 8}})}) for r in new]
        gate = check(old, longer)
        assert gate.settings == ("vae on mnist: width 64, 8",) and "ran otherwise: vae on mnist" in to_markdown(gate)

    def test_generators_of_one_side_are_named(self) -> None:
        gate = check(runs([1.0]) + runs([1.0], name="gan"), runs([1.0]) + runs([1.0], name="flow"))
        assert len(gate.notes) == 1 and gate.verdict == "inconclusive"
        assert check(runs([1.0]) + runs([1.0], name="gan"), runs([1.0]), rules(missing="note")).verdict == "pass"

    def test_a_number_that_is_gone_is_a_regression(self) -> None:
        def side(*missing: int) -> list[RunRecord]:
            rest = [r for r in runs([10.0, 10.1, 9.9]) if r.plan.seed not in missing]
            gone = [record("vae", s, training_id="00ff00ff00ff00ff", omitted={"fd_lenet": "NaN"}) for s in missing]
            kept = [m for r in rest for m in r.measurements]
            return [*rest, *(r.model_copy(update={"measurements": ()}) for r in gone)] if kept or gone else rest

        for missing in ((1,), (0, 1, 2)):
            other = runs([10.0, 10.1, 9.9], name="gan")
            gate = check(side() + other, side(*missing) + other)
            assert gate.verdict == "fail"
            (lost,) = (f for f in gate.blocking if f.metric == "missing")
            assert lost.what == "missing fd_lenet" and "NaN" in lost.note and r"missing fd\_lenet" in to_markdown(gate)
            assert check(side() + other, side(*missing) + other, rules(missing="note")).verdict != "fail"

    def test_a_misspelt_metric_is_refused_and_a_pattern_of_others_is_a_note(self) -> None:
        old = runs([10.0, 10.1])
        with pytest.raises(GenbenchError, match="did you mean 'fd_lenet'"):
            check(old, old, rules(margins={"fd_lennet": "3%"}))
        with pytest.raises(GenbenchError, match="no 'kid' in the baseline"):
            check(old, old, rules(blocking=("fd_*", "kid")))
        assert "'kid_*' fits no metric" in check(old, old, rules(margins={"kid_*": "3%", "fd_*": "3%"})).notes[0]

    def test_numbers_of_two_machines_are_not_one(self) -> None:
        """Seeds 0 to 2 on one, seeds 3 and 4 on another, ten times as fast: half as fast on the first is seen."""

        def side(factor: float) -> list[RunRecord]:
            one = runs([100 * factor, 101 * factor, 102 * factor], "sample_throughput", environment={"cpu": "one"})
            other = runs([1000.0, 1010.0], "sample_throughput", environment={"cpu": "other"})
            later = [r.model_copy(update={"plan": r.plan.model_copy(update={"seed": r.plan.seed + 3})}) for r in other]
            return [*one, *later]

        found = check(side(1), side(0.5), rules(margins={"sample_*": "5%"}))
        assert [f.verdict for f in found.findings if f.baseline and f.baseline.n == 3] == ["fail"]

    def test_a_coarse_number_that_came_out_alike_is_no_proof(self) -> None:
        """Shares of twenty: two seeds of .95 and two of .90 happen to one model."""
        found = verdict(runs([0.95, 0.95], "recall_lenet"), runs([0.90, 0.90], "recall_lenet"))
        assert found.verdict == "inconclusive" and "by chance" in found.note
        rng, failed = np.random.default_rng(0), 0
        for _ in range(300):
            old, new = ((rng.binomial(20, 0.95, 2) / 20).tolist() for _ in range(2))
            failed += verdict(runs(old, "recall_lenet"), runs(new, "recall_lenet"), margin="0%").verdict == "fail"
        assert failed / 300 <= 0.05

    def test_a_trial_that_fails_now_is_a_regression(self) -> None:
        failed = record(
            "vae", 1, status="failed", error=Failure(kind="exception", message="loss is nan"), measurements=()
        )
        gate = check(runs([10.0, 10.1]), [*runs([10.0]), failed])
        assert gate.verdict == "fail" and "seed 1 failed: loss is nan" in gate.blocking[0].note
        assert check(runs([10.0, 10.1]), [*runs([10.0]), failed], rules(failed="note")).verdict != "fail"


class TestLossCurve:
    def side(self, losses: list[float], cpu: str = "one") -> list[RunRecord]:
        points = tuple(CurvePoint(step=10 * i, seconds=i, losses={"loss": x}) for i, x in enumerate(losses))
        return runs([10.0], curve=points, environment={"cpu": cpu})

    def test_it_repeats_to_the_bit(self) -> None:
        policy = rules(blocking=("loss_curve",))
        assert check(self.side([3.0, 2.0]), self.side([3.0, 2.0]), policy).verdict == "pass"
        gate = check(self.side([3.0, 2.0, 1.0]), self.side([3.0, 2.0000001, 1.5]), policy)
        assert gate.verdict == "fail" and gate.blocking[0].note == "first apart at step 10"
        assert check(self.side([3.0]), self.side([3.01]), rules(margins={"loss_curve": "1%"})).verdict == "pass"

    def test_it_is_compared_within_one_environment_alone(self) -> None:
        """Where somebody asked that it block, what is not to be compared is told, and what is gone fails."""
        policy = rules(blocking=("loss_curve", "fd_lenet"))
        gate = check(self.side([3.0]), self.side([9.0], "other"), policy)
        assert gate.verdict == "inconclusive" and "elsewhere losses do not repeat" in gate.blocking[0].note
        gate = check(self.side([3.0]), self.side([]), policy)
        assert gate.verdict == "fail" and gate.blocking[0].what == "missing loss_curve"
        assert not any(f.lacking for f in check(self.side([3.0]), self.side([])).findings)


class TestCalibration:
    """With a scatter of 1.3 %, which is that of retraining: false alarms, and what is found."""

    def rates(self, change: float, seeds: int, margin: str, repeats: int = 300) -> dict[str, float]:
        rng = np.random.default_rng(0)
        found = [
            check(
                runs(rng.normal(10, 0.13, seeds).tolist()), runs(rng.normal(10 * (1 + change), 0.13, seeds).tolist()),
                rules(margin=margin, paired=False),
            ).verdict
            for _ in range(repeats)
        ]  # fmt: skip
        return {v: found.count(v) / repeats for v in ("fail", "pass", "inconclusive")}

    def test_at_the_margin_it_fails_as_seldom_as_it_says(self) -> None:
        assert self.rates(0.02, 5, "2%")["fail"] < 0.08

    def test_a_change_of_five_percent_is_found_by_five_seeds(self) -> None:
        assert self.rates(0.05, 5, "1%")["fail"] > 0.9

    def test_an_unchanged_model_passes(self) -> None:
        found = self.rates(0.0, 5, "5%")
        assert found["pass"] > 0.95 and found["fail"] == 0

    def test_as_many_seeds_as_it_asks_for_settle_it(self) -> None:
        rng = np.random.default_rng(1)
        old, new = rng.normal(10, 0.4, 3), rng.normal(10.9, 0.4, 3)
        needed = verdict(runs(old.tolist()), runs(new.tolist()), margin="2%").seeds
        told = [
            verdict(runs(rng.normal(old.mean(), old.std(ddof=1), needed).tolist()),
                    runs(rng.normal(new.mean(), new.std(ddof=1), needed).tolist()), margin="2%", paired=False).verdict
            for _ in range(200)
        ]  # fmt: skip
        assert told.count("fail") / 200 > 0.7

    def test_at_the_margin_no_number_of_seeds_would(self) -> None:
        assert verdict(runs([10.0, 11.0, 12.0]), runs([10.55, 11.55, 12.55]), margin="5%").seeds > MOST


class TestPolicy:
    @pytest.mark.parametrize("text", ["", "x", "-1%", "nan", "inf", "5%%", True])
    def test_what_is_no_margin_is_refused(self, text: object) -> None:
        with pytest.raises(ValueError, match="a margin is"):
            Margin.read(text)

    def test_it_is_read_from_toml(self, tmp_path: Path) -> None:
        path = tmp_path / "gate.toml"
        path.write_text('level = 0.99\nblocking = ["fd_*"]\n[margins]\n"fd_*" = "3%"\nkid_lenet = 0.002\n')
        policy = read_policy(path)
        assert policy.level == 0.99 and str(policy.margin_of("FD_lenet")) == "3%"
        assert policy.margin_of("kid_lenet").of(100) == 0.002 and str(policy.margin_of("is")) == "5%"
        assert policy.blocks("fd_lenet", leads=False) and not policy.blocks("kid_lenet", leads=True)
        assert str(policy.with_margins(["fd_lenet=1%"]).margin_of("fd_lenet")) == "1%"

    @pytest.mark.parametrize(
        ("text", "said"),
        [
            ("margin = ", "Invalid value"),
            ("blcking = []", "there is no 'blcking'; did you mean 'blocking'?"),
            ('margin = "five"', "margin: a margin is a share"),
            ("level = 2", "level should be less than 1, not 2"),
        ],
    )
    def test_what_is_wrong_with_it_is_said(self, tmp_path: Path, text: str, said: str) -> None:
        (tmp_path / "gate.toml").write_text(text)
        with pytest.raises(GenbenchError, match=said):
            read_policy(tmp_path / "gate.toml")

    def test_a_margin_of_the_command_line_names_its_metric(self) -> None:
        for wrong in ("=5%", "fd_lenet=much", "much"):
            with pytest.raises(GenbenchError, match="margin"):
                Policy().with_margins([wrong])
        assert str(Policy().with_margins(["7%", "fd_lenet=1%"]).margin) == "7%"


class TestWriting:
    name = "a|b <script> &\x00"

    @pytest.fixture
    def gate(self) -> Gate:
        old = runs([10.0, 10.1, 9.9], name=self.name) + runs([1.0, 2.0, 3.0], "kid_lenet", name="g")
        return check(old, runs([12.0, 12.1, 11.9], name=self.name) + runs([2.0, 1.5, 3.0], "kid_lenet", name="g"))

    def test_markdown_keeps_text_text(self, gate: Gate) -> None:
        text = to_markdown(gate)
        assert text.startswith("## genbench check: FAIL") and "a\\|b \\<script\\>" in text
        rows = [line for line in text.splitlines() if line.startswith("|")]
        assert {row.replace("\\|", "").count("|") for row in rows} == {11}

    def test_junit_is_xml_that_says_the_same(self, gate: Gate) -> None:
        suite = ElementTree.fromstring(to_junit(gate))
        assert suite.get("tests") == "2" and suite.get("failures") == "1" and suite.get("skipped") == "1"
        assert len(suite.findall("testcase/failure")) == 1

    def test_sarif_is_json_with_a_result_each(self, gate: Gate) -> None:
        (run,) = json.loads(to_sarif(gate))["runs"]
        assert [r["level"] for r in run["results"]] == ["error", "warning"]

    def test_json_has_all_numbers(self, gate: Gate) -> None:
        document = json.loads(to_json(gate))
        assert document["verdict"] == "fail" and len(document["findings"]) == 2
        assert document["findings"][0]["baseline"]["mean"] == pytest.approx(10)
