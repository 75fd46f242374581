"""How the process of a trial comes to what a user's own code registered, outside of all entry points.

A module is imported again, and a script is run again under another name, as ``multiprocessing`` does. What neither
reaches (a notebook cell, standard input, what stands under the guard) is told at planning time.
"""

from __future__ import annotations

import ast
import functools
import importlib
import runpy
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from bench.code_digest import is_guard, root_of, source_digest
from bench.errors import GenbenchError

GUARD = 'a script that calls bench.run must do so under: if __name__ == "__main__":'
RUN_AS = "genbench_plugin"  # what ``__name__`` is in a script that is run again


@dataclass(frozen=True)
class Door:
    """The file in which something was registered, and how to get there.

    module: its dotted name; "" for a script that is no module.  again: it is the program, and is run again.
    problem: why nobody else gets there; "" where they do.
    """

    file: str = ""
    module: str = ""
    again: bool = False
    problem: str = ""

    @property
    def digest(self) -> str:
        return source_digest(self.module if self.module and not self.again else self.file)

    def open(self) -> None:
        """Register again, in this process, what was registered there."""
        path = Path(self.file)
        root = root_of(self.module, path) if self.module else None
        sys.path.insert(0, str(root or path.parent))  # as Python does for a script
        if self.module and self.again:
            runpy.run_module(self.module, run_name=RUN_AS)
        elif self.module and root:
            importlib.import_module(self.module)
        else:
            runpy.run_path(self.file, run_name=RUN_AS)


def door() -> Door:
    """The way to the module whose code is just being run, on the word of the call stack."""
    frame = next(_modules(), None)
    file = str(frame.f_globals.get("__file__") or "") if frame else ""
    if frame is None or not Path(file).is_file() or frame.f_code.co_filename.startswith("<"):
        where = "in a notebook cell, at a prompt or on standard input"
        return Door(problem=f"is defined {where}: write it to a file, such as mymodels.py, and import that")
    name, path = str(frame.f_globals["__name__"]), str(Path(file).resolve())
    if name not in ("__main__", RUN_AS):
        return Door(path, name)
    if _is_guarded(frame, path):
        return Door(path, problem='is defined under `if __name__ == "__main__":`: move it out, above that line')
    spec = frame.f_globals.get("__spec__")
    return Door(path, spec.name if spec else "", again=True)


def check_call() -> None:
    """A script that is run again in every trial must not come to the same call again. Raises GenbenchError."""
    for frame in _modules():
        file = frame.f_globals.get("__file__")
        if frame.f_globals.get("__name__") == "__main__" and file and not _is_guarded(frame, str(file)):
            raise GenbenchError(GUARD)


def _modules() -> Iterator[FrameType]:
    """The modules being run, the innermost first."""
    frame: FrameType | None = sys._getframe(1)
    while frame:
        if frame.f_code.co_name == "<module>":
            yield frame
        frame = frame.f_back


def _is_guarded(frame: FrameType, file: str) -> bool:
    try:
        content = Path(file).read_bytes()  # each time: a notebook runs a script again that was changed in between
    except OSError:
        return False
    return any(first <= frame.f_lineno <= last for first, last in _guards(content))


@functools.lru_cache(maxsize=8)
def _guards(content: bytes) -> tuple[tuple[int, int], ...]:
    """First and last lines of what a file does only as the program."""
    try:
        tree = ast.parse(content)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return ()
    return tuple((node.lineno, node.end_lineno or node.lineno) for node in tree.body if is_guard(node))
