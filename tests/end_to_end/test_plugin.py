"""A package from outside: installed as a user would, listed, checked, run and reported beside our own."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

import bench
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
    return with_path(site)


def with_path(folder: Path) -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, (folder, ROOT)))}


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


OURS = {path.stem.rstrip("_") for path in Path(bench.__file__).with_name("cli").glob("[!_]*.py")}


def test_its_command_stands_beside_our_own(environment: dict[str, str]) -> None:
    help_of_all = genbench(environment, "--help")
    assert help_of_all.returncode == 0 and not help_of_all.stderr
    named = {line.split()[0] for line in help_of_all.stdout.partition("Commands:")[2].splitlines() if line.strip()}
    assert named == {"acme-brightest", *OURS}
    assert "Name the generator whose samples are brightest." in help_of_all.stdout


@pytest.fixture
def another(tmp_path: Path) -> Callable[[str], dict[str, str]]:
    """Environment variables under which another package is installed, a module of this source."""

    def install(source: str) -> dict[str, str]:
        (tmp_path / "odd_bench.py").write_text(source)
        info = tmp_path / "odd_bench-1.dist-info"
        info.mkdir()
        (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd-bench\nVersion: 1\n")
        (info / "entry_points.txt").write_text("[genbench.plugins]\nodd = odd_bench\n")
        return with_path(tmp_path)

    return install


def test_one_that_cannot_be_imported_is_named_in_the_help_of_the_others(
    another: Callable[[str], dict[str, str]],
) -> None:
    environment = another("from bench import command\nraise RuntimeError('boom, ' + 'and a long story ' * 20)\n")
    done = genbench(environment, "--help")
    assert done.returncode == 0 and not done.stderr
    assert "Measure samples of your own against real data." in done.stdout
    told = [line for line in done.stdout.splitlines() if "odd" in line]
    assert len(told) == 1 and told[0].startswith("  plugin 'odd' could not be imported: RuntimeError: boom, and a")
    unknown = genbench(environment, "oddity")
    assert unknown.returncode == 2 and "plugin 'odd' could not be imported" in unknown.stderr


def test_one_that_takes_a_name_of_ours_is_told_so_in_one_line(another: Callable[[str], dict[str, str]]) -> None:
    environment = another("from bench import command\n\n\n@command('Run')\ndef mine():\n    'Mine.'\n")
    (told,) = [line for line in genbench(environment, "--help").stdout.splitlines() if "odd" in line]
    what = "command 'Run' of odd_bench is registered already by bench.cli.run"
    assert told == f"  plugin 'odd' could not be imported: {what}"


def test_help_does_not_wait_for_one_without_a_command_nor_a_command_of_ours_for_any(
    another: Callable[[str], dict[str, str]], tmp_path: Path
) -> None:
    loud = "import sys\nprint('imported', file=sys.stderr)\n"
    environment = another(loud)
    assert not genbench(environment, "--help").stderr
    (tmp_path / "odd_bench.py").write_text(f"{loud}from bench import command\n")
    assert genbench(environment, "--help").stderr == "imported\n"
    assert not genbench(environment, "run", "--help").stderr


def test_it_runs_in_a_suite_and_stands_in_the_report(environment: dict[str, str], tmp_path: Path) -> None:
    (tmp_path / "acme.toml").write_text(SUITE)
    done = genbench(environment, "run", tmp_path / "acme.toml", "--out", tmp_path / "out")
    assert done.returncode == 0, done.stderr
    rows = read_frame(tmp_path / "out").itertuples()
    value = {(row.generator, row.metric): float(str(row.value)) for row in rows}
    assert 20 < value["acme/mean", "acme/brightness"] < 150
    assert value["real", "fd_lenet"] < value["acme/mean", "fd_lenet"]
    assert "acme/mean" in (tmp_path / "out" / "report" / "index.html").read_text()
    told = genbench(environment, "acme-brightest", tmp_path / "out", "--all")
    assert told.returncode == 0, told.stderr
    brightness = [(line.split()[0], float(line.split()[1])) for line in told.stdout.splitlines()]
    assert [name for name, _ in brightness] == sorted(
        ("acme/mean", "real", "copycat", "gaussian", "noise"), key=lambda name: -value[name, "acme/brightness"]
    )
    assert dict(brightness)["real"] == pytest.approx(value["real", "acme/brightness"], abs=0.06)


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
