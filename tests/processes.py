"""Work in a process of its own, whose peak of memory is that of this work and of no test before it."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from typing import ParamSpec, TypeVar

P = ParamSpec("P")
T = TypeVar("T")


def alone(work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """What ``work`` returns in a new process, where warnings are errors as here; what it raises is raised here."""
    with ProcessPoolExecutor(1, get_context("spawn"), warnings.simplefilter, ("error",)) as processes:
        return processes.submit(work, *args, **kwargs).result()
