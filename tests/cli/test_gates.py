"""The gate in use: more seeds where they would tell, two revisions in turn, and a test in anybody's project."""

from __future__ import annotations

import math
import re
import subprocess
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from bench import Records, RunRecord
from bench.cli import ab
from bench.cli._main import run_command
from bench.engine import runner
from bench.results.gate import Policy, check
from bench.results.store import read_records, write_bundle, write_planned, write_record
from bench.statistics import seeds_to_tell
from tests.report_records import measured, planned, record

pytest_plugins = ["pytester"]


@pytest.fixture(autouse=True)
def _wide(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "300")


def runs(values: Sequence[float], metric: str = "fd_lenet") -> list[RunRecord]:
    made = {"training_id": "00ff00ff00ff00ff"}
    return [record("vae", seed, measurements=(measured(metric, v),), **made) for seed, v in enumerate(values)]


class TestSettle:
    OLD, NEW = (10.0, 10.6, 9.6, 10.2, 9.9, 10.1, 10.3, 9.8), (11.0, 10.4, 11.9, 11.3, 10.9, 11.2, 11.5, 10.8)

    @pytest.fixture
    def folders(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        """Two run folders of three seeds, and a runner that fills in what a suite lacks."""
        for name, values in (("old", self.OLD), ("new", self.NEW)):
            found = runs(values[:3])
            for r in found:
                write_record(tmp_path / name, r)
            command = f"genbench run digits.toml --set budget.samples=9 --set 'seeds=[0, 1, 2]' --out {tmp_path / name}"
            write_planned(tmp_path / name, planned(found, command))

        def plan(suite: str, out: str, overrides: list[str]) -> list[Any]:
            """Of two generators, the second of which nothing is open."""
            assert suite == "digits.toml" and overrides[0] == "budget.samples=9" and len(overrides) <= 2
            seeds = eval(overrides[1].removeprefix("seeds=")) if overrides[1:] else [0]
            trials = [r for r in runs(self.OLD if out.endswith("old") else self.NEW) if r.plan.seed in seeds]
            others = [record("gan", seed) for seed in seeds]
            return [SimpleNamespace(**{**dict(r.plan), "run_id": r.run_id, "record": r}) for r in trials + others]

        def run(suite: str, *, out: str, overrides: list[str], only: Any, **rest: Any) -> None:
            for trial in plan(suite, out, overrides):
                if trial.run_id in only:
                    assert trial.generator == "vae" or trial.seed < 3
                    write_record(Path(out), trial.record)

        monkeypatch.setattr(runner, "run", run)
        monkeypatch.setattr(runner, "plan", plan)
        return [str(tmp_path / "old"), str(tmp_path / "new")]

    def test_seeds_that_would_tell_are_run(self, folders: list[str], capsys: pytest.CaptureFixture[str]) -> None:
        asked = ["check", *folders, "--margin", "fd_lenet=2%"]
        assert run_command(asked) == 3
        assert run_command([*asked, "--settle"]) == 1
        said = capsys.readouterr().err
        assert len(re.findall(r"\d trials, vae with seeds \[3, 4.*: about 1 min", said)) == 2

    def test_of_other_code_no_seed_is_run(
        self, folders: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(runner, "plan", lambda *rest, **more: [])
        assert run_command(["check", *folders, "--margin", "fd_lenet=2%", "--settle"]) == 2
        assert "was made by other code" in capsys.readouterr().err

    def test_beside_a_bundle_the_other_side_is_run_alone(
        self, folders: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        """As of a baseline that is kept beside the code, which is other code."""
        bundles = [str(write_bundle(tmp_path / f"{n}.json", read_records(folders[n])[0])) for n in (0, 1)]
        asked = ["--margin", "fd_lenet=2%", "--settle"]
        assert run_command(["check", bundles[0], folders[1], *asked]) in (1, 3)
        assert "is no run folder" in capsys.readouterr().err
        assert len(read_records(folders[1])[0]) > 3
        assert run_command(["check", *bundles, *asked]) == 2
        assert "is no run folder, whose suite could be run" in capsys.readouterr().err


class TestRatios:
    def test_a_machine_that_slows_down_for_all_hides_nothing(self) -> None:
        """Between rounds it loses half of its speed; head is 4 % slower in each."""
        speed = [100.0, 92.0, 81.0, 66.0, 57.0]
        base, head = (
            runs([x * share * (1 + i / 1000) for i, x in enumerate(speed)], "sample_throughput") for share in (1, 0.96)
        )
        rules = Policy(paired=True, ratios=True)
        (found,) = check(base, head, rules.with_margins(["sample_throughput=1%"])).findings
        assert found.verdict == "fail" and found.relative == pytest.approx(-0.04, abs=1e-3)
        (found,) = check(base, head, rules.with_margins(["sample_throughput=6%"])).findings
        assert found.verdict == "pass" and found.method == "ratios of 5 seeds, in pairs"
        (found,) = check(base, head[:4], rules.with_margins(["sample_throughput=1%"])).findings
        assert found.verdict == "fail" and found.method == "ratios of 4 seeds, in pairs"  # of those that both have
        apart = Policy(paired=False, ratios=True).with_margins(["sample_throughput=1%"])
        (found,) = check(base, head[:4], apart).findings
        assert found.verdict == "inconclusive" and "ratios, 5 and 4 seeds" in found.method

    @pytest.mark.parametrize("scale", [1e-3, 1.0, 1e6])
    def test_seeds_that_would_tell_do_not_depend_on_the_unit(self, scale: float) -> None:
        """A loss in logarithms is set against a scatter in logarithms."""
        old, new = np.array([100.0, 103.0, 97.0]), np.array([97.0, 96.0, 95.0])
        lost = np.log(old / new)
        sd = float(lost.std(ddof=1)) / math.sqrt(2)  # of one side, as much as of the other
        expected = seeds_to_tell(float(lost.mean()) + math.log(0.99), (sd, sd), sides=1)
        base, head = (runs((scale * side).tolist(), "sample_throughput") for side in (old, new))
        (found,) = check(base, head, Policy(paired=True, ratios=True).with_margins(["sample_throughput=1%"])).findings
        assert found.verdict == "inconclusive" and found.seeds == expected < 20


def git(*words: str, cwd: Path) -> None:
    who = ["-c", "user.name=a", "-c", "user.email=a@b"]
    subprocess.run(["git", *who, *words], cwd=cwd, check=True, capture_output=True)


SUITE = """
metrics = ["parameters"]
controls = false
[budget]
train_steps = 2
samples = 4
[datasets.digits]
[generators.vae]
preset = "test"
width = {width}
"""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    root = tmp_path / "repository"
    root.mkdir()
    git("init", "-q", "-b", "main", cwd=root)
    for name, width in (("one", 8), ("two", 16)):
        (root / "suite.toml").write_text(SUITE.format(width=width))
        git("add", "-A", cwd=root)
        git("commit", "-qm", name, cwd=root)
        git("tag", name, cwd=root)
    monkeypatch.chdir(root)
    return root


class TestAB:
    def test_both_run_in_turn_from_checkouts_that_are_gone_afterwards(
        self, repository: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        order: list[str] = []

        def one_round(side: tuple[Path, Path], suite: str, out: Path, seed: int, overrides: list[str]) -> Records:
            width = "width = 8" in (side[0] / suite).read_text()
            order.append("base" if width else "head")
            (number,) = runs([100.0 if width else 80.0], "sample_throughput")
            plan = number.plan.model_copy(update={"seed": seed})
            value = number.measurements[0].value * (1 + seed / 1000)
            measurement = number.measurements[0].model_copy(update={"value": value})
            return Records([number.model_copy(update={"plan": plan, "measurements": (measurement,)})])

        monkeypatch.setattr(ab, "_round", one_round)
        assert run_command(["ab", "one", "two", "--suite", "suite.toml", "--rounds", "4"]) == 1
        assert order == ["base", "head", "head", "base"] * 2
        assert "-20%" in capsys.readouterr().out
        left = subprocess.run(["git", "worktree", "list"], cwd=repository, capture_output=True, text=True, check=True)
        assert len(left.stdout.splitlines()) == 1

    def test_what_is_no_revision_is_named(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        assert run_command(["ab", "one", "nowhere", "--suite", "suite.toml"]) == 2
        assert "nowhere cannot be checked out" in capsys.readouterr().err

    @pytest.mark.slow
    def test_a_wider_model_is_larger(self, repository: Path, capsys: pytest.CaptureFixture[str]) -> None:
        """In earnest: six processes."""
        asked = ["ab", "one", "two", "--suite", "suite.toml", "--rounds", "3", "--margin", "parameters=0%"]
        assert run_command(asked) == 1
        assert "FAIL" in capsys.readouterr().out


class TestPlugin:
    TEST = """
        def test_quality(genbench_check):
            genbench_check("suite.toml", baseline="baseline.json", margins=["fd_lenet=5%"]{more})
    """

    def of(self, monkeypatch: pytest.MonkeyPatch, values: Sequence[float]) -> None:
        monkeypatch.setattr(runner, "run", lambda *a, **k: SimpleNamespace(records=runs(values)))

    def test_a_baseline_is_written_passed_and_failed(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        pytester.makepyfile(self.TEST.format(more=""))
        self.of(monkeypatch, [10.0, 10.1, 9.9])
        pytester.runpytest_inprocess().stdout.fnmatch_lines(["*there is no baseline baseline.json yet*"])
        pytester.runpytest_inprocess("--genbench-update").assert_outcomes(passed=1)
        pytester.runpytest_inprocess().assert_outcomes(passed=1)
        self.of(monkeypatch, [12.0, 12.1, 11.9])
        result = pytester.runpytest_inprocess()
        result.assert_outcomes(failed=1)
        result.stdout.fnmatch_lines(["*genbench check: FAIL*"])

    def test_a_misspelt_margin_is_said_before_anything_is_run(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_bundle(pytester.path / "baseline.json", Records(runs([10.0, 11.0, 9.0])))
        monkeypatch.setattr(runner, "run", lambda *a, **k: pytest.fail("it was run"))
        pytester.makepyfile(self.TEST.format(more="").replace("fd_lenet", "fd_lennet"))
        result = pytester.runpytest_inprocess()
        result.stdout.fnmatch_lines(["*no 'fd_lennet' in the baseline; did you mean 'fd_lenet'*"])
        result.stdout.no_fnmatch_line("*it was run*")

    def test_what_the_data_do_not_tell_fails_or_is_skipped(
        self, pytester: pytest.Pytester, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_bundle(pytester.path / "baseline.json", Records(runs([10.0, 11.0, 9.0])))
        self.of(monkeypatch, [10.1, 11.5, 9.0])
        pytester.makepyfile(self.TEST.format(more=""))
        pytester.runpytest_inprocess().assert_outcomes(failed=1)
        pytester.makepyfile(self.TEST.format(more=', inconclusive="skip"'))
        pytester.runpytest_inprocess().assert_outcomes(skipped=1)
