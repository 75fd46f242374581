"""A user's desk: a virtual environment in which genbench is installed, and a folder to work in. There is no network."""

from __future__ import annotations

import os
import subprocess
import sysconfig
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
OFFLINE = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}  # pip reads 0 as: no isolation


class Desk:
    """Lines of a shell are run as somebody types them: ``genbench``, ``pip`` and ``python`` are found there.

    What these tests run on is seen, this checkout before all, and what is installed is installed for this desk alone.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder / "work"
        self.folder.mkdir()
        venv.create(folder / "venv")
        programs = folder / "venv" / "bin"
        (own,) = (folder / "venv" / "lib").glob("python*/site-packages")
        (own / "here.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
        for name, module in (("genbench", "bench"), ("pip", "pip")):
            (programs / name).write_text(f'#!/bin/sh\nexec {programs / "python"} -P -m {module} "$@"\n')
            (programs / name).chmod(0o755)
        path = os.pathsep.join([str(programs), os.environ["PATH"]])
        self.environment = {**os.environ, **OFFLINE, "PATH": path, "PYTHONPATH": str(ROOT)}

    def run(self, lines: str, folder: Path | None = None) -> subprocess.CompletedProcess[str]:
        """Of lines of a shell, up to the first that fails."""
        return subprocess.run(
            ["sh", "-ec", lines], cwd=folder or self.folder, env=self.environment,
            capture_output=True, text=True, timeout=300, check=False,
        )  # fmt: skip

    def must(self, lines: str, folder: Path | None = None) -> str:
        """What such lines print. Raises AssertionError where one fails."""
        done = self.run(lines, folder)
        assert done.returncode == 0, f"{lines}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        return done.stdout
