"""A package from outside: installed as a user would, listed, checked, run and reported beside our own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from bench import read_frame

ROOT = Path(__file__).parents[2]
SUITE = """
seeds = [0]
metrics = ["acme/brightness", "fd_lenet"]
budget = { train_steps = 30, samples = 100 }
[datasets.digits]
[generators."acme/mean"]
noise = 0.2
"""


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """Environment variables under which the plugin is installed, in a folder of its own."""
    source, site = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("site")
    shutil.copytree(ROOT / "tests" / "plugin", source / "plugin")  # pip writes into the source folder
    install = ["-m", "pip", "install", "--quiet", "--no-deps", "--no-build-isolation", "--no-index"]
    subprocess.run([sys.executable, *install, "--target", site, source / "plugin"], check=True)
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (site, ROOT)))}


def genbench(environment: dict[str, str], *words: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "bench", *words], env=environment, capture_output=True, text=True, timeout=300
    )


def test_it_is_listed_beside_our_own(environment: dict[str, str]) -> None:
    listed = json.loads(genbench(environment, "list", "--json").stdout)
    assert "acme/mean" in {row["name"] for row in listed["generators"]}
    assert "acme/brightness" in {row["name"] for row in listed["metrics"]}
    assert "acme/stripes" in {row["name"] for row in listed["datasets"]}
    assert listed["failed_plugins"] == {}


def test_it_runs_in_a_suite_and_stands_in_the_report(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(SUITE)
    done = genbench(environment, "run", tmp_path / "acme.toml", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    rows = read_frame(tmp_path / "out").itertuples()
    value = {(row.generator, row.metric): float(str(row.value)) for row in rows}
    assert 20 < value["acme/mean", "acme/brightness"] < 150
    assert value["real", "fd_lenet"] < value["acme/mean", "fd_lenet"]
    assert "acme/mean" in (tmp_path / "out" / "report" / "index.html").read_text()


def test_its_parameters_are_checked_like_our_own(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(SUITE.replace("noise", "nose"))
    done = genbench(environment, "run", tmp_path / "acme.toml", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert "unknown parameter 'nose'; did you mean 'noise'?" in done.stderr


def test_its_own_tests_ask_it_what_ours_ask_of_ours(environment: dict[str, str], tmp_path: Path) -> None:
    """As its author runs them: pytest, in a folder that is not ours."""
    shutil.copytree(ROOT / "tests" / "plugin", tmp_path / "acme", ignore=shutil.ignore_patterns("acme_bench"))
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-q"]
    done = subprocess.run(words, cwd=tmp_path / "acme", env=environment, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stdout
    assert re.fullmatch(r"\d\d passed in .*", done.stdout.splitlines()[-1]), done.stdout
