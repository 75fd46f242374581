"""A sign of life: whatever loops for long gives one each turn, and whoever watches over it listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")
_listeners: list[Callable[[], None]] = []


def listen(listener: Callable[[], None]) -> None:
    """Have ``listener`` called at every beat from now on."""
    _listeners.append(listener)


def beat() -> None:
    """Say that work goes on; costs nothing where nobody listens."""
    for listener in _listeners:
        listener()


def alive(items: Iterable[T]) -> Iterator[T]:
    """The items as they are, with a beat before each: for a metric's own loops that take minutes."""
    for item in items:
        beat()
        yield item
