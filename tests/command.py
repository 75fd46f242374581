"""``genbench`` in this process, where torch is loaded: as a program of its own it takes seconds to begin."""

from __future__ import annotations

import contextlib
import io
from dataclasses import dataclass
from pathlib import Path

from bench.cli._main import run_command


@dataclass(frozen=True)
class Done:
    """What a command came to, named as by ``subprocess``."""

    returncode: int
    stdout: str
    stderr: str


def genbench(*words: str | Path) -> Done:
    """Run one command to its end. What it leaves to no message is raised here."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.redirect_stderr(io.StringIO()) as err:
        status = run_command([*map(str, words)])
    return Done(status, out.getvalue(), err.getvalue())
