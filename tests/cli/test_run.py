"""``genbench run``: what it plans, what it exits with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from bench.cli._main import run_command
from bench.engine.executors.local import LocalExecutor
from bench.engine.runner import plan
from bench.engine.worker import record_of
from bench.record import Failure
from bench.registry import executor, registry
from bench.results.store import write_record
from tests.command import genbench
from tests.suites import IMAGE_FAMILY, OURS


def test_a_dry_run_tells_all_and_does_nothing(small: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["run", str(small), "--out", str(out), "--dry-run", "--set", "seeds=[3, 4]", "--json"]
    assert run_command(words) == 0
    printed = capsys.readouterr()
    trials = json.loads(printed.out)
    assert [(t["generator"], t["seed"]) for t in trials] == [
        (g, s) for s in (3, 4) for g in ("ours", "copycat", "gaussian", "noise", "real")
    ]
    assert registry.get("generators", IMAGE_FAMILY).presets["test"].items() <= trials[0]["params"].items()
    assert {t["record"] for t in trials} == {None} and not printed.err
    assert not out.exists()


def test_a_dry_run_is_a_row_a_trial_and_says_which_are_done(
    small: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    words = ["run", str(small), "--out", str(out), "--dry-run", "--set", "generators.ours.preset=tiny"]
    _, copycat, _, noise, _ = plan(small, overrides=["generators.ours.preset=tiny"])
    done, failure = record_of(copycat, "ok", None), Failure(kind="exception", message="no luck")
    for found in (done, record_of(noise, "failed", failure)):
        write_record(out, found)
    assert run_command(words) == 0
    heading, *rows, count = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert heading == ["generator", "dataset", "seed", "preset", "training", "metrics", "record"]
    assert rows == [
        ["ours", "digits", "0", "tiny", "20", "steps", "3", "to", "run"],
        ["copycat", "digits", "0", "3", "done"],
        ["gaussian", "digits", "0", "3", "to", "run"],
        ["noise", "digits", "0", "3", "failed,", "to", "run", "again"],
        ["real", "digits", "0", "3", "to", "run"],
    ]
    assert " ".join(count) == f"5 trials: 1 done in {out}, 4 to run"


def test_of_what_does_not_train_no_training_is_told(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what a function makes it is not known before."""
    monkeypatch.chdir(tmp_path)
    Path("theirs.py").write_text("def make(): ...\n")
    np.savez("x.npz", images=np.random.default_rng(0).integers(0, 256, (40, 1, 8, 8), np.uint8))
    Path("suite.toml").write_text(
        'controls = false\nmetrics = ["parameters"]\n[budget]\ntrain_steps = 20\nsamples = 40\n[datasets.digits]\n'
        '[generators.dealt]\nfamily = "samples:x.npz"\n[generators.made]\nfamily = "python:theirs:make"\n'
    )
    assert run_command(["run", "suite.toml", "--dry-run"]) == 0
    _, *rows, _ = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert rows == [
        ["dealt", "digits", "0", "1", "to", "run"],
        ["made", "digits", "0", "20", "steps,", "if", "it", "learns", "1", "to", "run"],
    ]


def test_what_will_have_no_number_is_told_before_and_after(
    small: Path, out: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """As the suite names it: a measure that no extractor answers, a metric on an extractor that this one does not."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    changed = ["--set", 'metrics=["fd", "c2st_inception", "kid_lenet", "kid", "fid", "mse"]', "--set", "controls=false"]
    assert run_command(["run", str(small), "--out", str(out), "--dry-run", *changed]) == 0
    told = "digits: no fid, c2st_inception: no weights of inception here: see `genbench doctor`"
    assert capsys.readouterr().out.splitlines()[-1] == told
    done = genbench("run", small, "--out", out, *changed)
    said = [line for line in done.stderr.splitlines() if line.startswith("digits: ")]
    assert said[0] == "digits: ordered by fd_lenet, lower is better"
    assert len(said) == 2 and said[1].startswith("digits: no fid, c2st_inception: inception weights are ")


def test_json_of_a_run_is_that_of_its_plan(small: Path, out: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["run", str(small), "--out", str(out), "--json"]) == 2
    assert "--json prints what is planned: add --dry-run" in capsys.readouterr().err and not out.exists()


@pytest.mark.usefixtures("own_names")
def test_an_executor_is_asked_for_by_name(small: Path, out: Path) -> None:
    asked: list[str] = []

    def elsewhere(*args: Any) -> LocalExecutor:
        asked.append("elsewhere")
        return LocalExecutor(*args)

    executor("elsewhere")(elsewhere)
    words = ["run", str(small), "--out", str(out), "--set", "controls=false", "--set", "metrics=['parameters']"]
    assert run_command([*words, "--executor", "elsewhere"]) == 0  # it trains and measures
    assert run_command(words) == 0  # all is done, and the default is still what is asked for
    assert asked == ["elsewhere"]


@pytest.mark.parametrize("words", [(), ("--dry-run",)])
def test_an_executor_that_is_none_is_told_before_anything_runs(
    small: Path, out: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    assert run_command(["run", str(small), "--out", str(out), "--executor", "lokal", *words]) == 2
    assert "unknown executor 'lokal'; did you mean 'local'?" in capsys.readouterr().err and not out.exists()


def test_the_exit_code_tells_that_some_failed(tmp_path: Path) -> None:
    suite = tmp_path / "bad.toml"
    suite.write_text(
        "metrics = ['fd_lenet']\ncontrols = false\nbudget = { train_steps = 3, samples = 20 }\n"
        f"[datasets.digits]\n{OURS}lr = 1e30\n{OURS.replace('ours', 'others')}"
    )
    done = genbench("run", suite, "--out", tmp_path / "out")
    assert done.returncode == 1
    assert "failed: ours on digits, seed 0: loss became" in done.stderr and "Traceback" not in done.stderr
    page = (tmp_path / "out" / "report" / "index.html").read_text()
    assert "loss became" in page and "others" in page
    # No terminal: plain lines, no bars and no escape codes.
    assert "[2/2]" in done.stderr and "\x1b" not in done.stderr
    assert "\ndigits: ordered by fd_lenet, lower is better\n" in done.stderr
    assert done.stdout.strip().endswith("index.html")
