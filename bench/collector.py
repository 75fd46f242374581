"""Python's search for garbage, out of the way where a process begins and ends.

Importing torch makes some 200,000 objects, and all of them stay: looking them through again and again takes a sixth of
the time of the import, and as the process ends as long once more.
"""

from __future__ import annotations

import atexit
import gc

_USUAL = gc.get_threshold()
_SELDOM = (100_000, *_USUAL[1:])


def collect_seldom() -> None:
    """From now on new objects are looked through by the hundred thousand; as the process ends, none are."""
    gc.set_threshold(*_SELDOM)
    atexit.register(gc.freeze)  # the first to be registered is the last to be called


def collect_as_usual() -> None:
    """Where that was seldom until now, new objects are looked through as Python does again."""
    if gc.get_threshold() == _SELDOM:
        gc.set_threshold(*_USUAL)
