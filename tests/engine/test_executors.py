"""Where trials run is one file's matter: an executor is found by its name, and its protocol is all that it needs."""

from __future__ import annotations

import runpy
import subprocess
import sys
from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import Executor, GenbenchError, TrialPlan, UnknownName, executor, run_trial
from bench.doors import RUN_AS
from bench.engine.runner import plan


class Inline:
    """Runs trials in this process."""

    def __init__(self, out: Path, jobs: int, threads: int, check: Callable[[], None]) -> None:
        self.out, self.check = out, check

    def run(self, plans: Iterable[TrialPlan], on_event: Any, on_record: Any) -> None:
        for trial in plans:
            self.check()
            on_record(trial, run_trial(trial, self.out, partial(on_event, trial)))


@pytest.mark.usefixtures("own_names")
def test_a_class_of_another_package_runs_trials(small: Path, out: Path) -> None:
    """With what ``bench`` exports alone."""
    made: type[Executor] = executor("inline")(Inline)
    assert made is Inline
    changes = ["controls=false", "metrics=['fd_lenet']"]
    table = bench.run(small, out=out, overrides=changes, executor="inline")
    assert list(table.status) == ["ok"] and table.value.notna().all()
    assert (out / "report" / "index.html").is_file() and not (out / "logs").exists()


def test_an_executor_that_is_none_is_told_before_anything_runs(small: Path, out: Path) -> None:
    with pytest.raises(UnknownName, match=r"executor 'lokal'.*local"):
        bench.run(small, out=out, executor="lokal")
    assert not out.exists()


SCRIPT = """
from bench import Batch, DataSpec, generator, normal
import torch

@generator("mine", modalities={"image"})
class Mine(torch.nn.Module):
    '''Noise.'''
    def __init__(self, spec: DataSpec) -> None:
        super().__init__()
        self.shape = spec.shape
    def sample(self, n, rng, condition=None):
        return normal(rng, n, *self.shape).clamp(-1, 1)
"""
ELSEWHERE = """
import sys
from pathlib import Path
from bench import TrialPlan, run_trial
plan = TrialPlan.model_validate_json(sys.stdin.read())
out = Path(sys.argv[1])
first, second = (run_trial(plan, out) for _ in range(2))
assert first.status == second.status == "ok", (first.error, second.error)
print([m.protocol.get("process") for r in (first, second) for m in r.measurements])
"""


@pytest.mark.usefixtures("own_names")
def test_a_plan_holds_all_that_a_trial_needs_in_another_process(tmp_path: Path) -> None:
    """What a script registered included; one that runs trial after trial says so of what is timed."""
    (tmp_path / "mine.py").write_text(SCRIPT)
    suite = (
        "metrics = ['fd_lenet', 'sample_throughput']\n[budget]\nsamples = 50\n[datasets.digits]\n[generators.mine]\n"
    )
    (tmp_path / "suite.toml").write_text(suite)
    runpy.run_path(str(tmp_path / "mine.py"), run_name=RUN_AS)
    (trial,) = plan(tmp_path / "suite.toml", overrides=["controls=false"], device="cpu")
    (tmp_path / "elsewhere").mkdir()
    words = [sys.executable, "-c", ELSEWHERE, str(tmp_path / "elsewhere")]
    done = subprocess.run(words, input=trial.model_dump_json(), capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[None, None, None, 'ran other trials before']"


def test_a_process_runs_one_trial_at_a_time(small: Path, out: Path) -> None:
    trial = plan(small, overrides=["controls=false", "metrics=['fd_lenet']"], device="cpu")[0]

    def again(event: object) -> None:
        with pytest.raises(GenbenchError, match="a process runs one trial at a time"):
            run_trial(trial, out)
        told.append(1)

    told: list[int] = []
    assert run_trial(trial, out, again).status == "ok" and told
