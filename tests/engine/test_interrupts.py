"""Ctrl-C from the first import on. In the middle of a run: ``test_run.py``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import bench

PRESSED = """
import os, signal, sys

class Finder:
    def find_spec(self, name, path=None, target=None):
        if name == {module!r}:
            for _ in range(5):
                os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Finder())
sys.argv = ["genbench", {command!r}]
from bench.__main__ import main
main()
"""


def python(code: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)


def test_while_modules_are_imported() -> None:
    for module in ("bench.cli._main", "pydantic", "generators", "torch"):
        done = python(PRESSED.format(module=module, command="list"))
        assert done.returncode == 130
        assert done.stderr.splitlines() == ["genbench: interrupted"]


def test_a_run_is_told_that_it_goes_on() -> None:
    done = python(PRESSED.format(module="bench.cli._main", command="run"))
    assert done.stderr.splitlines() == [
        "genbench: interrupted; what is finished is kept, the same command goes on from there"
    ]


LOADED = """
import os, re, signal, sys

before = set(sys.modules)
import bench.__main__

print(*sorted({*sys.modules} - before))
"""


def test_the_answer_stands_ready_before_anything_that_takes_time() -> None:
    """The start of ``genbench`` has loaded ``re`` by then, and so most of ``signal``."""
    folder = Path(bench.__file__).parents[1]
    done = subprocess.run([sys.executable, "-S", "-c", LOADED], capture_output=True, text=True, cwd=folder)
    assert done.stdout.split() == ["__future__", "bench", "bench.__main__", "bench.interrupts"]


def test_where_it_is_ignored_it_stays_so() -> None:
    """As for a command in the background of a script."""
    code = "import signal; signal.signal(signal.SIGINT, signal.SIG_IGN)\n" + PRESSED.format(
        module="bench.cli._main", command="list"
    )
    assert python(code).returncode == 0
