"""The gate at this repository's own code: a small deterministic suite against a baseline that is committed.

Where a change is meant: pytest tests/end_to_end/test_own_gate.py --genbench-update
"""

from __future__ import annotations

from pathlib import Path

from bench.pytest_plugin import Check

HERE = Path(__file__).with_name("gate")


def test_nothing_grew_and_training_is_as_it_was(genbench_check: Check) -> None:
    gate = genbench_check(HERE / "suite.toml", HERE / "baseline.json", policy=HERE / "policy.toml", jobs=2)
    assert {finding.metric for finding in gate.blocking} >= {"parameters", "nfe"}
    assert {finding.generator for finding in gate.blocking} == {"vae", "edm", "gpt"}
