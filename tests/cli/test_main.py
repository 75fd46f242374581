"""The command line itself: what it finds, what it answers to mistakes, how it ends, and other people's commands."""

from __future__ import annotations

import importlib.metadata
import os
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import typer

import bench
from bench import GenbenchError
from bench.cli._main import run_command
from bench.errors import DuplicateName, RunStopped
from bench.registry import registry

OURS = sorted(path.stem.rstrip("_") for path in Path(bench.__file__).with_name("cli").glob("[!_]*.py"))  # import_


@pytest.fixture
def added() -> Iterator[Callable[..., None]]:
    """Registers a function as a command, for one test."""
    names: list[str] = []

    def add(name: str, call: Callable[..., Any]) -> None:
        names.append(name)
        bench.command(name)(call)

    yield add
    for name in names:
        del registry.tables["commands"][name]


def python(*words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *words], capture_output=True, text=True, env={**os.environ, **environment})


def test_every_file_is_a_command_with_a_line_of_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(registry.all("commands")) == OURS
    assert run_command(["--help"]) == 0
    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines() if line.strip()}
    for name in OURS:
        assert registry.get("commands", name).about in lines[name]
        assert run_command([name, "-h"]) == 0
        assert capsys.readouterr().out.startswith(f"Usage: genbench {name}")


