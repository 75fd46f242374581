"""A sign of life: whatever loops for long gives one each turn, and whoever watches over it listens."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sized
from typing import TypeVar

T = TypeVar("T")
_listeners: list[Callable[[], None]] = []
_done: list[float] = []  # the share of the loop that goes on, the outermost that knows its end


def listen(listener: Callable[[], None]) -> None:
    """Have ``listener`` called at every beat from now on."""
    _listeners.append(listener)


def beat() -> None:
    """Say that work goes on; costs nothing where nobody listens."""
    for listener in _listeners:
        listener()


def how_far() -> float | None:
    """The share that is done of the loop that goes on, in [0, 1); None where none is, or none knows its end."""
    return _done[0] if _done else None


def alive(items: Iterable[T]) -> Iterator[T]:
    """The items as they are, with a beat before each: for a metric's own loops that take minutes.

    Of items that know how many they are it is told how far the loop is, but for loops within such a loop.
    """
    many = len(items) if isinstance(items, Sized) and not _done else 0
    try:
        for number, item in enumerate(items):
            if many:
                _done[:] = [number / many]
            beat()
            yield item
    finally:
        if many:
            _done.clear()
