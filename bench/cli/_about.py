"""What is said of one registered thing by itself: its own words, and those that these point to."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, NamedTuple

from bench.registry import DatasetEntry, GeneratorEntry, MetricEntry

Described = GeneratorEntry | MetricEntry | DatasetEntry
# A file, a module beside it, and a thing that is named behind "see".
_POINTER = re.compile(r"\b((?:\w+/)+\w+)\.py\b|``(_\w+)``|\b[Ss]ee\s+``(\w+)``")


class Passage(NamedTuple):
    """Words from one file: of its module, then of the things in it that are meant."""

    file: str
    text: str


def described(entry: Described) -> list[Passage]:
    """First of its own file; then of those with the classes whose options it takes, and of those that are pointed to.

    Of its own package alone. Nothing is said twice, and nothing that is pointed to is left out.
    """
    make = entry.compute if isinstance(entry, MetricEntry) else entry.make
    waiting: list[Any] = [make, *_givers(make)]
    package, found = entry.origin.partition(".")[0], dict[str, list[str]]()
    for thing in waiting:  # which grows
        module = thing if isinstance(thing, ModuleType) else sys.modules.get(thing.__module__)
        if module is None or module.__name__.partition(".")[0] != package:
            continue
        texts = found.setdefault(module.__name__, [])
        for text in filter(None, (_doc(module), _doc(thing))):
            if text not in texts:
                texts.append(text)
                waiting += _pointed_to(text, module)
    return [Passage(f"{name.replace('.', '/')}.py", "\n\n".join(texts)) for name, texts in found.items() if texts]


def _doc(thing: Any) -> str:
    """Its own, and not that of a class above it."""
    return inspect.cleandoc((vars(thing).get("__doc__") if inspect.isclass(thing) else thing.__doc__) or "")


def _givers(make: Any) -> Iterator[Any]:
    """What its options come from: classes above it, and dataclasses that a wrapper takes apart into options."""
    if inspect.isclass(make):
        yield from make.__mro__[1:]
        return
    shown = inspect.signature(make).parameters
    for name, parameter in inspect.signature(inspect.unwrap(make), eval_str=True).parameters.items():
        if name not in shown and inspect.isclass(parameter.annotation):
            yield from parameter.annotation.__mro__


def _pointed_to(text: str, module: ModuleType) -> Iterator[Any]:
    """The modules, and the things of this module, that a text names."""
    for path, beside, name in _POINTER.findall(text):
        file = path.replace("/", ".") or f"{module.__name__.rpartition('.')[0]}.{beside}"
        thing = vars(module).get(name) if name else sys.modules.get(file)
        if thing is not None:
            yield thing