def test_help_waits_for_nothing_heavy() -> None:
    heavy = ("torch", "numpy", "pandas", "pydantic", "rich", "generators", "metrics", "reports")
    code = "from bench.cli._main import run_command; import sys; run_command(['--help'])\n"
    code += f"sys.exit(' '.join({{*{heavy}}} & {{*sys.modules}}) or None)"
    done = python("-c", code)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        (["list", "metric"], "unknown kind 'metric'; did you mean 'metrics'?"),
        (["run", "demoo"], "unknown suite 'demoo'; did you mean 'demo'?"),
        (["run", "no.toml"], f"there is no suite file no.toml (looked for at {Path.cwd()}/no.toml)"),
        (
            ["run", "demo", "--set", "generators.vae.latent=abc"],
            "generators.vae.latent = 'abc': input should be",
        ),
        (["run", "demo", "--set", "budget.samples=5000"], "holds out only 1000"),
        (["run", "demo", "--device", "cuda"], "no CUDA GPU is usable here"),
        (["run", ""], "suite: an empty path: is a variable not set?"),
        (["run", "demo", "--out", ""], "out: an empty path: is a variable not set?"),
        (["run", "demo", "--dry-run", "--out", " "], "out: an empty path: is a variable not set?"),
        (["run", "demo", "--set", "datasets.mnist5k.root="], "datasets.mnist5k.root: an empty path"),
        (
            ["run", "demo", "--set", "generators.vae.load="],
            "generators.vae.load: an empty path: is a variable not set?",
        ),
        (["report", ""], "folder: an empty path: is a variable not set?"),
        (["report", "nowhere", "--to", ""], "to: an empty path: is a variable not set?"),
        (
            ["report", "nowhere"],
            f"nowhere is no run folder: there is no such folder (looked for at {Path.cwd()}/nowhere)",
        ),
        (["report", "."], ". is no run folder: it has no records/, and no run was ever begun in it"),
    ],
)
def test_a_mistake_is_one_message_and_exit_code_2(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(words) == 2
    printed = capsys.readouterr()
    assert answer in printed.err and printed.err.startswith("genbench: error: ") and not printed.out


@pytest.mark.parametrize(
    ("words", "answer"),
    [
        ([], "Missing command."),
        (["run"], "Missing argument 'SUITE'."),
        (["run", "demo", "--jobs", "0"], "Invalid value for '--jobs': Input should be greater than or equal to 1"),
        (["run", "demo", "--device", "tpu"], "Invalid value for '--device'"),
        (["run", "demo", "--devise"], "No such option: --devise (Possible options: --device"),
        (["evaluate", "a", "b", "c"], "Got unexpected extra argument(s) (c)"),
    ],
)
def test_a_wrong_command_exits_with_2_and_the_usage(
    words: list[str], answer: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run_command(words) == 2
    told, usage = capsys.readouterr().err.splitlines()
    assert told.startswith(f"genbench: error: {answer}")
    assert usage.startswith(" ".join(["usage: genbench", *words[:1]])) and "--help" in usage


def test_a_command_is_found_in_any_case_and_a_near_one_offered(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["List", "suites"]) == 0
    capsys.readouterr()
    assert run_command(["rum", "demo"]) == 2
    assert capsys.readouterr().err == "genbench: error: unknown command 'rum'; did you mean 'run'?\n"


def test_an_option_may_be_cut_short(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["list", "suites", "--js"]) == 0
    assert capsys.readouterr().out.startswith("{")
    assert run_command(["run", "demo", "--d"]) == 2  # --device or --dry-run
    assert "No such option: --d" in capsys.readouterr().err
    assert run_command(["list", "suites", "--", "--js"]) == 2
    assert "nothing here speaks of '--js'" in capsys.readouterr().err


def test_what_a_command_returns_or_raises_is_the_exit_status(
    added: Callable[..., None], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signal.signal", lambda *_: None)  # what is said once is not silenced for the tests to come

    def raising(error: BaseException) -> Callable[[], None]:
        def call() -> None:
            raise error

        return call

    for name, call, status, told in (
        ("t-quiet", lambda: None, 0, ""),
        ("t-some", lambda: 1, 1, ""),
        ("t-wrong", raising(GenbenchError("no\nand no")), 2, "genbench: error: no\ngenbench: error: and no\n"),
        ("t-stopped", raising(RunStopped("full")), 1, "genbench: error: full\n"),
        ("t-exit", raising(typer.Exit(3)), 3, ""),
        ("t-abort", raising(typer.Abort()), 1, "genbench: error: aborted\n"),
        ("t-pressed", raising(KeyboardInterrupt()), 130, "genbench: interrupted\n"),
    ):
        added(name, call)
        assert run_command([name]) == status
        assert capsys.readouterr().err == told
    added("t-broken", raising(ZeroDivisionError()))
    with pytest.raises(ZeroDivisionError):  # a mistake of its author is shown as Python shows it
        run_command(["t-broken"])


def test_a_pipe_that_is_closed_is_no_error() -> None:
    command = [sys.executable, "-m", "bench", "list", "suites"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as listing:
        assert listing.stdout and listing.stderr
        listing.stdout.close()
        assert "Traceback" not in listing.stderr.read()


def test_a_name_that_is_taken_is_refused_in_one_message() -> None:
    with pytest.raises(DuplicateName, match=r"^command 'run' of .* is registered already by bench\.cli\.run$"):
        bench.command("run")(lambda: None)


def test_a_signature_that_is_none_of_a_command_costs_the_others_nothing(
    added: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    def odd(folder: int | str) -> None:
        """Cannot be called."""

    added("t-odd", odd)
    assert run_command(["--help"]) == 0
    printed = capsys.readouterr().out
    named = f"command 't-odd' of {__name__}: its signature is none of a command: "
    assert f"  {named}" in printed and all(f"  {name}" in printed for name in OURS)
    assert run_command(["t-odd"]) == 2
    assert capsys.readouterr().err.startswith(f"genbench: error: {named}")


class TestCompletion:
    def complete(self, line: str, shell: str = "bash") -> list[str]:
        asked = {"COMP_WORDS": line, "COMP_CWORD": str(len(line.split(" ")) - 1), "_TYPER_COMPLETE_ARGS": line}
        done = python("-m", "bench", _GENBENCH_COMPLETE=f"complete_{shell}", **asked)
        assert done.returncode == 0 and not done.stderr
        return done.stdout.split()

    def test_of_commands_options_and_names(self) -> None:
        assert self.complete("genbench r") == ["report", "run"]
        assert self.complete("genbench run --d") == ["--device", "--dry-run"]
        assert self.complete("genbench run --device c") == ["cpu", "cuda"]
        assert self.complete("genbench run dem") == ["demo"]
        assert self.complete("genbench list gen") == ["generators"]

    def test_each_shell_is_told_how_to_ask(self) -> None:
        for shell in ("bash", "zsh", "fish"):
            done = python("-m", "bench", _GENBENCH_COMPLETE=f"source_{shell}")
            assert "_GENBENCH_COMPLETE" in done.stdout and f"complete_{shell}" in done.stdout


def test_the_version_is_one() -> None:
    project = tomllib.loads((Path(__file__).parents[2] / "pyproject.toml").read_text())["project"]
    assert importlib.metadata.version("genbench") == project["version"]


def test_the_version_is_told_and_named_in_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(["--version"]) == 0
    printed = capsys.readouterr()
    assert printed.out == f"genbench {importlib.metadata.version('genbench')}\n" and not printed.err
    assert run_command(["--help"]) == 0
    assert "--version" in capsys.readouterr().out


def test_a_version_that_nobody_installed_is_not_made_up(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(importlib.metadata, "version", missing)
    assert run_command(["--version"]) == 2
    assert capsys.readouterr().err.startswith("genbench: error: no version is known")
