"""What a run keeps of its samples is bounded, and what it measures is not."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

import bench
from tests.suites import OURS

SUITE = f"""
metrics = ["fd_lenet"]
[budget]
train_steps = 2
samples = 40
keep_samples = 7
[datasets.digits]
{OURS}"""


@pytest.mark.slow
def test_metrics_see_all_and_the_folder_keeps_some(tmp_path: Path) -> None:
    (tmp_path / "small.toml").write_text(SUITE)
    few = bench.run(tmp_path / "small.toml", out=tmp_path / "few")
    records, _ = bench.read_records(tmp_path / "few")
    (record,) = [r for r in records if r.plan.generator == "ours"]
    with np.load(tmp_path / "few" / "samples" / str(record.samples)) as arrays:
        assert arrays["samples"].shape == (7, 1, 8, 8)
    assert {m.protocol["n_fake"] for r in records for m in r.measurements} == {40}
    assert "keep_samples" not in record.plan.budget
    page = (tmp_path / "few" / "report" / "index.html").read_text()
    assert page.count('<img alt="samples of ') == len({*few.generator})
    # Another number to keep is no other run: nothing is run again.
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "few" / "records").glob("*.json")}
    bench.run(tmp_path / "small.toml", out=tmp_path / "few", overrides=["budget.keep_samples=9"])
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "few" / "records").glob("*.json")} == before
    assert json.loads(next(iter(before)).read_text())["status"] == "ok"
