"""The machine: whether it was busy, how threads wait on it, and which systems there are."""

from __future__ import annotations

import os
import platform
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import bench
from bench import GenbenchError
from bench.cli._main import run_command
from bench.cli.doctor import examine
from bench.engine.executors.local import LocalExecutor
from bench.openmp import PASSIVE, waiting_policy
from bench.probes import load
from bench.probes.load import Load, Reading, between
from reports._content import gather
from tests.report_records import ENVIRONMENT, record


def at(wall: float, own: float, busy: float | None, stolen: float | None = 0.0, average: float | None = 1.0) -> Reading:
    return Reading(wall, own, busy, stolen, average)


@pytest.mark.parametrize(
    ("others", "needed", "busy"),
    [(0.1, 2, False), (0.5, 2, True), (0.5, 1, False), (1.1, 1, False), (1.5, 1, True), (4.0, 8, True)],
)
def test_a_machine_is_busy_where_fewer_cores_are_left_than_needed(others: float, needed: int, busy: bool) -> None:
    found = between(at(0, 0, 0), at(10, 15, 15 + 10 * others), cores=2)
    assert found.others == pytest.approx(others)
    assert (found.seconds, found.cpu_seconds, found.busy(needed)) == (10, 15, busy)


def test_what_the_host_keeps_back_counts() -> None:
    assert between(at(0, 0, 0, 0), at(10, 5, 5, 2), cores=2).stolen == pytest.approx(0.1)
    assert between(at(0, 0, 0, 0), at(10, 5, 5, 2), cores=2).busy(1)


def test_without_a_count_of_cores_the_average_load_tells() -> None:
    found = between(at(0, 0, None, None), at(10, 10, None, None, 3.0), cores=2)
    assert found.others == pytest.approx(2) and found.stolen is None and found.busy(1)
    assert between(at(0, 0, None, None, None), at(1, 1, None, None, None), cores=2).others is None


def test_of_the_cores_those_count_that_this_process_may_use(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Of four, all taken by others but one, a process that is kept to that one is alone; on another it is not."""
    stat, second = tmp_path / "stat", os.sysconf("SC_CLK_TCK")
    monkeypatch.setattr(load, "STAT", stat)

    def others(core: int) -> float | None:
        monkeypatch.setattr(load, "usable", lambda: {core})
        readings = []
        for seconds in (0, 10):
            ticks = [0 if core == 2 else seconds * second for core in range(4)]
            rows = [f"cpu{core} {used} 0 0 0 0 0 0 0 0 0" for core, used in enumerate(ticks)]
            stat.write_text("\n".join([f"cpu {sum(ticks)} 0 0 0 0 0 0 0 0 0", *rows, "intr 5 0", "ctxt 7"]))
            busy, stolen = load._cores()
            readings.append(at(seconds, 0, busy, stolen))
        found = between(readings[0], readings[1])
        assert found.cores == 1 and found.busy(1) is (core != 2)
        return found.others

    assert others(2) == 0 and others(1) == pytest.approx(1)


def test_this_machine_can_be_read() -> None:
    found = load.now(0.05)
    assert found.seconds >= 0.05 and found.cpu_seconds >= 0
    assert found.others is not None and found.others >= 0 and found.cores >= 1


@pytest.mark.parametrize(("others", "idle", "said"), [(0.0, True, "0.0 of"), (100.0, False, "not be of a trial alone")])
def test_the_doctor_says_whether_times_taken_now_would_be_worth_something(
    monkeypatch: pytest.MonkeyPatch, others: float, idle: bool, said: str
) -> None:
    monkeypatch.setattr("bench.probes.load.now", lambda: Load(0.5, 0.0, others, 0.0, 1.0, 100))
    (found,) = (finding for finding in examine() if (finding.section, finding.name) == ("machine", "idle"))
    assert found.here == idle and said in found.detail


def test_the_page_names_the_trials_that_were_not_alone() -> None:
    busy = [{**ENVIRONMENT, "load": {"busy": seed > 0, "others": seed}} for seed in range(8)]
    content = gather([record("vae", seed, environment=busy[seed]) for seed in range(8)], Path(), [])
    (remark,) = content.notes
    assert remark.startswith("other processes kept the machine busy during 7 of 8 trials")
    assert "vae on mnist, seed 1; " in remark and remark.endswith("; and 2 more")
    assert not content.machines.differing  # of one machine, however busy it was
    odd: list[Any] = ["much", {"busy": "very"}, None]
    strange = [record("vae", seed, environment={**ENVIRONMENT, "load": value}) for seed, value in enumerate(odd)]
    assert gather(strange, Path(), []).notes == []


def test_threads_of_workers_sleep_while_they_wait_unless_the_user_wants_otherwise(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    given: list[dict[str, str]] = []
    monkeypatch.setattr("bench.engine.executors.local.subprocess.Popen", lambda *_, env, **__: given.append(env))
    for name in PASSIVE:
        monkeypatch.delenv(name, raising=False)
    executor = LocalExecutor(tmp_path, jobs=1, threads=1)
    executor._start(None, [])
    monkeypatch.setenv("OMP_WAIT_POLICY", "ACTIVE")
    executor._start(None, [])
    assert given[0].items() >= PASSIVE.items()
    assert given[1]["OMP_WAIT_POLICY"] == "ACTIVE" and not given[1].keys() & (PASSIVE.keys() - {"OMP_WAIT_POLICY"})
    assert waiting_policy({"KMP_BLOCKTIME": "200"}) == {}


def test_windows_is_told_in_a_sentence(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(platform, "system", lambda: "Windows")
    assert run_command(["list"]) == 2
    assert capsys.readouterr().err == "genbench: error: genbench runs on Linux and macOS; on Windows, use it in WSL\n"
    for call in (lambda: bench.run("demo"), lambda: bench.evaluate(np.zeros((9, 2)), np.zeros((9, 2)))):
        with pytest.raises(GenbenchError, match="Linux and macOS"):
            call()
