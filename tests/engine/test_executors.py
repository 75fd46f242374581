"""Where trials run is one file's matter: an executor is found by its name, and its protocol is all that it needs."""

from __future__ import annotations

from pathlib import Path

import pytest

import bench
from bench import UnknownName
from bench.engine import executors

INLINE = """
from bench.engine.worker import run_trial

class Inline:
    def __init__(self, out, jobs, threads, check):
        self.out, self.check = out, check

    def run(self, plans, on_event, on_record):
        for plan in plans:
            self.check()
            on_record(plan, run_trial(plan, self.out, lambda event: on_event(plan, event)))

make = Inline
"""


def test_one_file_brings_an_executor(small: Path, out: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here one that runs trials in this process."""
    (tmp_path / "more").mkdir()
    (tmp_path / "more" / "inline.py").write_text(INLINE)
    monkeypatch.setattr(executors, "__path__", [*executors.__path__, str(tmp_path / "more")])
    changes = ["controls=false", "metrics=['fd_lenet']"]
    table = bench.run(small, out=out, overrides=changes, executor="inline")
    assert list(table.status) == ["ok"] and table.value.notna().all()
    assert (out / "report" / "index.html").is_file() and not (out / "logs").exists()


def test_an_executor_that_is_none_is_told_before_anything_runs(small: Path, out: Path) -> None:
    with pytest.raises(UnknownName, match=r"executor 'lokal'.*local"):
        bench.run(small, out=out, executor="lokal")
    assert not out.exists()
