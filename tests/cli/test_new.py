"""``genbench new``: what it writes works as it is, whatever it is called."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from bench.cli._main import run_command
from bench.cli.new import KINDS, TEMPLATES
from tests.desk import ROOT, Desk

NAMES = {"generator": "x", "metric": "a_very_long_name_that_says_all_there_is_to_say_of_it", "dataset": "Shapes2"}
SUITE = f"""
metrics = ["{NAMES["metric"]}"]
controls = false
[datasets.{NAMES["dataset"]}]
[generators.{NAMES["generator"]}]
preset = "test"
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Desk:
    """Where one of each kind was written, and installed as its README says."""
    desk = Desk(tmp_path_factory.mktemp("desk"))
    for kind, name in NAMES.items():
        assert run_command(["new", kind, name, "--to", str(desk.folder / name)]) == 0
    desk.must(f"pip install {' '.join(f'-e ./{name}[dev]' for name in NAMES.values())}")
    return desk


def test_there_is_a_template_of_each_kind() -> None:
    assert {folder.name for folder in TEMPLATES.iterdir()} == {*KINDS} == {*NAMES}


def test_its_own_tests_pass(desk: Desk) -> None:
    """Those of all three, in one process that is not ours."""
    told = desk.must(
        f"python -m pytest -q -p no:cacheprovider -W error {' '.join(f'{n}/tests' for n in NAMES.values())}"
    )
    assert re.match(r"\d\d passed in", told.splitlines()[-1]), told


def test_it_is_listed_and_a_suite_takes_it(desk: Desk) -> None:
    listed = json.loads(desk.must("genbench list --json"))
    assert listed["failed_plugins"] == {}
    for kind, name in NAMES.items():
        assert name in {row["name"] for row in listed[f"{kind}s"]}
    (desk.folder / "all.toml").write_text(SUITE)
    (plan,) = json.loads(desk.must("genbench run all.toml --dry-run --json"))
    assert (plan["family"], plan["dataset"]) == (NAMES["generator"], NAMES["dataset"])
    assert plan["metrics"] == [f"{NAMES['metric']}_lenet"]


def test_it_is_written_in_good_style(desk: Desk) -> None:
    for words in (["check"], ["format", "--check"]):
        done = subprocess.run(
            [sys.executable, "-m", "ruff", *words, "--no-cache", "."], cwd=desk.folder, capture_output=True, text=True
        )
        assert done.returncode == 0, done.stdout


def test_nothing_of_a_template_s_name_is_left(desk: Desk) -> None:
    for name in NAMES.values():
        for file in (file for file in (desk.folder / name).rglob("*") if file.is_file()):
            told = f"{file} {file.read_text(errors='replace')}"
            assert not re.search("acme.(generator|metric|dataset)", told)


@pytest.mark.slow
@pytest.mark.parametrize("kind", KINDS)
def test_the_commands_that_it_names_next_do_what_they_say(kind: str, tmp_path: Path) -> None:
    desk = Desk(tmp_path)
    told = desk.must(f"genbench new {kind} mine --to 'a folder/of mine'")
    what, _, then = told.partition("next:\n")
    assert what.startswith("a folder/of mine: README.md, ") and len(then.splitlines()) == 4
    desk.must(then)
    assert (desk.folder / "a folder/of mine/runs/first/report/index.html").is_file()


@pytest.mark.slow
def test_an_installed_genbench_carries_the_templates(tmp_path: Path) -> None:
    """All of them, and not only the files that are Python."""
    for name in ("bench", "generators", "metrics", "reports"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, tmp_path)
    build = "pip wheel --quiet --no-deps --no-index --no-build-isolation --wheel-dir built ."
    subprocess.run([sys.executable, "-m", *build.split()], cwd=tmp_path, check=True)
    (wheel,) = (tmp_path / "built").iterdir()
    packed = {name for name in zipfile.ZipFile(wheel).namelist() if "/templates/" in name}
    files = (file for kind in KINDS for file in (TEMPLATES / kind).rglob("*") if file.suffix in (".md", ".py", ".toml"))
    assert packed == {str(file.relative_to(ROOT)) for file in files}


@pytest.mark.slow
def test_its_types_are_right(desk: Desk) -> None:
    for name in NAMES.values():
        told = desk.run(f"MYPYPATH={ROOT} python -m mypy --follow-imports=silent {name} tests", desk.folder / name)
        assert told.returncode == 0, told.stdout


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["generator", "acme-flow"], "letters, digits and single _ between them; did you mean 'acme_flow'?"),
        (["generator", "2fast"], "'2fast' is no name for a package: letters, digits and single _ between them"),
        (["dataset", "größe"], "'größe' is no name for a package"),
        (["dataset", "../up"], "did you mean 'up'?"),
        (["dataset", "a\x1b[2J"], r"'a\x1b[2J' is no name for a package"),
        (["dataset", ""], "'' is no name for a package"),
        (["metric", "lambda"], "'lambda' means something else in a package: take another name, such as my_lambda"),
        (["metric", "tests"], "'tests' means something else in a package"),
        (["generator", "VAE"], "there is a generator 'VAE' already: take another name, such as my_VAE"),
        (["generator", "onnx"], "there is a generator 'onnx' already"),
        (["metric", "fd_lenet"], "there is a metric 'fd_lenet' already"),
        (["dataset", "torch"], "there is a module 'torch' already"),
        (["dataset", "sys"], "there is a module 'sys' already"),
        (["dataset", "here"], "here is there already: name another folder by --to"),
        (["dataset", "mine", "--to", "here/file"], "here/file is there already"),
        (["dataset", "mine", "--to", "here/file/below"], "cannot write here/file/below"),
        (["dataset", "mine", "--to", ""], "to: an empty path"),
        (["model", "mine"], "'model' is not one of 'generator', 'metric', 'dataset'"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_and_nothing_written(
    words: list[str], answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "here").mkdir()
    (tmp_path / "here" / "file").touch()
    assert run_command(["new", *words]) == 2
    assert answer in capsys.readouterr().err
    assert [path.name for path in tmp_path.rglob("*")] == ["here", "file"]


def test_a_folder_that_is_no_package_stands_in_nobody_s_way(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As one of data, which is called after what is in it."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "pictures").mkdir()
    assert run_command(["new", "dataset", "pictures", "--to", "packages/pictures"]) == 0
    assert (tmp_path / "packages/pictures/pictures/shapes.py").is_file()
