"""What runs trials, one executor a file: it carries the executor's name, and its ``make`` makes one."""

from __future__ import annotations

import importlib
import pkgutil

from bench.engine.executors._base import MakeExecutor
from bench.errors import UnknownName


def find_executor(name: str) -> MakeExecutor:
    """Raises UnknownName for one that has no file here."""
    names = [found.name for found in pkgutil.iter_modules(__path__) if not found.name.startswith("_")]
    if name not in names:
        raise UnknownName("executor", name, names)
    make: MakeExecutor = importlib.import_module(f"{__name__}.{name}").make
    return make
