"""``genbench report``: any format, and what is said of folders without results."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench.cli._main import run_command
from bench.registry import registry
from bench.results.store import write_planned
from tests.report_records import planned, record


def test_every_format_can_be_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "records").mkdir()
    assert run_command(["report", str(tmp_path), "--format", "htm"]) == 2
    assert "unknown report 'htm'; did you mean 'html'?" in capsys.readouterr().err
    for name in (name for name, entry in registry.all("reports").items() if not entry.asked):
        assert run_command(["report", str(tmp_path), "--format", name, "--to", str(tmp_path / name)]) == 0
        assert Path(capsys.readouterr().out.strip()).is_file()


def test_a_report_of_a_run_without_a_finished_trial_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_planned(tmp_path, planned([record("vae"), record("vae", 1)]))
    assert run_command(["report", str(tmp_path)]) == 0
    printed = capsys.readouterr()
    assert printed.err.splitlines() == [
        f"genbench: warning: no trial in {tmp_path} has finished yet",
        "genbench: warning: 2 of 2 trials of digits have no record yet; "
        "to go on: genbench run digits.toml --out runs/digits",
    ]
    assert "No trial in this folder has finished yet" in Path(printed.out.strip()).read_text()


def test_so_does_one_of_a_folder_from_before_there_were_plans(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / ".lock").touch()
    assert run_command(["report", str(tmp_path), "--format", "html"]) == 0
    assert capsys.readouterr().err == f"genbench: warning: no trial in {tmp_path} has finished yet\n"
