"""Where trials run is one file's matter: an executor is found by its name, and its protocol is all that it needs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

import bench
from bench import Executor, TrialPlan, UnknownName, executor, run_trial


class Inline:
    """Runs trials in this process."""

    def __init__(self, out: Path, jobs: int, threads: int, check: Callable[[], None]) -> None:
        self.out, self.check = out, check

    def run(self, plans: Iterable[TrialPlan], on_event: Any, on_record: Any) -> None:
        for plan in plans:
            self.check()
            on_record(plan, run_trial(plan, self.out, partial(on_event, plan)))


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
