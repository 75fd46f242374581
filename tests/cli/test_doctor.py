"""``genbench doctor``: what is here, and how to get what is not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bench.cli._main import run_command


def test_doctor_says_how_to_get_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("GENBENCH_DATA", str(tmp_path))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("GENBENCH_JUDGE", str(tmp_path / "nowhere"))
    monkeypatch.delenv("GENBENCH_CLIP", raising=False)
    monkeypatch.delenv("COLUMNS", raising=False)  # as in a pipe
    assert run_command(["doctor", "--json"]) == 0
    found = {(f["section"], f["name"]): f for f in json.loads(capsys.readouterr().out)}
    assert found["data", "mnist5k"]["here"] and found["weights", "lenet"]["here"]
    assert not found["data", "mnist"]["here"] and "download = true" in found["data", "mnist"]["detail"]
    assert not found["weights", "inception"]["here"] and "download http" in found["weights", "inception"]["detail"]
    assert "GENBENCH_WEIGHTS_INCEPTION" in found["weights", "inception"]["detail"]
    assert not found["models", "judge_gap, judge_perplexity"]["here"]
    assert found["models", "judge_gap, judge_perplexity"]["detail"].startswith("GENBENCH_JUDGE is ")
    assert not found["models", "clip_score"]["here"] and "GENBENCH_CLIP" in found["models", "clip_score"]["detail"]
    assert "cores" in found["machine", "threads"]["detail"]
    assert run_command(["doctor"]) == 0
    told = capsys.readouterr().out
    for finding in found.values():  # a line each, which can be searched for
        if finding["section"] in ("data", "weights"):
            assert f"{finding['name']} " in told and finding["detail"] in told
